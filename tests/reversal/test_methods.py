"""Every method, number for number, against independent oracles: NumPy loops, autograd and Captum."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import desali
from tests.networks import chain, difference, images
from tests.oracles import numpy_rules
from tests.oracles.autograd import project

CORNERS = ["".join(bits) for bits in itertools.product("TF", repeat=3)]
LIMIT = {torch.float32: 1e-5, torch.float64: 1e-12}


def corner(name: str, **options: Any) -> desali.Method:
    return desali.Method(*(letter == "T" for letter in name), **options)


def plain_settings(model: nn.Sequential) -> list[numpy_rules.Layer]:
    """The same network as the NumPy oracle's list of layers."""
    layers: list[numpy_rules.Layer] = []
    for module in model:
        if isinstance(module, nn.Conv2d):
            assert isinstance(module.padding, tuple)
            assert module.bias is not None
            layer = {
                "weight": module.weight.detach().numpy(),
                "bias": module.bias.detach().numpy(),
                "stride": module.stride[0],
                "padding": module.padding[0],
                "dilation": module.dilation[0],
                "groups": module.groups,
            }
            layers.append(("conv", layer))
        elif isinstance(module, nn.ReLU):
            layers.append(("relu", {}))
        elif isinstance(module, nn.MaxPool2d):
            names = ("stride", "padding", "dilation", "ceil_mode")
            layers.append(("pool", {"kernel": module.kernel_size, **{name: getattr(module, name) for name in names}}))
        elif isinstance(module, nn.LocalResponseNorm):
            layers.append(("lrn", {name: getattr(module, name) for name in ("size", "alpha", "beta", "k")}))
        elif isinstance(module, nn.Flatten):
            layers.append(("flatten", {}))
        elif isinstance(module, nn.Linear):
            layers.append(("linear", {"weight": module.weight.detach().numpy(), "bias": module.bias.detach().numpy()}))
    return layers


def tiny(pool: nn.MaxPool2d, norm: int = 3) -> nn.Sequential:
    torch.manual_seed(3)
    body = nn.Sequential(
        nn.Conv2d(2, 4, 3, stride=2, padding=1),
        nn.ReLU(),
        pool,
        nn.LocalResponseNorm(norm, alpha=2.0, beta=0.75, k=1.5),
        nn.Conv2d(4, 4, 3, padding=2, dilation=2, groups=2),
        nn.ReLU(),
        nn.MaxPool2d(2, 1),
        nn.Flatten(),
    ).double()
    count = body(torch.zeros(1, 2, 11, 9, dtype=torch.float64)).shape[1]
    return nn.Sequential(*body, nn.Linear(count, 5), nn.ReLU(), nn.Linear(5, 3)).double().eval()


POOLS = {
    "overlapping, ceil_mode": nn.MaxPool2d(3, 2, ceil_mode=True),
    "padded": nn.MaxPool2d(3, 2, padding=1),
    "even, padded, ceil_mode": nn.MaxPool2d(4, 3, padding=2, ceil_mode=True),
    "dilated": nn.MaxPool2d(2, 1, dilation=2),
}


@pytest.mark.parametrize("pool", POOLS)
def test_all_corners_and_policies_against_numpy(pool: str) -> None:
    model = tiny(POOLS[pool])
    x = torch.randn(2, 2, 11, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    recording = desali.record(model, x)
    layers = plain_settings(model)
    values = [numpy_rules.forward(layers, image.numpy()) for image in x]
    for depth in (7, 11):
        name = str(depth - 1)
        generator = np.random.default_rng(depth)
        seeds = generator.standard_normal((2, 1, *values[0][depth].shape))
        for bits, lrn, overlap in itertools.product(CORNERS, ("identity", "adjoint"), ("sum", "overwrite")):
            method = corner(bits, lrn=lrn, overlap=overlap)
            maps = recording.reconstruct(name, desali.Seed.tensor(torch.from_numpy(seeds)), method)
            for image in range(2):
                expected = numpy_rules.reverse(
                    layers[:depth],
                    values[image],
                    seeds[image, 0],
                    relu_mask=method.relu_mask,
                    switches=method.switches,
                    relu_backward=method.relu_backward,
                    lrn=lrn,
                    overlap=overlap,
                )
                assert difference(maps[image, 0], torch.from_numpy(expected)) < 1e-10, (bits, lrn, overlap, depth)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("inplace", [False, True])
def test_against_autograd(dtype: torch.dtype, inplace: bool) -> None:
    model, x = chain(dtype, inplace=inplace), images(3, dtype)
    recording = desali.record(model, x)
    for name, layer in itertools.product(CORNERS, ("features.0", "features.3", "features.7", "classifier.3")):
        method = corner(name, lrn="adjoint")
        expected = project(
            model, x, layer, torch.ones_like, mask=method.relu_mask, backward=method.relu_backward,
            switches=method.switches,
        )  # fmt: skip
        maps = recording.reconstruct(layer, desali.Seed.layer(value="one"), method)
        assert difference(maps[:, 0], expected) < LIMIT[dtype], (name, layer)


@given(
    kernel=st.integers(1, 4),
    stride=st.integers(1, 3),
    padding=st.integers(0, 2),
    dilation=st.integers(1, 2),
    groups=st.sampled_from([1, 2]),
    pool=st.tuples(st.integers(1, 3), st.integers(1, 3), st.booleans()),
    name=st.sampled_from(CORNERS),
    lrn=st.sampled_from(["identity", "adjoint"]),
    overlap=st.sampled_from(["sum", "overwrite"]),
    size=st.tuples(st.integers(20, 24), st.integers(20, 24)),
)
@settings(max_examples=12)
def test_random_geometry_against_autograd(
    kernel: int, stride: int, padding: int, dilation: int, groups: int, pool: Any, name: str, lrn: Any, overlap: Any,
    size: tuple[int, int],
) -> None:  # fmt: skip
    torch.manual_seed(kernel + 10 * stride + 100 * padding)
    model = nn.Sequential(
        nn.Conv2d(2, 4, kernel, stride, padding, dilation, groups),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(pool[0], pool[1], pool[0] // 2, ceil_mode=pool[2]),
        nn.LocalResponseNorm(4, alpha=1.0),
        nn.Conv2d(4, 3, 2),
        nn.ReLU(),
    )
    model = model.double().eval()
    x = torch.randn(2, 2, *size, dtype=torch.float64)
    method = corner(name, lrn=lrn, overlap=overlap)
    maps = desali.reconstruct(model, x, "5", desali.Seed.layer(), method)
    expected = project(
        model, x, "5", lambda y: y, mask=method.relu_mask, backward=method.relu_backward, switches=method.switches,
        lrn=lrn, overlap=overlap,
    )  # fmt: skip
    assert difference(maps[:, 0], expected) < 1e-12


def test_against_captum() -> None:
    captum = pytest.importorskip("captum.attr")
    model, x = chain(torch.float64), images(2, torch.float64)
    recording = desali.record(model, x)
    for target in range(2):
        oracles = {
            "TTT": captum.GuidedBackprop(model).attribute(x, target=target),
            "FTT": captum.Deconvolution(model).attribute(x, target=target),
            "TTF": captum.Saliency(model).attribute(x, target=target, abs=False),
        }
        for name, expected in oracles.items():
            maps = recording.reconstruct("classifier.3", desali.Seed.logit(target), corner(name, lrn="adjoint"))
            assert difference(maps[:, 0], expected) < 1e-12, name
        for name, corner_name in (("guided_backprop", "TTT"), ("gradient", "TTF")):
            maps = recording.reconstruct("classifier.3", desali.Seed.logit(target), name)
            assert difference(maps[:, 0], oracles[corner_name]) < 1e-12, name
    neuron = (4, 2, 3)
    layer = model.get_submodule("features.7")
    for name, attribution in (("TTT", captum.NeuronGuidedBackprop), ("FTT", captum.NeuronDeconvolution)):
        expected = attribution(model, layer).attribute(x, neuron)
        maps = recording.reconstruct("features.7", desali.Seed.neuron(*neuron), corner(name, lrn="adjoint"))
        assert difference(maps[:, 0], expected) < 1e-12, name


@pytest.mark.parametrize("layer", ["features.2", "features.8", "classifier.3"])
def test_adjoint_identity(layer: str) -> None:
    """<J v, s> = <v, J^T s>, J by automatic differentiation of the module itself."""
    model, x = chain(torch.float64), images(2, torch.float64)
    recording = desali.record(model, x)
    top = recording.activation(layer)
    generator = torch.Generator().manual_seed(2)
    v = torch.randn(x.shape, generator=generator, dtype=x.dtype)
    seed = torch.randn(top.shape, generator=generator, dtype=x.dtype)
    maps = recording.reconstruct(layer, desali.Seed.tensor(seed), "saliency")[:, 0]
    parts: list[Tensor] = []

    def until(image: Tensor) -> Tensor:
        parts.clear()
        handle = model.get_submodule(layer).register_forward_hook(lambda _m, _i, output: parts.append(output))
        try:
            model(image)
        finally:
            handle.remove()
        return parts[0]

    _, pushed = torch.func.jvp(until, (x,), (v,))
    left, right = (pushed * seed).sum(), (v * maps).sum()
    assert abs(left - right) < 1e-12 * abs(right)


def test_relu_at_exactly_zero_passes_nothing() -> None:
    model = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), nn.ReLU()).eval()
    nn.init.ones_(model[0].weight)  # type: ignore[arg-type]
    x = torch.tensor([[[[0.0, 1.0], [-1.0, -0.0]]]])
    maps = desali.reconstruct(model, x, "1", desali.Seed.layer(value="one"), "TTF")
    assert torch.equal(maps[0, 0, 0], torch.tensor([[0.0, 1.0], [0.0, 0.0]]))


def test_only_restricts_the_method_to_layers() -> None:
    model, x = chain(torch.float64), images(2, torch.float64)
    recording = desali.record(model, x)
    everything = desali.Method(True, True, True, lrn="adjoint")
    named = desali.Method(True, True, True, lrn="adjoint", only=["features", "classifier"])
    none_below = desali.Method(True, True, True, lrn="adjoint", only=["classifier.2"])
    seed = desali.Seed.layer()
    assert torch.equal(
        recording.reconstruct("classifier.3", seed, everything), recording.reconstruct("classifier.3", seed, named)
    )
    got = recording.reconstruct("features.8", seed, none_below)
    assert torch.equal(got, recording.reconstruct("features.8", seed, "saliency"))
    mixed = recording.reconstruct("classifier.3", seed, none_below)
    assert difference(mixed, recording.reconstruct("classifier.3", seed, "saliency")) > 1e-3
