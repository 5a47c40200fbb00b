"""NaN and infinity are said, not hidden, and all backends treat them as autograd does."""

import warnings

import pytest
import torch
from torch import nn

import desali
from desali import Seed
from desali.errors import NotFiniteWarning


def network(pooled: bool) -> nn.Sequential:
    torch.manual_seed(0)
    pool = [nn.MaxPool2d(2)] if pooled else []
    side = 6 if pooled else 12
    tail = [nn.Conv2d(4, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * (side - 1 if pooled else side) ** 2, 3)]
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), *pool, *tail).eval()


@pytest.mark.parametrize("backend", ["auto", "torch"])
@pytest.mark.parametrize("pooled", [False, True])
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
@pytest.mark.parametrize("where", ["pixel", "weight"])
def test_maps_of_what_is_not_finite_equal_autograd(backend: str, pooled: bool, value: float, where: str) -> None:
    model, image = network(pooled), torch.randn(2, 3, 16, 16)
    if where == "pixel":
        image[0, 1, 8, 8] = value
    else:
        model[-4].weight.data[0, 0, 0, 0] = value
    leaf = image.clone().requires_grad_()
    model(leaf)[:, 1].sum().backward()
    with pytest.warns(NotFiniteWarning):
        recording = desali.record(model, image, backend=backend)
    own = recording.reconstruct(recording.layers[-1], Seed.logit(1), "saliency", backend=backend)[:, 0]
    torch.testing.assert_close(own, leaf.grad, equal_nan=True)


def test_the_warning_names_the_cause() -> None:
    image = torch.randn(3, 3, 16, 16)
    broken = image.clone()
    broken[2, 0, 0, 0] = torch.nan
    with pytest.warns(NotFiniteWarning, match="image 2 of 3 holds NaN"):
        desali.record(network(False), broken)
    model = network(False)
    model[2].weight.data[0] = torch.nan
    with pytest.warns(NotFiniteWarning, match=r"weight 2\.weight holds NaN"):
        desali.record(model, image)
    model = network(False)
    for parameter in model.parameters():
        parameter.data *= 1e20
    with pytest.warns(NotFiniteWarning, match="overflow"):
        desali.record(model, image)


def test_what_is_finite_gives_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        desali.record(network(True), torch.randn(1, 3, 16, 16))


def test_top_never_chooses_nan() -> None:
    class Broken(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.relu, self.last = nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.last(self.relu(self.first(x)))

    image = torch.randn(1, 3, 16, 16)
    image[0, 0, 8, 8] = torch.nan
    with pytest.warns(NotFiniteWarning):
        recording = desali.record(Broken().eval(), image)
    points = recording.place(["relu"], Seed.top(9)).signals["relu"][0]
    chosen = recording.activation("relu")[0]
    for channel, (y, x) in zip(points.channel[0], points.position[0], strict=True):
        assert chosen[channel, y, x].isfinite()
    assert points.value.isfinite().all()
