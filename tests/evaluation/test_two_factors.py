"""Trainings as a random factor: tests against SciPy, the crossed bootstrap written out, and what pairs then say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ttest_ind, ttest_rel

from desali.evaluation import Predictions, compare, format_table
from desali.evaluation.models import Model
from desali.evaluation.trainings import crossed, of_samples, over_trainings, pairing
from tests.evaluation.cases import changed, random_predictions, softmax


def shifted(recipe: str, seed: int, skill: float, sd: float, patients: int = 24) -> Predictions:
    """A training whose skill has a part that only this training has; patients differ for each recipe."""
    fixed = np.random.default_rng(99)
    patient = np.repeat(np.arange(patients), 20)
    labels = fixed.integers(0, 3, len(patient))
    rng = np.random.default_rng([seed, *recipe.encode()])
    logits = rng.normal(size=(len(patient), 3))
    logits[np.arange(len(patient)), labels] += skill + rng.normal(0, sd)
    names = np.array([f"P{p:02d}" for p in patient])
    return Predictions(recipe, softmax(logits), labels, names, ("a", "b", "c"), "made up", "0" * 64, "synthetic", seed)


def test_paired_and_unpaired_tests_are_those_of_scipy() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.normal(0.8, 0.03, (5, 2)), rng.normal(0.75, 0.05, (5, 2))
    paired = over_trainings(one, other, [(k, k) for k in range(5)], 900)
    expected = ttest_rel(one, other)
    assert paired.p == pytest.approx(expected.pvalue)
    assert np.stack([paired.low, paired.high]) == pytest.approx(np.stack(expected.confidence_interval(0.95)))
    apart = over_trainings(one, other[:3], None, 900)
    expected = ttest_ind(one, other[:3], equal_var=False)
    assert apart.p == pytest.approx(expected.pvalue)
    assert np.stack([apart.low, apart.high]) == pytest.approx(np.stack(expected.confidence_interval(0.95)))


def test_trainings_that_are_equal_by_chance_do_not_make_a_test_certain() -> None:
    same = np.full((3, 1), 0.9)
    found = over_trainings(same, same - 0.05, [(0, 0), (1, 1), (2, 2)], 20)
    assert 0.001 < found.p[0] < 1
    assert found.high[0] - found.low[0] > 0.01


@given(st.integers(2, 5), st.integers(2, 5), st.booleans(), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_the_crossed_bootstrap_is_the_loop_written_out(a: int, b: int, paired: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    b = a if paired else b
    one, other = rng.random((a, 20)), rng.random((b, 20))
    pairs = [(k, (k + 1) % a) for k in range(a)] if paired else None
    found = crossed(one, other, pairs, seed)
    drawing = np.random.default_rng([seed, 1])
    first = drawing.integers(0, a, (20, a))
    second = first if paired else drawing.integers(0, b, (20, b))
    for k in range(20):
        theirs = [other[(s + 1) % a if paired else s, k] for s in second[k]]
        assert found[k] == pytest.approx(np.mean([one[s, k] for s in first[k]]) - np.mean(theirs))


@given(st.lists(st.floats(-1, 1), min_size=100, max_size=300))
def test_a_percentile_interval_leaves_out_zero_where_its_p_is_small(values: list[float]) -> None:
    found = of_samples(np.array(values))
    assert (found.low <= 0 <= found.high) == (found.p >= 0.05)
    low, high = np.quantile(values, [0.025, 0.975], method="inverted_cdf")
    ordered = sorted(values)
    assert found.low <= low + 1e-12
    assert found.high >= high - 1e-12
    assert ordered[0] <= found.low <= found.high <= ordered[-1]


def test_undefined_resamples_are_left_out() -> None:
    values = np.append(np.linspace(0.1, 0.2, 150), [np.nan] * 50)
    assert of_samples(values) == of_samples(values[:150])
    assert np.isnan(of_samples(np.full(100, np.nan))).all()


def test_trainings_belong_together_by_seed_or_by_a_stage_of_their_own() -> None:
    def model(recipe: str, seeds: dict[int, tuple[str, ...]]) -> Model:
        return Model([changed(random_predictions(recipe, seed), stages=stages) for seed, stages in seeds.items()])

    one = model("one", {0: ("base", "x0"), 1: ("base", "x1")})
    assert pairing(one, model("two", {1: (), 0: ()})) == [(0, 1), (1, 0)]
    assert pairing(one, model("two", {5: ("base", "x1"), 6: ("base", "x0")})) == [(0, 1), (1, 0)]
    assert pairing(one, model("two", {5: ("base",), 6: ("base",)})) is None
    assert pairing(one, model("two", {5: ("x0",), 6: ("x0",)})) is None
    assert pairing(one, model("two", {0: (), 1: (), 2: ()})) is None


def test_recipes_differ_only_if_patients_and_trainings_say_so() -> None:
    """Two trainings that differ from each other as much as from the other recipe's: patients alone would be sure."""
    apart = [(0.2, 2.2), (1.6, 0.6)]
    predictions = [shifted(name, seed, skill, 0) for name, skills in zip("ab", apart, strict=True)
                   for seed, skill in enumerate(skills)]  # fmt: skip
    (pair,) = compare(predictions, resamples=400).pairs
    assert pair.scope == "recipes"
    assert pair.paired_trainings
    assert pair.p_trainings["macro F1"] > 0.3
    assert pair.verdict["macro F1"] == pair.sentence() == "no difference shown"
    (once,) = compare([one for one in predictions if one.seed == 0], resamples=400).pairs
    assert once.scope == "these trainings"
    assert once.verdict["macro F1"] == "differs"
    assert once.sentence() == "these trainings differ"
    assert once.p_trainings == once.over_trainings == {}


def test_the_interval_goes_with_the_verdict() -> None:
    said = set()
    for seed in range(6):
        predictions = [shifted(name, 10 * seed + k, skill, 0.2) for name, skill in (("a", 1.0), ("b", 1.0 + seed / 4))
                       for k in range(3)]  # fmt: skip
        (pair,) = compare(predictions, resamples=400, seed=seed).pairs
        for name, p in pair.p.items():
            assert p == max(pair.p_patients[name], pair.p_trainings[name], pair.p_crossed[name])
            low, high = pair.differences[name].ends or (0, 0)
            assert (low <= 0 <= high) == (p >= 0.05), name
            parts = [part[name].ends or (0, 0) for part in (pair.over_patients, pair.over_trainings, pair.crossed)]
            assert (low, high) == pytest.approx((min(a for a, _ in parts), max(b for _, b in parts)))
            assert pair.verdict[name] == ("differs" if pair.p_holm[name] < 0.05 else "no difference shown")
            said.add(pair.verdict[name])
    assert said == {"differs", "no difference shown"}


def test_a_copy_is_no_second_training() -> None:
    one, other = random_predictions("one"), random_predictions("two", skill=2)
    result = compare([one, changed(one, seed=1), other, random_predictions("two", 1, skill=2)], resamples=200)
    assert result.evaluations[0].seeds == (0,)
    assert result.pairs[0].scope == "these trainings"
    assert "one: seed 1 has the probabilities of seed 0" in " ".join(result.notes)


def test_a_stage_that_trainings_share_and_unequal_numbers_are_said() -> None:
    shared = [changed(random_predictions("one", seed), stages=("given",)) for seed in range(3)]
    result = compare([*shared, *(random_predictions("two", seed) for seed in range(2))], resamples=200)
    notes = " ".join(result.notes)
    assert "one: the trainings of seeds 0, 1, 2 share an earlier stage" in notes
    assert "unequal numbers of trainings (one 3, two 2)" in notes
    assert "t-test over trainings" in format_table(result)
