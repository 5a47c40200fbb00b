"""The images that trained recipes are evaluated on, and those they were trained on, found by their cards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from desali.errors import DataError
from desali.models.checkpoint import find, read_card
from desali.training.domains import synthetic_target

if TYPE_CHECKING:
    from desali.data.imageset import ImageSet


def target_and_held_out(
    recipes: Sequence[str],
    runs: Path,
    spec: str | None = None,
    *,
    training: bool = True,
    skip_unreadable: bool = False,
    report: Callable[[str], None] | None = None,
) -> tuple[ImageSet | None, ImageSet]:
    """The images that `recipes` under `runs` were trained on, and the images to evaluate them on.

    Args:
        recipes: names of trained recipes, all of one target.
        runs: where they are.
        spec: what to evaluate on, as `desali.data.read_images` takes it; its part "test" where the set states parts and
            the specification names none. None: the synthetic target's own evaluation images, or the part "test" of
            the data set that the recipes were trained on.
        training: also read what they were trained on; else the first of the result may be None.
        skip_unreadable: leave out images to evaluate on that cannot be read.
        report: called with a line of text when images are left out.

    Raises:
        WeightsError: a recipe is not trained.
        DataError: no evaluation images are known, or the recipes were trained on different data.
    """
    cards = {name: read_card(find(name, runs)) for name in recipes}
    data = {name: card.get("data", {}) for name, card in cards.items()}
    first = next(iter(cards))
    given = data[first].get("parameters", {}).get("spec")
    if spec is None and given is None:
        return synthetic_target(recipes, runs)
    for name in recipes:
        if data[name].get("fingerprint") != data[first].get("fingerprint"):
            raise DataError(f"{name} was trained on other data than {first}; train both with the same options")
    classes = tuple(cards[first]["classes"])
    learned = None
    if training:
        learned = synthetic_target(recipes, runs)[0] if given is None else _again(data[first]["parameters"])
    if spec is not None:
        return learned, _read(spec, classes, skip_unreadable, report)
    options = {name: value for name, value in data[first]["parameters"]["options"].items() if name != "split"}
    return learned, _read(str(given), classes, skip_unreadable, report, own=True, **options)


def _read(
    spec: str,
    classes: tuple[str, ...],
    skip_unreadable: bool,
    report: Callable[[str], None] | None,
    own: bool = False,
    **options: Any,
) -> ImageSet:
    from desali.data.readers import read_images
    from desali.data.readers.reading import find_images

    options["classes"] = classes
    found = find_images(spec, **options)
    has_test = "test" in found.selection.splits
    if own and not has_test:
        raise DataError(
            f"{spec}: states no part 'test' to evaluate on; name other patients with --target SPEC, or train and "
            "predict fold by fold with `desali crossvalidate`"
        )
    if has_test and "split" not in found.options:
        options["split"] = "test"
    return read_images(spec, cache=True, skip_unreadable=skip_unreadable, report=report, **options)


def _again(parameters: dict[str, Any]) -> ImageSet:
    """The set that a card describes."""
    from desali.data.readers import read_images

    return read_images(
        parameters["spec"], cache=True, skip_unreadable=bool(parameters.get("unreadable")), **parameters["options"]
    )
