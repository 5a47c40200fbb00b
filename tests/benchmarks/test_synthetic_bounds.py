"""The two bounds of the synthetic target at a small size: density tells little, texture much more."""

from __future__ import annotations

import pytest

from benchmarks.synthetic_bounds import balanced_accuracy, pooled
from desali.training.baseline import first_order_baseline, texture_baseline

pytest.importorskip("sklearn")


def test_density_alone_tells_few_classes_and_texture_many() -> None:
    images = pooled(0, train=0.01, evaluation=0.3, floor=30)
    first, texture = (balanced_accuracy(images, one, folds=3) for one in (first_order_baseline, texture_baseline))
    assert 1 / 7 < first < 0.62
    assert texture > 0.72
    assert texture > first + 0.15
