"""A flat piece of material as a relief, and a photograph of it under a random light from a random side."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from desali.data.synthetic.exact import PI, Array, clip, cos, power, sin, sqrt
from desali.data.synthetic.randomness import Stream

SIDE = 128  # samples along each side of a piece
_SHADOW_STEPS = (1, 2, 3, 5, 8)
_NEAR = 9  # samples along each side of the surroundings that a hollow is measured against


class Material(NamedTuple):
    """A piece of material on a SIDE x SIDE grid.

    Attributes:
        slope_y, slope_x: derivatives of the height.
        height: in grid steps.
        hollow: how far a point lies below its surroundings, grid steps (>= 0).
        colour: diffuse reflectance [3, SIDE, SIDE], 0-1.
        gloss: strength of the highlight, 0-1.
    """

    slope_y: Array
    slope_x: Array
    height: Array
    hollow: Array
    colour: Array
    gloss: float


def material(height: Array, colour: Array, gloss: float) -> Material:
    """Complete a material from its height map [SIDE, SIDE] and its reflectance [3, SIDE, SIDE]."""
    hollow = np.maximum(_mean(_mean(height).T).T - height, 0)
    return Material(_slope(height.T).T, _slope(height), height, hollow, clip(colour, 0.01, 1), gloss)


def _slope(height: Array) -> Array:
    """Derivative along the last axis: central differences, one-sided at the edges."""
    padded = np.concatenate([2 * height[:, :1] - height[:, 1:2], height, 2 * height[:, -1:] - height[:, -2:-1]], 1)
    slope: Array = 0.5 * (padded[:, 2:] - padded[:, :-2])
    return slope


def _mean(height: Array) -> Array:
    """Mean of the _NEAR nearest samples along the last axis; the edge is repeated."""
    reach = _NEAR // 2
    padded = np.concatenate([height[:, :1]] * reach + [height] + [height[:, -1:]] * reach, 1)
    total = padded[:, :SIDE].copy()
    for k in range(1, _NEAR):
        total += padded[:, k : k + SIDE]
    mean: Array = total / _NEAR
    return mean


def view(piece: Material, rng: Stream, size: int) -> npt.NDArray[np.uint8]:
    """uint8 pixels [size, size, 3] of the piece under a random light, seen through a random perspective."""
    azimuth, elevation = rng.uniform(0, 2 * PI), rng.uniform(0.45, 1.35)
    lit = _light(piece, azimuth, elevation, rng.uniform(0.15, 0.35))
    picture = _sampled(lit, *_perspective(rng, size))
    picture *= rng.uniform(0.9, 1.1, (3, 1, 1)) * rng.uniform(0.75, 1.25)
    picture = sqrt(clip(picture, 0, 1))
    picture += rng.normal(0.0, 1.0, picture.shape) * rng.uniform(0.004, 0.02)
    pixels: npt.NDArray[np.uint8] = np.rint(clip(picture, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)
    return pixels


def _sampled(channels: Array, row: Array, column: Array) -> Array:
    """Channels [c, SIDE, SIDE] at positions (row, column) [h, w], bilinear; beyond the edge the piece is mirrored."""
    (top, bottom, down), (left, right, along) = _between(row), _between(column)
    flat = channels.reshape(len(channels), -1)
    upper = flat[:, top * SIDE + left] * (1 - along) + flat[:, top * SIDE + right] * along
    lower = flat[:, bottom * SIDE + left] * (1 - along) + flat[:, bottom * SIDE + right] * along
    return upper * (1 - down) + lower * down


def _between(position: Array) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Array]:
    """The two samples beside each position and the share of the second."""
    floor = np.floor(position)
    before = floor.astype(np.int64)
    period = 2 * (SIDE - 1)
    first, second = before % period, (before + 1) % period
    return np.minimum(first, period - first), np.minimum(second, period - second), position - floor


def _light(piece: Material, azimuth: float, elevation: float, ambient: float) -> Array:
    """Radiance [3, SIDE, SIDE]: diffuse light with cast shadows, dimmer ambient light in hollows, a highlight."""
    level = cos(elevation)
    lx, ly, lz = level * cos(azimuth), level * sin(azimuth), sin(elevation)
    steep = 1 / sqrt(1 + np.square(piece.slope_x) + np.square(piece.slope_y))
    facing = (lz - lx * piece.slope_x - ly * piece.slope_y) * steep
    blocked = np.full(piece.height.shape, -1e9)
    for step in _SHADOW_STEPS:
        shift = (-round(step * sin(azimuth)), -round(step * cos(azimuth)))
        towards = np.roll(piece.height, shift, (0, 1))
        np.maximum(blocked, towards - step * lz / level, out=blocked)
    shade = clip(1 - (blocked - piece.height) * 0.8, 0.15, 1)
    direct = clip(facing, 0, 1) * shade
    soft = ambient / (1 + 0.35 * piece.hollow)
    radiance = piece.colour * (direct + soft)
    if piece.gloss > 0:
        # half-way vector between light and a viewer straight above
        half = ((1 + lz) - lx * piece.slope_x - ly * piece.slope_y) * steep / sqrt(2 + 2 * lz)
        shine = np.square(np.square(np.square(clip(half, 0, 1))))  # to the power 8
        radiance += piece.gloss * shade * (shine * shine * shine)
    return radiance


def _perspective(rng: Stream, size: int) -> tuple[Array, Array]:
    """Where each pixel of a tilted view looks on the piece: row and column [size, size] in grid steps."""
    axis = (np.arange(size) + 0.5) / size * 2 - 1
    x, y = axis[None, :], axis[:, None]
    tilt, turn, side = rng.uniform(0, 0.9), rng.normal(0, 0.35), rng.uniform(0, 2 * PI)
    across, along = cos(side) * x + sin(side) * y, cos(side) * y - sin(side) * x
    depth = 1 / (1 - 0.25 * sin(tilt) * along)
    along, across = along * depth / power(cos(tilt), 0.7), across * depth
    turn += side
    zoom = rng.uniform(26, 40)
    shift_y, shift_x = rng.uniform(-16, 16), rng.uniform(-16, 16)
    column = (cos(turn) * across - sin(turn) * along) * zoom + SIDE / 2 + shift_x
    row = (sin(turn) * across + cos(turn) * along) * zoom + SIDE / 2 + shift_y
    return row, column
