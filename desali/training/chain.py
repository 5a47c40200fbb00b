"""The chain of a trained recipe: every stage with what it started from, as it lies under the folder of runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from desali.errors import WeightsError
from desali.models.checkpoint import RUNS, LoadedModel, find, load, read_card
from desali.models.registry import architecture
from desali.models.replicate import replicates
from desali.training.initial import initial
from desali.training.seen import stages_behind


@dataclass(frozen=True, eq=False)
class Networks:
    """The networks of a comparison.

    Attributes:
        before: None where it cannot be had.
        after: of the same architecture.
        replicates: made as `after` was, with other seeds.
        notes: what is to be said of them.
        drawn_anew: modules whose weights `after` did not take over from `before`, but drew anew: the classifier.
    """

    before: LoadedModel | None
    after: LoadedModel
    replicates: Sequence[LoadedModel] = ()
    notes: Sequence[str] = ()
    drawn_anew: tuple[str, ...] = ()


@dataclass(frozen=True)
class Link:
    """A stage of a trained recipe.

    Attributes:
        title: the domains up to it, e.g. "natural -> texture".
        key: of the stage.
        start: the weights file of the stage before; None for the first, which started from initial weights.
        weights: its own.
        replicates: weights files of its replicates, which only a recipe's last stage has.
    """

    title: str
    key: str
    start: Path | None
    weights: Path
    replicates: tuple[Path, ...] = ()

    @property
    def before(self) -> str:
        """What the network before it is called."""
        return "initial weights" if self.start is None else str(read_card(self.start)["stage"]["title"])

    def networks(self) -> Networks:
        """Load them all; there is no network before where the initial weights cannot be made again.

        Weights that came from a file have the file's own rule of preparing images; they are looked at with that of the
        stage that went on from them.
        """
        after = load(self.weights)
        said: list[str] = []
        before: LoadedModel | None
        if self.start is None:
            before, doubt = initial(after.card)
            said += [] if doubt is None else [doubt]
        else:
            before = load(self.start)
            rule = after.card["preprocessing"]
            if before.card["stage"].get("weights") and before.card["preprocessing"] != rule:
                before = LoadedModel(before.model, {**before.card, "preprocessing": rule}, before.path)
                said.append(f"The weights of {self.before} came from a file; images are prepared as for {self.title}.")
        anew = () if self.start is None else architecture(after.card["architecture"]).classifier
        return Networks(before, after, [load(path) for path in self.replicates], said, tuple(anew))


def chain(recipe: str | Path, runs: Path = RUNS) -> tuple[list[Link], list[str]]:
    """The stages of a trained recipe, first to last, and what to say of those that have nothing to start from.

    Args:
        recipe: its name under `runs`, or a path as `desali.models.find` takes it; also a replicate.

    Raises:
        WeightsError: the recipe is not trained, or one of its stages is missing.
    """
    weights = find(recipe, runs)
    card = read_card(weights)
    if not (card.get("stage") or {}).get("key"):
        raise WeightsError(
            f"{recipe}: its card names no stages, so it has no chain; compare any two networks with --before SPEC "
            "--after SPEC --images DATASET"
        )
    files = stages_behind(weights)
    first: dict[str, Any] = read_card(files[0])
    if first.get("parent") is not None or len(files) < len(card.get("stages") or ()):
        raise WeightsError(
            f"{recipe}: the stage {first.get('parent')} that it started from is missing beside it "
            f"({weights.parent.parent / 'stages'}); train the recipe again with the same options"
        )
    return list(_links(weights, files)), _said(first)


def _links(weights: Path, files: list[Path]) -> Iterator[Link]:
    """A link for every stage that was trained; those from a file were not."""
    for number, file in enumerate(files):
        card = read_card(file)
        last = number == len(files) - 1
        if not card["stage"].get("weights"):
            own = replicates(weights.parents[1], weights.parent) if last and _is_recipe(weights) else ()
            yield Link(
                card["stage"]["title"],
                card["stage"]["key"],
                files[number - 1] if number else None,
                weights if last else file,
                tuple(own),
            )


def _is_recipe(weights: Path) -> bool:
    card = read_card(weights)
    return "recipe" in card and "replicate" not in card


def _said(first: dict[str, Any]) -> list[str]:
    given = first["stage"].get("weights")
    if not given:
        return []
    return [
        f"The stage {first['stage']['title']} came from the file {Path(str(given)).name}: what it started from is not "
        "known, so it is not compared with its initial weights."
    ]
