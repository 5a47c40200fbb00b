"""Masks of slices: NIfTI volumes through nibabel, DICOM segmentations through highdicom; both are optional."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from desali.data.formats.recognise import DICOM, NIFTI, format_of_file
from desali.data.rois.slices import Slice, Slices
from desali.errors import DataError
from desali.input.files import refuse_special
from desali.limits import ARRAY_BYTES, expands_too_much

SUFFIXES = (".nii", ".nii.gz")
NEAR = 0.6
"""A slice is in a NIfTI volume if its middle lies within so many voxels of one of the volume's."""


@dataclass(frozen=True, eq=False)
class Mask:
    """Where one label lies on one slice, bool [h, w], and the file that says so."""

    slice: Slice
    label: str
    pixels: npt.NDArray[np.bool_]
    where: Path


def is_mask(path: Path) -> bool:
    """Whether a file is a NIfTI volume or a DICOM file, by content or name."""
    return path.name.lower().endswith(SUFFIXES) or format_of_file(path) in (DICOM, NIFTI)


def read_masks(path: Path, slices: Slices, names: Mapping[int, str]) -> list[Mask]:
    """The masks of a file, slice by slice in order; those without a pixel are left out.

    Args:
        names: of the values (NIfTI) or segments (DICOM) that are used; empty for all, by number or by their own label.

    Raises:
        DataError: a package is missing; not readable; about other images; or no pixel of a label.
    """
    read = _segmentation if format_of_file(path) == DICOM else _nifti
    found = [mask for mask in read(path, slices, names) if mask.pixels.any()]
    if not found:
        asked = f" of the labels {', '.join(names.values())}" if names else ""
        raise DataError(
            f"{path}: holds no pixel{asked} on the images below {slices.root}; check that they belong together"
        )
    return found


def _nifti(path: Path, slices: Slices, names: Mapping[int, str]) -> Iterator[Mask]:
    try:
        import nibabel
    except ImportError:
        raise DataError(f"{path}: reading NIfTI needs nibabel: pip install 'desali[nifti]'") from None
    loaded: Any
    try:
        refuse_special(path, "a mask", DataError)
        loaded = nibabel.load(path)
        too_large = ARRAY_BYTES.exceeded(8 * math.prod(map(int, loaded.shape))) or expands_too_much(
            8 * math.prod(map(int, loaded.shape)), 16 * path.stat().st_size
        )  # gzip, and integers of one byte that become eight
        if too_large:
            raise DataError(f"{path}: a volume of {' x '.join(map(str, loaded.shape))} that takes {too_large}")
        volume = np.asarray(loaded.dataobj)
        affine = np.asarray(loaded.affine, np.float64)
        inverse = np.asarray(np.linalg.inv(affine), np.float64)
    except DataError:
        raise
    except Exception as error:
        raise DataError(f"{path}: the NIfTI file is truncated or damaged ({type(error).__name__}); copy it") from error
    volume = (
        volume.reshape(volume.shape[:3]) if volume.ndim > 3 and volume.size == np.prod(volume.shape[:3]) else volume
    )
    if volume.ndim != 3:
        raise DataError(f"{path}: NIfTI of {' x '.join(map(str, volume.shape))}; expected one volume of labels")
    if volume.dtype.kind == "f" and not np.array_equal(volume, np.rint(volume)):
        raise DataError(f"{path}: holds fractions, expected whole numbers as labels; threshold the mask before")
    for one, labels in _on_slices(path, slices, np.rint(volume).astype(np.int64), inverse):
        for value in np.unique(labels[labels > 0]).tolist():
            name = names.get(value) if names else str(value)
            if name is not None:
                yield Mask(one, name, labels == value, path)


def _on_slices(
    path: Path, slices: Slices, volume: npt.NDArray[np.int64], inverse: npt.NDArray[np.float64]
) -> Iterator[tuple[Slice, npt.NDArray[np.int64]]]:
    """The labels [h, w] on each slice that the volume covers: by position, or by order where none is known."""
    placed = [one for series in slices.series() for one in series if one.corner is not None and one.spacing is not None]
    if placed:
        for one in placed:
            index = _voxels(one, inverse)
            near = np.rint(index).astype(np.int64)
            middle = index[one.shape[0] // 2, one.shape[1] // 2]
            thin = int(np.abs(inverse[:3, :3] @ np.cross(*_directions(one))).argmax())  # the axis along the normal
            if not -NEAR < middle[thin] < volume.shape[thin] - 1 + NEAR:
                continue
            inside = np.asarray(((near >= 0) & (near < np.array(volume.shape))).all(-1))
            near = np.where(inside[..., None], near, 0)
            yield one, np.where(inside, volume[near[..., 0], near[..., 1], near[..., 2]], 0)
        return
    (series, *others) = slices.series()
    expected = (len(series), *series[0].shape)
    got = (volume.shape[2], volume.shape[1], volume.shape[0])
    if others or got != expected or any(one.shape != series[0].shape for one in series):
        raise DataError(
            f"{path}: {got[0]} slices of {got[1]} x {got[2]} pixels for {len(slices.all)} images without positions, "
            f"the first of {expected[1]} x {expected[2]}; expected one folder of as many images of that size, in the "
            "order of their names, or DICOM files"
        )
    for number, one in enumerate(series):
        yield one, volume[:, :, number].T


def _directions(one: Slice) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Along a row and along a column, in NIfTI's millimetres (right, anterior, superior)."""
    assert one.corner is not None
    flip = np.array([-1.0, -1.0, 1.0])
    return one.corner[1] * flip, one.corner[2] * flip


def _voxels(one: Slice, inverse: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The volume's index of every pixel [h, w, 3]; DICOM's first two axes point the other way than NIfTI's."""
    assert one.corner is not None
    assert one.spacing is not None
    along, down = _directions(one)
    start = one.corner[0] * np.array([-1.0, -1.0, 1.0])
    rows, columns = np.arange(one.shape[0])[:, None, None], np.arange(one.shape[1])[None, :, None]
    points = start + one.spacing * (columns * along + rows * down)
    return np.asarray(points @ inverse[:3, :3].T + inverse[:3, 3])


def _segmentation(path: Path, slices: Slices, names: Mapping[int, str]) -> Iterator[Mask]:
    try:
        import highdicom
    except ImportError:
        raise DataError(f"{path}: reading a DICOM SEG needs highdicom: pip install 'desali[seg]'") from None
    known = {one.uid: one for one in slices.all if one.uid}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = highdicom.seg.segread(path)
            numbers = list(found.segment_numbers)
            labels = {number: str(found.get_segment_description(number).segment_label) for number in numbers}
            sources = [str(ids[2]) for ids in found.get_source_image_uids()]
        except Exception as error:
            raise DataError(
                f"{path}: no readable DICOM SEG ({type(error).__name__}); expected boxes (.csv, .json, .xml), NIfTI or "
                "a segmentation in DICOM"
            ) from error
        there = [known[uid] for uid in sources if uid in known]
        if not there:
            raise DataError(
                f"{path}: segments {len(sources)} images, none of them below {slices.root}; name its series' folder"
            )
        there.sort(key=lambda one: (one.series, one.height, one.name))
        for number in numbers:
            name = names.get(number) if names else labels[number].strip() or str(number)
            if name is None:
                continue
            try:
                pixels = found.get_pixels_by_source_instance(
                    source_sop_instance_uids=[one.uid for one in there],
                    segment_numbers=[number],
                    ignore_spatial_locations=True,
                    assert_missing_frames_are_empty=True,
                )
            except Exception as error:
                raise DataError(
                    f"{path}: its frames do not fit their images ({type(error).__name__}); expected a segmentation on "
                    "the pixels of its series"
                ) from error
            for one, mask in zip(there, np.asarray(pixels)[..., 0] > 0, strict=True):
                if mask.shape != one.shape:
                    raise DataError(
                        f"{path}: masks of {mask.shape} pixels for images of {one.shape}; expected the same"
                    )
                yield Mask(one, name, mask, path)
