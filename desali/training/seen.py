"""Which images a stage has seen: it leaves their hashes beside its weights, and images can be asked against them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from desali.data.pseudonym import cannot_compare
from desali.errors import WeightsError
from desali.input.arrays import read_npy
from desali.models.checkpoint import WEIGHTS_NAME, read_card
from desali.output.files import write_bytes

if TYPE_CHECKING:
    from desali.data.imageset import ImageSet

SEEN_NAME = "images.npy"
STAGES = "stages"
Marks = npt.NDArray[np.uint64]


def marks(images: ImageSet) -> Marks:
    """The first eight bytes of each image's hash [n]: among a million images two agree by chance once in 37 million."""
    return np.array([int(one[:16], 16) for one in images.hashes()], np.uint64)


def write_seen(folder: Path, images: ImageSet) -> None:
    """Leave the marks of all images that a stage is trained on or selected by in its folder."""
    buffer = io.BytesIO()
    np.save(buffer, np.unique(marks(images)))
    write_bytes(folder / SEEN_NAME, buffer.getvalue())


def stages_behind(weights: Path) -> list[Path]:
    """The weights files of all stages that led to these weights, first to last, as far as they are still there.

    Args:
        weights: of a trained recipe, of a replicate or of a stage.
    """
    found: list[Path] = []
    card = read_card(weights)
    key = (card.get("stage") or {}).get("key")
    while key is not None:
        stage = _stage_file(weights, str(key))
        if stage is None and found:
            break
        found.append(stage or weights)
        key = (card if stage is None else read_card(stage)).get("parent")
    return found[::-1]


def _stage_file(weights: Path, key: str) -> Path | None:
    above = weights.resolve().parents
    folders = [above[1] / key] + [one / STAGES / key for one in above[1:3]]
    return next((one / WEIGHTS_NAME for one in folders if (one / WEIGHTS_NAME).is_file()), None)


def seen(images: ImageSet, stage: Path) -> str | None:
    """What the stage whose weights these are has seen of `images`, in words; None if nothing.

    Images count that were trained on and such that were held out to choose the epoch. The same pixels are found in any
    data set; other images of the same patients in the stage's own.

    Raises:
        WeightsError: its card is missing or broken.
    """
    card = read_card(stage)
    data = card.get("data") or {}
    known = _marks_of(stage.parent / SEEN_NAME)
    count = 0
    if known is not None:
        count = int(np.isin(marks(images), known).sum())
    elif data.get("fingerprint") == images.fingerprint:
        count = len(images)
    if count:
        return f"{count} of the {len(images)} images"
    if _same_data(data, images):
        shared = set(data.get("patient_names") or ()) & set(images.patients.tolist())
        if shared:
            unit = images.unit_of_split
            return f"other images of {len(shared)} of the {unit}s ({min(shared)}{', ...' if len(shared) > 1 else ''})"
    return None


def apart(images: ImageSet, stage: Path) -> str:
    """What to say where the patients of `images` and of a stage have pseudonyms that do not compare; "" else."""
    return cannot_compare((read_card(stage).get("data") or {}).get("parameters") or {}, images.parameters)


def keeps_marks(stage: Path) -> bool:
    """Whether the stage has left the marks of its images."""
    return (stage.parent / SEEN_NAME).is_file()


def _marks_of(file: Path) -> Marks | None:
    if not file.exists():
        return None
    found = read_npy(file, str(file), WeightsError, "delete it, or train the stage again")
    if found.dtype != np.uint64 or found.ndim != 1:
        raise WeightsError(f"{file}: holds no marks of images; delete it, or train the stage again")
    return found


def _same_data(data: dict[str, Any], images: ImageSet) -> bool:
    own, other = data.get("parameters", {}).get("path"), images.parameters.get("path")
    if own is not None and other is not None:
        return Path(str(own)).resolve() == Path(str(other)).resolve()
    return bool(data.get("name") == images.name)
