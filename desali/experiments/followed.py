"""What a figure of models needs to follow channels from one to the other: images that no stage has seen, replicates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from desali.errors import DesaliError
from desali.experiments.options import FollowOptions, LineageOptions
from desali.experiments.probe_images import check_unseen, drawn, held_out, named
from desali.models.modules import kind_of
from desali.models.replicate import replicates
from desali.models.sources import load

if TYPE_CHECKING:
    from desali.data.imageset import ImageSet
    from desali.models.checkpoint import LoadedModel


@dataclass(frozen=True)
class Followed:
    """What was found.

    Attributes:
        images: to follow channels on; None: they are not followed.
        replicates: for a model the first network of the same training with another seed.
        said: what the figure must say of the images.
    """

    images: ImageSet | None = None
    replicates: Mapping[str, LoadedModel] = field(default_factory=dict)
    said: str = ""


def followed(
    models: Mapping[str, LoadedModel],
    runs: Path,
    options: FollowOptions,
    report: Callable[[str], None] = lambda line: None,
) -> Followed:
    """Images and replicates for a figure of some models.

    The last recipe among the models that has a replicate brings it: the end of a chain is what is asked about.

    Args:
        runs: folder of trained recipes.
        report: is told in a line why channels are not followed.

    Raises:
        DesaliError: images that were named cannot be read, or are too few.
    """
    if not options.follow:
        return Followed()
    again: dict[str, LoadedModel] = {}
    trained = [name for name, model in models.items() if _of_runs(model, runs)]
    for name in reversed(trained):
        found = replicates(runs, str(models[name].card["recipe"]))
        if found:
            again[name] = load(found[0], runs=runs)
            break
    shown = [*models.values(), *again.values()]
    first = shown[0]
    alike = all(
        kind_of(one.model) == kind_of(first.model) and one.preprocessing == first.preprocessing for one in shown
    )
    if len(shown) < 2 or not alike:
        return Followed(None, again)
    wanted = LineageOptions(images=options.images)
    try:
        if options.images is not None:
            images = named(options.images, wanted, None if trained else first.preprocessing)
        elif trained:
            images = held_out([str(models[name].card["recipe"]) for name in trained], runs, wanted)
        else:
            return Followed(None, again)
        chosen = drawn(images, wanted)
    except DesaliError as error:
        if options.images is not None:
            raise
        report(f"channels are not followed: {error}")
        return Followed(None, again)
    files = [one.path for one in shown if one.path is not None and one.card.get("recipe")]
    notes = [note for found_notes in check_unseen(chosen, files, True).values() for note in found_notes]
    return Followed(chosen, again, " ".join(dict.fromkeys(note for note in notes if note.startswith("TRAINING"))))


def _of_runs(model: Any, runs: Path) -> bool:
    """Whether a model is a recipe's, trained under `runs`."""
    path = model.path
    return path is not None and bool(model.card.get("recipe")) and Path(path).resolve().parent.parent == runs.resolve()
