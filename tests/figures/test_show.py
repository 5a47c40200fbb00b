"""`desali.show`: the pictures of one recording."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import desali
from desali.comparison.controls import likeness, randomised
from desali.data.preprocess import Preprocessing
from desali.errors import DataError, DesaliError, SeedError, UnknownNameError
from desali.figures.drawing.crop import crop_map
from desali.figures.drawing.display import display_map, to_grey
from desali.figures.drawing.panel import Panel
from tests.figures.networks import picture, plain, residual, untouched

MODEL = residual()
IMAGES = torch.stack([picture(size=(64, 64)), picture(size=(64, 64), seed=5)])


@pytest.fixture(scope="module")
def recording() -> desali.Recording:
    return desali.record(MODEL, IMAGES)


def test_a_row_for_each_layer_of_each_image_with_what_the_recording_gives(recording: desali.Recording) -> None:
    figure = desali.show(recording, ["layer1", "layer3"])
    record = figure.to_dict()
    assert [(row["image"], row["layer"]) for row in record["rows"]] == [
        ("image 1", "layer1"), ("image 1", "layer3"), ("image 2", "layer1"), ("image 2", "layer3"),
    ]  # fmt: skip
    labels = [column.label for column in figure.grid.columns]
    assert labels == ["input", "activation", "reconstruction", "random weights", "edge detector"]
    twin = desali.record(randomised(MODEL, record["control"]["random_seed"]), IMAGES)
    for place, row in enumerate(record["rows"]):
        image, layer = divmod(place, 2)[0], row["layer"]
        map = recording.reconstruct(layer, desali.Seed.layer())[image, 0]
        random = twin.reconstruct(layer, desali.Seed.layer())[image, 0]
        shown, a = display_map(map, colour=True)
        (entry,) = row["models"]["model"]["reconstructions"]
        assert entry["a"] == pytest.approx(a, rel=1e-4)
        assert entry["rank_correlation"]["random"] == pytest.approx([likeness(to_grey(map), to_grey(random))], abs=1e-4)
        panel = figure.grid.panels[place][2]
        assert isinstance(panel, Panel)
        assert abs(panel.image - shown).max() < 1e-3
    assert record["seed"] == {"kind": "layer", "value": "activation"}
    assert len(record["images"]) == 2
    predictions = record["models"]["model"]["predictions"]
    assert [found["index"] for found in predictions] == recording.output.argmax(1).tolist()


def test_strongest_neurons_are_cut_to_their_fields_and_named(recording: desali.Recording) -> None:
    figure = desali.show(recording, "layer1", desali.Seed.top(3), control=False)
    assert [column.label for column in figure.grid.columns][2:] == ["seed 1", "seed 2", "seed 3", "edge detector"]
    placed = recording.place(["layer1"], desali.Seed.top(3)).signals["layer1"][0]
    maps = recording.reconstruct("layer1", desali.Seed.top(3))
    for image, row in enumerate(figure.to_dict()["rows"]):
        for k, entry in enumerate(row["models"]["model"]["reconstructions"]):
            at = tuple(placed.position[image, k].tolist())  # type: ignore[union-attr]
            field = recording.receptive_field("layer1", at)
            assert entry["neuron"] == [int(placed.channel[image, k]), *at]  # type: ignore[union-attr]
            assert entry["receptive_field"] == list(field)
            panel = figure.grid.panels[image][2 + k]
            assert isinstance(panel, Panel)
            cut = display_map(crop_map(maps[image, k], field), colour=True)[0]  # type: ignore[arg-type]
            assert panel.image.shape == cut.shape
            assert abs(panel.image - cut).max() < 1e-3
            assert f"channel {entry['neuron'][0]} at" in panel.caption


def test_several_seeds_stand_in_one_row(recording: desali.Recording) -> None:
    seeds = [desali.Seed.neuron(1, 3, 3), desali.Seed.channel(2), desali.Seed.layer()]
    record = desali.show(recording, "layer2", seeds, method="saliency").to_dict()
    assert record["seed"] == [seed.to_dict() for seed in seeds]
    entries = record["rows"][0]["models"]["model"]["reconstructions"]
    assert [entry.get("neuron") for entry in entries] == [[1, 3, 3], None, None]
    assert desali.Method.from_dict(record["method"]) == desali.METHODS["saliency"]


def test_the_layers_by_default_the_classes_and_the_picture_before_its_preprocessing() -> None:
    rule = Preprocessing(32, 3, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4))
    shown = picture()
    stats = [torch.tensor(values).view(3, 1, 1) for values in (rule.mean, rule.std)]
    recording = desali.record(plain(), ((shown - stats[0]) / stats[1])[None])
    figure = desali.show(recording, preprocessing=rule, classes=["w", "x", "y", "z"])
    assert figure.to_dict()["layers"] == ["1", "4", "7"]
    panel = figure.grid.panels[0][0]
    assert isinstance(panel, Panel)
    torch.testing.assert_close(torch.from_numpy(panel.image), shown.permute(1, 2, 0), atol=1e-5, rtol=0)
    assert panel.caption.startswith(f"predicts {'wxyz'[int(recording.output.argmax())]} (")
    raw = desali.show(recording, "1")
    assert "are shown as black to white" in raw.grid.footnote


def test_grey_networks_and_networks_of_other_channels() -> None:
    for channels, sentence in ((1, ""), (5, "The 5 channels are shown as their mean, their maps as their sum.")):
        recording = desali.record(residual(0, channels), torch.rand(1, channels, 32, 32))
        figure = desali.show(recording, "layer2")
        assert sentence in figure.grid.footnote
        for cell in figure.grid.panels[0]:
            assert isinstance(cell, Panel)
            assert cell.image.ndim == 2


def test_it_leaves_the_model_alone_and_saves_a_record(tmp_path: Path) -> None:
    model = residual(3)
    recording = desali.record(model, IMAGES[:1])
    with untouched(model):
        figure = desali.show(recording, "layer4", device="cpu", title="A title")
    out = figure.save(tmp_path / "figure.svg")
    record = json.loads(out.with_suffix(".json").read_text())
    assert record["title"] == figure.grid.title == "A title"
    assert record["device"] == "cpu"
    assert figure._repr_png_().startswith(b"\x89PNG")


def _changed() -> desali.Recording:
    model = residual(1)
    recording = desali.record(model, IMAGES)
    with torch.no_grad():
        model.fc.weight.add_(1)  # type: ignore[union-attr, operator]
    return recording


class Volume(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(nn.Conv3d(1, 2, 3), nn.ReLU())


def _recorded() -> desali.Recording:
    return desali.record(MODEL, IMAGES)


BAD: list[tuple[Callable[[], Any], type[DesaliError], str]] = [
    (lambda: desali.show(MODEL), DataError, "show takes what desali.record returns, got Residual"),  # type: ignore[arg-type]
    (lambda: desali.show(_recorded(), "layer9"), UnknownNameError, "did you mean 'layer"),
    (lambda: desali.show(_recorded(), []), DataError, "at least one layer"),
    (lambda: desali.show(_recorded(), "layer1", desali.Seed.channel(99)), SeedError, "outside layer"),
    (
        lambda: desali.show(_recorded(), "layer1", desali.Seed.top(25)),
        DataError,
        "at most 24 maps in a row, the seeds give 25",
    ),
    (lambda: desali.show(_recorded(), ["layer1"] * 13), DataError, "at most 24 rows, 2 images x 13 layers are 26"),
    (lambda: desali.show(_recorded(), "layer1", method="nothing"), UnknownNameError, "unknown method"),
    (lambda: desali.show(_recorded(), "layer1", scale="rows"), DataError, "scale must be"),
    (lambda: desali.show(_recorded(), "layer1", classes=["a"]), DataError, "model has 4 outputs, but 1 class names"),
    (lambda: desali.show(_recorded(), "layer1", device="tpu"), UnknownNameError, "unknown device"),
    (lambda: desali.show(_changed(), "layer1"), DesaliError, "record again"),
    (
        lambda: desali.show(desali.record(Volume().eval(), torch.rand(1, 1, 8, 8, 8)), "1"),
        DataError,
        "two-dimensional images",
    ),
]


@pytest.mark.parametrize(("call", "kind", "expected"), BAD, ids=[expected[:40] for _, _, expected in BAD])
def test_bad_input_is_one_line(call: Callable[[], Any], kind: type[DesaliError], expected: str) -> None:
    with pytest.raises(kind) as caught:
        call()
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)
