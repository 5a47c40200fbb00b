"""What a figure is about: one image, as any of the ways that a user may have it, and as each network takes it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from desali.data.formats.colours import grey_of
from desali.data.preprocess import DEFAULT_WINDOW, PixelUnit, Preprocessing, unit_range
from desali.data.roi import GREY_SAID, Roi
from desali.errors import ImageError
from desali.figures.drawing.edges import edge_map

if TYPE_CHECKING:
    from torch import Tensor

EXPECTED = "a Roi (desali.read_image), a NumPy array or a float tensor [C, H, W]"
TWELVE_BITS = 4096
LUMA = "Colour became its luma, since the network takes one channel."
EQUAL = 1e-5
"""Channels of a tensor that differ by less, in display values, are equal: normalising and undoing it rounds."""


@dataclass(frozen=True)
class Plain:
    """The rule for a module that says nothing of its input: values in [0, 1] at the image's own size, no normalisation.

    Attributes:
        channels: that grey is copied to; None: the image's own number.
        window: (level, width) in HU.
    """

    channels: int | None
    window: tuple[float, float] = DEFAULT_WINDOW

    @property
    def words(self) -> str:
        """The rule in a sentence."""
        copied = "" if self.channels in (None, 1) else f", grey copied to {self.channels} channels"
        return f"values in [0, 1] at the image's own size{copied}, no normalisation: the module names no preprocessing"

    def apply(self, pixels: npt.NDArray[Any], unit: PixelUnit) -> Tensor:
        """One image [h, w] or [h, w, 3] as float32 [channels, h, w].

        Raises:
            ImageError: see `unit_range`; or colour for a network that is not of three channels.
        """
        import torch

        values = torch.from_numpy(np.ascontiguousarray(unit_range(pixels[None], unit, self.window)[0]))
        if values.dim() == 3:
            if self.channels not in (None, 3):
                raise ImageError(
                    f"a colour image does not fit a network of {self.channels} input channels; convert it to grey"
                )
            return values.permute(2, 0, 1).contiguous()
        return values.expand(self.channels or 1, -1, -1).contiguous()

    def to_dict(self) -> dict[str, Any]:
        """JSON-serialisable."""
        return {"size": None, "channels": self.channels, "window": list(self.window), "scale": 1.0, "rule": self.words}


Rule = Preprocessing | Plain


@dataclass(frozen=True, eq=False)
class Input:
    """One image as one network takes it, and as a reader sees it.

    Attributes:
        tensor: [C, H, W], what the network gets.
        picture: [h, w] or [h, w, 3] in [0, 1].
        words: what a reader must know of the picture; "" for nothing.
    """

    tensor: Tensor
    picture: npt.NDArray[Any]
    words: str = ""

    @property
    def colour(self) -> bool:
        """Whether maps are shown in colour; else their channels are summed."""
        return self.picture.ndim == 3

    @cached_property
    def grey(self) -> npt.NDArray[np.float64]:
        """The picture's mean over its channels, [h, w]."""
        values = np.asarray(self.picture, np.float64)
        return np.asarray(values.mean(-1)) if self.colour else values

    @cached_property
    def edges(self) -> npt.NDArray[np.float64]:
        """The picture's edges, [h, w]."""
        return edge_map(self.picture)


def to_image(image: Any, colour: bool = False) -> Roi | Tensor:
    """A Roi, or a tensor [C, H, W] as networks take it, from what a user has.

    Args:
        image: a Roi; a NumPy array or PIL image (H x W, H x W x 3, or C x H x W where it cannot be mistaken; bytes,
            floating-point in [0, 1], int16 as Hounsfield units, uint16 as display values over 65535); or a
            floating-point tensor [C, H, W] or [1, C, H, W], which is used as it is.
        colour: leave an array of three equal channels in colour; else it is taken as grey.

    Raises:
        ImageError: anything else; the message says what to give.
    """
    import torch

    if isinstance(image, Roi):
        return image
    if isinstance(image, torch.Tensor):
        return _tensor(image)
    if isinstance(image, np.ndarray):
        return _array(image, colour)
    if hasattr(image, "__array_interface__") and hasattr(image, "mode"):  # PIL
        if image.mode not in ("L", "RGB"):
            raise ImageError(f"a PIL image of mode {image.mode}: convert it first, image.convert('RGB') or ('L')")
        return _array(np.asarray(image), colour)
    path = "; desali.read_image reads a file" if isinstance(image, str) or hasattr(image, "__fspath__") else ""
    raise ImageError(f"image must be {EXPECTED}, got {type(image).__name__}{path}")


def prepare(image: Roi | Tensor, rule: Rule, window: tuple[float, float] | None = None, colour: bool = False) -> Input:
    """The image for one network.

    Args:
        window: (level, width) in HU that was asked for; None: the one that the Roi was read with, else the rule's.
        colour: show a tensor of three equal channels in colour.

    Raises:
        ImageError: the image does not fit the rule.
    """
    if isinstance(image, Roi):
        rule = windowed(image, rule, window)
        tensor = rule.apply(image.pixels, image.unit)
        grey = image.pixels.ndim == 2 or len(tensor) == 1
        seen: Rule = replace(rule if isinstance(rule, Plain) else rule.seen, channels=1 if grey else 3)
        shown = seen.apply(image.pixels, image.unit)
        words = LUMA if image.pixels.ndim == 3 and grey else ""
        return Input(tensor, shown[0].numpy() if grey else shown.permute(1, 2, 0).numpy(), words)
    return _of_tensor(image, rule, colour)


def windowed(image: Roi, rule: Rule, window: tuple[float, float] | None) -> Rule:
    """The rule with the window that was asked for, or that the Roi was read with."""
    chosen = window or (image.window if image.window_chosen else None)
    return rule if chosen is None else replace(rule, window=chosen)


def image_name(image: Roi | Tensor) -> str:
    """What titles call the image."""
    return image.name if isinstance(image, Roi) else "tensor"


def image_facts(image: Roi | Tensor, rule: Rule, window: tuple[float, float] | None) -> dict[str, Any]:
    """The image in the record of a figure."""
    if not isinstance(image, Roi):
        from desali.models.modules import raw_bytes

        digest = hashlib.sha256(raw_bytes(image)).hexdigest()
        return {"path": None, "sha256": digest, "shape": list(image.shape), "unit": "tensor", "origin": "given tensor"}
    return {
        "path": None if image.path is None else str(image.path),
        "sha256": image.sha256,
        "shape": list(image.pixels.shape),
        "box": image.box,
        "hu_offset": image.hu_offset,
        "window": windowed(image, rule, window).window if image.unit == "hu" else None,
        "unit": image.unit,
        "origin": image.origin,
        "page": image.page,
    }


def _tensor(image: Tensor) -> Tensor:
    import torch

    shape = list(image.shape)
    if image.dim() == 4 and image.shape[0] == 0:
        raise ImageError(f"image must be one image [C, H, W] or [1, C, H, W], got a batch of none, {shape}")
    if image.dim() == 4 and image.shape[0] != 1:
        raise ImageError(f"image must be one image [C, H, W] or [1, C, H, W], got a batch {shape}: give images[0]")
    image = image[0] if image.dim() == 4 else image
    if image.dim() != 3 or 0 in image.shape:
        raise ImageError(f"image must be a tensor [C, H, W] or [1, C, H, W], got {shape}")
    if image.layout is not torch.strided or image.is_meta:
        what = f"of the layout {image.layout}" if image.layout is not torch.strided else "without values (meta)"
        raise ImageError(f"image is a tensor {what}; give an ordinary one (tensor.to_dense())")
    if not image.is_floating_point():
        raise ImageError(f"image is a {image.dtype} tensor; give floats as the network takes them, or a NumPy array")
    if not bool(image.isfinite().all()):
        raise ImageError("image holds NaN or infinity; a network cannot be compared on it")
    return image.detach()


def _array(array: npt.NDArray[Any], colour: bool) -> Roi:
    if np.ma.is_masked(array):
        raise ImageError("an array with masked pixels: say what stands there, image.filled(0)")
    pixels = _channels_last(np.asarray(array))
    shape = " x ".join(map(str, array.shape))
    unit: PixelUnit
    if pixels.dtype == np.uint8:
        unit, said = "uint8", "uint8"
    elif pixels.dtype == np.bool_:
        pixels, unit, said = pixels.astype(np.float32), "unit", "bool"
    elif pixels.dtype.kind == "f":
        if not np.isfinite(pixels).all() or pixels.min() < 0 or pixels.max() > 1:
            raise ImageError(
                f"a {pixels.dtype} array must lie in [0, 1], got {np.min(pixels):g} to {np.max(pixels):g}; scale it, "
                "give Hounsfield units as int16, or a torch tensor as the network takes it"
            )
        pixels, unit, said = pixels.astype(np.float32), "unit", f"{pixels.dtype} in [0, 1]"
    elif pixels.dtype == np.uint16:
        if pixels.max() < TWELVE_BITS:
            raise ImageError(
                f"a uint16 array up to {pixels.max()} holds no scale: give Hounsfield units as int16, or display "
                "values as floats in [0, 1]"
            )
        pixels, unit, said = (pixels / 65535).astype(np.float32), "unit", "uint16 over 65535"
    elif pixels.dtype == np.int16:
        if pixels.ndim == 3:
            raise ImageError(f"an int16 array is taken as Hounsfield units and must be H x W, got {shape}")
        pixels, unit, said = pixels.astype(np.float32), "hu", "int16 as Hounsfield units"
    else:
        raise ImageError(
            f"an array of {pixels.dtype}: give uint8 (0 to 255), floats in [0, 1], or int16 in Hounsfield units"
        )
    digest = hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
    window = DEFAULT_WINDOW if unit == "hu" else None
    origin = f"NumPy array {shape}, {said}"
    grey = grey_of(pixels) if pixels.ndim == 3 and not colour else None
    if grey is not None:
        pixels, origin = grey, f"{origin}, taken as grey"
    words = "" if grey is None else GREY_SAID
    return Roi(np.ascontiguousarray(pixels), unit, None, None, window, None, digest, origin, said=words)


def _channels_last(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """[h, w] or [h, w, 3] from H x W, H x W x 3, H x W x 1, 3 x H x W or 1 x H x W."""
    shape = array.shape
    said = " x ".join(map(str, shape))
    if array.ndim not in (2, 3) or 0 in shape:
        raise ImageError(f"an array must be one image H x W, H x W x 3 or C x H x W, got {said}")
    if array.ndim == 2:
        return array
    last, first = shape[2] in (1, 3), shape[0] in (1, 3)
    if last and first:
        raise ImageError(f"an array {said} could be H x W x C or C x H x W: give H x W or H x W x 3 of other sizes")
    if not last and not first:
        more = "; drop the fourth channel, image[..., :3]" if shape[2] == 4 else ""
        raise ImageError(f"an array must have 1 or 3 channels (H x W x 3 or C x H x W), got {said}{more}")
    moved = array if last else np.moveaxis(array, 0, -1)
    return moved[..., 0] if moved.shape[2] == 1 else moved


def _of_tensor(image: Tensor, rule: Rule, colour: bool) -> Input:
    values = image.detach().cpu().double()
    words = ""
    if isinstance(rule, Preprocessing) and rule.channels == len(values):  # back to display values
        back = values
        if rule.std is not None:
            back = back * back.new_tensor(rule.std).view(-1, 1, 1)
        if rule.mean is not None:
            back = back + back.new_tensor(rule.mean).view(-1, 1, 1)
        back = back / rule.scale
        if float(back.min()) >= -1e-3 and float(back.max()) <= 1 + 1e-3:
            values = back.clamp(0, 1)
        values = values.flip(0) if rule.channel_order == "bgr" else values
    low, high = float(values.min()), float(values.max())
    if low < 0 or high > 1:
        values = (values - low) / (high - low) if high > low else values * 0 + 0.5
        words = f"The input's values, {low:.3g} to {high:.3g}, are shown as black to white."
    if len(values) == 3 and (colour or float((values - values[:1]).abs().max()) > EQUAL):
        return Input(image, values.permute(1, 2, 0).float().numpy(), words)
    if len(values) not in (1, 3):
        words = f"{words} The {len(values)} channels are shown as their mean, their maps as their sum.".strip()
        return Input(image, values.mean(0).float().numpy(), words)
    return Input(image, values[0].float().numpy(), words)
