"""Text that fits: measured and wrapped before it is drawn, so that labels never overlap."""

from __future__ import annotations

from functools import lru_cache

FAMILY = "DejaVu Sans"  # ships with matplotlib, so figures look the same everywhere
SAFETY = 1.08  # hinting at the output's resolution widens a line, at 90 pixels an inch by up to 7 per cent
LEADING = 1.25  # line height over font size
ELLIPSIS = "…"


@lru_cache(maxsize=1)
def _glyphs() -> frozenset[int]:
    from matplotlib.font_manager import findfont, get_font

    return frozenset(get_font(findfont(FAMILY)).get_charmap())


def drawable(text: str) -> str:
    """The text with each character that the font lacks (a file name may hold any) replaced by U+FFFD."""
    return "".join(c if c.isspace() or ord(c) in _glyphs() else "\N{REPLACEMENT CHARACTER}" for c in text)


@lru_cache(maxsize=4096)
def width(text: str, size: float, weight: str = "normal") -> float:
    """Width of one line of text in points, with a little to spare."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(family=FAMILY, size=size, weight=weight)
    return float(text_to_path.get_text_width_height_descent(text, font, ismath=False)[0]) * SAFETY


def wrap(text: str, room: float, size: float, *, weight: str = "normal", max_lines: int | None = None) -> list[str]:
    """Break text at spaces, and words that are too long anywhere, into lines of at most `room` points.

    Given line breaks stay; characters without a glyph are replaced. Beyond `max_lines` the last line ends in an
    ellipsis. An empty text has no lines.
    """
    lines: list[str] = []
    for paragraph in drawable(text).splitlines():
        line = ""
        for word in paragraph.split():
            joined = f"{line} {word}" if line else word
            if width(joined, size, weight) <= room:
                line = joined
                continue
            if line:
                lines.append(line)
            *full, line = _chop(word, room, size, weight)
            lines.extend(full)
        lines.append(line)
    while lines and not lines[-1]:
        lines.pop()
    if max_lines is not None and len(lines) > max_lines:
        last = lines[max_lines - 1]
        while last and width(last + ELLIPSIS, size, weight) > room:
            last = last[:-1]
        lines = [*lines[: max_lines - 1], last.rstrip() + ELLIPSIS]
    return lines


def _chop(word: str, room: float, size: float, weight: str) -> list[str]:
    """A word in pieces of at most `room` points, at least one character each; best after a dot, slash or underscore."""
    pieces = [""]
    for character in word:
        if pieces[-1] and width(pieces[-1] + character, size, weight) > room:
            cut = max(pieces[-1].rfind(mark) for mark in "._/-") + 1 or len(pieces[-1])
            pieces[-1:] = [pieces[-1][:cut], pieces[-1][cut:]]
            if pieces[-1] and width(pieces[-1] + character, size, weight) > room:
                pieces.append("")
        pieces[-1] += character
    return pieces
