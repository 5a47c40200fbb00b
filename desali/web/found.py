"""Finding and reading what other commands left: records, predictions, folders of trained models."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from desali.errors import DataError
from desali.evaluation.results import Comparison
from desali.experiments.robustness import Robustness
from desali.models.checkpoint import WEIGHTS_NAME
from desali.output.decode import DecodeError
from desali.training.recipes import RECIPES

if TYPE_CHECKING:
    from desali.evaluation.predictions import Predictions

PICTURES = (".png", ".svg", ".pdf")
LARGEST = 256 * 2**20
"""Bytes of a record; a larger file is none."""
LINEAGES = "lineage.json"
"""The record of a folder of lineages, which stands for all that lies beside it."""
WANTED = (
    "give folders of trained models or of lineages, the demo's folder, or the .json or .npz files that desali "
    "evaluate, lineage, channels, compare and robustness write"
)


@dataclass(frozen=True)
class Source:
    """A result: `path` is the file, `value` what it holds."""

    path: Path
    value: Any


@dataclass
class Found:
    """What lies in the inputs, each kind in the order in which it was found.

    Attributes:
        runs: folders of trained models, and the models in them.
        lineages, figures: records; a main picture is among the figures, and its lineage among the lineages.
        evaluations: of `Comparison`; robustness: of `Robustness`.
        demos: records of `desali demo`; images: those of a folder of lineages.
    """

    runs: dict[Path, list[str]] = field(default_factory=dict)
    lineages: list[Source] = field(default_factory=list)
    figures: list[Source] = field(default_factory=list)
    evaluations: list[Source] = field(default_factory=list)
    robustness: list[Source] = field(default_factory=list)
    demos: list[Source] = field(default_factory=list)
    images: list[Source] = field(default_factory=list)
    seen: set[Path] = field(default_factory=set)

    @property
    def words(self) -> list[str]:
        """What lay there, a phrase each."""
        said = [f"models {', '.join(names)} in {runs.name}" for runs, names in self.runs.items()]
        kinds = (
            (self.lineages, "lineage"), (self.evaluations, "evaluation"), (self.robustness, "robustness curve"),
            (self.figures, "figure"),
        )  # fmt: skip
        return said + [f"{len(own)} {word}{'s' if len(own) > 1 else ''}" for own, word in kinds if own]


def find(inputs: Sequence[Path]) -> Found:
    """Read all inputs; what is named twice is taken once.

    Raises:
        DataError: one that does not exist, is damaged, or was made by nothing that a report can show.
    """
    found = Found()
    predictions: list[Path] = []
    for path in inputs:
        if not path.exists():
            raise DataError(f"{path}: no such file or folder; {WANTED}")
        if path.is_dir():
            if not _folder(path, found):
                raise DataError(f"{path}: holds no result that a report can show; {WANTED}")
        elif path.suffix == ".npz":
            predictions.append(path)
        elif path.name == WEIGHTS_NAME:
            _run(path.parent, found)
        elif path.name == LINEAGES and _folder(path.parent, found):
            continue
        elif not _record(_beside(path), found):
            raise DataError(f"{path}: is no result of desali that a report can show; {WANTED}")
    if predictions:
        _predictions(predictions, found)
    return found


def models_in(folder: Path) -> list[str]:
    """Names of the models that were trained under a folder: the recipes in their order, then others."""
    known = list(RECIPES)
    return sorted(
        (one.parent.name for one in folder.glob(f"*/{WEIGHTS_NAME}")),
        key=lambda name: (known.index(name) if name in known else len(known), name),
    )


def damaged(path: Path, error: Exception) -> DataError:
    """What to say of a file that is not what it seems."""
    reason = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) and error.args else str(error)
    return DataError(
        f"{path}: damaged, or not a record of this version of desali ({' '.join(reason.split())}); make it again"
    )


def _beside(path: Path) -> Path:
    """The record of a picture; any other file is its own."""
    if path.suffix.lower() not in PICTURES:
        return path
    record = path.with_suffix(".json")
    if not record.is_file():
        raise DataError(f"{path}: a report shows a picture with its record, and {record.name} is not beside it")
    return record


def _folder(folder: Path, found: Found) -> int:
    """Take what lies in a folder; says how much that was."""
    if (folder / WEIGHTS_NAME).is_file():
        return _run(folder, found)
    models = models_in(folder)
    count = 0
    if models:
        found.runs[folder] = list(dict.fromkeys([*found.runs.get(folder, []), *models]))
        count += 1
    for file in sorted(folder.glob("*.json")):
        count += _record(file, found)
    for inner in ("runs", "evaluation"):
        if (folder / inner).is_dir():
            count += _folder(folder / inner, found)
    return count


def _run(folder: Path, found: Found) -> int:
    names = found.runs.setdefault(folder.parent, [])
    if folder.name not in names:
        names.append(folder.name)
    return 1


def _record(file: Path, found: Found) -> int:
    """Take a record; 0 if it is the JSON of something else."""
    value = _json(file)
    taken = file.resolve() in found.seen
    for holds, take in _KINDS:
        if isinstance(value, dict) and holds(value):
            if not taken:
                found.seen.add(file.resolve())
                take(file, value, found)
            return 1
    return 0


def _json(file: Path) -> Any:
    try:
        if file.stat().st_size > LARGEST:
            raise DataError(f"{file}: {file.stat().st_size / 2**20:.0f} MiB are no record of desali; {WANTED}")
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else " ".join(str(error).split())
        raise DataError(f"{file}: cannot be read as JSON ({reason}); {WANTED}") from error


def _figure(file: Path, value: dict[str, Any], found: Found) -> None:
    found.figures.append(Source(file, value))
    change = value.get("lineage")
    if value.get("figure") == "what changed" and isinstance(change, dict):
        found.lineages.append(
            Source(file, {"title": str(value.get("title", "")).partition(": what changed")[0], **change})
        )


def _lineage(file: Path, value: dict[str, Any], found: Found) -> None:
    found.lineages.append(Source(file, value))


def _lineages(file: Path, value: dict[str, Any], found: Found) -> None:
    found.images.append(Source(file, value))


def _comparison(file: Path, value: dict[str, Any], found: Found) -> None:
    try:
        found.evaluations.append(Source(file, Comparison.from_dict(value)))
    except DecodeError as error:
        raise damaged(file, error) from error


def _robustness(file: Path, value: dict[str, Any], found: Found) -> None:
    try:
        found.robustness.append(Source(file, Robustness.from_dict(value)))
    except DecodeError as error:
        raise damaged(file, error) from error


def _demo(file: Path, value: dict[str, Any], found: Found) -> None:
    found.demos.append(Source(file, value))


_KINDS: tuple[tuple[Callable[[dict[str, Any]], bool], Callable[[Path, dict[str, Any], Found], None]], ...] = (
    (lambda value: value.get("kind") == "desali figure", _figure),
    (lambda value: value.get("kind") == "desali lineage", _lineage),
    (lambda value: value.get("kind") == "desali lineages", _lineages),
    (lambda value: {"evaluations", "pairs", "fingerprint"} <= value.keys(), _comparison),
    (lambda value: {"fractions", "comparisons", "losses"} <= value.keys(), _robustness),
    (lambda value: {"from_nothing", "machine", "command"} <= value.keys(), _demo),
)


def _predictions(paths: Sequence[Path], found: Found) -> None:
    """Compare saved predictions, as `desali evaluate --predictions` does; the same training in two files is one."""
    from desali.evaluation.bundle import load_trainings, together
    from desali.evaluation.comparison import compare
    from desali.experiments.robustness import robustness

    whole: dict[str, list[tuple[Path, Predictions]]] = {}
    for path in {one.resolve(): one for one in paths}.values():
        trainings, by = load_trainings(path)
        if len(trainings) > 1:
            found.robustness.append(Source(path, robustness(trainings, by)))
        for one in trainings.get(1.0, []):
            whole.setdefault(one.fingerprint, []).append((path, one))
    for those in whole.values():
        found.evaluations.append(Source(those[0][0], compare(together(those, same_is_one=True))))
