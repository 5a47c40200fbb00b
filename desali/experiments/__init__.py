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

_HOME = {
    "Experiment": "runner",
    "Robustness": "robustness",
    "robustness": "robustness",
    "run": "runner",
}

__all__ = [
    "Experiment",
    "Robustness",
    "robustness",
    "run",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"desali.experiments.{_HOME[name]}"), name)
    raise AttributeError(f"module 'desali.experiments' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
