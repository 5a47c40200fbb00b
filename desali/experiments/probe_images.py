"""The images that a lineage is read from: held out from every stage, and drawn alike for all networks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from desali.comparison.probe_set import LEAST, draw
from desali.errors import DataError, ImageError
from desali.experiments.options import LineageOptions
from desali.models.checkpoint import find, read_card
from desali.training.domains import synthetic_target
from desali.training.seen import apart, keeps_marks, seen, stages_behind

if TYPE_CHECKING:
    from desali.data.imageset import ImageSet
    from desali.data.preprocess import Preprocessing
    from desali.data.readers.finding import Found


def held_out(recipes: Sequence[str], runs: Path, options: LineageOptions) -> ImageSet:
    """All images that the target of trained recipes holds out, or those that the options name.

    Raises:
        WeightsError: a recipe is not trained. DataError: no such images, or they cannot be read.
    """
    if options.images is not None:
        return named(options.images, options)
    parameters = read_card(find(recipes[0], runs)).get("data", {}).get("parameters", {})
    spec = parameters.get("spec")
    if spec is None:
        return synthetic_target(recipes, runs, "evaluation")
    from desali.data.readers import find_images

    own = find_images(str(spec), **{name: value for name, value in parameters["options"].items() if name != "split"})
    if "test" not in own.selection.splits:
        raise DataError(
            f"{spec}: states no part 'test' that {recipes[0]} was not trained on; name other patients with --images "
            "DATASET"
        )
    return _read(own.choose(split="test"), options)


def named(spec: str, options: LineageOptions, rule: Preprocessing | None = None) -> ImageSet:
    """The images that a specification names, their part "test" where it names none.

    Args:
        rule: display images of a set are resized and cut as it does it, unless the specification says otherwise.

    Raises:
        UnknownNameError: no such reader or option. DataError: they cannot be read.
    """
    if rule is None or "size=" in spec.partition("?")[2]:
        return _named(spec, options, None)
    try:
        return _named(spec, options, rule)
    except (DataError, ImageError):
        try:
            return _named(spec, options, None)  # images in HU keep their size
        except (DataError, ImageError):
            pass
        raise


def _named(spec: str, options: LineageOptions, rule: Preprocessing | None) -> ImageSet:
    from desali.data.readers import find_images

    given: dict[str, Any] = {} if rule is None else {"size": rule.size, "resize": rule.resize}
    found = find_images(spec, colour=options.colour or None, **given)
    if "test" in found.selection.splits and "split" not in found.options:
        found = found.choose(split="test")
    return _read(found, options)


def _read(found: Found, options: LineageOptions) -> ImageSet:
    from desali.data.readers.reading import read_found

    return read_found(found, cache=True, skip_unreadable=options.skip_unreadable)


def drawn(images: ImageSet, options: LineageOptions) -> ImageSet:
    """As many images of each class as the options say, or as many in all.

    Raises:
        DataError: too few.
    """
    chosen = draw(images, options.per_class, options.seed, options.labels)
    if len(chosen) < LEAST:
        raise DataError(
            f"{len(chosen)} images are too few: channels are followed over at least {LEAST}; give more images, or a "
            f"larger --per-class than {options.per_class}"
        )
    return chosen


def check_unseen(images: ImageSet, weights: Sequence[Path], allowed: bool) -> dict[Path, list[str]]:
    """Refuse images that a stage behind one of the networks was trained on or selected by.

    Args:
        images: that the networks will be looked at with.
        weights: files of networks; those that desali did not train know nothing of their images.
        allowed: say so instead of refusing.

    Returns:
        For each network what is to be said under its numbers.

    Raises:
        DataError: images that were seen.
    """
    said: dict[Path, list[str]] = {}
    asked: dict[Path, str | None] = {}
    for file in weights:
        unlisted = []
        said[file] = []
        for stage in stages_behind(file):
            about = read_card(stage).get("stage") or {}
            title = about.get("title", stage.parent.name)
            if stage not in asked:
                asked[stage] = seen(images, stage)
            what = asked[stage]
            if what is not None and not allowed:
                raise DataError(
                    f"the stage {title} was trained on or selected by {what} of {images.name}: what it shows on these "
                    "may not hold for others; give others with --images DATASET, or take them all the same with "
                    "--allow-training-images"
                )
            no_patients = apart(images, stage)
            if no_patients:
                said[file].append(f"The stage {title}: {no_patients}.")
            if what is not None:
                said[file].append(
                    f"TRAINING IMAGES: the stage {title} was trained on or selected by {what}; what it shows may not "
                    "hold for others."
                )
            elif not keeps_marks(stage) and not about.get("weights"):
                unlisted.append(title)
        if unlisted:
            said[file].append(
                f"Of {', '.join(unlisted)} no list of images is kept: that these were not among them was checked by "
                "data set and patient alone."
            )
    return said
