from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.transforms import Bbox
from PIL import Image

from desali.errors import DataError, OutputError, UnknownNameError
from desali.figures.drawing import text
from desali.figures.drawing.grid import Column, Grid, Panel, arrange, draw, save
from desali.figures.drawing.panel import Bars, Matrix

RAMP = np.linspace(0, 1, 32 * 32).reshape(32, 32)


def comparison(rows: int = 3, caption: str = "a = −0.00123", label: str = "features.11\n256 × 13 × 13") -> Grid:
    """The shape of `desali compare`: an input, four models with two columns each, two controls."""
    columns = [Column("ROI", "input")]
    for model in ("scratch", "texture", "natural", "two_stage"):
        columns += [Column("activation", model), Column("reconstruction", model)]
    columns += [Column("random weights", "controls"), Column("edge detector", "controls")]
    kinds = ["input", *["activation", "reconstruction"] * 4, "control", "control"]
    panels = [[Panel(RAMP, caption, kind) for kind in kinds] for _ in range(rows)]
    return Grid([label] * rows, columns, panels, "Four models, one ROI", "synthetic data; not a medical device " * 6)


def text_boxes(grid: Grid, dpi: int) -> tuple[list[tuple[str, Bbox]], Bbox]:
    figure = draw(grid, dpi)
    renderer = FigureCanvasAgg(figure).get_renderer()
    boxes = [(t.get_text(), t.get_window_extent(renderer)) for t in figure.axes[0].texts if t.get_text()]
    return boxes, figure.bbox


def assert_legible(grid: Grid, dpi: int = 150) -> None:
    """All text inside the page, and no two pieces of it overlap by more than a pixel."""
    boxes, page = text_boxes(grid, dpi)
    for i, (one, a) in enumerate(boxes):
        assert page.x0 <= a.x0, one
        assert a.x1 <= page.x1, one
        assert page.y0 <= a.y0, one
        assert a.y1 <= page.y1, one
        for other, b in boxes[i + 1 :]:
            overlap = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
            assert min(overlap) <= 1.0 + 1e-6, (one, other, overlap)


@pytest.mark.parametrize("dpi", [72, 150, 300])
def test_no_text_overlaps_in_the_comparison_figure(dpi: int) -> None:
    assert_legible(comparison(), dpi)


words = st.text(alphabet="abcWM. _-$^{}\\é×", max_size=60)


@settings(max_examples=20, deadline=None)
@given(words, words, words, st.integers(1, 12))
def test_no_text_overlaps_whatever_the_labels(label: str, heading: str, caption: str, columns: int) -> None:
    row = [Panel(RAMP, caption, "reconstruction")] * columns
    grid = Grid([label] * 2, [Column(label, heading)] * columns, [row, row], heading, caption)
    assert_legible(grid)


@example("MMMMMMMMMMMMMM", "", 5, 1.0, False)  # the marked bar's name and number are bold
@given(words, words, st.integers(2, 9), st.floats(-1, 1), st.booleans())
def test_no_text_of_tables_and_bars_overlaps(name: str, caption: str, count: int, value: float, noted: bool) -> None:
    names = [f"{name}{k}" for k in range(count)]
    values = [[value if column >= row else None for column in range(count - 1)] for row in range(count - 1)]
    matrix = Matrix("rank correlation", names[:-1], names[1:], values, {(0, 0): "equal"}, frozenset({(0, 0)}),
                    caption if noted else "")  # fmt: skip
    bars = Bars(names[:7], [value * 20 - k for k in range(len(names[:7]))], 0, caption)
    row = [bars, Panel(RAMP, caption, "contrast")] * max(2, count - 1)
    lead = caption if noted else ""
    grid = Grid(["row"] * 2, [Column("x", "y")] * len(row), [row, row], "title", "foot", lead, [matrix, None])
    assert_legible(grid)


def test_the_comparison_is_a_screen_wide_and_its_panels_are_equal_squares() -> None:
    grid = comparison()
    layout = arrange(grid)
    assert 1780 <= layout.width / 72 * 150 <= 1810
    extents = [image.get_extent() for image in draw(grid).axes[0].images[: 3 * 11]]
    sides = {round(side * 150 / 72, 6) for x0, x1, y1, y0 in extents for side in (x1 - x0, y1 - y0)}
    assert len(sides) == 1
    assert layout.side * 150 / 72 >= 120


def test_panels_are_nearest_neighbour_pixels_on_the_page(tmp_path: Path) -> None:
    board = np.indices((4, 4)).sum(0) % 2 * 1.0
    grid = Grid([""], [Column("")], [[Panel(board)]])
    path = save(grid, tmp_path / "board.png", dpi=100)
    page = np.asarray(Image.open(path).convert("L")).astype(int)
    layout = arrange(grid, 100)
    left, top, side = (round(v * 100 / 72) for v in (layout.lefts[0], layout.tops[0], layout.side))
    centres = [round(side * (i + 0.5) / 4) for i in range(4)]
    np.testing.assert_array_equal([[page[top + y, left + x] for x in centres] for y in centres], board * 255)
    inner = page[top + 3 : top + side - 3, left + 3 : left + side - 3]
    assert np.isin(inner, (0, 255)).all(), "a blend of neighbours is not nearest-neighbour"


def test_the_same_grid_gives_the_same_bytes_in_every_format(tmp_path: Path) -> None:
    grid = comparison(rows=1)
    for suffix, magic in ((".png", b"\x89PNG"), (".pdf", b"%PDF"), (".svg", b"<?xml")):
        first = save(grid, tmp_path / f"one{suffix}").read_bytes()
        assert first.startswith(magic)
        assert save(grid, tmp_path / "sub" / f"two{suffix}").read_bytes() == first


def test_a_failed_save_leaves_no_file(tmp_path: Path) -> None:
    for name, dpi in (("figure.gif", 150), ("figure", 150), ("figure.png", 5)):
        with pytest.raises(OutputError):
            save(comparison(1), tmp_path / name, dpi)
    assert not list(tmp_path.iterdir())


def test_saving_does_not_touch_pyplot_or_global_settings(tmp_path: Path) -> None:
    import matplotlib
    from matplotlib import _pylab_helpers

    before = dict(matplotlib.rcParams)
    save(comparison(1), tmp_path / "figure.svg")
    assert dict(matplotlib.rcParams) == before
    assert not _pylab_helpers.Gcf.figs


def test_figures_can_be_drawn_from_several_threads(tmp_path: Path) -> None:
    expected = save(comparison(1), tmp_path / "main.png", 60).read_bytes()
    threads = [threading.Thread(target=save, args=(comparison(1), tmp_path / f"{i}.png", 60)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all((tmp_path / f"{i}.png").read_bytes() == expected for i in range(3))


def test_headings_span_neighbours_of_one_group_only() -> None:
    columns = [Column("a", "x"), Column("b", "x"), Column("c"), Column("d"), Column("e", "x")]
    grid = Grid(["r"], columns, [[None] * 5])
    assert grid.spans() == [(0, 2, "x"), (2, 3, ""), (3, 4, ""), (4, 5, "x")]


def test_an_empty_place_stays_empty(tmp_path: Path) -> None:
    grid = Grid(["r"], [Column("a"), Column("b")], [[Panel(RAMP), None]])
    assert len(draw(grid).axes[0].images) == 1
    assert save(grid, tmp_path / "f.png").stat().st_size > 0


@pytest.mark.parametrize(
    "image", [RAMP * 255, RAMP - 0.1, np.full((2, 2), np.nan), np.zeros((2, 2, 4)), np.zeros((0, 3)), np.zeros(5)]
)
def test_a_panel_that_is_not_an_image_in_the_unit_range_is_refused(image: np.ndarray) -> None:
    with pytest.raises(DataError, match="panel's image"):
        Panel(image)


def test_unknown_names_and_wrong_numbers_of_panels_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="reconstruction"):
        Panel(RAMP, kind="reconstructoin")
    with pytest.raises(UnknownNameError, match="viridis"):
        Panel(RAMP, cmap="virids")
    with pytest.raises(DataError, match="2 rows of 1"):
        Grid(["a", "b"], [Column("c")], [[None]])
    with pytest.raises(DataError, match="nothing to show"):
        Grid([], [], [])


@given(st.text(max_size=80), st.floats(20, 300), st.sampled_from(["normal", "bold"]))
def test_wrapped_lines_fit_and_lose_no_letter(words: str, room: float, weight: str) -> None:
    lines = text.wrap(words, room, 7.0, weight=weight)
    assert "".join("".join(lines).split()) == "".join(text.drawable(words).split())
    assert all(text.width(line, 7.0, weight) <= room for line in lines if len(line) > 1)


@pytest.mark.filterwarnings("error")
def test_a_character_without_a_glyph_is_replaced_and_nothing_is_warned(tmp_path: Path) -> None:
    assert text.drawable("\U0010fffd.tif −é×") == "<U+10FFFD>.tif −é×"
    save(comparison(1, caption="肺\x07.tif", label="肺"), tmp_path / "f.png", 60)


def test_a_limit_on_lines_ends_in_an_ellipsis() -> None:
    lines = text.wrap("one two three four five", 40, 8.0, max_lines=2)
    assert len(lines) == 2
    assert lines[-1].endswith("…")
    assert text.wrap("layer.features.block", 50, 8.0)[0] == "layer."
