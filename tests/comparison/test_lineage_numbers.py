"""The numbers by layer of a lineage: against an oracle, what leaves them alone, and what is missing."""

from __future__ import annotations

import copy
import json
import sys
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import desali
from desali.comparison import following
from desali.comparison.probe_set import probe_set
from desali.comparison.score import Score
from desali.comparison.similarity import Similarity
from tests.comparison.related import Plain, Residual, made, patients, permuted, pictures, plain, shaken

IMAGES, PATIENTS = pictures(), patients()
LABELS = [name[-1] for name in PATIENTS]
LABELS = ["even" if int(label) % 2 == 0 else "odd" for label in LABELS]


def relu_input(model: Plain, images: torch.Tensor, number: int) -> np.ndarray:
    with torch.no_grad():
        return model.features[:number](images).numpy()


def test_numbers_of_a_layer_against_an_oracle() -> None:
    """From the maps to the printed number, with nothing of the package but its folds."""
    from sklearn.metrics import balanced_accuracy_score

    from desali.comparison.controls import randomised
    from desali.comparison.probe import task
    from tests.comparison.test_numbers import ledoit_wolf_lda, purity_by_hand

    images = IMAGES.double()
    before = Plain((12, 16)).double().eval()
    after = shaken(before, 0.5)
    assert isinstance(after, Plain)
    change = desali.lineage(before, after, images, PATIENTS, LABELS, random_networks=2)
    layer = change["features.3"]
    twins = [randomised(after, seed) for seed in change.record["random"]["seeds"]]
    probe = probe_set(images, PATIENTS, LABELS)
    order = probe.ordered(np.arange(len(images)), probe.blocks(50))
    labels, owners = (np.unique(np.array(one)[order], return_inverse=True)[1] for one in (LABELS, PATIENTS))
    asked = task(labels, owners, owners)
    assert asked is not None
    expected: dict[str, list[float]] = {"purity": [], "probe": []}
    for model in (before, after, *twins):
        maps = relu_input(model, images[order], 3)
        means, maxima = maps.mean((2, 3)), maps.max((2, 3))
        opened = (maxima > 0).sum(0) >= 9
        each = [purity_by_hand(maxima[:, c], labels, owners) for c in np.flatnonzero(opened)]
        expected["purity"].append(float(np.mean(each)))
        x, predicted = np.concatenate([means, maxima], 1), np.empty(len(labels), int)
        for fold in asked.held:
            rest = np.setdiff1d(np.arange(len(labels)), fold)
            predicted[fold] = ledoit_wolf_lda(x[rest], labels[rest], x[fold]).argmax(1)
        expected["probe"].append(float(balanced_accuracy_score(labels, predicted)))
    for name, values in expected.items():
        score = getattr(layer, name)
        assert [score.before, score.after, *score.null] == pytest.approx(values, abs=1e-9)
        assert score.before_interval[0] <= score.before <= score.before_interval[1]
        assert score.difference_interval[0] <= score.difference <= score.difference_interval[1]
    assert layer.purity.each_before.shape == (16,)
    assert layer.probe.chance == 0.5
    row = change.table()[1]
    assert row["purity_after"] == layer.purity.after
    assert row["probe_random_high"] == max(layer.probe.null)
    assert row["similarity"] == layer.similarity.value


def test_equal_networks_are_alike_and_unrelated_ones_lie_among_the_random() -> None:
    before = plain()
    equal = desali.lineage(before, copy.deepcopy(before), IMAGES, PATIENTS, LABELS)
    for layer in equal:
        assert layer.similarity.value == pytest.approx(1)
        assert layer.similarity.interval == pytest.approx((1, 1))
        assert layer.probe.before == layer.probe.after
        assert layer.purity.difference == 0
        assert layer.purity.difference_interval == (0, 0)
        assert max(layer.similarity.null) < 0.99
    unrelated = desali.lineage(before, plain(9), IMAGES, PATIENTS, LABELS)
    last = unrelated["features.11"].similarity
    assert last.value < 0.95
    assert equal["features.11"].similarity.value > max(equal["features.11"].similarity.null)


def test_permuted_channels_leave_probes_and_similarity_equal() -> None:
    before, after, _ = permuted()
    layer = desali.lineage(before, after, IMAGES, PATIENTS, LABELS, random_networks=0)["features.8"]
    assert layer.strangers
    assert layer.probe.before == layer.probe.after
    assert layer.similarity.value == pytest.approx(1, abs=1e-6)
    assert layer.purity.after == pytest.approx(layer.purity.before)
    assert not np.array_equal(layer.purity.each_before, layer.purity.each_after)


def rescaled(model: Plain, seed: int) -> Plain:
    found = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for conv, follower in zip(found.convolutions[3:], [found.convolutions[4], None], strict=True):
            factor = torch.randn(conv.out_channels, generator=generator).exp()
            conv.weight *= factor[:, None, None, None]
            conv.bias *= factor
            if follower is None:
                found.classifier.weight /= factor
            else:
                follower.weight /= factor[None, :, None, None]
    return found


@pytest.mark.parametrize("seed", range(3))
def test_gauge(seed: int) -> None:
    before, after, again = plain(), shaken(plain(), 0.3), shaken(plain(), 0.3, 9)
    assert isinstance(after, Plain)
    options: dict[str, Any] = {"replicates": [again], "random_networks": 2}
    rows = [
        desali.lineage(before, one, IMAGES, PATIENTS, LABELS, **options).table()
        for one in (after, rescaled(after, seed))
    ]
    compared = 0
    for one, other in zip(*rows, strict=True):
        for name, value in one.items():
            if isinstance(value, float):
                assert other[name] == pytest.approx(value, abs=1e-5), (one["layer"], name)
                compared += name.startswith(("purity", "probe", "similarity"))
    assert compared > 100


def test_the_order_of_images_changes_no_number() -> None:
    before, after = made(Residual), shaken(made(Residual), 0.3)
    order = torch.randperm(len(IMAGES), generator=torch.Generator().manual_seed(2))
    one = desali.lineage(before, after, IMAGES, PATIENTS, LABELS, random_networks=1)
    other = desali.lineage(
        before, after, IMAGES[order], [PATIENTS[k] for k in order], [LABELS[k] for k in order], random_networks=1
    )
    assert one.to_dict() == other.to_dict()
    assert json.loads(json.dumps(one.to_dict(), allow_nan=False)) == one.to_dict()


def test_many_images_are_sampled_by_class_and_patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "LEAST_SAMPLE", 8)
    before, after = plain(), shaken(plain(), 0.2)
    labels = ["a"] * 18 + ["b"] * 6
    change = desali.lineage(before, after, IMAGES, PATIENTS, labels, random_networks=2)
    assert change.record["numbers"]["images"] == change.record["random"]["images"] == 12
    assert any("run on 12 of the images" in note for note in change.notes)
    whole = desali.lineage(before, after, IMAGES, PATIENTS, (), random_networks=0)
    for layer, other in zip(change, whole, strict=True):  # the headline is of all images
        np.testing.assert_allclose(layer.correlation, other.correlation, atol=1e-9)
        np.testing.assert_allclose(layer.firing_after, other.firing_after)
    probe = probe_set(IMAGES, PATIENTS, labels)
    chosen = probe.sample(12)
    assert np.bincount([labels[k] == "b" for k in chosen]).tolist() == [6, 6]
    assert probe.sample(100).tolist() == list(range(24))
    spread = probe_set(IMAGES, ["p"] * 20 + list("qrst")).sample(8)
    assert len({("p" if k < 20 else k) for k in spread}) == 5
    order = np.random.default_rng(0).permutation(24)
    moved = probe_set(IMAGES[torch.from_numpy(order)], [PATIENTS[k] for k in order], [labels[k] for k in order])
    assert set(order[moved.sample(12)]) == set(chosen.tolist())


def test_the_sample_is_bounded() -> None:
    layers = {"a": 1000}
    assert following._sample_size(255, layers, 7) == 255
    assert following._sample_size(256, layers, 7) == 128
    assert following._sample_size(600, layers, 7) == 300
    assert following._sample_size(10_000, layers, 7) == 512
    assert following._sample_size(10_000, {"a": 30_000}, 7) == (512 << 20) // (8 * 30_000 * 7)
    assert following._sample_size(10_000, {"a": 10**6}, 7) == 128


def notes_of(*args: Any, **options: Any) -> tuple[str, Any]:
    change = desali.lineage(plain(), shaken(plain(), 0.2), *args, **{"random_networks": 0, **options})
    return str(change), change["features.1"]


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    text, layer = notes_of(IMAGES)
    assert "No classes: class purity and linear probes are missing" in text
    assert layer.purity is None
    assert layer.probe is None
    assert layer.similarity.value > 0.5
    assert layer.row()["purity_before"] is layer.row()["probe_input"] is None
    text, layer = notes_of(IMAGES, labels=())
    assert "No classes" not in text
    assert layer.purity is None
    text, layer = notes_of(IMAGES, labels=["a"] * 24)
    assert "One class: class purity and linear probes need two" in text
    assert layer.purity is None
    text, layer = notes_of(IMAGES, PATIENTS, PATIENTS)
    assert "fewer than two classes have two patients each" in text
    assert layer.probe is None
    assert layer.purity is not None
    text, layer = notes_of(IMAGES, labels=LABELS)
    assert "it shows too much" in text
    text, layer = notes_of(IMAGES[:8], labels=LABELS[:8])
    assert "8 images are fewer than the 9 strongest" in text
    assert layer.purity is None
    assert layer.probe is not None
    text, layer = notes_of(IMAGES, ["one"] * 24, LABELS)
    assert layer.purity.before_interval is layer.similarity.interval is None
    monkeypatch.setitem(sys.modules, "sklearn.model_selection", None)
    text, layer = notes_of(IMAGES, PATIENTS, LABELS)
    assert "they need scikit-learn (pip install 'desali[train]')" in text
    assert layer.probe is None
    assert layer.purity is not None


def test_replicates_are_a_floor_for_every_number() -> None:
    parent = plain()
    after, again = shaken(parent, 0.4, 1), shaken(parent, 0.4, 2)
    change = desali.lineage(parent, after, IMAGES, PATIENTS, LABELS, replicates=[again], random_networks=1)
    swapped = desali.lineage(parent, again, IMAGES, PATIENTS, LABELS, replicates=[after], random_networks=1)
    for layer, other in zip(change, swapped, strict=True):
        assert layer.purity.replicate == pytest.approx([other.purity.after])
        assert layer.probe.replicate == pytest.approx([other.probe.after])
        assert layer.similarity.replicate == pytest.approx(other.similarity.replicate)
        assert layer.similarity.repeated == pytest.approx([other.similarity.value])
        low, high = layer.probe.difference_interval
        assert layer.probe.no_difference == (
            abs(layer.probe.difference) <= abs(layer.probe.after - layer.probe.replicate[0]) or low <= 0 <= high
        )
    assert "no difference beyond that of replicates is shown at" in str(change)


@pytest.mark.parametrize(
    ("after", "interval", "replicate", "said"),
    [
        (0.6, (0.1, 0.3), (0.58, 0.61), False),
        (0.6, (-0.01, 0.41), (0.58, 0.61), True),  # further than replicates are, but it may be nothing
        (0.6, (0.1, 0.3), (0.35,), True),
        (0.6, None, (0.58,), False),
        (0.6, (0.1, 0.3), (), None),
        (0.6, (0.1, 0.3), (float("nan"),), None),
    ],
)
def test_a_difference_is_shown_beyond_replicates_and_beyond_its_interval(
    after: float, interval: tuple[float, float] | None, replicate: tuple[float, ...], said: bool | None
) -> None:
    assert Score(0.4, after, None, None, interval, (), replicate).no_difference is said
    ends = None if interval is None else (np.float64(interval[0]), np.float64(interval[1]))
    assert Score(np.float64(0.4), np.float64(after), None, None, ends, (), replicate).no_difference is said


@pytest.mark.parametrize(
    ("interval", "replicate", "said"),
    [((0.3, 0.5), (0.7, 0.8), False), ((0.3, 0.75), (0.7, 0.8), True), (None, (0.3,), True), ((0.3, 0.5), (), None)],
)
def test_networks_are_less_alike_than_replicates_where_the_interval_says_so(
    interval: tuple[float, float] | None, replicate: tuple[float, ...], said: bool | None
) -> None:
    assert Similarity(0.4, interval, (), replicate, ()).no_difference is said
    assert Similarity(np.float64(0.4), interval, (), replicate, ()).no_difference is said


def test_a_silenced_layer_has_no_numbers_and_no_nan_in_its_record() -> None:
    before = plain()
    after = copy.deepcopy(before)
    with torch.no_grad():
        after.convolutions[3].weight.zero_()
        after.convolutions[3].bias.fill_(-1)
    change = desali.lineage(before, after, IMAGES, PATIENTS, LABELS, random_networks=1)
    layer = change["features.8"]
    assert np.isnan(layer.similarity.value)
    assert np.isnan(layer.purity.after)
    assert layer.purity.channels_after == 0
    assert layer.probe.after == pytest.approx(0.5)
    assert change.table()[3]["similarity"] is None
    json.dumps(change.to_dict(), allow_nan=False)
    assert "nan" not in str(change)
    change.figure()._repr_png_()


def test_linear_layers_and_series() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv1d(2, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 14, 12), nn.ReLU(), nn.Linear(12, 2))
    images = torch.randn(24, 2, 16, generator=torch.Generator().manual_seed(0))
    change = desali.lineage(net.eval(), shaken(net, 0.2), images, PATIENTS, LABELS, random_networks=1)
    assert change.layers == ["1", "4"]
    assert all(layer.probe is not None and layer.purity is not None for layer in change)
