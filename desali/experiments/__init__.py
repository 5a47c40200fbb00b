"""Many trainings at once: cross-validation by patient, robustness to less training data, and the demo.

`options` holds what both commands can be told; `runner` trains and predicts every recipe, seed, fraction and fold and
keeps each; `robustness` follows metrics over fractions, `curve_plot` draws them. Folds and fractions are those of
`desali.training.splits`.

Touch from outside: the names below. Names are imported when first used (PEP 562).
"""

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
