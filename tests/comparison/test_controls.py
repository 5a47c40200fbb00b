"""Controls: random twins and likeness."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.ndimage import gaussian_filter
from scipy.stats import spearmanr
from torch import nn

import desali
from desali.comparison.controls import likeness, likeness_null, randomised, weights_seed
from desali.comparison.nulls import random_seeds
from desali.reversal.graph.quiet import same_random_numbers
from tests.networks import chain

VALUES = arrays.arrays(np.float64, (4, 6), elements=st.integers(-4, 4).map(float))


@given(VALUES, VALUES)
def test_likeness_is_spearmans_of_the_blurred_pictures(a: np.ndarray, b: np.ndarray) -> None:
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        assert likeness(a, b) is None
        return
    blurred = [gaussian_filter(picture, 6 / 32).ravel() for picture in (a, b)]
    assert likeness(a, b) == pytest.approx(spearmanr(*blurred).statistic, abs=1e-12)


def test_likeness_sees_through_a_raster_and_tells_sign_from_magnitude() -> None:
    y, x = np.mgrid[:64, :64]
    blob = np.exp(-((x - 20) ** 2 + (y - 40) ** 2) / 200) - 0.3
    raster = 2 * ((x + y) % 2) - 1
    assert spearmanr(np.abs(blob + raster).ravel(), np.abs(blob - 3 * raster).ravel()).statistic < 0.5
    assert likeness(blob + raster, blob - 3 * raster) > 0.95
    assert likeness(blob, -blob) == pytest.approx(-1)
    assert likeness(blob, -blob, magnitude=True) == pytest.approx(1)


@pytest.mark.parametrize("shape", [(64, 64), (40, 64), (64, 40), (24, 24), (8, 8), (6, 40)])
def test_the_null_of_likeness_is_that_of_simulated_noise(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    simulated = [abs(likeness(*rng.standard_normal((2, *shape)))) for _ in range(2000)]
    assert likeness_null(shape) == pytest.approx(np.quantile(simulated, 0.95), rel=0.08)


def test_the_null_of_likeness_at_its_edges() -> None:
    assert likeness_null((64, 64)) == pytest.approx(0.145, abs=1e-3)
    assert likeness_null((224, 224)) == pytest.approx(likeness_null((64, 64)), abs=1e-3)
    assert likeness_null((1, 1)) == likeness_null((1, 2)) == 1
    assert likeness(np.full((9, 9), 3.0), np.eye(9)) is None


def test_a_random_twin_has_other_weights_and_leaves_model_and_random_state_alone() -> None:
    model = chain()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state = torch.get_rng_state()
    twin = randomised(model, 1)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    weights = [name for name in before if name.endswith("weight")]
    assert not any(torch.equal(twin.state_dict()[name], before[name]) for name in weights)
    again, other = randomised(model, 1), randomised(model, 2)
    assert all(torch.equal(again.state_dict()[name], twin.state_dict()[name]) for name in before)
    assert not torch.equal(other.state_dict()[weights[0]], twin.state_dict()[weights[0]])
    assert not twin.training


def build() -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Conv2d(1, 8, 3), torch.nn.ReLU(), torch.nn.Conv2d(8, 8, 3)).eval()


@pytest.mark.parametrize("seed", [0, 1, 42, 1234, 2**32 + 1])
def test_the_control_is_not_the_network_that_a_user_builds_under_the_same_seed(seed: int) -> None:
    torch.manual_seed(seed)
    model = build()
    for number in (seed, *random_seeds(3, seed)):
        twin = randomised(model, number)
        for own, drawn in zip(model.parameters(), twin.parameters(), strict=True):
            assert not bool((own == drawn).any())
    images = torch.rand(1, 1, 16, 16)
    maps = [
        desali.reconstruct(net, images, "2", desali.Seed.layer())[0, 0, 0] for net in (model, randomised(model, seed))
    ]
    assert abs(likeness(*maps)) < 0.99


def test_the_controls_draw_from_a_stream_that_no_small_seed_meets() -> None:
    numbers = [weights_seed(seed) for seed in range(1000)]
    assert len(set(numbers)) == 1000
    assert min(numbers) >= 2**31, "torch's generator reads the last 32 bits alone"
    assert max(numbers) < 2**32
    assert weights_seed(2**32 + 1) != weights_seed(1)
    assert weights_seed(1) == 3135771535, "a figure's control stays the same from one release to the next"


class Slow(nn.Linear):
    """Draws its weights only when `go` says so."""

    go: Callable[[], object] = lambda: None

    def reset_parameters(self) -> None:
        Slow.go()
        super().reset_parameters()


def test_the_weights_are_the_same_whatever_other_threads_do_with_the_generator() -> None:
    model = nn.Sequential(nn.Linear(3, 4), Slow(4, 2))
    wanted = randomised(model).state_dict()
    inside, halfway, left = threading.Event(), threading.Event(), threading.Event()

    def capturing() -> None:
        with same_random_numbers(torch.device("cpu")):
            inside.set()
            halfway.wait(0.5)  # as long as nobody may draw meanwhile it is not reached
            torch.rand(7)
        left.set()

    def go() -> None:
        halfway.set()
        assert left.wait(30)

    other = threading.Thread(target=capturing)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Slow, "go", staticmethod(go))
        other.start()
        assert inside.wait(30)
        made = randomised(model).state_dict()
        other.join(30)
    assert all(torch.equal(made[name], wanted[name]) for name in wanted)
