"""Text that fits: measured and wrapped before it is drawn, so that labels never overlap."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache

from desali.figures.drawing import faces
from desali.figures.drawing.fonts import family as family
from desali.figures.drawing.fonts import has_glyph

SAFETY = 1.08  # hinting at the output's resolution widens a line, at 90 pixels an inch by up to 7 per cent
LEADING = 1.25  # line height over font size
ELLIPSIS = "…"


def drawable(text: str) -> str:
    """The text as it can be drawn, and so that no two texts look alike; a text that was made so stays as it is.

    A character that no font has, or that nobody would see (zero width, control, another space), is written as its
    code, <U+80BA>. Line breaks stay.
    """
    return "".join(c if c in " \n" or has_glyph(c) else f"<U+{ord(c):04X}>" for c in text)


@contextmanager
def plain_text(texts: Iterable[str] = ()) -> Iterator[None]:
    """While a figure is made: text is drawn as it is written, dollar signs too, in whatever font has its characters.

    Args:
        texts: that will be drawn.
    """
    from matplotlib import rc_context

    for text in texts:
        drawable(text)  # finds the fonts
    with rc_context({"font.family": family(), "text.parse_math": False}):
        yield


def own_font(texts: Iterable[str]) -> bool:
    """Whether the font that ships with matplotlib surely has every character of texts."""
    return all(map(faces.knows, set("".join(texts)) - {"\n"}))


@lru_cache(maxsize=4096)
def width(text: str, size: float, weight: str = "normal") -> float:
    """Width of one line of text in points, with a little to spare."""
    if own_font([text]):
        return faces.width(text, weight) * size * SAFETY
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(family=family(), size=size, weight=weight)
    return float(text_to_path.get_text_width_height_descent(text, font, ismath=False)[0]) * SAFETY


def wrap(text: str, room: float, size: float, *, weight: str = "normal", max_lines: int | None = None) -> list[str]:
    """Break text at spaces, and words that are too long anywhere, into lines of at most `room` points.

    Given line breaks stay; characters without a glyph are written as codes. Beyond `max_lines` the last line ends in
    an ellipsis. An empty text has no lines.
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
