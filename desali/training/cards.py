"""Cards of stages: what a stage's weights are, where they come from, and what `train` says of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from desali.models.checkpoint import LoadedModel, load
from desali.training.history import compute_share
from desali.training.stage import Stage
from desali.training.state import Row

if TYPE_CHECKING:
    import numpy.typing as npt

    from desali.data.imageset import ImageSet
    from desali.data.preprocess import Preprocessing
    from desali.training.fit import Fitted


@dataclass(frozen=True)
class StageResult:
    """A trained stage.

    Attributes:
        key: names everything its weights depend on; its folder is runs/stages/<key>.
        title: the domains up to it, e.g. "natural -> texture".
        weights: its weights file, with the card beside it.
        reused: whether it was already trained.
        best_epoch: number of the epoch whose weights were kept, from 1.
        epochs: epochs trained.
        seconds: training time over all sittings.
        metrics: the best epoch's row of the history.
        compute_share: share of the training time in which the trainer did not wait for input; None if not measured.
    """

    key: str
    title: str
    weights: Path
    reused: bool
    best_epoch: int
    epochs: int
    seconds: float
    metrics: Row
    compute_share: float | None = None


@dataclass(frozen=True)
class TrainedRecipe:
    """A trained recipe: its stages, first to last, the weights file under runs/<name>, and those of its replicates."""

    name: str
    weights: Path
    stages: tuple[StageResult, ...]
    replicates: tuple[Path, ...] = ()


def card_of_trained(
    stage: Stage,
    data: ImageSet,
    fitted: Fitted,
    held: npt.NDArray[np.bool_] | None,
    *,
    key: str,
    title: str,
    architecture: str,
    preprocessing: Preprocessing,
    seed: int,
    processes: int,
    parent: StageResult | None,
    features: int | None = None,
    initial: str | None = None,
) -> dict[str, Any]:
    """The card of a stage that was trained on `data`, `held` [n] of which were held out for early stopping.

    `features` is the seed of the feature layers that a replicate of a first stage starts from, `initial` the hash of
    the weights that a first stage starts from (see `desali.models.modules.fingerprint`).
    """
    share = compute_share(fitted.timing)
    return {
        "architecture": architecture,
        "classes": list(data.classes),
        "preprocessing": preprocessing.to_dict(),
        "stage": {
            "key": key,
            "title": title,
            **asdict(stage),
            "best_epoch": fitted.best_epoch,
            "epochs_trained": len(fitted.history),
            "seconds": round(fitted.seconds, 2),
            "compute_share": None if share is None else round(share, 4),
            "processes": processes,
            "held_out_patients": [] if held is None else sorted(set(data.patients[held].tolist())),
        },
        "parent": parent.key if parent else None,
        "seed": seed,
        **({} if features is None else {"features_seed": features}),
        **({} if initial is None else {"initial_sha256": initial}),
        "data": {
            "name": data.name,
            "fingerprint": data.fingerprint,
            "images": len(data),
            "patients": len(np.unique(data.patients)),
            "unit_of_split": data.unit_of_split,
            "patient_names": np.unique(data.patients).tolist() if stage.domain == "target" else [],
            "unit": data.unit,
            "parameters": data.parameters,
        },
        "origin": data.origin,
        "lineage": [
            *(load(parent.weights).card.get("lineage", []) if parent else []),
            f"{stage.domain}: {data.origin}",
        ],
        "metrics": fitted.history[fitted.best_epoch - 1],
    }


def card_of_given(loaded: LoadedModel, stage: Stage, key: str, title: str, file: Path) -> dict[str, Any]:
    """The card of a stage whose weights were loaded from `file`; what the file's own card says of it is kept."""
    import torch

    own = loaded.preprocessing
    with torch.inference_mode():
        outputs = loaded.model(torch.zeros(1, own.channels, own.size, own.size)).shape[1]
    origin = f"weights from the file {file.name}"
    known = loaded.card.get("stage") or {}
    return {
        "architecture": loaded.card["architecture"],
        "classes": list(loaded.classes) or [f"class {number}" for number in range(outputs)],
        "preprocessing": own.to_dict(),
        "stage": {
            "key": key,
            "title": title,
            "domain": stage.domain,
            "weights": str(file),
            "best_epoch": known.get("best_epoch", 0),
            "epochs_trained": known.get("epochs_trained", 0),
            "seconds": 0.0,
            "held_out_patients": [],
        },
        "parent": None,
        "source_sha256": loaded.card["weights_sha256"],
        "origin": origin,
        "lineage": loaded.card.get("lineage") or [f"{stage.domain}: {origin}"],
        "metrics": loaded.card.get("metrics") or {},
        **({"data": loaded.card["data"]} if loaded.card.get("data") else {}),
    }


def result_of(card: dict[str, Any], title: str, weights: Path, reused: bool) -> StageResult:
    """What `train` says of the stage whose card this is."""
    stage = card["stage"]
    return StageResult(
        stage["key"],
        title,
        weights,
        reused,
        stage["best_epoch"],
        stage["epochs_trained"],
        stage["seconds"],
        card["metrics"],
        stage.get("compute_share"),
    )
