"""M, traceability, firing, states and intervals against plain NumPy that shares no code with the library."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torch import nn

import desali
from desali.comparison import tracing
from tests.comparison.related import Plain, pictures, plain, shaken

Floats = npt.NDArray[np.float64]


def relu_input(model: nn.Module, images: torch.Tensor, layer: str) -> Floats:
    """What a convolution of a plain network gives its ReLU, [N, C, h, w], by a hook."""
    kept: list[Floats] = []
    module = model.get_submodule(layer)
    handle = module.register_forward_hook(lambda _, __, output: kept.append(output.double().numpy().copy()))
    with torch.no_grad():
        model(images)
    handle.remove()
    return kept[0]


def matrix(first: Floats, second: Floats) -> Floats:
    """Correlations of two signals [C, n], one pair after the other."""
    m = np.full((len(first), len(second)), -np.inf)
    for i, one in enumerate(first):
        for j, other in enumerate(second):
            if one.std() > 1e-9 and other.std() > 1e-9:
                m[i, j] = np.corrcoef(one, other)[0, 1]
    return m


def traceable(m: Floats) -> npt.NDArray[np.bool_]:
    return np.array([m[c].argmax() == c and m[:, c].argmax() == c and np.isfinite(m[c, c]) for c in range(len(m))])


def flat(maps: Floats) -> Floats:
    """[C, n] of a map, strided to at most 16 x 16."""
    step = [math.ceil(extent / 16) for extent in maps.shape[2:]]
    return maps[:, :, :: step[0], :: step[1]].transpose(1, 0, 2, 3).reshape(maps.shape[1], -1)


@pytest.mark.parametrize("size", [12, 40])  # maps of 12 x 12 are read whole, maps of 40 x 40 at every third position
def test_every_number_of_a_layer(size: int) -> None:
    images = pictures(10, size=size).double()
    owners = ["A", "A", "A", "B", "B", "C", "C", "C", "D", "D"]
    before = Plain((12, 16)).double().eval()
    after = shaken(before, 0.8)
    with torch.no_grad():
        after.features[2].weight[3] = 0
        after.features[2].bias[3] = -1
    change = desali.lineage(before, after, images, owners, random_networks=0)
    for convolution, relu in (("features.0", "features.1"), ("features.2", "features.3")):
        layer = change[relu]
        maps = [relu_input(model, images, convolution) for model in (before, after)]
        first, second = map(flat, maps)
        m = matrix(first, second)
        expected = traceable(m)
        assert (layer.traced == expected).all()
        assert layer.traceable == pytest.approx(expected.mean())
        r = np.where(np.isfinite(np.diagonal(m)), np.diagonal(m), np.nan)
        np.testing.assert_allclose(layer.correlation, r, atol=1e-10)
        rows = np.isfinite(m).any(1)
        assert (layer.partner[rows] == m.argmax(1)[rows]).all()
        for got, values in ((layer.firing_before, maps[0]), (layer.firing_after, maps[1])):
            np.testing.assert_allclose(got, (values > 0).mean((0, 2, 3)), atol=1e-12)
        left_out = []
        points = first.shape[1] // 10
        for patient in "ABCD":
            keep = np.repeat([owner != patient for owner in owners], points)
            left_out.append(traceable(matrix(first[:, keep], second[:, keep])).mean())
        share = expected.mean()
        error = math.sqrt(3 / 4 * np.square(np.array(left_out) - np.mean(left_out)).sum())
        half = stats.t.ppf(0.975, 3) * error
        unbiased = min(1, max(0, 4 * share - 3 * np.mean(left_out)))
        ends = [max(0, min(share, unbiased) - half), min(1, max(share, unbiased) + half)]
        assert layer.interval == pytest.approx(tuple(ends), abs=1e-9)
        for c in range(layer.channels):
            f, g = layer.firing_before[c], layer.firing_after[c]
            if f > 0.01 and g > 0.01:
                assert layer.state[c] == ("traceable" if expected[c] else "lost")
    assert change["features.3"].state[3] == "silenced" or change["features.3"].firing_before[3] <= 0.01


def test_replicates_against_the_oracle() -> None:
    images = pictures(8, size=12).double()
    before = Plain((12, 16)).double().eval()
    after, again = shaken(before, 0.6, 1), shaken(before, 0.6, 2)
    layer = desali.lineage(before, after, images, replicates=[again], random_networks=0)["features.3"]
    first, second, third = (flat(relu_input(model, images, "features.2")) for model in (before, after, again))
    assert layer.replicate == pytest.approx((traceable(matrix(second, third)).mean(),))
    assert layer.repeated == pytest.approx((traceable(matrix(first, third)).mean(),))
    assert layer.floor == pytest.approx(np.quantile(np.diagonal(matrix(second, third)), 0.1), abs=1e-9)


def test_random_networks_against_the_oracle() -> None:
    from desali.comparison.controls import randomised

    images = pictures(8, size=12).double()
    before = Plain((12, 16)).double().eval()
    after = shaken(before, 0.2)
    change = desali.lineage(before, after, images, random_networks=2, seed=3)
    second = flat(relu_input(after, images, "features.2"))
    for k, seed in enumerate(change.record["random"]["seeds"]):
        m = matrix(flat(relu_input(randomised(after, seed), images, "features.2")), second)
        assert change["features.3"].null[k] == pytest.approx(traceable(m).mean())
        assert change["features.3"].random.correlation[k] == pytest.approx(np.median(np.diagonal(m)), abs=1e-9)


def test_patients_add_up_and_their_number_is_capped() -> None:
    from desali.comparison.channel_statistics import Products, Sums
    from desali.comparison.relu_inputs import strided

    values = [torch.randn(9, 5, 20, 7, generator=torch.Generator().manual_seed(k)) for k in range(2)]
    block = np.sort(np.arange(9) % 4)
    index = torch.from_numpy(block)
    parts = [Sums(str(k), {"a": 5}, 4, torch.device("cpu")) for k in range(2)]
    wholes = [Sums(str(k), {"a": 5}, 1, torch.device("cpu")) for k in range(2)]
    products, product = Products({"a": 5}, 4, torch.device("cpu")), Products({"a": 5}, 1, torch.device("cpu"))
    z = [part.add("a", value, index) for part, value in zip(parts, values, strict=True)]
    for whole, value in zip(wholes, values, strict=True):
        whole.add("a", value, index * 0)
    products.add("a", z[0], z[1], block)
    product.add("a", z[0], z[1], block)
    for part, whole in zip(parts, wholes, strict=True):
        for field in ("count", "total", "square", "open", "seen"):
            one, other = getattr(part.moments("a"), field), getattr(whole.moments("a"), field)
            np.testing.assert_allclose(one.sum(0), other.sum(0), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(products.of("a").sum(0), product.of("a")[0], rtol=1e-12, atol=1e-12)
    assert parts[0].moments("a").seen.sum() == 9 * 140
    assert parts[0].moments("a").count.sum() == 9 * 10 * 7  # 20 rows: every second one
    assert strided(values[0]).shape == (5, 9, 70)


def test_many_patients_share_blocks() -> None:
    images = pictures(70, size=8)
    change = desali.lineage(plain(), shaken(plain(), 0.1), images, random_networks=0)
    assert change.record["interval"]["blocks"] == 50
    assert any("unknown patients" in note for note in change.notes)
    one = desali.lineage(plain(), shaken(plain(), 0.1), images, ["same"] * 70, random_networks=0)
    assert all(layer.interval is None for layer in one)
    assert any("one patient has no interval" in note for note in one.notes)
    assert [layer.traceable for layer in one] == [layer.traceable for layer in change]


@given(st.integers(2, 12), st.integers(0, 10_000))
def test_tracing_follows_a_permutation(channels: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    m = rng.uniform(-1, 1, (channels, channels))
    m[rng.random(m.shape) < 0.1] = np.nan
    expected = traceable(np.where(np.isnan(m), -np.inf, m))
    assert (tracing.own_nearest(m) == expected).all()
    order = rng.permutation(channels)
    assert (tracing.own_nearest(m[np.ix_(order, order)]) == expected[order]).all()
    assert (tracing.own_nearest(m.T) == expected).all()
    np.testing.assert_allclose(np.sort(tracing.matched(m)), np.sort(tracing.matched(m[order])))
    partner = tracing.partners(m)
    constant = np.isnan(m).all(1)
    assert (partner[constant] == -1).all()
    assert (partner[~constant] == np.where(np.isnan(m), -np.inf, m).argmax(1)[~constant]).all()


def test_states_in_words() -> None:
    firing = [0.0, 0.0005, 0.005, 0.5]
    before = np.repeat(firing, 4)
    after = np.tile(firing, 4)
    nothing, every = np.zeros(16, bool), np.ones(16, bool)
    r = np.full(16, 0.5)
    silent = ["silent throughout"] * 2
    rows = [
        [*silent, "faint", "woken"], [*silent, "faint", "woken"], ["faint"] * 4,
        ["silenced", "silenced", "faint", "lost"],
    ]  # fmt: skip
    assert tracing.states(nothing, nothing, r, before, after, None).tolist() == [word for row in rows for word in row]
    rows[3][3] = "traceable"
    assert tracing.states(nothing, every, r, before, after, None).tolist() == [word for row in rows for word in row]
    rows[3][3] = "kept"
    assert tracing.states(nothing, every, r, before, after, 0.5).tolist() == [word for row in rows for word in row]
    rows[3][3] = "reshaped"
    assert tracing.states(nothing, every, r, before, after, 0.6).tolist() == [word for row in rows for word in row]
    assert set(tracing.states(every, every, r, before, after, 0.6)) == {"frozen"}
