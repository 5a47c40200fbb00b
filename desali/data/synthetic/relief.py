"""A flat piece of material as a relief, and a photograph of it under a random light from a random side."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.ndimage import map_coordinates, uniform_filter

from desali.data.synthetic.fields import Array

SIDE = 128  # samples along each side of a piece
_SHADOW_STEPS = (1, 2, 3, 5, 8)


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
    slope_y, slope_x = (np.asarray(slope, np.float32) for slope in np.gradient(height))
    hollow = np.maximum(uniform_filter(height, 9, mode="nearest") - height, 0)
    return Material(slope_y, slope_x, height, hollow, np.clip(colour, 0.01, 1).astype(np.float32), gloss)


def view(piece: Material, rng: np.random.Generator, size: int) -> npt.NDArray[np.uint8]:
    """uint8 pixels [size, size, 3] of the piece under a random light, seen through a random perspective."""
    azimuth, elevation = rng.uniform(0, 2 * math.pi), rng.uniform(0.45, 1.35)
    lit = _light(piece, azimuth, elevation, float(rng.uniform(0.15, 0.35)))
    coordinates = _perspective(rng, size)
    picture = np.stack([map_coordinates(channel, coordinates, order=1, mode="mirror") for channel in lit])
    picture *= rng.uniform(0.9, 1.1, (3, 1, 1)).astype(np.float32) * np.float32(rng.uniform(0.75, 1.25))
    picture = np.sqrt(np.clip(picture, 0, 1))
    picture += rng.standard_normal(picture.shape, np.float32) * np.float32(rng.uniform(0.004, 0.02))
    pixels: npt.NDArray[np.uint8] = np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)
    return pixels


def _light(piece: Material, azimuth: float, elevation: float, ambient: float) -> Array:
    """Radiance [3, SIDE, SIDE]: diffuse light with cast shadows, dimmer ambient light in hollows, a highlight."""
    lx, ly, lz = math.cos(elevation) * math.cos(azimuth), math.cos(elevation) * math.sin(azimuth), math.sin(elevation)
    steep = 1 / np.sqrt(1 + piece.slope_x**2 + piece.slope_y**2)
    facing = (np.float32(lz) - np.float32(lx) * piece.slope_x - np.float32(ly) * piece.slope_y) * steep
    blocked = np.full(piece.height.shape, -1e9, np.float32)
    for step in _SHADOW_STEPS:
        shift = (-round(step * ly / math.hypot(lx, ly)), -round(step * lx / math.hypot(lx, ly)))
        towards = np.roll(piece.height, shift, (0, 1))
        np.maximum(blocked, towards - np.float32(step * math.tan(elevation)), out=blocked)
    shade = np.clip(1 - (blocked - piece.height) * np.float32(0.8), 0.15, 1)
    direct = np.clip(facing, 0, 1) * shade
    soft = np.float32(ambient) / (1 + np.float32(0.35) * piece.hollow)
    radiance = piece.colour * (direct + soft)
    if piece.gloss > 0:
        # half-way vector between light and a viewer straight above
        length = math.sqrt(2 + 2 * lz)
        half = (
            (np.float32(1 + lz) - np.float32(lx) * piece.slope_x - np.float32(ly) * piece.slope_y)
            * steep
            / np.float32(length)
        )
        radiance += np.float32(piece.gloss) * shade * np.clip(half, 0, 1) ** 24
    result: Array = radiance
    return result


def _perspective(rng: np.random.Generator, size: int) -> npt.NDArray[np.float64]:
    """Where each pixel of a tilted view looks on the piece: (row, column) [2, size, size] in grid steps."""
    axis = (np.arange(size) + 0.5) / size * 2 - 1
    x, y = axis[None, :], axis[:, None]
    tilt, turn, side = rng.uniform(0, 0.9), rng.normal(0, 0.35), rng.uniform(0, 2 * math.pi)
    across, along = math.cos(side) * x + math.sin(side) * y, math.cos(side) * y - math.sin(side) * x
    depth = 1 / (1 - 0.25 * math.sin(tilt) * along)
    along, across = along * depth / math.cos(tilt) ** 0.7, across * depth
    turn += side
    zoom = rng.uniform(26, 40)
    shift_y, shift_x = rng.uniform(-16, 16, 2)
    column = (math.cos(turn) * across - math.sin(turn) * along) * zoom + SIDE / 2 + shift_x
    row = (math.sin(turn) * across + math.cos(turn) * along) * zoom + SIDE / 2 + shift_y
    return np.stack([row, column])
