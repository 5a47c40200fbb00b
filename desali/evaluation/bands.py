"""Mean ROC and precision-recall curves of a model with bands from the bootstrap over patients."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from desali.evaluation.curves import precision_recall, roc
from desali.evaluation.models import Model
from desali.evaluation.statistics import Counts, Floats, interval

KINDS = {"ROC": roc, "precision-recall": precision_recall}
MACRO = "macro"


@dataclass(frozen=True)
class Band:
    """A curve at the points of `curves.GRID`, and its pointwise 95 % interval [101]."""

    value: Floats
    low: Floats
    high: Floats


def bands(model: Model, weights: Counts) -> dict[str, dict[str, Band]]:
    """ "ROC" and "precision-recall" -> class name or "macro" -> band.

    A curve is the mean over the trainings at each false positive rate (recall), the macro curve the mean over the
    classes (vertical averaging, Fawcett 2006). Classes that do not occur have none; a resample without a class takes no
    part in that class's band, and gives the mean of the classes that it holds to the macro band.

    Args:
        model: the trainings of one recipe.
        weights: how often each resample holds each patient [b, patients].
    """
    rows = np.concatenate([np.ones((1, weights.shape[1]), np.int64), weights])  # the data themselves come first
    result: dict[str, dict[str, Band]] = {}
    for kind, curve in KINDS.items():
        curves = {}
        for label, name in enumerate(model.classes):
            mean = np.mean([curve(one, rows) for one in model.one_class(label)], axis=0)  # [1 + b, grid]
            if not np.isnan(mean[0]).any():
                curves[name] = mean
        result[kind] = {name: _band(mean) for name, mean in curves.items()}
        if curves:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # a resample in which no class has a curve
                result[kind][MACRO] = _band(np.nanmean(list(curves.values()), axis=0))
    return result


def _band(curves: Floats) -> Band:
    low, high = interval(curves[1:])
    return Band(curves[0], low, high)
