"""Residual, dense, inception, fire, inverted-residual, shuffle and gated blocks, 1-D and 3-D, against autograd."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

import desali
from desali.errors import UnsupportedLayerError
from desali.reversal.layers.other import Other
from tests import blocks
from tests.networks import difference
from tests.oracles.autograd import project

LAYERS: dict[type[nn.Module], list[tuple[str, int]]] = {
    blocks.Residual: [("layer1.0.bn2", 0), ("layer1.0.relu", 1), ("layer1.1.conv2", 0), ("layer1", 0), ("fc", 0)],
    blocks.Dense: [("layers.2.conv1", 0), ("transition.0", 0), ("transition", 0), ("norm5", 0), ("classifier", 0)],
    blocks.Inception: [("stem", 0), ("three", 0), ("wide", 0), ("pool", 0), ("head", 0)],
    blocks.Fire: [("squeeze", 0), ("act", 1), ("act", 3), ("classifier.1", 0), ("classifier", 0)],
    blocks.InvertedResidual: [("stem.2", 0), ("conv.5", 0), ("conv", 0), ("head", 0)],
    blocks.Shuffle: [("stem", 0), ("branch.2", 0), ("branch", 0), ("shuffle", 0), ("last", 0)],
    blocks.Gated: [("stem", 0), ("excite", 0), ("hard.2", 0), ("spatial.1", 0), ("last", 0)],
    blocks.Volume: [("features.3", 0), ("features.5", 0), ("features", 0), ("fc", 0)],
    blocks.Line: [("features.3", 0), ("features.5", 0), ("fc", 0)],
}
CORNERS = [("TTT", "sum"), ("FTT", "sum"), ("TTF", "sum"), ("FTF", "sum")]
POOLED = [("TFT", "sum"), ("FFF", "sum"), ("TTT", "overwrite"), ("FFT", "overwrite"), ("TFF", "overwrite")]
KINDS = list(LAYERS)


def named(layer: str, use: int) -> str:
    return layer if use == 0 else f"{layer}:{use}"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_layer_under_every_method(kind: type[nn.Module]) -> None:
    model, x = blocks.build(kind)
    recording = desali.record(model, x)
    with torch.no_grad():
        assert torch.equal(recording.output, model(x))
    flat = x.dim() == 4
    pooled = flat and kind is not blocks.Gated
    for (layer, use), (bits, overlap) in itertools.product(LAYERS[kind], CORNERS + (POOLED if pooled else [])):
        mask, switches, backward = (letter == "T" for letter in bits)
        expected = project(
            model, x, layer, lambda y: y, mask=mask, backward=backward, switches=switches, overlap=overlap, use=use
        )
        method = desali.Method(mask, switches, backward, lrn="adjoint", overlap=overlap)  # type: ignore[arg-type]
        maps = recording.reconstruct(named(layer, use), desali.Seed.layer(), method)
        assert difference(maps[:, 0], expected) < 1e-10, (layer, use, bits, overlap)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_single_precision(kind: type[nn.Module]) -> None:
    model, x = blocks.build(kind, dtype=torch.float32)
    recording = desali.record(model, x)
    layer, use = LAYERS[kind][-1]
    for bits in ("TTT", "TTF"):
        expected = project(model, x, layer, lambda y: y, mask=True, backward=bits == "TTT", use=use)
        maps = recording.reconstruct(named(layer, use), desali.Seed.layer(), desali.Method(True, True, bits == "TTT"))
        assert difference(maps[:, 0], expected) < 1e-5, bits


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_windows_and_joint_sweeps_change_nothing(kind: type[nn.Module]) -> None:
    model, x = blocks.build(kind)
    recording = desali.record(model, x)
    layers = [named(*layer) for layer in LAYERS[kind]]
    seeds = [desali.Seed.top(3), desali.Seed.layer()]
    for bits in ("TTT", "FFF"):
        if bits == "FFF" and kind is blocks.Gated:
            continue
        whole = {layer: recording.reconstruct(layer, seeds, bits, crop=False) for layer in layers}
        joint = recording.reconstruct(layers, seeds, bits)
        for layer in layers:
            assert difference(recording.reconstruct(layer, seeds, bits), whole[layer]) < 1e-12, layer
            assert difference(joint[layer], whole[layer]) < 1e-12, layer


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_portions_change_nothing(kind: type[nn.Module]) -> None:
    model, x = blocks.build(kind, 3)
    recording = desali.record(model, x)
    layer, use = LAYERS[kind][-2]
    seeds = [desali.Seed.top(2), desali.Seed.layer()]
    name = named(layer, use)
    with pytest.raises(desali.DesaliError, match="max_bytes") as error:
        recording.reconstruct(name, seeds, max_bytes=1)
    least = int(str(error.value).split("needs ")[1].split()[0])
    for limit in (least, 4 * least):
        parts = recording.reconstruct(name, seeds, max_bytes=limit)
        assert difference(parts, recording.reconstruct(name, seeds)) < 1e-12


FAST = [kind for kind in KINDS if kind is not blocks.Gated]


@pytest.mark.parametrize("kind", FAST, ids=lambda kind: kind.__name__)
def test_nothing_is_left_to_automatic_differentiation(kind: type[nn.Module]) -> None:
    model, x = blocks.build(kind)
    nodes = desali.record(model, x).network.nodes
    left = {node.operation.kind for node in nodes if isinstance(node.operation, Other)}
    assert left <= {"mean"}


@pytest.mark.parametrize(("kind", "culprit"), [(blocks.Modern, "layer_norm"), (blocks.Attention, "layer_norm")])
def test_smooth_layers_need_an_opt_in(kind: type[nn.Module], culprit: str) -> None:
    model, x = blocks.build(kind)
    recording = desali.record(model, x)
    top = recording.layers[-1]
    with pytest.raises(UnsupportedLayerError, match=r"smooth='gradient'"):
        recording.reconstruct(top, desali.Seed.layer())
    method = desali.Method(True, True, False, lrn="adjoint", smooth="gradient")
    maps = recording.reconstruct(top, [desali.Seed.layer(), desali.Seed.logit(1)], method)
    leaf = x.clone().requires_grad_()
    output = model(leaf)
    (expected,) = torch.autograd.grad(output, leaf, output.detach(), retain_graph=True)
    assert difference(maps[:, 0], expected) < 1e-10
    (expected,) = torch.autograd.grad(output[:, 1].sum(), leaf)
    assert difference(maps[:, 1], expected) < 1e-10


def test_layers_below_a_smooth_one_need_no_opt_in() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.GELU()).double().eval()
    recording = desali.record(model, torch.randn(2, 3, 9, 9, dtype=torch.float64))
    recording.reconstruct("2", desali.Seed.layer())
    with pytest.raises(UnsupportedLayerError, match="'3': gelu"):
        recording.reconstruct("3", desali.Seed.layer())


def test_unequal_adaptive_maxima_know_only_switches() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveMaxPool2d(4)).double().eval()
    x = torch.randn(2, 3, 12, 13, dtype=torch.float64)
    recording = desali.record(model, x)
    expected = project(model, x, "2", lambda y: y, mask=True, backward=True)
    assert difference(recording.reconstruct("2", desali.Seed.layer())[:, 0], expected) < 1e-12
    for method in ("TFT", desali.Method(True, True, True, overlap="overwrite")):
        with pytest.raises(UnsupportedLayerError, match="adaptive_max_pool2d"):
            recording.reconstruct("2", desali.Seed.layer(), method)


def test_equal_adaptive_maxima_are_ordinary_pooling() -> None:
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 4, 3), nn.ReLU()]
    adaptive = nn.Sequential(*layers, nn.AdaptiveMaxPool2d((5, 3))).double().eval()
    plain = nn.Sequential(*layers, nn.MaxPool2d((2, 4))).double().eval()
    x = torch.randn(2, 3, 12, 14, dtype=torch.float64)
    for bits in ("TTT", "FFT"):
        first, second = (desali.reconstruct(model, x, "2", desali.Seed.layer(), bits) for model in (adaptive, plain))
        assert torch.equal(first, second)
