"""Splits never cut through a patient and cover every image once; fractions are nested and keep every class."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from desali.data.imageset import ImageSet
from desali.errors import DataError
from desali.training.splits import (
    By,
    Design,
    fixed,
    hold_out,
    leave_one_patient_out,
    patient_folds,
    take,
)
from tests.training.images import stripes


def check(design: Design) -> None:
    seen = np.concatenate([split.held for split in design.splits])
    assert sorted(seen.tolist()) == list(range(len(design.evaluated)))
    for split in design.splits:
        trained = set(split.training().patients.tolist())
        assert trained.isdisjoint(design.evaluated.patients[split.held].tolist())
        assert trained


@given(st.integers(2, 7), st.integers(2, 4), st.integers(0, 99))
def test_folds_cover_every_image_once_and_cut_through_no_patient(patients: int, classes: int, seed: int) -> None:
    images = stripes(60, classes=classes, patients=patients, size=4)
    check(leave_one_patient_out(images))
    assert len(leave_one_patient_out(images).splits) == patients
    for count in range(2, patients + 1):
        design = patient_folds(images, count, seed)
        check(design)
        assert len(design.splits) == count


def test_a_class_that_training_lacks_is_named() -> None:
    images = stripes(40, classes=2, patients=4, size=4)
    only = ImageSet(**{**images.__dict__, "labels": (images.patients == "P02").astype(np.int64)})
    assert leave_one_patient_out(only).unseen() == ["fold 2: no training image of class b, which it predicts"]
    assert leave_one_patient_out(images).unseen() == []


def test_bad_splits_are_refused() -> None:
    images = stripes(12, classes=2, patients=1, size=4)
    with pytest.raises(DataError, match="at least two patients, got 1"):
        leave_one_patient_out(images)
    three = stripes(24, classes=2, patients=3, size=4)
    for count in (1, 4):
        with pytest.raises(DataError, match=f"between 2 and its 3 patients, got {count}"):
            patient_folds(three, count)
    with pytest.raises(DataError, match=r"3 patients \(the first is P00\) are also in"):
        fixed(three, three)
    with pytest.raises(DataError, match="classes differ"):
        fixed(three, replace(three, classes=("x", "y")))


@given(st.sampled_from(get_args(By)), st.integers(0, 50), st.lists(st.floats(0.01, 1), min_size=2, max_size=4))
def test_smaller_fractions_lie_in_larger_ones_and_keep_every_class(by: By, seed: int, fractions: list[float]) -> None:
    images = stripes(60, classes=3, patients=5, size=4)
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
            whole = np.isin(images.patients, np.unique(part.patients))
            assert len(part) == int(whole.sum())


def test_fractions_outside_the_unit_interval_are_refused() -> None:
    for fraction in (0.0, -0.1, 1.1, float("nan")):
        with pytest.raises(DataError, match="must lie in"):
            take(stripes(12, size=4), fraction, "rois", 0)


@given(st.integers(0, 2**40), st.integers(2, 12), st.integers(2, 4), st.sampled_from([4, 9, 23, 80]))
@settings(max_examples=40)
def test_patients_are_held_out_whole_and_no_class_is_lost(seed: int, patients: int, classes: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    names = np.array([f"P{k}" for k in rng.integers(0, patients, count)])
    labels = rng.integers(0, classes, count)
    held = hold_out(labels, names, 0.2, seed)
    if held is None:
        return
    assert not set(names[held]) & set(names[~held])
    assert set(labels[~held]) == set(labels)
    assert 0 < held.mean() < 1


def test_share_and_classes_are_kept_where_patients_allow_it() -> None:
    labels = np.tile(np.arange(3), 40)
    patients = np.repeat([f"P{k}" for k in range(20)], 6)
    held = hold_out(labels, patients, 0.2, seed=1)
    assert held is not None
    assert held.mean() == 0.2
    assert set(labels[held]) == {0, 1, 2}
    again = hold_out(labels, patients, 0.2, seed=1)
    assert again is not None
    assert (held == again).all()


def test_nothing_is_held_out_if_every_class_is_one_patients() -> None:
    labels = np.repeat([0, 1, 2], 10)
    assert hold_out(labels, np.array([f"P{k}" for k in labels]), 0.2, 0) is None
    assert hold_out(labels, np.array([f"P{k % 5}" for k in range(30)]), 0.0, 0) is None
