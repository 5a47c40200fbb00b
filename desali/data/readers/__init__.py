"""Readers of data sets in the formats of the field; `read_images` is the way in, `READERS` says what there is."""

from __future__ import annotations

from desali.data.readers.finding import COMMON_OPTIONS, find_images
from desali.data.readers.reading import read_images
from desali.data.readers.registry import READERS, Reader, detect

__all__ = ["COMMON_OPTIONS", "READERS", "Reader", "detect", "find_images", "read_images"]
