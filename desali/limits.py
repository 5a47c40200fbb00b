"""What a file may ask for at most, in one place: beyond it the file is refused before the memory or the time is spent.

Every limit is raised by the environment variable of its name, which is what a message says.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from desali.errors import DesaliError


@dataclass(frozen=True)
class Limit:
    """One limit.

    Attributes:
        variable: the environment variable that raises it.
        default: the most that is accepted without it.
        unit: what is counted, in words.
        what: where it applies.
    """

    variable: str
    default: int
    unit: str
    what: str

    @property
    def value(self) -> int:
        """The limit that holds now.

        Raises:
            DesaliError: the environment variable is no whole number of at least 1.
        """
        text = os.environ.get(self.variable, "")
        if not text:
            return self.default
        if not (text.isascii() and text.isdigit() and len(text) < 19 and int(text)):
            raise DesaliError(
                f"{self.variable}={text[:40]}: expected a whole number of {self.unit} above 0, for instance "
                f"{self.default}"
            )
        return int(text)

    def exceeded(self, count: int) -> str:
        """What a message says of a file that asks for `count`; "" if that is within the limit."""
        if count <= (most := self.value):
            return ""
        return f"{amount(count)} {self.unit}, more than the {amount(most)} accepted; {self.variable}=NUMBER raises that"


def amount(count: int) -> str:
    """A count for a message: whole to nine digits, else in powers of ten."""
    if count < 10**9:
        return str(count)
    digits = str(count) if count < 10**30 else ""
    return f"{count:.2e}" if digits else "more than 1e30"


IMAGE_PIXELS = Limit("DESALI_MAX_PIXELS", 2**26, "pixels", "one image, decoded")
IMAGE_BYTES = Limit("DESALI_MAX_IMAGE_BYTES", 2**30, "bytes", "one image file, and what it holds when unpacked")
ARRAY_BYTES = Limit("DESALI_MAX_ARRAY_BYTES", 2**36, "bytes", "all arrays of one .npz or .npy file, unpacked")
EXPANSION = Limit(
    "DESALI_MAX_EXPANSION", 2000, "times its size", "a compressed file that unpacks to more than 64 MiB"
)  # deflate reaches 1032
WEIGHTS_BYTES = Limit("DESALI_MAX_WEIGHTS_BYTES", 2**36, "bytes", "one weights file, and what it unpacks to")
TEXT_BYTES = Limit("DESALI_MAX_TEXT_BYTES", 2**28, "bytes", "a text file: JSON, TOML, CSV, contours, lists")
CONFIG_BYTES = Limit("DESALI_MAX_CONFIG_BYTES", 2**20, "bytes", "a configuration in TOML")
CELL_CHARACTERS = Limit("DESALI_MAX_CELL", 2**17, "characters", "one cell of a table")
NESTING = Limit("DESALI_MAX_NESTING", 100, "levels", "objects in objects, of JSON and TOML")
DIGITS = Limit("DESALI_MAX_DIGITS", 300, "digits", "one integer of JSON, TOML or a table")
POINTS = Limit("DESALI_MAX_POINTS", 10**6, "points", "one contour")
PATTERN_SECONDS = Limit("DESALI_MAX_PATTERN_SECONDS", 20, "seconds", "a regular expression, over all paths of a set")

LIMITS = (
    IMAGE_PIXELS, IMAGE_BYTES, ARRAY_BYTES, EXPANSION, WEIGHTS_BYTES, TEXT_BYTES, CONFIG_BYTES, CELL_CHARACTERS,
    NESTING, DIGITS, POINTS, PATTERN_SECONDS,
)  # fmt: skip
SMALL = 2**26
"""Bytes up to which no file is suspected for how much it expands."""


def expands_too_much(unpacked: int, packed: int) -> str:
    """What a message says of a file of `packed` bytes that says it holds `unpacked`; "" if that can be."""
    if unpacked <= SMALL:
        return ""
    return EXPANSION.exceeded(-(-unpacked // max(packed, 1)))
