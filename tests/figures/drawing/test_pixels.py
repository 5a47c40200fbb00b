"""PNG figures are drawn in pixels without matplotlib, and look as matplotlib draws them."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.font_manager import findfont, get_font
from PIL import Image

from desali.figures.drawing import faces, text
from desali.figures.drawing.colours import coloured, table
from desali.figures.drawing.fonts import FAMILY
from desali.figures.drawing.grid import Column, Grid, Panel, arrange, draw, pixels, save
from desali.figures.drawing.panel import Bars, Matrix, Words
from desali.figures.drawing.pixels import PixelCanvas
from desali.figures.drawing.png import write_png

RAMP = np.linspace(0, 1, 32 * 32).reshape(32, 32)


def grid(caption: str = "a = −0.00123", image: np.ndarray = RAMP) -> Grid:
    bars = Bars(["cat", "dog", "none of them"], [1.2, -0.4, 0.03], 1, "outputs")
    rows = [
        [Panel(image, caption), Panel(image, caption, "activation", boxes=((4, 4, 10, 12),)), bars],
        [Panel(image, "", "contrast"), Words("equal bit by bit to the one before", 2), None],
    ]
    matrix = Matrix("rank correlation", ["first"], ["second", "third"], [[0.9, -0.1]], {}, frozenset({(0, 0)}), "note")
    columns = [Column("input"), Column("activation", "model", "predicts cat"), Column("outputs", "model")]
    return Grid(
        ["conv1\nfeatures.conv1", "conv2"], columns, rows, "A title", "A footnote. " * 30, "A lead.", [matrix, None]
    )


def by_matplotlib(shown: Grid, dpi: int) -> np.ndarray:
    buffer = io.BytesIO()
    draw(shown, dpi).savefig(buffer, dpi=dpi, format="png", facecolor="white")
    return np.asarray(Image.open(buffer).convert("RGB")).astype(float)


@pytest.mark.parametrize("dpi", [72, 110, 150, 300])
def test_pixels_are_where_matplotlib_puts_them(tmp_path: Path, dpi: int) -> None:
    shown = grid()
    drawn = np.asarray(Image.open(save(shown, tmp_path / "a.png", dpi)).convert("RGB")).astype(float)
    other = by_matplotlib(shown, dpi)
    assert drawn.shape == other.shape
    layout = arrange(shown, dpi)
    left, top, side = (round(edge * dpi / 72) for edge in (layout.lefts[0], layout.tops[0], layout.side))
    inner = (slice(top + 4, top + side - 4), slice(left + 4, left + side - 4))
    assert np.abs(drawn[inner] - other[inner]).mean() < 2.5  # the same pixels of the panel, give or take a row
    blurred = [np.asarray(Image.fromarray(a.astype(np.uint8)).reduce(8)).astype(float) for a in (drawn, other)]
    assert np.abs(blurred[0] - blurred[1]).mean() < 1.0  # the same grey of every piece of text


def test_large_images_are_averaged_alike(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).random((300, 300, 3))
    drawn = np.asarray(Image.open(save(grid(image=noise), tmp_path / "a.png", 100)).convert("RGB")).astype(float)
    layout = arrange(grid(image=noise), 100)
    left, top, side = (round(edge * 100 / 72) for edge in (layout.lefts[0], layout.tops[0], layout.side))
    inner = (slice(top + 4, top + side - 4), slice(left + 4, left + side - 4))
    other = by_matplotlib(grid(image=noise), 100)[inner]
    assert abs(drawn[inner].mean() - other.mean()) < 1
    assert 0.7 < drawn[inner].std() / other.std() < 1.4


def test_nothing_of_matplotlib_is_loaded_for_a_png(tmp_path: Path) -> None:
    code = (
        "import sys; import numpy as np; from desali.figures.drawing.grid import Column, Grid, Panel, save\n"
        "kinds = ['input', 'activation', 'contrast']\n"
        "panels = [[Panel(np.ones((4, 4)), 'a ± 1 × 2', kind) for kind in kinds]]\n"
        f"save(Grid(['r'], [Column('c')] * 3, panels, 'title'), {str(tmp_path / 'a.png')!r})\n"
        "print(sorted(name for name in sys.modules if name.startswith(('matplotlib', 'scipy', 'torch'))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("cmap", ["viridis", "RdBu_r", "magma"])
def test_colour_maps_are_matplotlibs(cmap: str) -> None:
    own = matplotlib.colormaps[cmap](np.arange(256), bytes=True)[:, :3]
    assert np.array_equal(table(cmap), own)
    values = np.linspace(0, 1, 1001)[None]
    assert np.array_equal(coloured(values, cmap)[0], matplotlib.colormaps[cmap](values[0], bytes=True)[:, :3])


def test_greys_and_colours_are_their_values() -> None:
    levels = np.arange(256).reshape(16, 16) / 255
    assert np.array_equal(coloured(levels, "gray")[..., 1], np.arange(256).reshape(16, 16))
    colours = np.stack([levels, levels[::-1], 1 - levels], -1)
    assert np.array_equal(coloured(colours, "gray"), np.rint(colours * 255))


def test_what_the_font_is_said_to_have_it_has() -> None:
    for file in faces.FILES.values():
        charmap = get_font(findfont(FAMILY).replace("DejaVuSans.ttf", file)).get_charmap()
        for number in range(0x2E80):
            assert not faces.knows(chr(number)) or number in charmap, (file, hex(number))


def test_other_characters_are_left_to_matplotlib(tmp_path: Path) -> None:
    assert pixels(grid("肺 <tag>")) is None
    assert pixels(grid("plain")) is not None
    assert save(grid("肺"), tmp_path / "a.png").stat().st_size > 0


@given(st.text(alphabet="abcWMil. _-$^{}\\é×0123456789", min_size=1, max_size=60), st.sampled_from([5.6, 6.3, 7.5, 11]))
def test_text_is_as_wide_as_matplotlib_measures_it(words: str, size: float) -> None:
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    for weight in ("normal", "bold"):
        font = FontProperties(family=FAMILY, size=size, weight=weight)
        own = text_to_path.get_text_width_height_descent(words, font, ismath=False)[0]
        assert text.width(words, size, weight) == pytest.approx(own * text.SAFETY, rel=0.03, abs=0.25 * size)


def test_text_stands_where_it_should() -> None:
    for ha, low, high in (("left", 60, 62), ("right", 0, 61), ("center", 20, 100)):
        canvas = PixelCanvas(120, 40, 72)
        canvas.write(60, 10, "word here", 10, ha=ha)
        dark = canvas._page[..., 0] < 128
        columns, rows = np.flatnonzero(dark.any(0)), np.flatnonzero(dark.any(1))
        assert low <= columns[0] <= columns[-1]
        assert ha == "left" or columns[-1] <= high
        assert 9 <= rows[0] <= rows[-1] <= 20
        assert ha != "center" or abs((columns[0] + columns[-1]) / 2 - 60) <= 1.5
        assert ha != "left" or columns[0] <= high


def test_lines_and_frames_are_sharp() -> None:
    canvas = PixelCanvas(40, 40, 72)
    canvas.line((5, 10), (30, 10), "#000000", 0.5)
    canvas.frame(5, 20, 20, 10, "#000000", 1.0)
    canvas.fill(30, 30, 5, 5, "#ff0000")
    page = canvas._page.astype(int)
    assert abs(page[10, 10, 0] - 128) <= 1  # half a pixel
    assert page[9, 10, 0] == page[11, 10, 0] == 255
    assert (page[20, 5:26, 0] == 0).all()
    assert (page[20:31, 5, 0] == 0).all()
    assert page[25, 15, 0] == 255
    assert (page[30:35, 30:35] == [255, 0, 0]).all()


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 200), (130, 7)])
def test_png_files_hold_their_pixels(tmp_path: Path, height: int, width: int) -> None:
    page = np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)
    write_png(tmp_path / "page.png", page, 110)
    with Image.open(tmp_path / "page.png") as read:
        read.verify()
    with Image.open(tmp_path / "page.png") as read:
        assert read.mode == "RGB"
        assert read.info["dpi"] == pytest.approx((110, 110), abs=0.02)
        assert np.array_equal(np.asarray(read), page)
