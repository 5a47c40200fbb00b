"""The readers on real data: the lung table, the texture tiles, the CT slices."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from PIL import Image

from desali.data import read_images
from desali.data.readers.check import check
from desali.data.roi import read_image


def test_lung_table(real_data: Path) -> None:
    folder = real_data / "lung_ct"
    spec = f"table:{folder / 'index.csv'}?array=lung_roi32_hu.npz:patches&label_column=density_class"
    images = read_images(spec, proxy="density classes from the HU histogram")
    with np.load(folder / "lung_roi32_hu.npz") as archive:
        np.testing.assert_array_equal(images.images, archive["patches"])
    with (folder / "index.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [images.classes[label] for label in images.labels] == [row["density_class"] for row in rows]
    assert images.patients.tolist() == [row["patient"] for row in rows]
    assert (images.unit, len(images), len(set(images.patients))) == ("hu", 2084, 5)
    assert "PROXY LABELS" in images.origin
    assert check(spec).findings == ["class and patient are confounded: 109 of 119 images of mixed are of Lung_Dx-A0001"]


def test_texture_tiles(real_data: Path, tmp_path: Path) -> None:
    images = read_images(f"folder:{real_data / 'textures'}?size=96", cache=tmp_path)
    assert (images.images.shape, len(images.classes)) == ((1057, 96, 96, 3), 13)
    assert isinstance(images.images, np.memmap)
    assert images.sources is not None
    name = images.sources[500]
    with Image.open(real_data / "textures" / name) as tile:
        expected = np.asarray(tile.convert("RGB").resize((96, 96), Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(images.images[500], expected)
    assert images.classes[images.labels[500]] == name.split("/")[0]


def test_ct_slices(real_data: Path) -> None:
    images = read_images(str(real_data / "lung_ct" / "dicom"))
    assert images.parameters["reader"] == "dicom"
    assert (images.unit, images.images.shape, len(set(images.patients))) == ("hu", (3, 512, 512), 3)
    assert images.sources is not None
    for k, name in enumerate(images.sources):
        np.testing.assert_array_equal(images.images[k], read_image(real_data / "lung_ct" / "dicom" / name).pixels)
