"""Images as they lie in memory: what a module computes from them is compared in the same memory."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

import desali
from desali import Seed
from desali.ops.memory import ALIGNMENT, copied_as_it_lies
from desali.reversal.graph.capture import CaptureError


class Unlike(nn.Module):
    """Batch normalisation of the images, whose last bits depend on their strides."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3)
        self.norm.running_mean = torch.tensor([0.3, -0.7, 1.1])
        self.norm.running_var = torch.tensor([0.4, 1.3, 1.9])

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(x)
        return y.masked_fill_(y < 0, 0)


class Asking(nn.Module):
    """What it computes depends on how the images lie."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x).relu()
        return y if x.is_contiguous() else 2 * y


class Viewing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3 * 16 * 16, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.view(len(x), -1)).relu()


def pooled() -> nn.Module:
    return nn.Sequential(nn.MaxPool2d(3, 2, 1), nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))


def in_place() -> nn.Module:
    return nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(784, 3))


MODELS: dict[str, Callable[[], nn.Module]] = {
    "normalised": Unlike,
    "flattened": lambda: nn.Sequential(nn.Flatten(), nn.Linear(768, 5), nn.ReLU(), nn.Linear(5, 3)),
    "pooled": pooled,
    "written into": in_place,
    "asking": Asking,
}


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(5))


LAYOUTS: dict[str, Callable[[], Tensor]] = {
    "channels expanded": lambda: noise(3, 1, 16, 16).expand(-1, 3, -1, -1),
    "images expanded": lambda: noise(1, 3, 16, 16).expand(3, -1, -1, -1),
    "one image expanded": lambda: noise(1, 1, 16, 16).expand(1, 3, -1, -1),
    "all expanded": lambda: noise(1, 1, 1, 1).expand(3, 3, 16, 16),
    "cut out": lambda: noise(3, 3, 20, 20)[:, :, 2:18, 3:19],
    "every second pixel": lambda: noise(3, 3, 32, 32)[:, :, ::2, ::2],
    "every second image": lambda: noise(6, 3, 16, 16)[::2],
    "some channels": lambda: noise(3, 5, 16, 16)[:, 1:4],
    "transposed": lambda: noise(3, 3, 16, 16).transpose(2, 3),
    "channels first": lambda: noise(3, 3, 16, 16).transpose(0, 1),
    "channels last": lambda: noise(3, 3, 16, 16).to(memory_format=torch.channels_last),
    "unaligned": lambda: noise(3 * 3 * 256 + 1)[1:].view(3, 3, 16, 16),
    "contiguous": lambda: noise(3, 3, 16, 16),
}


@pytest.mark.parametrize("name", MODELS)
def test_images_are_taken_as_they_lie(name: str) -> None:
    torch.manual_seed(0)
    model = MODELS[name]().eval()
    for layout, make in LAYOUTS.items():
        x = make()
        before = x.clone()
        recording = desali.record(model, x)
        try:
            with torch.no_grad():
                own = model(copied_as_it_lies(x))
        except RuntimeError:  # writes into what is expanded
            own = None
        assert own is None or torch.equal(recording.output, own), layout
        layer = recording.layers[-1]
        maps = recording.reconstruct(layer, Seed.layer(value="one"))
        if name != "asking":
            plain = desali.record(model, x.contiguous()).reconstruct(layer, Seed.layer(value="one"))
            torch.testing.assert_close(maps, plain)
        assert torch.equal(x, before), f"{layout}: the caller's images are left alone"


def test_what_a_module_itself_cannot_take_names_the_way_out() -> None:
    torch.manual_seed(0)
    model = Viewing().eval()
    x = noise(3, 3, 16, 16)
    desali.record(model, x)
    for turned in (x.transpose(2, 3), x.to(memory_format=torch.channels_last)):
        with pytest.raises(CaptureError, match=r"cannot be run on images .* try images\.contiguous\(\)"):
            desali.record(model, turned)
        desali.record(model, turned.contiguous())


@given(
    shape=st.lists(st.integers(1, 4), min_size=1, max_size=4),
    order=st.permutations(range(4)),
    steps=st.lists(st.integers(1, 3), min_size=4, max_size=4),
    expanded=st.lists(st.booleans(), min_size=4, max_size=4),
    start=st.integers(0, 17),
)
def test_a_copy_lies_as_the_original(
    shape: list[int], order: list[int], steps: list[int], expanded: list[bool], start: int
) -> None:
    dims = [dim for dim in order if dim < len(shape)]
    base = torch.arange(start + 12 ** len(shape), dtype=torch.float32)[start:]
    strides = [0] * len(shape)
    stride = 1
    for dim in dims:
        strides[dim] = 0 if expanded[dim] else stride * steps[dim]
        stride *= shape[dim] * steps[dim]
    x = base.as_strided(shape, strides, start)
    copy = copied_as_it_lies(x)
    assert torch.equal(copy, x)
    assert copy.stride() == x.stride()
    assert (copy.data_ptr() - x.data_ptr()) % ALIGNMENT == 0
    assert copy.untyped_storage().data_ptr() != x.untyped_storage().data_ptr()
