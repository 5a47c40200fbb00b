"""The images that trained recipes are evaluated on, and those they were trained on, found by their cards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

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
        synthetic = synthetic_target(recipes, runs, "train") if training else None
        return synthetic, synthetic_target(recipes, runs, "evaluation")
    for name in recipes:
        if data[name].get("fingerprint") != data[first].get("fingerprint"):
            raise DataError(f"{name} was trained on other data than {first}; train both with the same options")
    from desali.data.readers import find_images
    from desali.data.readers.reading import read_found

    classes = tuple(cards[first]["classes"])
    known = data[first].get("parameters", {})
    own = None
    if given is not None and (training or spec is None):
        own = find_images(str(given), **{name: value for name, value in known["options"].items() if name != "split"})
    learned = None
    if training and own is None:
        learned = synthetic_target(recipes, runs, "train")
    elif training and own is not None:
        part = own.choose(split=known["options"].get("split"))
        learned = read_found(part, cache=True, skip_unreadable=bool(known.get("unreadable")))
    if spec is not None:
        found = find_images(spec, classes=classes)
    else:
        assert own is not None
        found = own.choose(classes=classes)
        if "test" not in found.selection.splits:
            raise DataError(
                f"{given}: states no part 'test' to evaluate on; name other patients with --target SPEC, or train and "
                "predict fold by fold with `desali crossvalidate`"
            )
    if "test" in found.selection.splits and "split" not in found.options:
        found = found.choose(split="test")
    return learned, read_found(found, cache=True, skip_unreadable=skip_unreadable, report=report)
