"""Names of any script: drawn where a font has them, else written as codes, and never two alike."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from desali.figures.drawing import fonts
from desali.figures.drawing.grid import save
from desali.figures.drawing.panel import Bars, Column, Grid, Panel
from desali.figures.drawing.text import drawable, plain_text, width, wrap

SIGN = "\U00012000"
"""A cuneiform sign, which only the font of these tests has."""
OTHER = "\U00012001"


@pytest.fixture
def font(tmp_path: Path) -> Iterator[str]:
    """A font on this machine with one character, a square."""
    from fontTools.fontBuilder import FontBuilder
    from fontTools.pens.ttGlyphPen import TTGlyphPen
    from matplotlib.font_manager import fontManager

    pen = TTGlyphPen(None)
    for k, point in enumerate([(0, 0), (0, 800), (800, 800), (800, 0)]):
        (pen.moveTo if k == 0 else pen.lineTo)(point)
    pen.closePath()
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder([".notdef", "square"])
    builder.setupCharacterMap({ord(SIGN): "square"})
    builder.setupGlyf({".notdef": TTGlyphPen(None).glyph(), "square": pen.glyph()})
    builder.setupHorizontalMetrics({".notdef": (500, 0), "square": (900, 0)})
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "A Square", "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(tmp_path / "square.ttf")
    known = list(fontManager.ttflist)
    forget()
    fontManager.addfont(tmp_path / "square.ttf")
    yield "A Square"
    fontManager.ttflist[:] = known
    forget()


def forget() -> None:
    for cached in (fonts.has_glyph, fonts._others, fonts._glyphs, width):
        cached.cache_clear()
    fonts._found.clear()


def test_a_font_of_this_machine_draws_what_the_first_one_lacks(font: str) -> None:
    assert drawable(f"a{SIGN}") == f"a{SIGN}"
    assert fonts.family() == ["DejaVu Sans", font]
    assert width(SIGN * 3, 10) == pytest.approx(3 * width(SIGN, 10), rel=0.1)


def test_what_no_font_has_is_written_as_its_code(font: str) -> None:
    assert drawable(f"a{OTHER}") == "a<U+12001>"
    assert drawable(drawable(f"a{OTHER}")) == "a<U+12001>"
    assert fonts.family() == ["DejaVu Sans"]


@pytest.mark.parametrize("hidden", ["\u200b", "\ufeff", "\u202e", "\u00a0", "\t", "\x07", "\u2028", "\u00ad"])
def test_what_nobody_sees_is_written_too(hidden: str) -> None:
    assert drawable(f"a{hidden}b") == f"a<U+{ord(hidden):04X}>b"


@given(st.text(max_size=12), st.text(max_size=12))
@settings(max_examples=200, deadline=None)
def test_two_names_never_become_one(one: str, other: str) -> None:
    assert (drawable(one) == drawable(other)) == (one == other)
    assert drawable(drawable(one)) == drawable(one)


def test_a_figure_with_names_of_all_scripts_is_drawn_without_a_warning(
    tmp_path: Path, font: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: list[logging.LogRecord] = []
    monkeypatch.setattr(logging.getLogger("matplotlib.font_manager"), "callHandlers", logged.append)
    names = ["肺炎", "肺結核", "легкое", "riñón", "😀", SIGN, OTHER, "$x$", r"$\frac{a$", "a\u200bb", "ab"]
    picture = Panel(np.zeros((8, 8)), "caption 肺", "input")
    bars = Bars(names[:7], [0.1 * k for k in range(7)], 2, "outputs")
    rows = [f"row\n{name}" for name in names]
    columns = [Column("肺炎"), Column("x")]
    grid = Grid(rows, columns, [[picture, bars]] * len(names), f"title {names}", "footnote 肺炎")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for suffix in ("png", "svg", "pdf"):
            save(grid, tmp_path / f"a.{suffix}", 60)
    assert (tmp_path / "a.pdf").stat().st_size > 1000
    assert not logged
    assert len({tuple(wrap(name, 1000, 8)) for name in names}) == len(names)


def test_text_of_plots_is_no_mathematics(tmp_path: Path, font: str) -> None:
    from matplotlib.figure import Figure

    with warnings.catch_warnings(), plain_text([SIGN]):
        warnings.simplefilter("error")
        figure = Figure()
        axis = figure.subplots()
        axis.set_xticks([0, 1, 2], [r"$\frac{a$", SIGN, drawable("肺")])
        axis.plot([0], [0], label="$x$")
        axis.legend()
        figure.savefig(tmp_path / "a.png")
