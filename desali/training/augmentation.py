"""Augmentation of training batches: flips, right-angle rotations, small shifts, gain and offset, noise in HU."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from desali.errors import DataError, DesaliError
from desali.training.stage import Stage

if TYPE_CHECKING:
    from desali.data.imageset import Unit
    from desali.data.preprocess import Preprocessing

SYMMETRIES: dict[str, tuple[tuple[int, ...], ...]] = {
    "none": (),
    "mirror": ((-1,),),
    "dihedral": ((-1,), (-2,), (-1, -2)),
}


@dataclass(frozen=True)
class Draw:
    """What chance decided for one batch of n images.

    Attributes:
        flips: bool [n] for each flip of the symmetry.
        shifts: int64 [n, 2], pixels down and across, or None.
        gains: float32 [n], factors on the contrast, or None.
        offsets: float32 [n], shares of the range, or None.
        noise_seed: of the noise, which is drawn where it is added, or None.
        count: n.
    """

    flips: tuple[Tensor, ...]
    shifts: Tensor | None
    gains: Tensor | None
    offsets: Tensor | None
    noise_seed: int | None
    count: int


@dataclass(frozen=True)
class Augmentation:
    """How training images are changed at random; nothing is changed by default.

    Attributes:
        symmetry: "none", "mirror" (left-right) or "dihedral": left-right flip, up-down flip and transposition, each
            taken or not with probability one half, which gives all eight symmetries of the square (h = w).
        shift: most pixels, down and across, each uniform in [-shift, shift]; the edge is repeated.
        noise: standard deviation of the Gaussian noise in units of the network's input, per channel; () for none. One
            value is drawn a pixel, and channels get multiples of the same.
        low, high: what black and white (in HU: window level - width / 2 and level + width / 2) become, per channel;
            what gain, offset and noise make stays between them, as a scanner's noise beyond the window would.
        gain: contrast about the middle of the range is multiplied by exp(u), u uniform within log(1 + gain) of 0.
        offset: the most that is added, as a share of the range, uniform within both signs of it.
    """

    symmetry: str = "none"
    shift: int = 0
    noise: tuple[float, ...] = ()
    low: tuple[float, ...] = (0.0,)
    high: tuple[float, ...] = (1.0,)
    gain: float = 0.0
    offset: float = 0.0

    def draw(self, count: int, generator: torch.Generator) -> Draw:
        """Draw for `count` images from `generator` (on the CPU); which numbers are drawn depends on nothing else."""
        flips = tuple(torch.rand(count, generator=generator).lt(0.5) for _ in SYMMETRIES[self.symmetry])
        shifts = None
        if self.shift:
            shifts = torch.randint(-self.shift, self.shift + 1, (count, 2), generator=generator)
        gains, offsets = (
            torch.rand(count, generator=generator) * 2 - 1 if most else None for most in (self.gain, self.offset)
        )
        gains = None if gains is None else torch.exp(gains * math.log1p(self.gain))
        offsets = None if offsets is None else offsets * self.offset
        seed = int(torch.randint(2**62, (1,), generator=generator)) if self.noise else None
        return Draw(flips, shifts, gains, offsets, seed, count)

    def apply(self, images: Tensor, draw: Draw, part: slice = slice(None)) -> Tensor:
        """Images [n, c, h, w] changed as drawn; with `part`, they are that part of the drawn batch."""
        for dims, chosen in zip(SYMMETRIES[self.symmetry], draw.flips, strict=True):
            changed = images.flip(dims) if len(dims) == 1 else images.transpose(*dims)
            images = torch.where(chosen[part][:, None, None, None], changed, images)
        if draw.shifts is not None:
            images = _shifted(images, draw.shifts[part])
        if draw.gains is not None or draw.offsets is not None:
            images = self._relit(images, draw, part)
        if draw.noise_seed is not None:
            images = self._noisy(images, draw.noise_seed, draw.count, part)
        return images

    def _relit(self, images: Tensor, draw: Draw, part: slice) -> Tensor:
        low, high = (torch.tensor(v).view(1, -1, 1, 1) for v in (self.low, self.high))
        middle = (low + high) / 2
        values = images - middle
        if draw.gains is not None:
            values = values * draw.gains[part].view(-1, 1, 1, 1)
        if draw.offsets is not None:
            values = values + draw.offsets[part].view(-1, 1, 1, 1) * (high - low)
        return torch.minimum(torch.maximum(values + middle, low), high)

    def _noisy(self, images: Tensor, seed: int, count: int, part: slice) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        noise = torch.randn((count, 1, *images.shape[-2:]), generator=generator)[part]
        deviation, low, high = (torch.tensor(v).view(1, -1, 1, 1) for v in (self.noise, self.low, self.high))
        return torch.minimum(torch.maximum(images + noise * deviation, low), high)


def augmentation_of(stage: Stage, preprocessing: Preprocessing | None, unit: Unit, name: str = "") -> Augmentation:
    """The augmentation that `stage` asks for, on images in `unit` that `preprocessing` makes into input.

    Without a preprocessing nobody knows what is black and white, so gain and offset are left out.

    A deviation of s HU becomes s / (window width) x scale / std in a network's input.

    Args:
        name: of the image set, for messages.

    Raises:
        DataError: noise in HU on display values, or a shift as large as the image.
        DesaliError: noise in HU without a preprocessing.
    """
    if preprocessing is None:
        if stage.noise_hu:
            raise DesaliError(
                "noise_hu needs the preprocessing, whose window says what a Hounsfield unit is in the input"
            )
        return Augmentation(stage.augmentation, stage.shift)
    if stage.shift >= preprocessing.size:
        raise DataError(f"shift must be less than the input's {preprocessing.size} pixels, got {stage.shift}")
    channels, scale = preprocessing.channels, preprocessing.scale
    mean, std = preprocessing.mean or (0.0,) * channels, preprocessing.std or (1.0,) * channels
    simple = Augmentation(
        stage.augmentation,
        stage.shift,
        gain=stage.gain,
        offset=stage.offset,
        low=tuple((0.0 - m) / s for m, s in zip(mean, std, strict=True)),
        high=tuple((scale - m) / s for m, s in zip(mean, std, strict=True)),
    )
    if not stage.noise_hu:
        return simple
    if unit != "hu":
        raise DataError(
            f"{name or 'images'}: noise_hu {stage.noise_hu:g} needs images in Hounsfield units, but these are display "
            f"values; leave it out for the domain {stage.domain!r}"
        )
    return replace(simple, noise=tuple(stage.noise_hu / preprocessing.window[1] * scale / s for s in std))


def _shifted(images: Tensor, shifts: Tensor) -> Tensor:
    """Each image [c, h, w] moved by its (down, across) [n, 2]; the edge is repeated."""
    height, width = images.shape[-2:]
    rows = (torch.arange(height) - shifts[:, :1]).clamp_(0, height - 1)
    columns = (torch.arange(width) - shifts[:, 1:]).clamp_(0, width - 1)
    number = torch.arange(len(images))[:, None, None]
    moved = images.permute(0, 2, 3, 1)[number, rows[:, :, None], columns[:, None, :]]  # [n, h, w, c]
    return moved.permute(0, 3, 1, 2)
