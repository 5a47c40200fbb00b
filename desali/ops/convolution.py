"""Transposed convolution: the way back through a convolution."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from desali.ops import checks, native, reference
from desali.ops.backend import core, use_native
from desali.ops.crossovers import current, kind_of
from desali.ops.cuda_convolution import conv_transpose_on_cuda
from desali.ops.device import on_gpu
from desali.ops.library_convolution import conv_transpose_by_library
from desali.ops.memory import large_pages
from desali.ops.weights import WeightCache

SHARED_CACHE = WeightCache(glance=True)

MOST_PHASES = 1 << 14
FAR_APART = 1 << 10

LARGE_SIGNAL = 1 << 18
PIECES, SAMPLED, MARGIN = 16, 16, 0.04
"""Of a large signal so many pieces, together one part in `SAMPLED`, are counted first; a share of non-zeros that lies
above a crossover by more than the margin needs no further count."""

_forced: contextvars.ContextVar[str | None] = contextvars.ContextVar("way", default=None)


def conv_transpose(
    signal: Tensor,  # [N, K, O, *s]
    weight: Tensor,  # [O, I / groups, *kernel]
    *,
    map_size: int | Sequence[int],
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    origin: Tensor | None = None,  # [N, K, D]
    out_origin: Tensor | None = None,  # [N, K, D]
    out_size: int | Sequence[int] | None = None,
    relu: Tensor | None = None,
    relu_mask: bool = True,
    relu_backward: bool = True,
    weight_cache: WeightCache | None = None,
    backend: str = "auto",
) -> Tensor:
    """Adjoint of a convolution (without its bias), then the inverse ReLU of the layer below.

    The signal's element y adds v * weight[o, :, ky, kx] at y * stride - padding + k * dilation; what falls outside the
    map is dropped.

    Args:
        signal: [N, K, O, *s], the convolution's output side. With `origin`, what a region holds outside the map
            must be zero.
        weight: [O, I / groups, *kernel], as the forward convolution has it.
        map_size: size of the convolution's input map; any size.
        origin: int64 [N, K, D], coordinate of each region's first element; None: the signal starts at 0.
        out_origin, out_size: window of the input map to compute. Default: the whole map without `origin`, else the full
            spread: origin * stride - padding, size (s - 1) * stride + (kernel - 1) * dilation + 1.
        relu: mask [N, *S, ceil(I/8)] of the ReLU whose output the convolution read, or None.
        relu_mask, relu_backward: as in `inverse_relu`.
        weight_cache: keeps the packed weight between calls; None: one cache that all calls share, which looks at the
            weight's values at every call (`desali.ops.contents` says how much of them).

    Returns:
        [N, K, I, *map_size] or [N, K, I, *out_size]; channels-last in memory on the native path.

    Raises:
        TypeError, ValueError: for shapes, dtypes or devices that do not fit.
    """
    checks.floating("signal", signal)
    checks.floating("weight", weight)
    checks.rank("signal", signal, "N, K, O, *s", 4, 6)
    checks.same_kind("weight", weight, "signal", signal)
    dims = signal.dim() - 3
    if weight.dim() != dims + 2 or weight.shape[0] != signal.shape[2]:
        raise ValueError(f"weight must have shape [{signal.shape[2]}, I / groups, *kernel], got {list(weight.shape)}")
    if groups < 1 or weight.shape[0] % groups:
        raise ValueError(f"groups must divide the {weight.shape[0]} channels of signal, got {groups}")
    kernel = tuple(weight.shape[2:])
    map_size = checks.integers("map_size", map_size, dims, 0)
    stride = checks.integers("stride", stride, dims, 1)
    padding = checks.integers("padding", padding, dims, 0)
    dilation = checks.integers("dilation", dilation, dims, 1)
    n, k = signal.shape[:2]
    channels = weight.shape[1] * groups
    window, size = checks.layout_window(signal, origin, out_origin, out_size, stride, padding, dilation, kernel)
    if relu is not None and relu_mask:
        checks.mask_of("relu", relu, n, map_size, channels, signal)
    checks.addressable("the result", (n, k, channels, *(map_size if size is None else size)), 8)
    if stride[-1] > FAR_APART and signal.shape[-1] * stride[-1] * channels >= 1 << 31:
        raise ValueError(f"stride must be so small that a row of {channels} channels has fewer than 2^31 elements, got "
                         f"{list(stride)}")  # fmt: skip
    if use_native("conv_transpose", backend, native.reason_against("conv_transpose", signal, dims)):
        return _conv_transpose(
            signal, weight, map_size, stride, padding, dilation, groups,
            origin, window, size, relu if relu_mask else None, relu is not None and relu_backward,
            SHARED_CACHE if weight_cache is None else weight_cache,
        )  # fmt: skip
    _check_for_torch(signal, kernel, stride, dilation, channels, origin, window)
    return reference.conv_transpose(
        signal, weight, map_size, stride, padding, dilation, groups,
        origin, window, size, relu, relu_mask, relu_backward,
    )  # fmt: skip


def _check_for_torch(
    signal: Tensor,
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
    channels: int,
    origin: Tensor | None,
    window: Tensor | None,
) -> None:
    """Refuse what torch's convolution, which makes the whole spread of a signal, cannot do."""
    reach = (
        (extent - 1) * stride[d] + (kernel[d] - 1) * dilation[d] + 1 if extent else 0
        for d, extent in enumerate(signal.shape[3:])
    )
    checks.fits_reference((*signal.shape[:2], channels, *reach))
    checks.near("origin", origin, checks.ORIGIN_BITS)
    checks.near("out_origin", window, checks.WINDOW_BITS)


def _conv_transpose(
    signal: Tensor,
    weight: Tensor,
    map_size: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    groups: int,
    origin: Tensor | None,
    out_origin: Tensor | None,
    out_size: tuple[int, ...] | None,
    mask: Tensor | None,
    backward: bool,
    cache: WeightCache,
) -> Tensor:
    dims = len(map_size)
    n, k, o = signal.shape[:3]
    i = weight.shape[1] * groups
    region = tuple(signal.shape[3:])
    size = map_size if out_size is None else out_size
    if signal.numel() == 0 or weight.numel() == 0 or 0 in size:
        return native.logical(torch.zeros((n, k, *size, i), dtype=signal.dtype, device=signal.device))
    if on_gpu(signal.device):
        return conv_transpose_on_cuda(
            signal, weight, map_size, stride, padding, dilation, groups, origin, out_origin, out_size,
            mask, backward, cache,
        )  # fmt: skip
    module, _ = core()
    assert module is not None
    turned = native.channels_last(signal)
    code = native.DTYPE_CODES[signal.dtype]
    kernel = tuple(weight.shape[2:])
    y_axis, x_axis = native.planar_axes(kernel=kernel, stride=stride, padding=padding, dilation=dilation)
    pixels = turned.numel() // o
    counts = torch.empty(pixels, dtype=torch.int32)

    def density(begin: int, end: int) -> float:
        """Of some pixels; their counts are kept."""
        found: int = module.count_nonzeros(
            dtype=code, signal=turned.data_ptr() + begin * o * turned.element_size(),
            counts=counts.data_ptr() + begin * counts.element_size(), pixels=end - begin, channels=o,
        )  # fmt: skip
        return found / ((end - begin) * o)

    def way_at(share: float) -> str:
        return choose_kernel(share, o, i, y_axis, x_axis, groups, signal.dtype)

    def by_library() -> Tensor:
        _check_for_torch(signal, kernel, stride, dilation, i, origin, out_origin)
        return conv_transpose_by_library(
            turned, weight, map_size, stride, padding, dilation, groups, origin, out_origin, out_size, mask, backward
        )

    parts = PIECES * SAMPLED
    if turned.numel() >= LARGE_SIGNAL and pixels >= 4 * parts:
        # The library needs no counts, and to read all once more may cost a fifth. The pieces start at another share of
        # their sixteenth each: of sixteen images not all at the first row.
        starts = [(k * SAMPLED + k * 7 % SAMPLED) * pixels // parts for k in range(PIECES)]
        sample = sum(density(start, start + pixels // parts) for start in starts) / PIECES
        if way_at(max(0.0, sample - MARGIN)) == "torch":
            return by_library()
    way = way_at(density(0, pixels))
    if way == "torch":
        return by_library()
    dense = way == "dense"
    cells = dense or module.lists_cells(dtype=code, o=o, i=i, groups=groups, y_axis=y_axis, x_axis=x_axis)

    def pack() -> Tensor:
        contiguous = weight.detach().contiguous()

        def into(packed: Tensor | None) -> int:
            found: int = module.pack_weight(
                dtype=code, dense=cells, weight=contiguous.data_ptr(), packed=native.address(packed),
                o=o, i=i, groups=groups, y_axis=y_axis, x_axis=x_axis,
            )  # fmt: skip
            return found

        packed = torch.empty(into(None), dtype=weight.dtype)
        return packed if into(packed) else torch.empty(0, dtype=weight.dtype)  # not all are finite

    packed = cache.get(weight, (cells, groups, y_axis.stride, x_axis.stride, x_axis.dilation), pack)
    if packed.numel() == 0:  # zero times NaN is NaN, and the core leaves zeros out
        return by_library()
    out = large_pages(torch.empty((n, k, *size, i), dtype=signal.dtype))
    if mask is not None and not mask.is_contiguous():
        mask = mask.contiguous()
    origin, out_origin = native.origins(origin, dims), native.origins(out_origin, dims)
    module.conv_transpose(
        place=native.place(signal), dtype=code, dense=dense, signal=turned.data_ptr(), packed=packed.data_ptr(),
        counts=counts.data_ptr(), out=out.data_ptr(), mask=native.address(mask), backward=backward,
        origin=native.address(origin), out_origin=native.address(out_origin), n=n, k=k, o=o, i=i,
        size=native.planar(region), out_size=native.planar(size), map_size=native.planar(map_size), groups=groups,
        y_axis=y_axis, x_axis=x_axis,
    )  # fmt: skip
    return native.logical(out)


def choose_kernel(
    density: float,
    o: int,
    i: int,
    y_axis: native.Axis,
    x_axis: native.Axis,
    groups: int,
    dtype: torch.dtype,
) -> str:
    """The fastest way for a signal of this density: "sparse", "dense" (both in the core) or "torch" (oneDNN).

    Args:
        density: share of non-zeros, counted.
        o, i: channels of the signal and of the result.
    """
    asked = _forced.get()
    plain = groups == 1 and y_axis.dilation == x_axis.dilation == 1
    crossover = current()[kind_of(o, i, (y_axis.kernel, x_axis.kernel), (y_axis.stride, x_axis.stride), groups)]
    if asked == "sparse" or (asked is None and density <= crossover.density):
        return "sparse"
    if y_axis.stride * x_axis.stride * i > MOST_PHASES:  # the dense kernel keeps the weight once for each
        return "sparse"
    if plain and (asked or crossover.dense) == "dense":
        return "dense"
    return "dense" if plain and dtype is torch.float64 and asked is None else "torch"  # oneDNN has no float64


@contextlib.contextmanager
def forced(way: str) -> Iterator[None]:
    """Take one way where it can be taken, for measurements; in this thread alone."""
    token = _forced.set(way)
    try:
        yield
    finally:
        _forced.reset(token)
