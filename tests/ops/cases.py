"""Random geometries and tensors for the tests of the ops."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from hypothesis import settings
from hypothesis import strategies as st
from torch import Tensor

SETTINGS = settings(deadline=None, max_examples=40, derandomize=True, print_blob=True)
CHANNELS = (1, 3, 7, 8, 16, 20, 33, 64)
LEVELS = ("portable", "avx2", "avx512")

DTYPES = st.sampled_from((torch.float32, torch.float64))
SEEDS = st.integers(0, 2**31)


def sizes(dims: int, low: int, high: int) -> st.SearchStrategy[tuple[int, ...]]:
    return st.tuples(*[st.integers(low, high)] * dims)


@dataclass(frozen=True)
class Window:
    """Kernel, stride, padding and dilation of a pooling or convolution on a map."""

    map_size: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]

    @property
    def arguments(self) -> dict[str, tuple[int, ...]]:
        return {"kernel": self.kernel, "stride": self.stride, "padding": self.padding, "dilation": self.dilation}


@st.composite
def poolings(draw: st.DrawFn, dims: int | None = None) -> Window:
    dims = draw(st.sampled_from((1, 2, 2, 2, 3))) if dims is None else dims
    kernel = draw(sizes(dims, 1, 4))
    dilation = draw(sizes(dims, 1, 2))
    padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    least = [max(1, (k - 1) * d + 1 - 2 * p, p + 1) for k, d, p in zip(kernel, dilation, padding, strict=True)]
    map_size = tuple(draw(st.integers(low, low + 9)) for low in least)
    return Window(map_size, kernel, draw(sizes(dims, 1, 4)), padding, dilation)


@st.composite
def convolutions(draw: st.DrawFn, dims: int | None = None) -> Window:
    dims = draw(st.sampled_from((1, 2, 2, 2))) if dims is None else dims
    return Window(
        draw(sizes(dims, 1, 14)),
        draw(sizes(dims, 1, 5)),
        draw(sizes(dims, 1, 4)),
        draw(sizes(dims, 0, 4)),
        draw(sizes(dims, 1, 2)),
    )


def normal(seed: int, *shape: int, dtype: torch.dtype = torch.float32, density: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(shape, generator=generator, dtype=torch.float64)
    if density < 1:
        values *= torch.rand(shape, generator=generator) < density
    return values.to(dtype)


def awkward(seed: int, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Ties, NaN, infinities and a run of -inf among normal values."""
    x = normal(seed, *shape, dtype=dtype)
    generator = torch.Generator().manual_seed(seed + 1)
    kind = torch.rand(shape, generator=generator)
    x = torch.where(kind < 0.4, x.round(), x)
    x = torch.where(kind > 0.97, torch.nan, x)
    x = torch.where((kind > 0.9) & (kind < 0.92), torch.inf, x)
    if seed % 3 == 0:
        x[..., : shape[-1] // 2] = -torch.inf
    return x


def in_layout(tensor: Tensor, layout: str, channel: int) -> Tensor:
    """The same values contiguous, channels-last, as a slice of something larger, or "strange": with dimensions of one
    element whose strides mean nothing (as `transpose` and `expand` leave them).
    """
    if layout == "strange":
        tensor = tensor.movedim(channel, -1).contiguous().movedim(-1, channel) if tensor.numel() % 2 else tensor
        steps = [17 if size == 1 else step for size, step in zip(tensor.shape, tensor.stride(), strict=True)]
        return tensor.as_strided(tensor.shape, steps)
    if layout == "channels_last":
        return tensor.movedim(channel, -1).contiguous().movedim(-1, channel)
    if layout == "sliced":
        return torch.cat([tensor, tensor], -1)[..., : tensor.shape[-1]]
    return tensor.contiguous()


LAYOUTS = st.sampled_from(("contiguous", "channels_last", "sliced", "strange"))


def random_origins(seed: int, n: int, k: int, dims: int) -> Tensor:
    return torch.randint(-4, 8, (n, k, dims), generator=torch.Generator().manual_seed(seed))


def random_mask(seed: int, n: int, map_size: tuple[int, ...], channels: int) -> Tensor:
    octets = math.ceil(channels / 8)
    return torch.randint(
        0, 256, (n, *map_size, octets), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed)
    )


def assert_same(got: Tensor, wanted: Tensor) -> None:
    """Bitwise equal values; NaN equals NaN."""
    torch.testing.assert_close(got, wanted, rtol=0, atol=0, equal_nan=True)


def assert_near(got: Tensor, wanted: Tensor) -> None:
    """Equal up to the order of the sums."""
    tolerance = 2e-4 if wanted.dtype is torch.float32 else 1e-10
    torch.testing.assert_close(got, wanted, rtol=tolerance, atol=tolerance)
