"""The figure of a lineage: what it draws, what it leaves out, and the record beside it."""

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
from tests.comparison.related import Residual, made, patients, pictures, shaken

IMAGES, PATIENTS = pictures(16), patients(16)
LABELS = ["even" if int(name[-1]) % 2 == 0 else "odd" for name in PATIENTS]


@pytest.fixture(scope="module")
def change() -> Any:
    before = made(Residual)
    after, again = copy.deepcopy(before), copy.deepcopy(before)
    for twin, seed in ((after, 1), (again, 2)):
        twin.layer3.load_state_dict(shaken(twin.layer3, 0.6, seed).state_dict())
    with torch.no_grad():
        after.layer3[1].bn1.bias[:9] -= 9
    return desali.lineage(before, after, IMAGES, PATIENTS, LABELS, replicates=[again])


def drawn(change: Any) -> Any:
    from desali.figures.lineage import _figure

    return _figure(change)


def test_curves_hold_the_numbers(change: Any) -> None:
    shares, states = drawn(change).axes[:2]
    curves = {line.get_label(): np.asarray(line.get_ydata()) for line in shares.get_lines()}
    np.testing.assert_allclose(curves["after to replicate: the noise floor"], [layer.replicate[0] for layer in change])
    np.testing.assert_allclose(curves["before to replicate: another seed"], [layer.repeated[0] for layer in change])
    np.testing.assert_allclose(curves["chance, 1 / channels"], [1 / layer.channels for layer in change])
    equal = sum(layer.equal for layer in change)
    assert len(curves["weights equal bit by bit"]) == equal == 9
    container = shares.containers[0]
    np.testing.assert_allclose(container.lines[0].get_ydata(), [layer.traceable for layer in change])
    (bars,) = container.lines[2]
    for (low, high), layer in zip([segment[:, 1] for segment in bars.get_segments()], change, strict=True):
        assert (low, high) == pytest.approx(layer.interval)
    tops = [sum(patch.get_height() for patch in states.patches if _stands_at(patch, k)) for k in range(len(change))]
    assert tops == pytest.approx([1.0] * len(change))
    words = {text.get_text() for text in states.get_legend().get_texts()}
    assert words == {word for layer in change if not layer.strangers for word in layer.shown.tolist()} | (
        {"strangers"} if any(layer.strangers for layer in change) else set()
    )


def _stands_at(patch: Any, position: int) -> bool:
    return bool(abs(patch.get_x() + patch.get_width() / 2 - position) < 1e-6)


def test_numbers_by_layer_are_drawn_where_they_are_known(change: Any) -> None:
    alike, probe, purity = drawn(change).axes[2:]
    layers = list(change)
    for axis, name in ((probe, "probe"), (purity, "purity")):
        scores = [getattr(layer, name) for layer in layers]
        before, after = axis.containers[:2]
        assert (before.get_label(), after.get_label()) == ("before", "after")
        np.testing.assert_allclose(before.lines[0].get_ydata(), [score.before for score in scores])
        np.testing.assert_allclose(after.lines[0].get_ydata(), [score.after for score in scores])
        curves = {line.get_label(): np.asarray(line.get_ydata()) for line in axis.get_lines()}
        np.testing.assert_allclose(curves["replicates of after"], [score.replicate[0] for score in scores])
        (band,) = axis.collections[:1]
        heights = band.get_paths()[0].vertices[:, 1]
        assert heights.max() == pytest.approx(max(max(score.null) for score in scores))
        assert heights.min() == pytest.approx(min(min(score.null) for score in scores))
    values = [layer.similarity.value for layer in layers]
    np.testing.assert_allclose(alike.containers[0].lines[0].get_ydata(), values)
    words = {text.get_text() for text in probe.get_legend().get_texts()}
    assert {"chance", "the input's mean and deviation", "networks with random weights"} <= words


def test_text_lies_inside_the_figure_and_legends_on_no_axes(change: Any) -> None:
    figure = drawn(change)
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    page = figure.bbox
    for axis in figure.axes:
        box = axis.get_legend().get_window_extent(renderer)
        assert page.x0 <= box.x0
        assert box.x1 <= page.x1
        assert all(not box.overlaps(other.bbox) for other in figure.axes)
    for text in [*figure.texts, *figure.axes[-1].get_xticklabels()]:
        box = text.get_window_extent(renderer)
        assert box.x0 >= page.x0 - 1
        assert box.x1 <= page.x1 + 1
        assert box.y0 >= page.y0 - 1
        assert box.y1 <= page.y1 + 1


def test_strangers_have_no_bars() -> None:
    change = desali.lineage(made(Residual), made(Residual, 9), IMAGES, PATIENTS)
    figure = drawn(change)
    assert len(figure.axes) == 2  # shares and similarity
    assert "share no ancestor" in figure.texts[0].get_text().replace("\n", " ")
    assert "no channel has a counterpart" in figure.texts[1].get_text().replace("\n", " ")


def test_saved_with_its_record(change: Any, tmp_path: Path) -> None:
    figure = change.figure()
    path = figure.save(tmp_path / "change.png", dpi=60)
    with Image.open(path) as picture:
        assert picture.size[0] >= 400
    record = json.loads((tmp_path / "change.json").read_text(encoding="utf-8"))
    assert record == json.loads(json.dumps(change.to_dict()))
    assert record["verdict"] == change.verdict
    assert len(record["layers"]) == len(change.layers)
    assert figure._repr_png_().startswith(b"\x89PNG")
    assert "13 layers" in repr(figure)
    figure.save(path)  # its own record may be replaced
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(desali.DesaliError, match="not the record of a lineage"):
        figure.save(tmp_path / "other.png")
    assert not (tmp_path / "other.png").exists()
    with pytest.raises(desali.DesaliError, match=r"written as \.png"):
        figure.save(tmp_path / "change.bmp")


def test_table_text_and_html(change: Any) -> None:
    rows = change.table()
    assert [row["layer"] for row in rows] == change.layers
    states = [key for key in rows[0] if key.startswith("channels_")]
    assert all(sum(row[key] for key in states) == row["channels"] for row in rows)
    assert all(row["low"] <= row["traceable"] <= row["high"] for row in rows)
    text = str(change)
    assert text.splitlines()[0] == change.verdict
    assert "no difference shown" in text
    assert "16 frozen" in text
    assert repr(change).startswith("Lineage(13 layers: relu to layer2.1.relu:1 are equal bit by bit")
    html = change._repr_html_()
    assert html.count("<tr>") == 3 * 14
    assert "<script" not in html
