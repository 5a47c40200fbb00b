"""Captured sweeps on a GPU. Skipped, with the reason, where there is none: then nothing here has been checked."""

from __future__ import annotations

import gc
import threading

import pytest
import torch
from torch import Tensor, nn

import desali
from desali.errors import DesaliError
from desali.ops import cuda_convolution
from desali.reversal import reconstruction
from desali.reversal.methods import METHODS
from tests import blocks
from tests.gpu.test_ops_cuda import REASON
from tests.networks import chain, difference, images

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(REASON is not None, reason=f"NOT RUN ON A GPU: {REASON}. These tests have checked NOTHING."),
]
LAYERS = ["features.8", "features.4", "features.1"]


def seeds(turn: int) -> list[desali.Seed]:
    return [desali.Seed.neuron(turn, 1, turn), desali.Seed.neuron(3, turn, 0), desali.Seed.top(2)]


def assert_replays(recording: desali.Recording, layers: list[str], turn: int, name: str = "desalinet") -> None:
    wanted = recording.reconstruct(layers, seeds(turn), name, cuda_graph=False)
    got = recording.reconstruct(layers, seeds(turn), name, cuda_graph=True)
    for layer in layers:
        assert difference(got[layer], wanted[layer]) < 1e-4


@pytest.mark.parametrize("walk", [False, True], ids=["dense", "non-zeros"])
@pytest.mark.parametrize("backend", ["auto", "torch"])
@pytest.mark.parametrize("name", list(METHODS))
def test_replays_are_sweeps(name: str, backend: str, walk: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda_convolution, "WALK_NONZEROS", walk)
    reconstruction.REPLAYS.clear()
    model = chain().cuda()
    for turn in range(4):
        recording = desali.record(model, images(2, seed=turn).cuda(), backend=backend)
        assert_replays(recording, LAYERS, turn, name)
    assert len(reconstruction.REPLAYS) == 1
    assert reconstruction.REPLAYS.nbytes > 0


@pytest.mark.parametrize("network", [blocks.Residual, blocks.Dense, blocks.Inception, blocks.Fire, blocks.Gated])
def test_networks(network: type[nn.Module]) -> None:
    model = blocks.settle(network()).cuda()
    refused = []
    for turn in range(2):
        x = torch.randn(2, 3, 33, 33, dtype=torch.float64, generator=torch.Generator().manual_seed(turn)).cuda()
        recording = desali.record(model, x)
        for crop in (True, False):
            way = {"crop": crop}
            layer = recording.layers[-1]
            wanted = recording.reconstruct(layer, desali.Seed.top(2), **way, cuda_graph=False)
            try:
                got = recording.reconstruct(layer, desali.Seed.top(2), **way, cuda_graph=True)
            except DesaliError as error:
                refused.append(str(error))
                continue
            assert difference(got, wanted) < 1e-10
    assert all("branches meet" in reason or "autograd" in reason for reason in refused)


def test_changed_weights() -> None:
    model = chain().cuda()
    x = images(1).cuda()
    assert_replays(desali.record(model, x), LAYERS, 0)
    for name in ("features.0.weight", "features.7.weight"):
        with torch.no_grad():
            model.get_parameter(name).mul_(-1.5)
        assert_replays(desali.record(model, x), LAYERS, 0)


def test_memory_comes_back() -> None:
    reconstruction.REPLAYS.clear()
    gc.collect()
    torch.cuda.empty_cache()
    before = torch.cuda.memory_reserved()
    model = chain().cuda()
    assert_replays(desali.record(model, images(2).cuda()), LAYERS, 0)
    del model
    gc.collect()
    assert len(reconstruction.REPLAYS) == 0
    torch.cuda.empty_cache()
    assert torch.cuda.memory_reserved() - before < 64 << 20  # cuBLAS keeps its scratch memory


def test_a_streams_work_is_waited_for() -> None:
    model = chain().cuda()
    recording = desali.record(model, images(2).cuda())
    wanted = [recording.reconstruct("features.8", desali.Seed.neuron(c, 1, 1), cuda_graph=False) for c in range(8)]
    torch.cuda.synchronize()
    got: dict[int, Tensor] = {}

    def work(offset: int) -> None:
        stream = torch.cuda.Stream()
        with torch.cuda.stream(stream):
            for channel in range(offset, 8, 2):
                for _ in range(20):
                    seed = desali.Seed.neuron(channel, 1, 1)
                    got[channel] = recording.reconstruct("features.8", seed, cuda_graph=True)
        stream.synchronize()

    threads = [threading.Thread(target=work, args=(offset,)) for offset in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for channel in range(8):
        assert difference(got[channel], wanted[channel]) < 1e-4, channel
