"""Captured sweeps on a tape instead of a GPU: replayed numbers are those of a sweep done launch by launch.

What a tape cannot show: CUDA's own capture, streams and memory. `tests/gpu/test_replay_cuda.py` does, on a GPU.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import desali
from desali.errors import DesaliError, UnknownNameError
from desali.ops import backend, checks, convolution, pooling, relu, unpooling
from desali.reversal import reconstruction, replay, signals
from desali.reversal.graph import freshness
from desali.reversal.methods import METHODS, Method
from desali.reversal.replay import Replays
from tests import blocks
from tests.networks import chain, difference, images
from tests.tape import Tape, TapedCore

Tapes = list[Tape]
MODEL = chain(torch.float64)  # captured once for all tests that leave it as it is
SHARED = Replays(Tape, 1 << 30)


@pytest.fixture
def tapes(monkeypatch: pytest.MonkeyPatch) -> Tapes:
    """The CPU passes for a GPU: sweeps are captured on tapes, and single neurons never wait for the host."""
    made: Tapes = []

    def make(device: torch.device) -> Tape:
        made.append(Tape(device))
        return made[-1]

    monkeypatch.setattr(replay, "on_gpu", lambda device: True)
    monkeypatch.setattr(replay, "device_bytes", lambda device: 1 << 30)
    monkeypatch.setattr(signals, "on_host", lambda device: False)
    monkeypatch.setattr(checks, "on_host", lambda device: False)
    monkeypatch.setattr(reconstruction, "REPLAYS", Replays(make))
    module, _ = backend.core()
    if module is not None:
        taped = TapedCore(module)
        for user in (relu, pooling, unpooling, convolution):
            monkeypatch.setattr(user, "core", lambda: (taped, None))
    return made


def both(recording: Any, layer: Any, seed: Any, *arguments: Any, **options: Any) -> tuple[Tensor, Tensor]:
    """The maps by a graph and without one; several layers' maps behind each other."""
    got = recording.reconstruct(layer, seed, *arguments, cuda_graph=True, **options)
    wanted = recording.reconstruct(layer, seed, *arguments, cuda_graph=False, **options)
    if isinstance(got, dict):
        return torch.cat(list(got.values()), 1), torch.cat(list(wanted.values()), 1)
    return got, wanted


def same(pair: tuple[Tensor, Tensor], empty: bool = False) -> None:
    got, wanted = pair
    assert empty or wanted.count_nonzero() > 0
    assert difference(got, wanted) < 1e-12


LAYERS = ["features.8", "features.4", "features.1"]
SEEDS: dict[str, Callable[[int], list[desali.Seed]]] = {
    "neurons": lambda at: [desali.Seed.neuron(at, 1, at), desali.Seed.neuron(3, at, 0)],
    "top": lambda at: [desali.Seed.top(3)],
    "channel": lambda at: [desali.Seed.channel(at)],
    "layer": lambda at: [desali.Seed.layer()],
    "mixed": lambda at: [desali.Seed.neuron(at, 0, at), desali.Seed.layer(), desali.Seed.top(2)],
}


@pytest.mark.parametrize(
    ("kind", "backend_name"), [*((kind, "auto") for kind in SEEDS), ("neurons", "torch"), ("mixed", "torch")]
)
def test_a_replay_follows_images_seeds_and_positions(tapes: Tapes, kind: str, backend_name: str) -> None:
    for turn in range(3):
        recording = desali.record(MODEL, images(2, torch.float64, seed=turn), backend=backend_name)
        same(both(recording, LAYERS, SEEDS[kind](turn), backend=backend_name))
    captured = 2 if kind == "mixed" else 1
    assert len(tapes) <= captured + 1, "positions and images must not make new graphs"
    assert sum(tape.replays for tape in tapes) >= 3


@pytest.mark.parametrize("name", list(METHODS))
def test_every_method_replays(tapes: Tapes, name: str) -> None:
    for turn in range(2):
        recording = desali.record(MODEL, images(2, torch.float64, seed=turn))
        same(both(recording, "features.8", [desali.Seed.top(2), desali.Seed.neuron(turn, 1, 1)], name))
    assert len(tapes) == 1
    assert tapes[0].replays == 2


def test_methods_have_graphs_of_their_own(tapes: Tapes) -> None:
    recording = desali.record(MODEL, images(1, torch.float64))
    for rule in (
        METHODS["desalinet"],
        METHODS["deconvnet"],
        Method(True, True, True, only=["features.1"]),
        Method(True, True, True, overlap="overwrite"),
    ):
        same(both(recording, "features.8", desali.Seed.top(2), rule))


NETWORKS: list[tuple[type[nn.Module], tuple[int, ...]]] = [
    (blocks.Residual, (3, 33, 33)), (blocks.Dense, (3, 20, 20)), (blocks.Inception, (3, 33, 33)),
    (blocks.Fire, (3, 33, 33)), (blocks.InvertedResidual, (3, 33, 33)), (blocks.Shuffle, (3, 33, 33)),
    (blocks.Gated, (3, 33, 33)), (blocks.Line, (2, 40)), (blocks.Volume, (1, 10, 10, 10)),
]  # fmt: skip


@pytest.mark.parametrize(("network", "shape"), NETWORKS, ids=lambda value: getattr(value, "__name__", ""))
def test_networks_replay_or_say_why_not(tapes: Tapes, network: type[nn.Module], shape: tuple[int, ...]) -> None:
    model = blocks.settle(network())
    refused: list[str] = []
    for turn in range(2):
        generator = torch.Generator().manual_seed(turn)
        x = torch.randn(2, *shape, generator=generator, dtype=torch.float64)
        recording = desali.record(model, x)
        spatial = [name for name in recording.layers if len(recording.shape(name)) > 1]
        for layer in (recording.layers[-1], spatial[-1]):
            for crop in (True, False):
                try:
                    same(both(recording, layer, desali.Seed.top(2), "saliency", crop=crop), empty=True)
                except DesaliError as error:
                    refused.append(str(error))
    assert all("branches meet" in reason or "autograd" in reason for reason in refused)
    assert tapes or len(refused) == 8
    assert all(tape.replays >= 2 for tape in tapes), "the second recording found no graph"


@given(
    n=st.integers(1, 3), k=st.integers(1, 4), seed=st.integers(0, 9), name=st.sampled_from(["desalinet", "saliency"])
)
@settings(max_examples=8)
def test_shapes_meet_their_own_graph(n: int, k: int, seed: int, name: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replay, "on_gpu", lambda device: True)
        patch.setattr(signals, "on_host", lambda device: False)
        patch.setattr(checks, "on_host", lambda device: False)
        patch.setattr(reconstruction, "REPLAYS", SHARED)
        recording = desali.record(MODEL, images(n, torch.float64, seed=seed), backend="torch")
        seeds = [desali.Seed.neuron((seed + i) % 8, i % 3, seed % 3) for i in range(k)]
        same(both(recording, ["features.8", "features.4"], seeds, name, backend="torch"))


def test_results_belong_to_the_caller(tapes: Tapes) -> None:
    recording = desali.record(MODEL, images(1, torch.float64))
    first = recording.reconstruct("features.8", desali.Seed.neuron(0, 1, 1), cuda_graph=True)
    kept = first.clone()
    second = recording.reconstruct("features.8", desali.Seed.neuron(3, 0, 2), cuda_graph=True)
    assert torch.equal(first, kept)
    assert not torch.equal(first, second)
    first.fill_(7)
    assert torch.equal(second, recording.reconstruct("features.8", desali.Seed.neuron(3, 0, 2), cuda_graph=True))


def test_changed_weights_end_a_graph(tapes: Tapes) -> None:
    model = chain(torch.float64)
    x = images(1, torch.float64)
    same(both(desali.record(model, x), "features.8", desali.Seed.top(2)))
    with torch.no_grad():
        model.get_parameter("features.0.weight").mul_(-1.5)
    same(both(desali.record(model, x), "features.8", desali.Seed.top(2)))
    weight = model.get_parameter("features.4.weight")
    weight.data = weight.data.flip(0).contiguous()  # another address
    same(both(desali.record(model, x), "features.8", desali.Seed.top(2)))
    assert [tape.released for tape in tapes] == [True, True, False]


def test_writes_that_are_not_counted_end_a_graph(tapes: Tapes) -> None:
    model = chain(torch.float64)
    x = images(1, torch.float64)
    same(both(desali.record(model, x), "features.8", desali.Seed.top(2)))
    weight = model.get_parameter("features.4.weight").data
    weight.copy_(weight.flip(0).clone())
    same(both(desali.record(model, x), "features.8", desali.Seed.top(2)))
    assert [tape.released for tape in tapes] == [True, False]


def test_a_graph_ends_when_its_packed_weights_are_no_longer_true(tapes: Tapes, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU no value of a parameter is looked at, but packed weights are compared and packed anew."""
    model = chain(torch.float64)
    x = images(1, torch.float64)
    same(both(desali.record(model, x), "features.8", desali.Seed.top(2)))
    monkeypatch.setattr(freshness.Watch, "_glance", lambda watch, state: [])
    monkeypatch.setattr(freshness.Watch, "_read", lambda watch, state: [])
    monkeypatch.setattr(freshness.Watch, "_value", lambda watch, index, state: watch._learned.get(index))
    for name in ("features.4.weight", "features.0.weight"):
        weight = model.get_parameter(name).data
        weight.copy_(weight.flip(0).clone())
        same(both(desali.record(model, x), "features.8", desali.Seed.top(2)))
    assert [tape.released for tape in tapes] == [True, True, False]


def test_a_graph_ends_with_its_network(tapes: Tapes) -> None:
    model = chain(torch.float64)
    same(both(desali.record(model, images(1, torch.float64)), "features.8", desali.Seed.top(2)))
    assert len(reconstruction.REPLAYS) == 1
    del model
    gc.collect()
    assert len(reconstruction.REPLAYS) == 0
    assert tapes[0].released


def test_the_environment_captures_what_comes_twice(tapes: Tapes, monkeypatch: pytest.MonkeyPatch) -> None:
    recording = desali.record(MODEL, images(1, torch.float64))
    seed = desali.Seed.top(2)
    wanted = recording.reconstruct("features.8", seed)
    assert not tapes, "off is the default"
    monkeypatch.setenv("DESALI_CUDA_GRAPHS", "on")
    for made in (0, 1, 1):
        assert difference(recording.reconstruct("features.8", seed), wanted) < 1e-12
        assert len(tapes) == made
    assert tapes[0].replays == 2
    recording.reconstruct("features.8", seed, cuda_graph=False)
    assert tapes[0].replays == 2
    monkeypatch.setenv("DESALI_CUDA_GRAPHS", "yes")
    with pytest.raises(UnknownNameError, match="DESALI_CUDA_GRAPHS"):
        recording.reconstruct("features.8", seed)


def test_bytes_are_bounded(tapes: Tapes, monkeypatch: pytest.MonkeyPatch) -> None:
    recording = desali.record(MODEL, images(1, torch.float64))
    replays = reconstruction.REPLAYS
    same(both(recording, "features.8", desali.Seed.top(1)))
    limit = replays.nbytes * 6
    monkeypatch.setenv("DESALI_CUDA_GRAPH_BYTES", str(limit))
    for k in (2, 1, 2):
        same(both(recording, "features.8", desali.Seed.top(k)))
    assert [tape.replays for tape in tapes] == [2, 2]
    for k in (3, 4, 5):
        same(both(recording, "features.8", desali.Seed.top(k)))
        assert replays.nbytes <= limit
    assert tapes[0].released
    monkeypatch.setenv("DESALI_CUDA_GRAPH_BYTES", "10")
    with pytest.raises(DesaliError, match=r"holds \d+ bytes of the 10"):
        recording.reconstruct("features.8", desali.Seed.top(6), cuda_graph=True)
    assert tapes[-1].released
    monkeypatch.setenv("DESALI_CUDA_GRAPH_BYTES", "much")
    with pytest.raises(DesaliError, match="whole number of bytes, got 'much'"):
        recording.reconstruct("features.8", desali.Seed.top(7), cuda_graph=True)


def test_what_cannot_be_captured_goes_on_without(tapes: Tapes, monkeypatch: pytest.MonkeyPatch) -> None:
    recording = desali.record(MODEL, images(1, torch.float64))
    monkeypatch.setattr(Tape, "capture", lambda *_: (_ for _ in ()).throw(RuntimeError("stream is capturing\nmore")))
    with pytest.raises(DesaliError, match="could not be captured: stream is capturing;"):
        recording.reconstruct("features.8", desali.Seed.top(2), cuda_graph=True)
    monkeypatch.setenv("DESALI_CUDA_GRAPHS", "on")
    other = desali.record(MODEL, images(1, torch.float64))
    wanted = other.reconstruct("features.8", desali.Seed.top(3))
    with pytest.warns(RuntimeWarning, match="without a CUDA graph"):
        assert torch.equal(other.reconstruct("features.8", desali.Seed.top(3)), wanted)
    count = len(tapes)
    assert torch.equal(other.reconstruct("features.8", desali.Seed.top(3)), wanted)
    assert len(tapes) == count, "a refused sweep is not tried again"


def test_reasons(tapes: Tapes, monkeypatch: pytest.MonkeyPatch) -> None:
    recording = desali.record(MODEL, images(1, torch.float64))
    with pytest.raises(DesaliError, match="leave max_bytes out"):
        recording.reconstruct("features.8", desali.Seed.top(2), max_bytes=1 << 30, cuda_graph=True)
    modern = blocks.settle(blocks.Modern())
    gated = desali.record(modern, torch.randn(1, 3, 32, 32, dtype=torch.float64))
    with pytest.raises(DesaliError, match="reversed by autograd"):
        gated.reconstruct(
            gated.layers[-1], desali.Seed.top(1), Method(True, True, False, smooth="gradient"), cuda_graph=True
        )
    monkeypatch.setattr(replay, "capturing", lambda: True)
    with pytest.raises(DesaliError, match="captured already"):
        recording.reconstruct("features.8", desali.Seed.top(2), cuda_graph=True)


def test_the_cpu_has_no_graphs() -> None:
    recording = desali.record(MODEL, images(1, torch.float64))
    with pytest.raises(DesaliError, match="images on a GPU, got images on cpu"):
        recording.reconstruct("features.8", desali.Seed.top(2), cuda_graph=True)


def test_the_tape_refuses_what_a_capture_refuses() -> None:
    tape = Tape(torch.device("cpu"))
    x = torch.zeros(3)
    for work in (lambda: x.sum().item(), lambda: torch.tensor([1.0]), lambda: torch.equal(x, x), lambda: x.tolist()):
        with pytest.raises(RuntimeError, match="not permitted when stream is capturing"):
            tape.capture(work)  # type: ignore[arg-type]
    result = tape.capture(lambda: {0: x * 2 + 1})[0]
    x.fill_(5)
    tape.replay()
    assert result.tolist() == [11, 11, 11]


def test_threads_share_a_graph(tapes: Tapes) -> None:
    recording = desali.record(MODEL, images(1, torch.float64), backend="torch")
    cases = [desali.Seed.neuron(channel, channel % 3, 1) for channel in range(8)]
    wanted = [recording.reconstruct("features.8", seed, backend="torch") for seed in cases]
    wrong: list[int] = []

    def work(offset: int) -> None:
        for step in range(16):
            at = (step + offset) % 8
            got = recording.reconstruct("features.8", cases[at], backend="torch", cuda_graph=True)
            if not torch.equal(got, wanted[at]):
                wrong.append(at)

    threads = [threading.Thread(target=work, args=(3 * i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(tapes) == 1
    assert tapes[0].replays == 48
