"""The arithmetic of the reversal in plain NumPy loops, one image and one seed at a time, in float64.

Written from the definitions (Mahendran and Vedaldi 2016, section 2), without torch and without
desali. A network is a list of layers; every layer is a tuple (kind, settings).
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Layer = tuple[str, dict[str, Any]]


def conv_forward(x: Array, s: dict[str, Any]) -> Array:
    weight, bias = s["weight"], s["bias"]
    stride, padding, dilation, groups = s["stride"], s["padding"], s["dilation"], s["groups"]
    o, i, kh, kw = weight.shape
    height = (x.shape[1] + 2 * padding - dilation * (kh - 1) - 1) // stride + 1
    width = (x.shape[2] + 2 * padding - dilation * (kw - 1) - 1) // stride + 1
    y = np.zeros((o, height, width))
    for channel in range(o):
        first = channel // (o // groups) * i
        for row, column, ky, kx in itertools.product(range(height), range(width), range(kh), range(kw)):
            r, c = row * stride - padding + ky * dilation, column * stride - padding + kx * dilation
            if 0 <= r < x.shape[1] and 0 <= c < x.shape[2]:
                y[channel, row, column] += weight[channel, :, ky, kx] @ x[first : first + i, r, c]
        y[channel] += bias[channel]
    return y


def conv_reverse(p: Array, x: Array, s: dict[str, Any]) -> Array:
    """Every element of p spreads its kernel, no bias."""
    weight = s["weight"]
    stride, padding, dilation, groups = s["stride"], s["padding"], s["dilation"], s["groups"]
    o, i, kh, kw = weight.shape
    out = np.zeros_like(x)
    for channel in range(o):
        first = channel // (o // groups) * i
        for row, column, ky, kx in itertools.product(range(p.shape[1]), range(p.shape[2]), range(kh), range(kw)):
            r, c = row * stride - padding + ky * dilation, column * stride - padding + kx * dilation
            if 0 <= r < x.shape[1] and 0 <= c < x.shape[2]:
                out[first : first + i, r, c] += weight[channel, :, ky, kx] * p[channel, row, column]
    return out


def pool_windows(size: int, s: dict[str, Any]) -> int:
    room = size + 2 * s["padding"] - s["dilation"] * (s["kernel"] - 1) - 1
    if not s["ceil_mode"]:
        return room // s["stride"] + 1
    count = math.ceil(room / s["stride"]) + 1
    return count - 1 if (count - 1) * s["stride"] >= size + s["padding"] else count


def pool_forward(x: Array, s: dict[str, Any]) -> tuple[Array, npt.NDArray[np.int64]]:
    """Maxima and their (row, column) in the map; the first in row-major order wins."""
    height, width = pool_windows(x.shape[1], s), pool_windows(x.shape[2], s)
    y = np.full((x.shape[0], height, width), -np.inf)
    where = np.zeros((x.shape[0], height, width, 2), dtype=np.int64)
    for channel, row, column in itertools.product(range(x.shape[0]), range(height), range(width)):
        for ky, kx in itertools.product(range(s["kernel"]), range(s["kernel"])):
            r = row * s["stride"] - s["padding"] + ky * s["dilation"]
            c = column * s["stride"] - s["padding"] + kx * s["dilation"]
            if 0 <= r < x.shape[1] and 0 <= c < x.shape[2] and x[channel, r, c] > y[channel, row, column]:
                y[channel, row, column] = x[channel, r, c]
                where[channel, row, column] = r, c
    return y, where


def pool_reverse(p: Array, x: Array, s: dict[str, Any], switches: bool, overlap: str) -> Array:
    _, where = pool_forward(x, s)
    out = np.zeros_like(x)
    centre = (math.ceil(s["kernel"] / 2) - 1) * s["dilation"]
    for channel, row, column in itertools.product(*map(range, p.shape)):
        if switches:
            r, c = where[channel, row, column]
        else:
            r, c = row * s["stride"] - s["padding"] + centre, column * s["stride"] - s["padding"] + centre
        if 0 <= r < x.shape[1] and 0 <= c < x.shape[2]:
            if overlap == "sum":
                out[channel, r, c] += p[channel, row, column]
            else:
                out[channel, r, c] = p[channel, row, column]
    return out


def lrn_neighbours(channel: int, channels: int, size: int) -> range:
    return range(max(0, channel - size // 2), min(channels, channel + (size - 1) // 2 + 1))


def lrn_scale(x: Array, s: dict[str, Any]) -> Array:
    d = np.zeros_like(x)
    for channel in range(len(x)):
        for other in lrn_neighbours(channel, len(x), s["size"]):
            d[channel] += x[other] ** 2
    return s["k"] + s["alpha"] / s["size"] * d


def lrn_reverse(p: Array, x: Array, s: dict[str, Any]) -> Array:
    """Sum over outputs c of p_c dy_c/dx_j, y_c = x_c d_c^-beta."""
    d = lrn_scale(x, s)
    out = np.zeros_like(x)
    for channel in range(len(x)):
        out[channel] += p[channel] * d[channel] ** -s["beta"]
        for other in lrn_neighbours(channel, len(x), s["size"]):
            slope = -s["beta"] * d[channel] ** (-s["beta"] - 1) * s["alpha"] / s["size"] * 2 * x[other]
            out[other] += p[channel] * x[channel] * slope
    return out


def forward(layers: list[Layer], image: Array) -> list[Array]:
    """The input of every layer, and the output of the last."""
    values = [image]
    for kind, s in layers:
        x = values[-1]
        if kind == "conv":
            values.append(conv_forward(x, s))
        elif kind == "relu":
            values.append(np.where(x > 0, x, 0.0))
        elif kind == "pool":
            values.append(pool_forward(x, s)[0])
        elif kind == "lrn":
            values.append(x * lrn_scale(x, s) ** -s["beta"])
        elif kind == "flatten":
            values.append(x.ravel())
        elif kind == "linear":
            values.append(s["weight"] @ x + s["bias"])
        else:
            raise ValueError(kind)
    return values


def reverse(
    layers: list[Layer],
    values: list[Array],
    seed: Array,
    *,
    relu_mask: bool,
    switches: bool,
    relu_backward: bool,
    lrn: str,
    overlap: str,
) -> Array:
    """Carry a seed on the output of `layers` back to the image."""
    p = seed
    for (kind, s), x in zip(reversed(layers), reversed(values[: len(layers)]), strict=True):
        if kind == "conv":
            p = conv_reverse(p, x, s)
        elif kind == "relu":
            p = np.where(x > 0, p, 0.0) if relu_mask else p
            p = np.maximum(p, 0.0) if relu_backward else p
        elif kind == "pool":
            p = pool_reverse(p, x, s, switches, overlap)
        elif kind == "lrn":
            p = lrn_reverse(p, x, s) if lrn == "adjoint" else p
        elif kind == "flatten":
            p = p.reshape(x.shape)
        elif kind == "linear":
            p = s["weight"].T @ p
    return p
