"""The sheet of channels as a figure: what stands on it, on what scale, what is refused, and the record beside it."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import desali
from desali.data.imageset import ImageSet
from desali.data.preprocess import Preprocessing
from desali.figures.drawing.panel import Panel, Words
from desali.models.checkpoint import LoadedModel
from tests.comparison.related import Plain, patients, pictures, plain, shaken
from tests.figures.networks import untouched

N = 32
IMAGES, PATIENTS, LABELS = pictures(N), patients(N, 8), ["abc"[k % 3] for k in range(N)]
LAYER = "features.6"


@pytest.fixture(scope="module")
def pair() -> tuple[Plain, Any]:
    before = plain()
    after = shaken(before, 0.4)
    with torch.no_grad():
        after.convolutions[2].bias[7] = -99  # type: ignore[union-attr, index]
    return before, after


@pytest.fixture(scope="module")
def figure(pair: Any) -> Any:
    return desali.channels(*pair, IMAGES, LAYER, groups=PATIENTS, labels=LABELS)


def texts(figure: Any) -> str:
    grid = figure.grid
    cells = [cell for row in grid.panels for cell in row]
    captions = [cell.caption for cell in cells if isinstance(cell, Panel)]
    captions += [cell.text for cell in cells if isinstance(cell, Words)]
    return "\n".join([grid.title, *grid.rows, *(f"{c.group} {c.label} {c.note}" for c in grid.columns), *captions])


def test_a_column_a_channel_and_a_band_a_network(figure: Any) -> None:
    record, grid = figure.to_dict(), figure.grid
    assert [row.splitlines()[0] for row in grid.rows] == [
        "before", "reconstructions", "after", "reconstructions", "random weights", "reconstructions",
    ]  # fmt: skip
    assert len(grid.columns) == len(record["columns"]) > 4
    silenced = [column["why"] for column in record["columns"]].index("silenced in these images")
    assert record["columns"][silenced]["channel"] == 7
    assert grid.panels[2][silenced].text.startswith("silent")
    assert grid.panels[3][silenced] is None
    sizes = {cell.image.shape for row in grid.panels for cell in row if isinstance(cell, Panel)}
    assert len({shape[:2] for shape in sizes}) == 1, "one size of tile"
    said = texts(figure)
    for column in record["columns"]:
        assert f"channel {column['channel']}" in said
        if column["why"] != "silenced in these images":
            assert f"{column['shared']} of {len(column['shown']['after']['strongest'])} shared" in said
    assert "Chosen on 16 images of 4 patients, drawn from 16 images of 4 patients" in grid.footnote
    assert "2 drawn at random from all channels (seed 0)" in grid.footnote
    assert "not told apart" in grid.footnote


def test_few_channels_stand_side_by_side(pair: Any) -> None:
    figure = desali.channels(*pair, IMAGES, LAYER, [3, 25], PATIENTS, LABELS)
    assert [column.label for column in figure.grid.columns] == ["strongest regions", "reconstructions"] * 2
    assert [row.splitlines()[0] for row in figure.grid.rows] == ["before", "after", "random weights"]
    assert [column["why"] for column in figure.to_dict()["columns"]] == ["named", "named"]
    without = desali.channels(*pair, IMAGES, LAYER, [3], PATIENTS, LABELS, random_networks=0)
    assert len(without.grid.rows) == 2
    assert "No network with random weights stands beside" in without.grid.footnote


def test_one_scale_a_row(figure: Any) -> None:
    record = figure.to_dict()
    assert set(record["scales"]) == {"before", "after", "random weights"}
    for name, row in zip(record["scales"], (1, 3, 5), strict=True):
        darkest = min(float(cell.image.min()) for cell in figure.grid.panels[row] if isinstance(cell, Panel))
        assert darkest < 0.011  # a becomes 0.01, and something lies at or below it
        assert record["scales"][name] < 0
        assert f"{record['scales'][name]:.3g}".replace("-", "") in figure.grid.rows[row]


def test_grey_stays_grey_and_colour_colour(pair: Any, figure: Any) -> None:
    assert all(cell.image.ndim == 3 for row in figure.grid.panels for cell in row if isinstance(cell, Panel))
    grey = IMAGES[:, :1].expand(-1, 3, -1, -1).contiguous()
    shown = desali.channels(*pair, grey, LAYER, groups=PATIENTS)
    assert all(cell.image.ndim == 2 for row in shown.grid.panels for cell in row if isinstance(cell, Panel))


def test_an_image_set_of_hounsfield_units_is_seen_in_its_window(pair: Any) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(-1300, 200, (N, 24, 24)).astype(np.int16)
    images = ImageSet(
        "lung", pixels, np.arange(N) % 3, np.array(PATIENTS), ("a", "b", "c"), "hu", "invented", {},
    )  # fmt: skip
    card = {"architecture": "plain", "classes": ["a", "b", "c", "d"], "preprocessing": Preprocessing(24).to_dict()}
    loaded = [LoadedModel(model, card, None) for model in pair]
    shown = desali.channels(*loaded, images, LAYER, [3])
    tile = shown.to_dict()["columns"][0]["shown"]["before"]["strongest"][0]
    top, left, height, width = tile["receptive_field"]
    panel = shown.grid.panels[0][0]
    assert isinstance(panel, Panel)
    times = (panel.image.shape[0] - 2 * max(1, (-(-96 // height) * height) // 24)) // (3 * height)
    first = panel.image[: times * height : times, : times * width : times]
    expected = (pixels[tile["image"]].astype(float) + 600) / 1500 + 0.5
    y, x = max(0, -top), max(0, -left)
    inside = expected[max(top, 0) : top + height, max(left, 0) : left + width].clip(0, 1)
    np.testing.assert_allclose(first[y : y + inside.shape[0], x : x + inside.shape[1]], inside, atol=1e-5)
    assert "lung" not in shown.grid.footnote
    relevant = desali.channels(loaded[0], None, images, LAYER, by="relevance")
    assert "relevance" in relevant.table().splitlines()[0]
    bgr = {**card, "preprocessing": Preprocessing(24, channel_order="bgr").to_dict()}
    other = [LoadedModel(pair[0], card, None), LoadedModel(pair[1], bgr, None)]
    with pytest.raises(desali.DesaliError, match="prepare images in different ways"):
        desali.channels(*other, images, LAYER)


def test_saved_with_its_record(figure: Any, tmp_path: Path) -> None:
    path = figure.save(tmp_path / "sheet.png", dpi=60)
    with Image.open(path) as picture:
        assert picture.size[0] > 300
    record = json.loads((tmp_path / "sheet.json").read_text(encoding="utf-8"))
    assert {key: record[key] for key in figure.to_dict()} == figure.to_dict()
    tile = record["columns"][0]["shown"]["before"]["strongest"][0]
    assert set(tile) == {"image", "sha256", "patient", "class", "position", "value", "receptive_field"}
    assert tile["patient"] == PATIENTS[tile["image"]]
    assert tile["class"] == LABELS[tile["image"]]
    assert record["images"]["drawn_from"]["count"] == 16
    assert record["random"]["seed"] == 0
    assert record["versions"]["desali"]
    assert figure._repr_png_().startswith(b"\x89PNG")
    assert repr(figure).startswith("ChannelsFigure('features.6, 64 channels: before and after")
    assert len(figure.table().splitlines()) == len(record["columns"]) + 1
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(desali.DesaliError, match="not the record of a figure"):
        figure.save(tmp_path / "other.png")
    assert not (tmp_path / "other.png").exists()


@pytest.mark.parametrize("channels", [None, [3, 25]])
def test_text_lies_inside_the_page_and_apart(pair: Any, channels: Any) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    from desali.figures.drawing.grid import draw

    drawn = draw(desali.channels(*pair, IMAGES, LAYER, channels, PATIENTS, LABELS).grid, 100)
    FigureCanvasAgg(drawn)
    drawn.canvas.draw()
    renderer = drawn.canvas.get_renderer()  # type: ignore[attr-defined]
    boxes = [text.get_window_extent(renderer) for text in drawn.axes[0].texts if text.get_text()]
    assert all(box.x0 >= -1 and box.x1 <= drawn.bbox.x1 + 1 and box.y0 >= -1 for box in boxes)
    for index, box in enumerate(boxes):
        for other in boxes[index + 1 :]:
            apart = min(box.x1, other.x1) - max(box.x0, other.x0), min(box.y1, other.y1) - max(box.y0, other.y0)
            assert min(apart) <= 2, "texts overlap"


def test_notes_and_title_of_the_caller(pair: Any) -> None:
    figure = desali.channels(*pair, IMAGES, LAYER, [3], title="a to b", notes=["TRAINING IMAGES: careful."])
    assert figure.grid.title.startswith("a to b: features.6, 64 channels")
    assert "TRAINING IMAGES: careful." in figure.grid.footnote
    assert "TRAINING IMAGES: careful." in figure.to_dict()["notes"]
    assert "Patients are not known" in figure.grid.footnote


def test_nothing_is_changed(pair: Any) -> None:
    with untouched(*pair):
        desali.channels(*pair, IMAGES, LAYER, groups=PATIENTS)
        desali.channels(pair[0], None, IMAGES, LAYER, labels=[k % 4 for k in range(N)], by="relevance")


def test_bad_input(pair: Any) -> None:
    before, after = pair
    training = copy.deepcopy(before).train()
    line = torch.nn.Sequential(torch.nn.Conv1d(1, 4, 3), torch.nn.ReLU()).eval()
    for words, call in (
        ("did you mean 'relevance'", lambda: desali.channels(before, None, IMAGES, LAYER, by="relevanc")),  # type: ignore[arg-type]
        ("relevance is for one network", lambda: desali.channels(before, after, IMAGES, LAYER, by="relevance")),
        ("did you mean 'desalinet'", lambda: desali.channels(before, after, IMAGES, LAYER, method="desalinets")),
        ("layer must be one name", lambda: desali.channels(before, after, IMAGES, [LAYER])),  # type: ignore[arg-type]
        ("at most 24 channels", lambda: desali.channels(before, after, IMAGES, LAYER, range(25))),
        ("list of numbers", lambda: desali.channels(before, after, IMAGES, LAYER, "3,4")),  # type: ignore[arg-type]
        ("at least one", lambda: desali.channels(before, after, IMAGES, LAYER, [])),
        ("replicates belong to a stage", lambda: desali.channels(before, None, IMAGES, LAYER, replicates=[after])),
        ("list of networks", lambda: desali.channels(before, after, IMAGES, LAYER, replicates=after)),  # type: ignore[arg-type]
        ("seed must be a whole number", lambda: desali.channels(before, after, IMAGES, LAYER, seed=-1)),
        ("training mode", lambda: desali.channels(training, None, IMAGES, LAYER)),
        ("same object", lambda: desali.channels(before, before, IMAGES, LAYER)),
        ("must be a torch.nn.Module", lambda: desali.channels("a", None, IMAGES, LAYER)),  # type: ignore[arg-type]
        ("two-dimensional", lambda: desali.channels(line, None, torch.randn(8, 1, 30), "1")),
    ):
        with pytest.raises(desali.DesaliError, match=words) as error:
            call()
        assert "\n" not in str(error.value)
