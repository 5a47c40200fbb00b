"""Several trainings of one recipe are one model; folds and degenerate sets; what the notes say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import t
from sklearn.metrics import f1_score

from desali.data.imageset import ImageSet
from desali.errors import DataError
from desali.evaluation import Predictions, compare, format_table, load_predictions, pool
from desali.evaluation.results import ALL_METRICS
from tests.evaluation.cases import changed, random_predictions


def test_metrics_are_means_over_trainings_and_a_patient_is_left_out_of_all_of_them() -> None:
    trainings = [random_predictions(seed=seed) for seed in (3, 5, 8)]
    together = compare(trainings, resamples=300, seed=2).evaluations[0]
    alone = [compare([one], resamples=300, seed=2).evaluations[0] for one in trainings]
    assert together.seeds == (3, 5, 8)
    for name in ALL_METRICS:
        values = [one.metrics[name].value for one in alone]
        assert together.metrics[name].value == pytest.approx(np.mean(values))
        spread = together.spread[name]
        assert (spread.least, spread.greatest) == pytest.approx((min(values), max(values)))
        assert spread.sd == pytest.approx(np.std(values, ddof=1))
        assert alone[0].spread[name].sd == 0
    without = []
    for patient in np.unique(trainings[0].patients):
        rest = trainings[0].patients != patient
        without.append(np.mean([f1_score(one.labels[rest], one.predicted[rest], average="macro") for one in trainings]))
    value = together.metrics["macro F1"].value
    logit = [np.log(x / (1 - x)) for x in (value, *without)]
    error = np.sqrt(11 / 12 * np.sum((np.array(logit[1:]) - logit[0]) ** 2))
    ends = [1 / (1 + np.exp(-(logit[0] + sign * t.ppf(0.975, 11) * error))) for sign in (-1, 1)]
    assert together.metrics["macro F1"].ends == pytest.approx(ends)
    total = np.array(together.confusion).sum()
    assert total == pytest.approx(len(trainings[0].labels))


def test_a_pair_of_recipes_with_several_trainings() -> None:
    good = [random_predictions("good", seed, skill=3) for seed in range(3)]
    poor = [random_predictions("poor", seed, skill=0.5) for seed in range(2)]
    result = compare([*good, *poor], resamples=300)
    (pair,) = result.pairs
    accuracies = [np.mean([one.correct.mean() for one in model]) for model in (good, poor)]
    assert pair.differences["accuracy"].value == pytest.approx(accuracies[0] - accuracies[1])
    assert pair.verdict["accuracy"] == pair.verdict["log loss"] == "differs"
    assert pair.scope == "recipes"
    assert not pair.paired_trainings  # seeds 0 to 2 and 0 to 1
    assert (pair.differences["log loss"].high or 0) < 0
    assert pair.clustered_mcnemar is not None
    assert pair.clustered_mcnemar.p_holm < 0.01
    assert len(pair.mcnemar_ignoring_patients) == 6
    without = []
    for patient in np.unique(good[0].patients):
        rest = good[0].patients != patient
        without.append(np.subtract(*[np.mean([one.correct[rest].mean() for one in model]) for model in (good, poor)]))
    assert pair.leave_one_out["accuracy"] == pytest.approx((min(without), max(without)))
    table = format_table(result)
    assert "trained once" not in table
    assert "means over 2 or 3 trainings" in table
    assert "ignores patients" in table


def test_the_caution_about_one_training_stays_where_it_is_true() -> None:
    table = format_table(compare([random_predictions("one"), random_predictions("two")], resamples=100))
    assert "Each recipe was trained once" in table
    mixed = [random_predictions("one", 0), random_predictions("one", 1), random_predictions("SVM")]
    assert "Trained once: SVM" in format_table(compare(mixed, resamples=100))


def test_one_seed_twice_is_refused() -> None:
    with pytest.raises(DataError, match="given twice: one with seed 4"):
        compare([random_predictions(seed=4), random_predictions(seed=4)])


@pytest.mark.parametrize("case", ["one patient", "all correct", "all of one class", "ties", "one ROI"])
def test_degenerate_sets_have_metrics_or_none_but_never_nan(case: str) -> None:
    one = random_predictions(rois=60)
    n = len(one.labels)
    if case == "one patient":
        one = changed(one, patients=np.array(["P00"] * n))
    elif case == "all correct":
        one = changed(one, probabilities=np.eye(3, dtype=np.float32)[one.labels])
    elif case == "all of one class":
        one = changed(one, labels=np.zeros(n, np.int64))
    elif case == "ties":
        one = changed(one, probabilities=np.full((n, 3), 1 / 3, np.float32))
    else:
        one = changed(
            one,
            probabilities=one.probabilities[:1],
            labels=one.labels[:1],
            patients=one.patients[:1],
            fold=one.fold[:1],
        )
    result = compare([one, changed(one, recipe="two")], resamples=100)
    evaluation = result.evaluations[0]
    found_in = [evaluation.metrics, *(found.metrics for found in evaluation.classes.values())]
    for name, estimate in [item for metrics in found_in for item in metrics.items()]:
        assert np.isfinite(estimate.value), name
        if case in ("one patient", "one ROI"):
            assert estimate.ends is None
            continue
        low, high = estimate.ends or (np.nan, np.nan)
        assert low <= estimate.value <= high, name
        assert name in ("ECE", "class-wise ECE") or low < high, name
    for found in evaluation.classes.values():
        assert (found.support == 0) == (not found.metrics)
    if case == "all correct":
        patients = len(np.unique(one.patients))
        assert evaluation.metrics["macro AUROC"].value == evaluation.metrics["macro F1"].high == 1
        assert evaluation.metrics["macro F1"].low == pytest.approx(0.05 ** (1 / patients))
        assert (evaluation.metrics["log loss"].high or 0) > 0
    if case == "ties":
        assert evaluation.metrics["macro AUROC"].value == 0.5
    if case in ("all of one class", "one ROI"):
        assert "macro AUROC" not in evaluation.metrics
    if case in ("one patient", "one ROI"):
        assert set(result.pairs[0].verdict.values()) == {"undecided"}
    assert format_table(result)


def test_classes_of_few_patients_and_classes_that_a_fold_did_not_train_on_are_noted() -> None:
    patients = np.array(["P0"] * 20 + ["P1"] * 20 + ["P2"] * 20)
    labels = np.array([0, 1] * 10 + [0] * 20 + [0, 2] * 10)
    labels[-1] = 0
    fold = np.repeat([0, 1, 2], 20)
    p = np.eye(4, dtype=np.float32)[labels]
    one = Predictions("one", p, labels, patients, ("a", "b", "c", "d"), "set", "f", "synthetic", 0, fold)
    notes = " / ".join(compare([one], resamples=100).notes)
    assert "b: all of its 10 ROIs are of 1 patient" in notes
    assert "d: no ROI here" in notes
    assert "b: all of its ROIs are in fold 0" in notes
    assert "a: " not in notes
    assert "pooled over 3 folds" in notes
    classes = compare([one], resamples=100).evaluations[0].classes
    assert all(estimate.ends is None for estimate in classes["b"].metrics.values())
    assert classes["a"].metrics["recall"].ends is not None


def test_folds_are_pooled_in_the_order_of_the_images() -> None:
    whole = random_predictions()
    images = ImageSet(
        whole.data, np.zeros((len(whole.labels), 8, 8), np.uint8), whole.labels, whole.patients, whole.classes, "uint8",
        "synthetic", {},
    )  # fmt: skip
    parts = []
    for number in range(4):
        held = whole.fold == number
        fields = {name: getattr(whole, name)[held] for name in ("probabilities", "labels", "patients")}
        parts.append((held, changed(whole, **fields, fold=np.zeros(0, np.int64), fingerprint="of the part")))
    pooled = pool(parts, images)
    assert np.array_equal(pooled.probabilities, whole.probabilities)
    assert np.array_equal(pooled.fold, whole.fold)
    assert pooled.fingerprint == images.fingerprint
    with pytest.raises(DataError, match="held out by no fold"):
        pool(parts[:3], images)
    with pytest.raises(DataError, match="another fold holds out too"):
        pool([*parts, parts[0]], images)
    with pytest.raises(DataError, match="fold 1 is of other"):
        pool([parts[0], (parts[1][0], changed(parts[1][1], recipe="other"))], images)


def test_a_file_of_an_earlier_version_is_named_as_one(tmp_path: Path) -> None:
    one = random_predictions(seed=7)
    one.save(tmp_path / "new.npz")
    back = load_predictions(tmp_path / "new.npz")
    assert back.seed == 7
    assert np.array_equal(back.fold, one.fold)
    with np.load(tmp_path / "new.npz") as stored:
        old = {("groups" if name == "patients" else name): stored[name] for name in stored}
    np.savez_compressed(tmp_path / "old.npz", **old)
    with pytest.raises(DataError) as error:
        load_predictions(tmp_path / "old.npz")
    assert str(error.value) == (
        f"{tmp_path / 'old.npz'}: predictions of an earlier version of desali, which called the patients 'groups'; run "
        "the command that made the file again"
    )


def test_a_damaged_file_is_refused_wherever_the_damage_is(tmp_path: Path) -> None:
    one = random_predictions()
    one.save(tmp_path / "one.npz")
    whole = (tmp_path / "one.npz").read_bytes()
    refused = 0
    for place in range(30, len(whole) - 30, 61):
        for filler in (b"\x00", b"\xff"):
            (tmp_path / "damaged.npz").write_bytes(whole[:place] + filler * 20 + whole[place + 20 :])
            try:
                back = load_predictions(tmp_path / "damaged.npz")
            except DataError as error:
                refused += "not a file of predictions" in str(error)
            else:  # the damage hit a field of the archive that nothing needs
                assert np.array_equal(back.probabilities, one.probabilities)
                assert np.array_equal(back.labels, one.labels)
    assert refused > len(whole) // 61


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"labels": np.zeros(3, np.int64)}, "shape"),
        ({"labels": np.full(240, 3)}, r"labels must lie in \[0, 3\)"),
        ({"probabilities": np.full((240, 3), 2.0, np.float32)}, "not logits"),
        ({"probabilities": np.full((240, 3), np.nan, np.float32)}, "of 240 of 240 images are NaN"),
    ],
)
def test_predictions_that_cannot_be_are_refused(fields: dict[str, object], words: str) -> None:
    with pytest.raises(DataError, match=words):
        changed(random_predictions(), **fields)
