"""Shared fixtures: real images where they are at hand, always at least pydicom's own CT slice."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import settings

settings.register_profile("desali", deadline=None)  # the first example pays for imports
settings.load_profile("desali")

ROOT = Path(__file__).resolve().parent.parent


def _data_folder() -> Path:
    return Path(os.environ.get("DESALI_DATA") or ROOT.parent / "shared" / "data")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data; a test that needs it is skipped, and says so, where it is absent."""
    folder = _data_folder()
    if not (folder / "lung_ct").is_dir():
        pytest.skip(f"REAL DATA ABSENT: no folder {folder}/lung_ct; set DESALI_DATA. This test has checked NOTHING.")
    return folder


@pytest.fixture(scope="session")
def ct_small() -> Path:
    """The CT slice that pydicom carries with it, 128 x 128."""
    from pydicom.data import get_testdata_file

    path = get_testdata_file("CT_small.dcm", download=False)
    assert path is not None
    return Path(str(path))


@pytest.fixture(scope="session")
def dicom_slice(ct_small: Path) -> Path:
    """A real CT slice: a chest slice of the real data, else pydicom's own."""
    slices = sorted((_data_folder() / "lung_ct" / "dicom").glob("*.dcm"))
    return slices[-1] if slices else ct_small


@pytest.fixture(scope="session")
def lung_patch(ct_small: Path) -> npt.NDArray[np.int16]:
    """A real 32 x 32 patch in Hounsfield units: lung with some structure, else a cut from pydicom's own slice."""
    file = _data_folder() / "lung_ct" / "lung_roi32_hu.npz"
    if file.is_file():
        with np.load(file) as archive:
            patches = archive["patches"]
        spread = patches.std(axis=(1, 2))
        patch: npt.NDArray[np.int16] = patches[int(np.argsort(spread)[len(spread) * 9 // 10])]
        return patch
    import pydicom

    dataset: Any = pydicom.dcmread(ct_small)
    stored = dataset.pixel_array.astype(np.int32)[48:80, 48:80]
    return np.asarray(stored * int(dataset.RescaleSlope) + int(dataset.RescaleIntercept), np.int16)


@pytest.fixture
def lung_patch_tiff(tmp_path: Path, lung_patch: npt.NDArray[np.int16]) -> Path:
    """The patch as a signed 16-bit TIFF in Hounsfield units."""
    import tifffile

    path = tmp_path / "lung_patch.tif"
    tifffile.imwrite(path, lung_patch)
    return path


@pytest.fixture
def lung_patch_png(tmp_path: Path, lung_patch: npt.NDArray[np.int16]) -> Path:
    """The patch as an 8-bit PNG, shown with the lung window (level -600, width 1500)."""
    from PIL import Image

    grey = np.clip((lung_patch.astype(np.float64) + 600) / 1500 + 0.5, 0, 1)
    path = tmp_path / "lung_patch.png"
    Image.fromarray(np.rint(255 * grey).astype(np.uint8)).save(path)
    return path
