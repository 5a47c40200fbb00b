"""Data sets in the formats of the field: `read_images` is the way in, `READERS` says what there is.

A specification is resolved (`registry`), listed once by the reader's own module, and narrowed to the images that are
meant (`selection`, `finding`); only then is anything decoded (`decode`, `cache`). `check` looks through a set before a
long run.

Touch from outside: the names below, `reading.read_found`, `cache.ImageCache` and `check.check`.
"""

from __future__ import annotations

from desali.data.readers.finding import COMMON_OPTIONS, find_images
from desali.data.readers.reading import read_images
from desali.data.readers.registry import READERS, Reader, detect

__all__ = ["COMMON_OPTIONS", "READERS", "Reader", "detect", "find_images", "read_images"]
