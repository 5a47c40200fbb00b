"""Many trainings at once: cross-validation by patient, and robustness to less training data (PEP 562: lazy)."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from desali.experiments.robustness import Robustness, robustness
    from desali.experiments.runner import Experiment, run
    from desali.training.splits import Design, Split, fixed, leave_one_patient_out, patient_folds, take

_HOME = {
    "Design": "training.splits",
    "Experiment": "experiments.runner",
    "Robustness": "experiments.robustness",
    "Split": "training.splits",
    "fixed": "training.splits",
    "leave_one_patient_out": "training.splits",
    "patient_folds": "training.splits",
    "robustness": "experiments.robustness",
    "run": "experiments.runner",
    "take": "training.splits",
}

__all__ = [
    "Design",
    "Experiment",
    "Robustness",
    "Split",
    "fixed",
    "leave_one_patient_out",
    "patient_folds",
    "robustness",
    "run",
    "take",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"desali.{_HOME[name]}"), name)
    raise AttributeError(f"module 'desali.experiments' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
