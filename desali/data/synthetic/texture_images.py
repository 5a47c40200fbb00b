"""Texture domain: samples of fourteen materials, each seen under many lights and views (after the design of CUReT)."""

from __future__ import annotations

import numpy as np

from desali.data.imageset import ImageSet
from desali.data.synthetic.classes import TEXTURE_CLASSES
from desali.data.synthetic.materials import MATERIALS
from desali.data.synthetic.randomness import Stream, whole_number
from desali.data.synthetic.relief import view

ORIGIN = "synthetic (relit relief maps of invented materials)"


def texture(seed: int = 0, samples_per_class: int = 30, views_per_sample: int = 4, size: int = 64) -> ImageSet:
    """Views of synthetic materials, uint8 [14 * samples * views, size, size, 3]; a material sample
    takes a patient's place.

    Dana et al. (CUReT, ACM Transactions on Graphics 18, 1999) photographed each material under many lights and views;
    here each class has several samples, each a height map with reflectance, relit and warped for every view. The first
    views of a sample and the first samples of a class are the same however many are asked for.

    Args:
        seed: any whole number >= 0; one seed gives the same arrays every time.
        samples_per_class: pieces of material of each class.
        views_per_sample: pictures of each piece.
        size: height and width in pixels, 16 to 96.

    Raises:
        DataError: an argument out of range.
    """
    seed = whole_number("seed", seed, 0)
    samples_per_class = whole_number("samples_per_class", samples_per_class, 1)
    views_per_sample = whole_number("views_per_sample", views_per_sample, 1)
    size = whole_number("size", size, 16, 96)
    per_class = samples_per_class * views_per_sample
    images = np.empty((len(TEXTURE_CLASSES) * per_class, size, size, 3), np.uint8)
    samples: list[str] = []
    for name in TEXTURE_CLASSES:
        for s in range(samples_per_class):
            material = MATERIALS[name](Stream(seed, "texture", name, s))
            for v in range(views_per_sample):
                images[len(samples)] = view(material, Stream(seed, "texture", name, s, v), size)
                samples.append(f"sample-{name}-{s:03d}")
    return ImageSet(
        name="synthetic-texture",
        images=images,
        labels=np.repeat(np.arange(len(TEXTURE_CLASSES)), per_class).astype(np.int64),
        patients=np.array(samples),
        classes=TEXTURE_CLASSES,
        unit="uint8",
        origin=ORIGIN,
        unit_of_split="sample",
        parameters={
            "domain": "texture",
            "seed": seed,
            "samples_per_class": samples_per_class,
            "views_per_sample": views_per_sample,
            "size": size,
        },
    )
