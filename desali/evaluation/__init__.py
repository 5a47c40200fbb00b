"""What trained models are worth: predictions, metrics with intervals by patient, paired comparisons, tables and plots.

`predictions` is what a model said and `evaluate` makes it say it; `models` gathers the trainings of one recipe;
`statistics`, `calibration` and `curves` are the metrics as weighted sums by patient; `paired` tests two models;
`comparison` puts all into `results`, which `table`, `export` and `plots` print and draw.

Touch from outside: the names below, `export.FORMATS` and `plots.plot`. Nothing here knows training but for what an
option is (`output.options`). A metric is a number; a figure is a drawing. Names are imported when first used
(PEP 562).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from desali import lazily

if TYPE_CHECKING:
    from desali.evaluation.comparison import compare
    from desali.evaluation.evaluate import evaluate_recipes, predict
    from desali.evaluation.predictions import Predictions, load_predictions, pool
    from desali.evaluation.results import Comparison, Estimate, Evaluation, Pair
    from desali.evaluation.table import format_table

_HOME = {
    "Comparison": "results",
    "Estimate": "results",
    "Evaluation": "results",
    "Pair": "results",
    "Predictions": "predictions",
    "compare": "comparison",
    "evaluate_recipes": "evaluate",
    "format_table": "table",
    "load_predictions": "predictions",
    "pool": "predictions",
    "predict": "evaluate",
}

__all__ = [
    "Comparison",
    "Estimate",
    "Evaluation",
    "Pair",
    "Predictions",
    "compare",
    "evaluate_recipes",
    "format_table",
    "load_predictions",
    "pool",
    "predict",
]

__getattr__, __dir__ = lazily(__name__, _HOME)
