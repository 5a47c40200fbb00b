"""The synthetic target as commands use it: drawn once, then mapped from the user's cache."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from desali.errors import DataError, OutputError

if TYPE_CHECKING:
    from desali.data.imageset import ImageSet
    from desali.data.readers.cache import Allocate
    from desali.data.readers.decode import Stacked
    from desali.data.synthetic.target_rois import Rois


def drawn_target(split: str, **arguments: Any) -> ImageSet:
    """`desali.data.synthetic.target_rois.target_part`, with pixels from the cache where they were drawn before.

    What was drawn by another version of the drawing code is never found again. Where the cache cannot be written,
    nothing is kept.
    """
    from desali.data.synthetic.target_rois import target_part

    return target_part(split, **arguments, rois=_rois)


def _rois(seed: int, split: str, counts: Mapping[str, int]) -> Rois:
    from desali.data.readers.cache import ImageCache
    from desali.data.readers.decode import Stacked
    from desali.data.synthetic.target_rois import draw_rois

    drawn: list[Rois] = []

    def build(allocate: Allocate) -> Stacked:
        images = draw_rois(seed, split, counts)
        drawn.append(images)
        kept = allocate(images.shape, images.dtype)
        kept[:] = images
        return Stacked(kept, "hu", list(range(len(images))), [])

    facts = json.dumps([_code(), seed, split, list(counts.items())])
    try:
        return ImageCache().get(hashlib.sha256(facts.encode()).hexdigest()[:32], build).images
    except (OutputError, DataError):  # no room, no right to write, or a limit of 0
        return drawn[0] if drawn else draw_rois(seed, split, counts)


@lru_cache(maxsize=1)
def _code() -> str:
    """SHA-256 of the code that draws."""
    import desali.data.synthetic as package

    digest = hashlib.sha256()
    for path in sorted(Path(str(package.__file__)).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
