"""Many trainings at once: cross-validation by patient, robustness to less training data, and the demo.

`options` holds what both commands can be told; `runner` trains and predicts every recipe, seed, fraction and fold and
keeps each; `robustness` follows metrics over fractions, `curve_plot` draws them. Folds and fractions are those of
`desali.training.splits`.

Touch from outside: the names below. Names are imported when first used (PEP 562).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from desali import lazily

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

__getattr__, __dir__ = lazily(__name__, _HOME)
