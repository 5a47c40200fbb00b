"""Curves and losses from predictions whose quality is known, and the picture of them."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import balanced_accuracy_score

from desali.errors import DataError
from desali.evaluation.predictions import Predictions
from desali.experiments.curve_plot import plot_robustness
from desali.experiments.robustness import format_robustness, robustness, robustness_csv


def guess(recipe: str, right: float, seed: int, patients: int = 12) -> Predictions:
    """Predictions that hit about the share `right` of 240 ROIs."""
    rng = np.random.default_rng([seed, *map(ord, recipe)])
    labels = np.arange(240) % 3
    said = np.where(rng.random(240) < right, labels, (labels + 1) % 3)
    probabilities = np.full((240, 3), 0.1, np.float32)
    probabilities[np.arange(240), said] = 0.8
    groups = np.array([f"P{number % patients:02d}" for number in np.arange(240) // 3])
    return Predictions(recipe, probabilities, labels, groups, ("a", "b", "c"), "guesses", "0", "made up", seed)


CASES = {
    fraction: [
        guess(name, full - slope * (1 - fraction), seed)
        for name, full, slope in (("good", 0.9, 0.05), ("weak", 0.85, 0.6))
        for seed in (0, 1)
    ]
    for fraction in (1.0, 0.2, 0.6)
}


def test_curves_and_losses_are_the_means_over_trainings_with_intervals() -> None:
    result = robustness(CASES, "rois", resamples=200)
    assert result.fractions == (0.2, 0.6, 1.0)
    assert result.decided
    curve = result.curve("weak", "macro recall")
    for estimate, fraction in zip(curve, result.fractions, strict=True):
        each = [balanced_accuracy_score(p.labels, p.predicted) for p in CASES[fraction] if p.recipe == "weak"]
        assert estimate.value == pytest.approx(np.mean(each))
        assert estimate.low < estimate.value < estimate.high
    lost = {(one.recipe, one.minus): one.estimate for one in result.losses if one.metric == "macro recall"}
    assert lost["weak", ""].value == pytest.approx(curve[-1].value - curve[0].value)
    pair = lost["good", "weak"]
    assert pair.value == pytest.approx(lost["good", ""].value - lost["weak", ""].value)
    assert pair.high < 0  # the weak one loses more
    with pytest.raises(DataError, match="has no macro recall"):
        result.curve("absent", "macro recall")


def test_few_patients_are_said_to_decide_nothing() -> None:
    few = {fraction: [guess("one", 0.8, 0, patients=4)] for fraction in (0.5, 1.0)}
    result = robustness(few, "patients", resamples=100)
    assert not result.decided
    assert "fewer than 10 patients: undecided" in format_robustness(result)
    single = robustness({1.0: few[1.0]}, "rois", resamples=100)
    assert single.losses == ()
    with pytest.raises(DataError, match="nothing to follow"):
        robustness({}, "rois")
    other = replace(few[0.5][0], fingerprint="1")
    with pytest.raises(DataError, match="other images"):
        robustness({1.0: [few[1.0][0], replace(other, recipe="two")]}, "rois")


def test_text_csv_json_and_picture(tmp_path: Path) -> None:
    result = robustness(CASES, "rois", resamples=100)
    text = format_robustness(result)
    assert "made up" in text
    assert "good - weak" in text
    assert "60 %" in text
    rows = list(csv.DictReader(io.StringIO(robustness_csv(result))))
    assert {row["recipe"] for row in rows} == {"good", "weak"}
    assert all(
        float(row["low"]) <= float(row["value"]) <= float(row["high"]) for row in rows if row["metric"] == "accuracy"
    )
    json.dumps(result.to_dict())
    with Image.open(plot_robustness(result, tmp_path / "curve.png", dpi=80)) as image:
        pixels = np.asarray(image.convert("L"))
    assert pixels.std() > 10
