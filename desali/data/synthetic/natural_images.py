"""Rendered scenes, which stand for natural images: simple objects among clutter, with pose, light and shadow."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from desali.data.imageset import ImageSet
from desali.data.synthetic.classes import NATURAL_CLASSES
from desali.data.synthetic.exact import Array, clip, exp, power, total
from desali.data.synthetic.randomness import Stream, whole_number
from desali.data.synthetic.scene import photograph

ORIGIN = "synthetic (rendered scenes of simple objects)"


def natural(seed: int = 0, images_per_class: int = 300, size: int = 64) -> ImageSet:
    """Rendered scenes, uint8 [12 * images_per_class, size, size, 3], class after class; every image stands for itself.

    The first images of a class are the same however many are asked for.

    Args:
        seed: any whole number >= 0; one seed gives the same arrays every time.
        images_per_class: how many scenes of each class.
        size: height and width in pixels, 16 to 256.

    Raises:
        DataError: an argument out of range.
    """
    seed = whole_number("seed", seed, 0)
    images_per_class = whole_number("images_per_class", images_per_class, 1)
    size = whole_number("size", size, 16, 256)
    images = np.empty((len(NATURAL_CLASSES) * images_per_class, size, size, 3), np.uint8)
    names: list[str] = []
    for name in NATURAL_CLASSES:
        for k in range(images_per_class):
            picture = photograph(name, Stream(seed, "natural", name, k), size)
            images[len(names)] = _develop(picture, Stream(seed, "natural", name, k, "film"))
            names.append(f"scene-{name}-{k:05d}")
    return ImageSet(
        name="rendered-scenes",
        images=images,
        labels=np.repeat(np.arange(len(NATURAL_CLASSES)), images_per_class).astype(np.int64),
        patients=np.array(names),
        classes=NATURAL_CLASSES,
        unit="uint8",
        origin=ORIGIN,
        unit_of_split="image",
        parameters={"domain": "natural", "seed": seed, "images_per_class": images_per_class, "size": size},
    )


def _develop(picture: Array, rng: Stream) -> npt.NDArray[np.uint8]:
    """uint8 pixels [h, w, 3] of a picture in linear light [3, h, w]: exposure, white balance, tone curve, noise."""
    mean = max(total(picture) / picture.size, 0.05)
    exposure = rng.uniform(0.75, 1.2) * power(0.42 / mean, 0.6)
    picture = clip(picture * exposure * rng.uniform(0.92, 1.08, (3, 1, 1)), 0, 1.4)
    picture = 1.15 * np.sqrt(picture / (1 + 0.35 * picture))
    picture += rng.normal(0.0, 1.0, picture.shape) * exp(rng.uniform(-5.2, -3.7))
    pixels: npt.NDArray[np.uint8] = np.rint(clip(picture, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)
    return pixels
