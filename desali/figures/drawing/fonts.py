"""Which font draws a character: the one that ships with matplotlib, else one on this machine that has it."""

from __future__ import annotations

import logging
from functools import lru_cache

from desali.figures.drawing.faces import knows

FAMILY = "DejaVu Sans"  # ships with matplotlib, so figures look the same everywhere
PREFERRED = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans CJK KR", "Noto Sans CJK TC", "Noto Sans SC", "Noto Sans JP",
    "Source Han Sans", "Source Han Sans SC", "WenQuanYi Zen Hei", "WenQuanYi Micro Hei", "Droid Sans Fallback",
    "PingFang SC", "Hiragino Sans", "Microsoft YaHei", "Yu Gothic", "Malgun Gothic", "IPAGothic", "Arial Unicode MS",
    "Noto Sans",
)  # fmt: skip
"""Families that are asked first, in this order; then all others by name."""
USELESS = ("Last Resort", "Emoji", "STIX", "Symbol", "Wingdings", "Webdings", "cm", "Adobe Blank", "Unifont")
"""Beginnings or parts of the names of fonts whose glyphs say nothing, are no letters, or cannot be drawn in black."""

_found: list[str] = []
"""Families besides `FAMILY` that had a character that was asked for, in that order."""


def family() -> list[str]:
    """The families that text is drawn in; of each character the first that has it is taken."""
    return [FAMILY, *_found]


@lru_cache(maxsize=65536)
def has_glyph(character: str) -> bool:
    """Whether a character can be drawn and seen; the font that can do it is then among `family()`."""
    if not character.isprintable():  # spaces of other kinds, zero width, control
        return False
    number = ord(character)
    if knows(character) or number in _own():
        return True
    for name, path in _others():
        if number in _glyphs(path):
            if name not in _found:
                logging.getLogger("matplotlib.font_manager").addFilter(_says_more)
                _found.append(name)
            return True
    return False


def _says_more(record: logging.LogRecord) -> bool:
    """Whether a line of matplotlib's log is more than that a font has no bold cut: the ordinary one is then drawn."""
    return "font weight" not in str(record.msg)


@lru_cache(maxsize=1)
def _own() -> frozenset[int]:
    from matplotlib.font_manager import findfont, get_font

    return frozenset(get_font(findfont(FAMILY)).get_charmap())


@lru_cache(maxsize=1)
def _others() -> list[tuple[str, str]]:
    """Family and file of the upright fonts of ordinary weight on this machine, the preferred ones first."""
    from matplotlib.font_manager import fontManager, weight_dict

    found: dict[str, str] = {}
    for font in fontManager.ttflist:
        weight = font.weight if isinstance(font.weight, int) else weight_dict.get(str(font.weight), 0)
        if weight == 400 and font.style == "normal" and font.name != FAMILY:
            found.setdefault(font.name, font.fname)
    useful = [name for name in found if not any(word in name for word in USELESS)]
    order = {name: place for place, name in enumerate(PREFERRED)}
    return [(name, found[name]) for name in sorted(useful, key=lambda name: (order.get(name, len(order)), name))]


@lru_cache(maxsize=64)
def _glyphs(path: str) -> frozenset[int]:
    """The characters that a font has; none for a font that is damaged or of fixed sizes."""
    from matplotlib.font_manager import get_font

    try:
        font = get_font(path)
        return frozenset(font.get_charmap()) if font.scalable else frozenset()
    except Exception:  # RuntimeError, OSError, ... of a font that FreeType does not take
        return frozenset()
