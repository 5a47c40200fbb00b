"""Splits never cut through a patient and cover every image once; fractions are nested and keep every class."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from desali.data.imageset import ImageSet
from desali.errors import DataError
from desali.experiments import fixed, leave_one_patient_out, patient_folds, take
from desali.experiments.options import By
from desali.experiments.splits import Design
from tests.training.images import stripes


def check(design: Design) -> None:
    seen = np.concatenate([split.held for split in design.splits])
    assert sorted(seen.tolist()) == list(range(len(design.evaluated)))
    for split in design.splits:
        trained = set(split.training().groups.tolist())
        assert trained.isdisjoint(design.evaluated.groups[split.held].tolist())
        assert trained


@given(st.integers(2, 7), st.integers(2, 4), st.integers(0, 99))
def test_folds_cover_every_image_once_and_cut_through_no_patient(groups: int, classes: int, seed: int) -> None:
    images = stripes(60, classes=classes, groups=groups, size=4)
    check(leave_one_patient_out(images))
    assert len(leave_one_patient_out(images).splits) == groups
    for count in range(2, groups + 1):
        design = patient_folds(images, count, seed)
        check(design)
        assert len(design.splits) == count


def test_a_class_that_training_lacks_is_named() -> None:
    images = stripes(40, classes=2, groups=4, size=4)
    only = ImageSet(**{**images.__dict__, "labels": (images.groups == "P02").astype(np.int64)})
    assert leave_one_patient_out(only).unseen() == ["fold 2: no training image of class b, which it predicts"]
    assert leave_one_patient_out(images).unseen() == []


def test_bad_splits_are_refused() -> None:
    images = stripes(12, classes=2, groups=1, size=4)
    with pytest.raises(DataError, match="at least two patients, got 1"):
        leave_one_patient_out(images)
    three = stripes(24, classes=2, groups=3, size=4)
    for count in (1, 4):
        with pytest.raises(DataError, match=f"between 2 and its 3 patients, got {count}"):
            patient_folds(three, count)
    with pytest.raises(DataError, match=r"3 patients \(the first is P00\) are also in"):
        fixed(three, three)
    with pytest.raises(DataError, match="classes differ"):
        fixed(three, replace(three, classes=("x", "y")))


@given(st.sampled_from(get_args(By)), st.integers(0, 50), st.lists(st.floats(0.01, 1), min_size=2, max_size=4))
def test_smaller_fractions_lie_in_larger_ones_and_keep_every_class(by: By, seed: int, fractions: list[float]) -> None:
    images = stripes(60, classes=3, groups=5, size=4)
    marked = replace(images, images=np.arange(60, dtype=np.uint8)[:, None, None].repeat(4, 1).repeat(4, 2))
    before: set[int] = set()
    for fraction in sorted(fractions):
        part = take(marked, fraction, by, seed)
        kept = set(part.images[:, 0, 0].tolist())
        assert before <= kept
        assert set(part.labels.tolist()) == {0, 1, 2}
        before = kept
        if by == "rois":
            expected = sum(max(2, round(fraction * n)) for n in np.bincount(images.labels))
            assert len(part) == (60 if fraction == 1 else expected)
        else:
            whole = np.isin(images.groups, np.unique(part.groups))
            assert len(part) == int(whole.sum())


def test_fractions_outside_the_unit_interval_are_refused() -> None:
    for fraction in (0.0, -0.1, 1.1, float("nan")):
        with pytest.raises(DataError, match="must lie in"):
            take(stripes(12, size=4), fraction, "rois", 0)
