"""Comparison of models: paired intervals, verdicts, few patients, and the printed table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from desali.errors import DataError
from desali.evaluation.comparison import compare
from desali.evaluation.export import format_csv
from desali.evaluation.predictions import Predictions, load_predictions
from desali.evaluation.results import ALL_METRICS
from desali.evaluation.table import format_table


def predictions(recipe: str, right: float, patients: int = 12, seed: int = 0) -> Predictions:
    """300 ROIs of three classes, a share `right` of them classified correctly."""
    labels = np.arange(300) % 3
    rng = np.random.default_rng(seed)
    chosen = np.where(rng.random(300) < right, labels, (labels + 1) % 3)
    return Predictions(
        recipe,
        np.eye(3, dtype=np.float32)[chosen],
        labels.astype(np.int64),
        np.array([f"P{k % patients:02d}" for k in range(300)]),
        ("a", "b", "c"),
        "made up",
        "0" * 64,
        "synthetic",
    )


def test_a_clear_difference_is_called_one_and_an_equal_pair_is_not() -> None:
    result = compare([predictions("good", 0.95), predictions("poor", 0.6), predictions("same", 0.6)])
    first, second, third = result.pairs
    assert (first.first, first.second) == ("good", "poor")
    difference = first.differences["accuracy"]
    accuracies = [one.metrics["accuracy"].value for one in result.evaluations]
    assert difference.value == pytest.approx(accuracies[0] - accuracies[1])
    low, high = difference.ends or (0, 0)
    assert 0 < low < difference.value < high
    assert first.scope == "these trainings"
    assert first.sentence("accuracy") == "these trainings differ"
    assert first.verdict["accuracy"] == "differs"
    assert first.p_holm["accuracy"] >= first.p["accuracy"] > 0
    assert second.verdict["macro F1"] == "differs"
    assert third.differences["accuracy"].value == 0
    assert third.p["macro F1"] == 1
    assert third.verdict["accuracy"] == "no difference shown"
    assert "0.000 " not in "".join(line for line in format_table(result).splitlines() if "differs" in line)


def test_a_pair_is_resampled_together() -> None:
    """Nearly equal models differ little in every resample, however wide their own intervals are."""
    one, other = predictions("one", 0.7), predictions("other", 0.7)
    other.probabilities[0] = np.roll(other.probabilities[0], 1)
    result = compare([one, other])
    own, pair = result.evaluations[0].metrics["accuracy"], result.pairs[0].differences["accuracy"]
    assert pair.high - pair.low < 0.2 * (own.high - own.low)


def test_with_fewer_than_ten_patients_nothing_is_decided() -> None:
    result = compare([predictions("good", 0.95, patients=9), predictions("poor", 0.5, patients=9)])
    pair = result.pairs[0]
    assert set(pair.verdict.values()) == {"undecided"}
    assert pair.p == pair.p_holm == {}
    both = [predictions("good", 0.95, 9), predictions("poor", 0.5, 9)]
    gain = np.subtract(*[(one.predicted == one.labels).astype(float) for one in both])
    without = [float(gain[both[0].patients != patient].mean()) for patient in np.unique(both[0].patients)]
    assert pair.leave_one_out["accuracy"] == pytest.approx((min(without), max(without)))
    table = format_table(result)
    assert "undecided" in table
    assert "p (Holm)" not in table
    rois, hits = result.evaluations[0].patients["P03"]
    assert f"{hits:g}/{rois}" in next(line for line in table.splitlines() if line.startswith("P03"))


def test_the_table_says_what_its_metrics_are() -> None:
    result = compare([predictions("one", 0.9), predictions("two", 0.8, seed=3)])
    table = format_table(result)
    for words in (
        "synthetic",
        "12 patients",
        "over patients (jackknife",
        "macro F1 (primary)",
        "secondary:",
        "ECE, bias-corrected",
        "weighted F1",
        "Wilson (ignores",
        "Holm",
    ):
        assert words in table
    metric = result.evaluations[1].metrics["macro F1"]
    assert f"{metric.value:.3f} ({metric.low:.3f}-{metric.high:.3f})" in table
    assert len(format_csv(result).splitlines()) == 1 + 3 * len(ALL_METRICS) + 2 * 3 * 5 + 2  # classes, McNemar twice


def test_one_model_alone_has_no_pairs() -> None:
    result = compare([predictions("one", 0.9)])
    assert result.pairs == ()
    assert "Paired" not in format_table(result)


def test_the_same_call_gives_the_same_metrics() -> None:
    both = [predictions("one", 0.9), predictions("two", 0.8, seed=3)]
    assert compare(both, seed=4).to_dict() == compare(both, seed=4).to_dict()
    assert compare(both, seed=4).evaluations != compare(both, seed=5).evaluations


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(DataError, match="nothing to compare"):
        compare([])
    with pytest.raises(DataError, match="given twice"):
        compare([predictions("one", 0.9), predictions("one", 0.8)])
    other = Predictions(**{**vars(predictions("two", 0.9)), "fingerprint": "1" * 64})
    with pytest.raises(DataError, match="two was evaluated on other images than one"):
        compare([predictions("one", 0.9), other])


def test_predictions_come_back_and_damage_is_named(tmp_path: Path) -> None:
    original = predictions("one", 0.9)
    original.save(tmp_path / "one.npz")
    back = load_predictions(tmp_path / "one.npz")
    for name, value in vars(original).items():
        assert np.array_equal(np.asarray(value), np.asarray(getattr(back, name))), name
    (tmp_path / "one.npz").write_bytes((tmp_path / "one.npz").read_bytes()[:200])
    for path in (tmp_path / "one.npz", tmp_path / "none.npz"):
        with pytest.raises(DataError, match=path.name):
            load_predictions(path)


def test_models_that_answer_with_one_class_or_with_ties_are_named() -> None:
    good = predictions("good", 0.9)
    stuck = Predictions(**{**vars(good), "recipe": "stuck", "probabilities": np.full((300, 3), 1 / 3, np.float32)})
    half = good.probabilities.copy()
    half[:30] = [0.5, 0.5, 0.0]
    tied = Predictions(**{**vars(good), "recipe": "tied", "probabilities": half, "seed": 7})
    notes = "\n".join(compare([good, stuck, tied], resamples=100).notes)
    assert "stuck: predicts one class for every ROI (seed 0)" in notes
    assert "tied: for more than 1 % of the ROIs the best two classes are exactly equal (seed 7)" in notes
    assert "good:" not in notes
