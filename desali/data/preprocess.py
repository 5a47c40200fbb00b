"""From an image's pixels to a network's input: window, resize, channels, scale."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from desali.data.formats.dicom import AIR_HU
from desali.data.imageset import Unit
from desali.errors import DataError, ImageError, UnknownNameError
from desali.limits import IMAGE_PIXELS

if TYPE_CHECKING:
    from torch import Tensor

PixelUnit = Unit | Literal["unit"]

DEFAULT_WINDOW = (-600.0, 1500.0)  # lung: level and width in HU
RESIZES = ("bicubic", "bilinear")
CHANNEL_ORDERS = ("rgb", "bgr")


def check_window(window: tuple[float, float]) -> tuple[float, float]:
    """`window` as (level, width) in HU.

    Raises:
        ImageError: not two finite numbers, or a width that is not above 0.
    """
    try:
        level, width = (float(value) for value in window)
    except (TypeError, ValueError, OverflowError) as error:
        raise ImageError(f"window={window}: expected two numbers LEVEL,WIDTH in HU, for instance -600,1500") from error
    if not (math.isfinite(level) and math.isfinite(width) and width > 0):
        raise ImageError(f"window={level:g},{width:g} (LEVEL,WIDTH): expected finite numbers and a width above 0 HU")
    return level, width


def apply_window(hu: npt.NDArray[Any], window: tuple[float, float]) -> npt.NDArray[np.float32]:
    """Hounsfield units to [0, 1]: level - width/2 and below is 0, level + width/2 and above is 1.

    Raises:
        ImageError: a bad window (see `check_window`).
    """
    level, width = check_window(window)
    values = (np.asarray(hu, np.float32) - np.float32(level - width / 2)) / np.float32(width)
    return np.asarray(np.clip(values, 0, 1), np.float32)


def unit_range(
    images: npt.NDArray[Any], unit: PixelUnit, window: tuple[float, float] = DEFAULT_WINDOW
) -> npt.NDArray[np.float32]:
    """Checked images as display values in [0, 1]: [n, h, w] or [n, h, w, 3] as given.

    Args:
        window: (level, width) for images in HU.

    Raises:
        ImageError: wrong shape or type for the unit, empty, NaN, or values outside [0, 1] in unit "unit".
    """
    _check(images, unit)
    return _in_unit_range(images, unit, window)


def _check(images: npt.NDArray[Any], unit: PixelUnit) -> None:
    shape = list(images.shape)
    colour = images.ndim == 4 and shape[-1] == 3
    if not (images.ndim == 3 or colour) or 0 in shape[1:]:
        raise ImageError(f"images must have shape [n, h, w] or [n, h, w, 3] with h, w >= 1, got {shape}")
    if unit not in ("hu", "unit", "uint8"):
        raise UnknownNameError("unit", str(unit), ("hu", "uint8", "unit"))
    if unit == "hu":
        if colour:
            raise ImageError(f"images in HU must be grey [n, h, w], got {shape}")
        if images.dtype.kind not in "iuf" or not np.isfinite(images).all():
            raise ImageError(f"images in HU must be finite real numbers, got {images.dtype} with NaN, Inf or no number")
    elif unit == "unit":
        if images.dtype.kind != "f" or not (images.size == 0 or (images.min() >= 0 and images.max() <= 1)):
            raise ImageError(f"display values that are not bytes must be floating-point in [0, 1], got {images.dtype}")
    elif images.dtype != np.uint8:
        raise ImageError(f"display values must be uint8, got {images.dtype}; HU images need unit 'hu'")


def _in_unit_range(images: npt.NDArray[Any], unit: PixelUnit, window: tuple[float, float]) -> npt.NDArray[np.float32]:
    if unit == "hu":
        return apply_window(images, window)
    if unit == "unit":
        return np.asarray(images, np.float32)
    return np.asarray(images.astype(np.float32) / np.float32(255), np.float32)


def luma(colour: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Grey values [n, h, w] of colour [n, h, w, 3]: 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601)."""
    red, green, blue = (colour[..., k] for k in range(3))
    grey: npt.NDArray[np.float32] = np.float32(0.299) * red + np.float32(0.587) * green + np.float32(0.114) * blue
    return grey


def fit(
    pixels: npt.NDArray[np.uint8], size: int, resize: str = "bicubic", resize_to: int | None = None
) -> npt.NDArray[np.uint8]:
    """A display image as a square of `size`: the shorter side resized to it, the centre cut out of the longer.

    Readers of data sets, training, predictions and figures all call this, so that they mean the same pixels.

    Args:
        pixels: uint8 [h, w] or [h, w, 3].
        resize: "bicubic" (Keys, a = -0.75 when growing; antialiased, a = -0.5, when shrinking) or "bilinear".
        resize_to: the shorter side before the centre is cut, at least `size`; None for `size`.
    """
    height, width = pixels.shape[:2]
    shape = _resized_shape(height, width, size, resize_to)
    if min(height, width) > min(shape):
        from PIL import Image

        kernel = Image.Resampling[resize.upper()]
        pixels = np.asarray(Image.fromarray(pixels).resize(shape[::-1], kernel))
    elif min(height, width) < min(shape):
        import torch

        planes = np.atleast_3d(pixels).transpose(2, 0, 1)
        grown = _resized(torch.from_numpy(planes.astype(np.float32) / np.float32(255))[None], shape, resize)
        back = grown[0].mul(255).round().byte().numpy().transpose(1, 2, 0)
        pixels = back[..., 0] if pixels.ndim == 2 else back
    top, left = _corner(shape, size, resize_to)
    return pixels[top : top + size, left : left + size]


def _resized_shape(height: int, width: int, size: int, resize_to: int | None) -> tuple[int, int]:
    """The shape of an image whose shorter side becomes `size`, or `resize_to` in torchvision's arithmetic."""
    if resize_to is not None:
        short, long = min(height, width), int(resize_to * max(height, width) / min(height, width))
        return (resize_to, long) if height == short else (long, resize_to)
    scale = size / min(height, width)
    return max(size, round(height * scale)), max(size, round(width * scale))


def _corner(shape: Sequence[int], size: int, resize_to: int | None) -> tuple[int, int]:
    """Where the centre square of `size` begins, with `resize_to` in torchvision's arithmetic."""
    top, left = ((side - size) // 2 if resize_to is None else round((side - size) / 2) for side in shape)
    return top, left


def _resized(nchw: Tensor, shape: tuple[int, int], resize: str) -> Tensor:
    """Values in [0, 1], [n, c, h, w], resized to `shape` and clamped to [0, 1]."""
    from torch.nn.functional import interpolate

    if tuple(nchw.shape[-2:]) == shape:
        return nchw
    shrinks = nchw.shape[-2] > shape[0] or nchw.shape[-1] > shape[1]
    return interpolate(nchw, size=shape, mode=resize, align_corners=False, antialias=shrinks).clamp_(0, 1)


def padded(hu: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Images in HU [n, h, w] as squares, with air around the centre: a pixel in HU is a length and is never stretched.

    Images that are square are given back as they are.
    """
    height, width = hu.shape[-2:]
    if height == width:
        return hu
    if hu.dtype.kind == "u" or hu.dtype.itemsize == 1:
        hu = hu.astype(np.float32)  # neither holds the value of air
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    around = [(0, 0)] * (hu.ndim - 2) + [(top, side - height - top), (left, side - width - left)]
    return np.pad(hu, around, constant_values=hu.dtype.type(AIR_HU))


@dataclass(frozen=True)
class Preprocessing:
    """How pixels become a network's input; kept with a model so that both are always used together.

    The order is: display images resized to `size` by their shorter side, or to `resize_to` where the network was
    trained so, and cut to the centre square (see `fit`);
    images in HU padded with air to a square; window (HU only) to [0, 1]; colour to its luma for 1 channel; images in HU
    resized to `size` x `size`, clamped to [0, 1]; copy grey to `channels`; put colour in `channel_order`;
    (value x `scale` - `mean`) / `std`, per channel in that order. No image is ever stretched.

    Attributes:
        size: side of the square input in pixels.
        channels: channels of the input; grey is copied to all, colour needs 3 or becomes grey for 1.
        window: (level, width) in HU.
        resize: "bicubic" (Keys, a = -0.75 when growing; with antialiasing, a = -0.5, when shrinking) or "bilinear".
        scale: what 1.0 is multiplied by, e.g. 255 for networks trained on bytes.
        mean: subtracted per channel after scaling; None for none.
        std: divided by per channel at the end; None for none.
        channel_order: "rgb" or "bgr".
        resize_to: the shorter side of a display image before the centre square of `size` is cut out of it, as published
            weights prescribe it (resize to 256, cut 224); None for `size`. Images in HU are always used whole.

    Raises:
        ImageError: a bad window. DataError: any other field out of range. UnknownNameError: resize or channel_order.
    """

    size: int
    channels: int = 3
    window: tuple[float, float] = DEFAULT_WINDOW
    resize: str = "bicubic"
    scale: float = 1.0
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    channel_order: str = "rgb"
    resize_to: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "window", check_window(self.window))
        for name in ("size", "channels"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise DataError(f"preprocessing: {name} must be a whole number of at least 1, got {value!r}")
        to = self.resize_to
        if to is not None and (isinstance(to, bool) or not isinstance(to, int) or to < self.size):
            raise DataError(f"preprocessing: resize_to must be a whole number of at least size={self.size}, got {to!r}")
        if to == self.size:
            object.__setattr__(self, "resize_to", None)
        too_large = IMAGE_PIXELS.exceeded((self.resize_to or self.size) ** 2)
        if too_large:
            raise DataError(f"preprocessing: size {self.size} makes images of {too_large}")
        if not isinstance(self.scale, int | float) or not math.isfinite(self.scale) or self.scale <= 0:
            raise DataError(f"preprocessing: scale must be above 0, got {self.scale!r}")
        for name in ("mean", "std"):
            value = getattr(self, name)
            if value is None:
                continue
            numbers = tuple(float(number) for number in value)
            if (
                len(numbers) != self.channels
                or not all(map(math.isfinite, numbers))
                or (name == "std" and min(numbers) <= 0)
            ):
                raise DataError(f"preprocessing: {name} must hold {self.channels} finite numbers, got {value!r}")
            object.__setattr__(self, name, numbers)
        if self.resize not in RESIZES:
            raise UnknownNameError("resize", self.resize, RESIZES)
        if self.channel_order not in CHANNEL_ORDERS:
            raise UnknownNameError("channel order", self.channel_order, CHANNEL_ORDERS)

    def apply(self, pixels: npt.NDArray[Any], unit: PixelUnit) -> Tensor:
        """One image [h, w] or [h, w, 3] as float32 [channels, size, size]; bitwise what `apply_batch` gives.

        Raises:
            ImageError: see `apply_batch`.
        """
        return self.apply_batch(np.asarray(pixels)[None], unit)[0]

    def apply_batch(self, images: npt.NDArray[Any], unit: PixelUnit) -> Tensor:
        """Images [n, h, w] or [n, h, w, 3] as float32 [n, channels, size, size].

        Args:
            images: Hounsfield units (any real type, without the last axis), uint8 display values, or display values
                in [0, 1] as floating-point numbers.
            unit: "hu", "uint8" or "unit" (for [0, 1]).

        Raises:
            ImageError: wrong shape or type for the unit, empty, NaN, or colour for a network of other than 1 or 3
                channels.
        """
        import torch

        images = np.asarray(images)
        _check(images, unit)
        values = _in_unit_range(self._framed(images, unit), unit, self.window)
        if values.ndim == 4 and self.channels == 1:
            values = luma(values)
        if values.ndim == 4 and self.channels != 3:
            raise ImageError(
                f"a colour image does not fit a network of {self.channels} input channels; convert it to grey"
            )
        grey = values.ndim == 3
        nchw = torch.from_numpy(np.ascontiguousarray(values[:, None] if grey else np.moveaxis(values, -1, 1)))
        nchw = self._sized(nchw, None if unit == "hu" or unit == "uint8" else self.resize_to)
        if grey:
            nchw = nchw.expand(-1, self.channels, -1, -1)
        elif self.channel_order == "bgr":
            nchw = nchw.flip(1)
        nchw = nchw * self.scale if self.scale != 1.0 else nchw
        if self.mean is not None:
            nchw = nchw - torch.tensor(self.mean, dtype=torch.float32).view(1, -1, 1, 1)
        if self.std is not None:
            nchw = nchw / torch.tensor(self.std, dtype=torch.float32).view(1, -1, 1, 1)
        return nchw.contiguous()

    def _framed(self, images: npt.NDArray[Any], unit: PixelUnit) -> npt.NDArray[Any]:
        """Bytes at the network's size, images in HU as squares, others as they are."""
        if unit == "hu":
            return padded(images)
        if unit == "uint8" and len(images) and self.reframes(images.shape[1:3], unit):
            return np.stack([fit(image, self.size, self.resize, self.resize_to) for image in images])
        return images

    def _sized(self, nchw: Tensor, resize_to: int | None) -> Tensor:
        """The centre square of [n, c, h, w] after its shorter side became `size`, or `resize_to`."""
        size = self.size
        if not len(nchw):
            return nchw.new_empty(0, nchw.shape[1], size, size)
        nchw = _resized(nchw, _resized_shape(nchw.shape[-2], nchw.shape[-1], size, resize_to), self.resize)
        top, left = _corner(nchw.shape[-2:], size, resize_to)
        return nchw[..., top : top + size, left : left + size]

    @property
    def seen(self) -> Preprocessing:
        """The rule without what is there for the network alone: what it makes is what a reader sees, in [0, 1]."""
        return Preprocessing(self.size, 3, self.window, self.resize, resize_to=self.resize_to)

    def frame(self, shape: Sequence[int], unit: PixelUnit) -> tuple[float, float, float, float]:
        """The part of an image of `shape` (h, w, ...) that becomes the input: (top, left, height, width) in its pixels.

        Of an image in HU it reaches outside, where air is put.
        """
        height, width = shape[:2]
        if unit == "hu":
            side = max(height, width)
            return -float((side - height) // 2), -float((side - width) // 2), float(side), float(side)
        tall, wide = _resized_shape(height, width, self.size, self.resize_to)
        top, left = _corner((tall, wide), self.size, self.resize_to)
        down, across = height / tall, width / wide
        return top * down, left * across, self.size * down, self.size * across

    def reframes(self, shape: Sequence[int], unit: PixelUnit) -> bool:
        """Whether images of `shape` (h, w, ...) are cut, padded or resized as bytes on their way into the network."""
        whole = unit != "uint8" or (shape[0] == self.size and self.resize_to is None)
        return shape[0] != shape[1] or not whole

    def words(self, shape: Sequence[int], unit: PixelUnit, what: str = "The image") -> str:
        """What happens to an image of `shape` (h, w, ...) on its way into the network, in a sentence; "" for nothing.

        Args:
            what: the sentence's subject, "The image" or "The images".
        """
        height, width = shape[:2]
        size, resized = self.size, self.size if unit == "hu" else self.resize_to or self.size
        if height == width == size == resized:
            return ""
        several = what.endswith("s")
        was = "were" if several else "was"
        side = max(height, width) if unit == "hu" else min(height, width)
        done = []
        if unit == "hu" and height != width:
            done.append(f"padded with air ({AIR_HU:g} HU) to {side} x {side}")
        if side != resized:
            change = "shrunk" if side > resized else "enlarged"
            whole = unit == "hu" or height == width
            done.append(f"{change} to {resized} x {resized}" if whole else f"{change} by the shorter side to {resized}")
        if unit != "hu" and (height != width or resized > size):
            done.append(f"cut to the centre {size} x {size}")
        kept = "; a box would keep its detail" if side > resized and not several else ""
        return f"{what} of {height} x {width} pixels {was} {', then '.join(done)}{kept}."

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON-serialisable values; `resize_to` where it is one."""
        values = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}
        if self.resize_to is None:
            del values["resize_to"]
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Preprocessing:
        """The inverse of `to_dict`; a missing field takes its default.

        Raises:
            DataError: an unknown field, or no `size`.
        """
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown or "size" not in values:
            what = f"unknown field {unknown[0]!r}" if unknown else "no field 'size'"
            raise DataError(f"preprocessing: {what}; known fields are {', '.join(sorted(known))}")
        arguments: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**arguments)
