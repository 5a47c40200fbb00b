"""The fonts that ship with matplotlib, read without loading it: how wide their words are, and words as pixels."""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from desali.errors import DesaliError

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

Share = npt.NDArray[np.float32]
FILES = {
    ("normal", "normal"): "DejaVuSans.ttf",
    ("bold", "normal"): "DejaVuSans-Bold.ttf",
    ("normal", "italic"): "DejaVuSans-Oblique.ttf",
    ("bold", "italic"): "DejaVuSans-BoldOblique.ttf",
}
"""By weight and style."""
EM = 1000.0
"""Words are measured at so many pixels an em, where rounding to whole pixels does not show."""


def knows(character: str) -> bool:
    """Whether the font surely has a character: Latin letters and what the figures say; others have to be looked up."""
    return character.isprintable() and (ord(character) < 0x250 or character in "…−×±≥≤→ρ–—’“”≈Δ")


@lru_cache(maxsize=256)
def face(pixels: float, weight: str = "normal", style: str = "normal") -> FreeTypeFont:
    """A font of so many pixels an em."""
    from PIL import ImageFont

    spec = find_spec("matplotlib")
    if spec is None or not spec.submodule_search_locations:
        raise DesaliError("figures need matplotlib, whose fonts they are written in: pip install matplotlib")
    folder = Path(next(iter(spec.submodule_search_locations))) / "mpl-data" / "fonts" / "ttf"
    return ImageFont.truetype(str(folder / FILES[weight, style]), pixels, layout_engine=ImageFont.Layout.BASIC)


@lru_cache(maxsize=16384)
def _word(word: str, weight: str, style: str) -> float:
    return float(face(EM, weight, style).getlength(word)) / EM


def width(words: str, weight: str = "normal", style: str = "normal") -> float:
    """Width of a line of text in ems, as it is designed, without hinting."""
    parts = words.split(" ")
    return sum(_word(part, weight, style) for part in parts) + (len(parts) - 1) * _word(" ", weight, style)


@lru_cache(maxsize=256)
def above(pixels: float, weight: str, style: str) -> int:
    """Pixels from a line's top to its baseline: the height of an l."""
    return -int(face(pixels, weight, style).getbbox("lp", anchor="ls")[1])


@lru_cache(maxsize=4096)
def advance(word: str, pixels: float, weight: str, style: str) -> float:
    """Pixels that a word takes as it is drawn: every letter is fitted to whole pixels, which widens small sizes."""
    return float(face(pixels, weight, style).getlength(word))


@lru_cache(maxsize=4096)
def ink(word: str, pixels: float, weight: str, style: str) -> tuple[Share, int, int]:
    """The share of each pixel [h, w, 1] that a word covers, and where its left upper corner lies from the start of its
    baseline."""
    from PIL import Image, ImageDraw

    font = face(pixels, weight, style)
    left, top, right, bottom = (int(edge) for edge in font.getbbox(word, anchor="ls"))
    made = Image.new("L", (max(1, right - left), max(1, bottom - top)))
    ImageDraw.Draw(made).text((-left, -top), word, 255, font, anchor="ls")
    return np.asarray(made, np.float32)[..., None] / np.float32(255), left, top
