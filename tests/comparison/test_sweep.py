"""One batch through one network: the signals that forward hooks see, handed over or kept."""

from __future__ import annotations

import torch
from torch import Tensor

from desali.comparison.channel_statistics import Sums
from desali.comparison.networks import subject
from desali.comparison.relu_inputs import relu_inputs
from desali.comparison.sweep import MOST_IMAGES, batch_size, followed_inputs, read_signals
from tests.comparison.related import Plain, pictures

LAYERS = {"features.1": 12, "features.3": 16}


def test_signals_are_those_of_hooks() -> None:
    network, images = Plain((12, 16)).eval(), pictures(6)
    one = subject("network", network)
    graph = one.capture(images)
    seen: list[Tensor] = []
    for layer in network.convolutions:
        layer.register_forward_hook(lambda _module, _inputs, value: seen.append(value.detach()))
    with torch.no_grad():
        network(images)
    sums = [Sums("network", LAYERS, 1, one.device, False) for _ in range(2)]
    block = torch.zeros(6, dtype=torch.int64)
    kept = read_signals(graph, one.tensors, images, LAYERS, sums[0], block)
    handed: dict[str, Tensor] = {}
    assert read_signals(graph, one.tensors, images, LAYERS, sums[1], block, use=handed.__setitem__) == {}
    assert [layer.name for layer in followed_inputs(graph, LAYERS)] == list(kept) == list(LAYERS)
    for name, value in zip(LAYERS, seen, strict=True):
        assert kept[name].equal(handed[name])
        assert kept[name].dtype == torch.float64
        found = sums[0].moments(name)
        torch.testing.assert_close(kept[name].mean((1, 2)), torch.from_numpy(found.total[0] / found.count[0]))
        rows = value.transpose(0, 1).flatten(2).double()
        assert all(float((rows - z).abs().amin(2).max()) < 1e-5 for z in kept[name][:, :, :3].split(1, 2))


def test_a_batch_is_smaller_where_more_signals_are_held() -> None:
    graph = subject("network", Plain().eval()).capture(pictures(2))
    places = relu_inputs(graph)
    sizes = [batch_size(graph, places, torch.float32, networks) for networks in (2, 20, 2000)]
    assert MOST_IMAGES >= sizes[0] >= sizes[1] >= sizes[2] >= 1
    assert sizes[2] < sizes[0]
