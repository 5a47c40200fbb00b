"""From an image's pixels to a network's input: window, resize, channels, scale."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

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
    shape = list(images.shape)
    colour = images.ndim == 4 and shape[-1] == 3
    if not (images.ndim == 3 or colour) or 0 in shape[1:]:
        raise ImageError(f"images must have shape [n, h, w] or [n, h, w, 3] with h, w >= 1, got {shape}")
    if unit == "hu":
        if colour:
            raise ImageError(f"images in HU must be grey [n, h, w], got {shape}")
        if images.dtype.kind not in "iuf" or not np.isfinite(images).all():
            raise ImageError(f"images in HU must be finite real numbers, got {images.dtype} with NaN, Inf or no number")
        return apply_window(images, window)
    if unit == "unit":
        if images.dtype.kind != "f" or not (images.size == 0 or (images.min() >= 0 and images.max() <= 1)):
            raise ImageError(f"display values that are not bytes must be floating-point in [0, 1], got {images.dtype}")
        return np.asarray(images, np.float32)
    if unit != "uint8":
        raise UnknownNameError("unit", str(unit), ("hu", "uint8", "unit"))
    if images.dtype != np.uint8:
        raise ImageError(f"display values must be uint8, got {images.dtype}; HU images need unit 'hu'")
    return np.asarray(images.astype(np.float32) / np.float32(255), np.float32)


def luma(colour: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Grey values [n, h, w] of colour [n, h, w, 3]: 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601)."""
    red, green, blue = (colour[..., k] for k in range(3))
    grey: npt.NDArray[np.float32] = np.float32(0.299) * red + np.float32(0.587) * green + np.float32(0.114) * blue
    return grey


@dataclass(frozen=True)
class Preprocessing:
    """How pixels become a network's input; kept with a model so that both are always used together.

    The order is: window (HU only) to [0, 1]; colour to its luma for 1 channel; resize to `size` x `size`, clamped to
    [0, 1]; copy grey to `channels`; put colour in `channel_order`; (value x `scale` - `mean`) / `std`, per channel in
    that order.

    Attributes:
        size: side of the square input in pixels; an image that is not square is stretched.
        channels: channels of the input; grey is copied to all, colour needs 3 or becomes grey for 1.
        window: (level, width) in HU.
        resize: "bicubic" (Keys, a = -0.75 when growing; with antialiasing, a = -0.5, when shrinking) or "bilinear".
        scale: what 1.0 is multiplied by, e.g. 255 for networks trained on bytes.
        mean: subtracted per channel after scaling; None for none.
        std: divided by per channel at the end; None for none.
        channel_order: "rgb" or "bgr".

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

    def __post_init__(self) -> None:
        object.__setattr__(self, "window", check_window(self.window))
        for name in ("size", "channels"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise DataError(f"preprocessing: {name} must be a whole number of at least 1, got {value!r}")
        too_large = IMAGE_PIXELS.exceeded(self.size**2)
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

        values = unit_range(np.asarray(images), unit, self.window)
        if values.ndim == 4 and self.channels == 1:
            values = luma(values)
        if values.ndim == 4 and self.channels != 3:
            raise ImageError(
                f"a colour image does not fit a network of {self.channels} input channels; convert it to grey"
            )
        grey = values.ndim == 3
        nchw = torch.from_numpy(np.ascontiguousarray(values[:, None] if grey else np.moveaxis(values, -1, 1)))
        nchw = self._resized(nchw)
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

    def _resized(self, nchw: Tensor) -> Tensor:
        from torch.nn.functional import interpolate

        height, width = nchw.shape[-2:]
        if (height, width) == (self.size, self.size) or not len(nchw):
            return nchw.new_empty(0, nchw.shape[1], self.size, self.size) if not len(nchw) else nchw
        shrinks = height > self.size or width > self.size
        resized = interpolate(
            nchw, size=(self.size, self.size), mode=self.resize, align_corners=False, antialias=shrinks
        )
        return resized.clamp_(0, 1)

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON-serialisable values."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

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
