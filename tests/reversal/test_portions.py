"""Seeds are worked off in portions that fit into max_bytes; the result does not depend on it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import desali
from desali.errors import DesaliError
from desali.reversal.recording import Recording
from tests.networks import chain, difference, images

DTYPE = torch.float64
LAYERS = ["features.8", "features.4", "features.1"]


@pytest.fixture(scope="module")
def recording() -> Recording:
    return desali.record(chain(DTYPE), images(3, DTYPE))


def smallest(recording: Recording) -> int:
    """The least max_bytes that is accepted, taken from the refusal of 1 byte."""
    with pytest.raises(DesaliError, match="max_bytes=1 is too small") as error:
        recording.reconstruct(LAYERS, desali.Seed.top(3), max_bytes=1)
    return int(str(error.value).split("needs ")[1].split()[0])


@given(factor=st.floats(1, 12), k=st.integers(1, 5), name=st.sampled_from(["desalinet", "saliency", "FFT"]))
@settings(max_examples=15)
def test_portions_change_nothing(recording: Recording, factor: float, k: int, name: str) -> None:
    seeds = [desali.Seed.top(k), desali.Seed.channel(2), desali.Seed.neuron(1, 1, 1)]
    limit = int(factor * smallest(recording))
    joint = recording.reconstruct(LAYERS, seeds, name)
    parts = recording.reconstruct(LAYERS, seeds, name, max_bytes=limit)
    for layer in LAYERS:
        assert difference(parts[layer], joint[layer]) < 1e-13, layer


def test_too_small_is_refused(recording: Recording) -> None:
    least = smallest(recording)
    with pytest.raises(DesaliError, match="raise max_bytes"):
        recording.reconstruct(LAYERS, desali.Seed.top(3), max_bytes=least - 1)
    recording.reconstruct(LAYERS, desali.Seed.top(3), max_bytes=least)


@pytest.mark.parametrize("wrong", [0, -5])
def test_limits_must_be_positive(recording: Recording, wrong: int) -> None:
    with pytest.raises(DesaliError, match="max_bytes"):
        recording.reconstruct(LAYERS, desali.Seed.top(3), max_bytes=wrong)


def test_out_of_memory_is_met_with_smaller_portions_then_with_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    from desali.reversal import reconstruction

    recording = desali.record(chain(), images(2))
    seed = desali.Seed.top(8)
    expected = recording.reconstruct("features.8", seed)
    run = reconstruction.Sweep.run
    room = [3]

    def cramped(self: Any, seeds: Any) -> Any:
        if any(signal.tensor.shape[1] > room[0] for signal in seeds.values()):
            raise MemoryError
        return run(self, seeds)

    monkeypatch.setattr(reconstruction.Sweep, "run", cramped)
    assert torch.allclose(recording.reconstruct("features.8", seed), expected, rtol=1e-5, atol=1e-6)
    room[0] = 0
    with pytest.raises(desali.DesaliError, match="out of memory: one seed on 2 images needs about"):
        recording.reconstruct("features.8", seed)
