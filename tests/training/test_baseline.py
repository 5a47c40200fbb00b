"""Conventional baselines: features that see texture, an SVM tuned by patient, thresholds that find a threshold."""

from __future__ import annotations

import numpy as np
import pytest

from desali.data.imageset import ImageSet
from desali.errors import DataError
from desali.training.baseline import baselines, hu_fractions, texture_baseline, threshold_baseline
from desali.training.texture_features import texture_features
from tests.training.images import stripes


def split(images: ImageSet) -> tuple[ImageSet, ImageSet]:
    held = np.isin(images.patients, np.unique(images.patients)[:2])
    return images.subset(~held), images.subset(held)


def lung(count: int = 120) -> ImageSet:
    """HU images whose class is whether a tenth of the pixels is below -950."""
    rng = np.random.default_rng(0)
    labels = np.arange(count) % 2
    share = np.where(labels == 1, rng.uniform(0.15, 0.5, count), rng.uniform(0, 0.06, count))
    low = rng.random((count, 16, 16)) < share[:, None, None]
    images = np.where(low, -970, rng.integers(-900, -750, (count, 16, 16))).astype(np.int16)
    groups = np.array([f"P{number}" for number in (np.arange(count) // 2) % 6])
    return ImageSet("lung", images, labels.astype(np.int64), groups, ("normal", "low"), "hu", "made up", {})


def test_texture_features_do_not_change_with_a_quarter_turn_but_with_the_texture() -> None:
    images = stripes(6)
    turned = ImageSet(**{**images.__dict__, "images": np.rot90(images.images, axes=(1, 2)).copy()})
    first, second = texture_features(images), texture_features(turned)
    assert first.shape == (6, 45)
    np.testing.assert_allclose(first, second, atol=0.06)
    np.testing.assert_allclose(first[:, :10].sum(1), 1)
    noise = ImageSet(
        **{**images.__dict__, "images": np.random.default_rng(0).integers(0, 256, (6, 16, 16)).astype(np.uint8)}
    )
    assert np.abs(texture_features(noise) - first).max() > 0.5
    tiny = ImageSet(**{**images.__dict__, "images": images.images[:, :6, :6]})
    with pytest.raises(DataError, match="too small"):
        texture_features(tiny)


def test_the_baselines_learn_and_repeat_themselves() -> None:
    train, test = split(lung())
    svm, first, thresholds = baselines(train, test, seed=1)
    names = ("texture features + SVM", "first-order statistics", "HU thresholds")
    assert (svm.recipe, first.recipe, thresholds.recipe) == names
    assert svm.correct.mean() > 0.9
    assert thresholds.correct.all()
    assert svm.origin == "made up"
    assert svm.fingerprint == test.fingerprint
    assert svm.seed == 1
    again = texture_baseline(train, test, seed=1)
    assert np.array_equal(again.probabilities, svm.probabilities)


def test_a_class_that_the_training_part_lacks_has_probability_0() -> None:
    images = lung()
    wider = ImageSet(**{**images.__dict__, "classes": ("normal", "low", "never")})
    train, test = split(wider)
    for one in baselines(train, test):
        assert (one.probabilities[:, 2] == 0).all()
        assert one.correct.mean() > 0.9


def test_fractions_and_refusals() -> None:
    images = lung()
    pixels = images.images[0]
    assert hu_fractions(images)[0, 0] == (pixels < -950).mean()
    train, test = split(images)
    with pytest.raises(DataError, match="split by patient"):
        texture_baseline(images, test)
    with pytest.raises(DataError, match="need images in Hounsfield units"):
        threshold_baseline(*split(stripes(36)))
    with pytest.raises(DataError, match="expected at least 2"):
        threshold_baseline(train.subset(train.labels == 0), test)
    one_patient = train.subset(train.patients == train.patients[0])
    assert texture_baseline(one_patient, test).probabilities.shape == (len(test), 2)
