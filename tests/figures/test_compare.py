"""`desali.compare`: models side by side in Python, honestly, and without touching them."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import desali
from desali.comparison.controls import likeness, randomised
from desali.data.preprocess import Preprocessing
from desali.errors import DataError, DesaliError, ImageError, OutputError, SeedError, UnknownNameError
from desali.figures.drawing.display import to_grey
from desali.figures.drawing.panel import Cell, Panel, Words
from desali.figures.figure import Figure
from desali.models.checkpoint import LoadedModel
from tests.figures.networks import further, picture, plain, residual, untouched

COLOUR = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
BOTH = {"before": residual(), "after": further(residual(), ["layer4", "fc"])}
LAYERS = ["relu", "layer2", "layer3", "layer4"]


def message(call: Callable[[], Any], kind: type[DesaliError] = DesaliError) -> str:
    with pytest.raises(kind) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text
    return text


def cells(figure: Figure, row: int) -> list[Cell]:
    """The cells of a layer's row; the class contrast before them is not counted."""
    return list(figure.grid.panels[row + (figure.to_dict()["contrast"] is not None)])


def words(figure: Figure, row: int) -> list[str]:
    return [cell.text for cell in cells(figure, row) if isinstance(cell, Words)]


@pytest.fixture(scope="module")
def compared() -> Figure:
    return desali.compare(BOTH, picture(), layers=LAYERS, seed=desali.Seed.layer())


def test_layers_that_are_equal_bit_by_bit_are_drawn_once(compared: Figure) -> None:
    rows = compared.to_dict()["rows"]
    assert [row["layer"] for row in rows] == LAYERS
    for index, equal in enumerate((True, True, True, False)):
        assert words(compared, index) == (["equal bit by bit in before and after"] if equal else [])
        assert rows[index]["equal"] == ({"after": "before"} if equal else {})
        drawn = sum(isinstance(cell, Panel) for cell in cells(compared, index))
        assert drawn == (4 if equal else 6)
    lines = compared.table().splitlines()
    assert [line.split()[0] for line in lines] == ["layer", "class", *LAYERS]
    assert ["equal" in line for line in lines] == [False, False, True, True, True, False]


def test_equal_activations_with_other_maps_are_not_called_equal() -> None:
    image = picture()
    image[2] = 0  # what reads the third channel takes no part in the forward pass, but in the way back
    other = copy.deepcopy(BOTH["before"])
    with torch.no_grad():
        other.conv1.weight[:, 2] += 0.5
    record = [desali.record(model, image[None]) for model in (BOTH["before"], other)]
    assert torch.equal(record[0].activation("layer4"), record[1].activation("layer4"))
    figure = desali.compare({"a": BOTH["before"], "b": other}, image, layers=["relu", "layer4"])
    assert [row["equal"] for row in figure.to_dict()["rows"]] == [{}, {}]
    assert words(figure, 0) == words(figure, 1) == []


def test_the_numbers_are_those_of_the_recordings(compared: Figure) -> None:
    record = compared.to_dict()
    row = record["rows"][3]
    image = picture()[None]
    seed = record["control"]["random_seed"]
    random = {f"random {k}": randomised(BOTH["before"], seed + k) for k in range(2)}
    maps = {
        name: desali.reconstruct(model, image, "layer4", desali.Seed.layer())[0, 0]
        for name, model in {**BOTH, **random}.items()
    }
    planes = {name: to_grey(map) for name, map in maps.items()}
    (pair,) = row["pairs"]
    assert (pair["first"], pair["second"]) == ("before", "after")
    assert pair["rank_correlation"] == pytest.approx(likeness(planes["before"], planes["after"]))
    for name in BOTH:
        entry = row["models"][name]["reconstructions"][0]["rank_correlation"]
        assert entry["random"] == pytest.approx([likeness(planes[name], planes[other]) for other in random])
        output = torch.softmax(BOTH[name](image)[0], 0)
        prediction = record["models"][name]["prediction"]
        assert prediction["index"] == int(output.argmax())
        assert prediction["probability"] == pytest.approx(float(output.detach().max()), abs=1e-6)
        assert prediction["class"] is None
    table = compared.table().splitlines()[-1].split()
    assert table[1] == f"{pair['rank_correlation']:.2f}"
    spans = [
        [f"{value:.2f}" for value in sorted(likeness(planes[name], planes[one]) for one in random)] for name in BOTH
    ]
    assert table[2:] == [word for low, high in spans for word in ([low, "to", high] if low != high else [low])]


def test_the_record_says_all_that_decides_and_is_json(compared: Figure) -> None:
    record = compared.to_dict()
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert record["seed"] == desali.Seed.layer().to_dict()
    assert desali.Method.from_dict(record["method"]) == desali.METHODS["desalinet"]
    assert record["layers"] == LAYERS
    assert record["device"] == "cpu"
    assert record["image"]["unit"] == "tensor"
    assert set(record["versions"]) >= {"desali", "torch", "python"}
    assert record["models"]["before"]["weights_sha256"] != record["models"]["after"]["weights_sha256"]
    assert record["control"] == {
        "random_seed": 1, "networks": 2, "architecture": "Residual",
        "of": {name: ["random weights 1", "random weights 2"] for name in BOTH},
    }  # fmt: skip
    record["rows"].clear()
    assert compared.to_dict()["rows"], "what was handed out is a copy"


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_a_figure_is_saved_with_its_record(compared: Figure, tmp_path: Path, suffix: str) -> None:
    out = compared.save(tmp_path / f"figure{suffix}")
    assert out.stat().st_size > 10_000
    saved = json.loads(out.with_suffix(".json").read_text())
    assert {**saved, "dpi": None} == {**compared.to_dict(), "dpi": None}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["figure.json", f"figure{suffix}"]


def test_a_notebook_shows_the_picture_and_a_console_one_line(compared: Figure) -> None:
    png = compared._repr_png_()
    assert png.startswith(b"\x89PNG")
    assert len(repr(compared).splitlines()) == 1
    assert "before, after" in repr(compared)


def test_nothing_of_the_models_changes_and_the_same_figure_comes_again(tmp_path: Path) -> None:
    models = {"before": residual(3), "after": residual(4)}
    calls: list[int] = []
    models["before"].layer1.register_forward_hook(lambda *args: calls.append(1))
    models["after"].fc.weight.requires_grad_(False)
    with untouched(*models.values()):
        first = desali.compare(models, picture(), seed=desali.Seed.channel(2), layers=["layer1", "layer3"], scale="row")
        second = desali.compare(
            models, picture(), seed=desali.Seed.channel(2), layers=["layer1", "layer3"], scale="row"
        )
        with pytest.raises(UnknownNameError):
            desali.compare(models, picture(), layers=["layer9"])
    assert first.save(tmp_path / "a.png").read_bytes() == second.save(tmp_path / "b.png").read_bytes()
    for row in first.to_dict()["rows"]:
        scales = {entry["reconstructions"][0]["a"] for entry in row["models"].values() if "silent" not in entry}
        assert len(scales) == 1


def test_a_tensor_is_given_as_it_is_and_an_array_in_0_to_1() -> None:
    image = picture(size=(30, 40))
    bytes_ = (image.permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
    as_tensor = torch.from_numpy(bytes_.astype(np.float32) / np.float32(255)).permute(2, 0, 1)
    figures = {
        "tensor": desali.compare(BOTH, as_tensor, layers=["layer4"]),
        "batch": desali.compare(BOTH, as_tensor[None], layers=["layer4"]),
        "bytes": desali.compare(BOTH, bytes_, layers=["layer4"]),
        "channels first": desali.compare(BOTH, np.ascontiguousarray(bytes_.transpose(2, 0, 1)), layers=["layer4"]),
        "float": desali.compare(BOTH, bytes_ / np.float32(255), layers=["layer4"]),
        "PIL": desali.compare(BOTH, Image.fromarray(bytes_), layers=["layer4"]),
    }
    rows = {name: figure.to_dict()["rows"] for name, figure in figures.items()}
    assert all(row == rows["tensor"] for row in rows.values())
    notes = {name: figure.grid.footnote for name, figure in figures.items()}
    assert "no normalisation: the module names no preprocessing" in notes["bytes"]
    assert "preprocessing" not in notes["tensor"]
    assert figures["bytes"].to_dict()["models"]["before"]["preprocessing"]["size"] is None
    assert figures["bytes"].to_dict()["image"]["origin"] == "NumPy array 30 x 40 x 3, uint8"


def test_grey_is_copied_and_its_maps_summed() -> None:
    grey = (picture(colour=False)[0] * 255).to(torch.uint8).numpy()
    figure = desali.compare(BOTH, grey, layers=["layer4"])
    panels = [cell for row in figure.grid.panels for cell in row if isinstance(cell, Panel)]
    assert all(panel.image.ndim == 2 for panel in panels)
    assert "grey copied to 3 channels" in figure.grid.footnote
    one = {"a": residual(0, 1), "b": residual(1, 1)}
    figure = desali.compare(one, grey, layers=["layer4"])
    assert "copied" not in figure.grid.footnote
    colour = desali.compare(BOTH, picture(), layers=["layer4"])
    shown = [cell for cell in cells(colour, 0) if isinstance(cell, Panel) and cell.kind == "reconstruction"]
    assert len(shown) == 4
    assert all(panel.image.ndim == 3 for panel in shown)


def test_a_preprocessing_is_used_where_it_is_given() -> None:
    rule = Preprocessing(24, 3, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4))
    array = (picture(size=(40, 40)).permute(1, 2, 0) * 255).to(torch.uint8).numpy()
    given = desali.compare(BOTH, array, layers=["layer4"], preprocessing=rule)
    by_hand = desali.compare(BOTH, rule.apply(array, "uint8"), layers=["layer4"], preprocessing=rule)
    assert given.to_dict()["models"]["after"]["preprocessing"] == rule.to_dict()
    for one, other in zip(given.to_dict()["rows"], by_hand.to_dict()["rows"], strict=True):
        assert one["models"]["before"]["activation_max"] == other["models"]["before"]["activation_max"]
        assert one["pairs"] == other["pairs"]
    shown = [figure.grid.panels[0][0].image for figure in (given, by_hand)]  # type: ignore[union-attr]
    np.testing.assert_allclose(shown[0], shown[1], atol=1e-5)


def test_hounsfield_units_take_the_window_that_is_asked_for(lung_patch_tiff: Path) -> None:
    one = {"a": residual(0, 1), "b": residual(1, 1)}
    usual, narrow = desali.read_image(lung_patch_tiff), desali.read_image(lung_patch_tiff, window=(-700, 600))
    rows = [
        desali.compare(one, usual, layers=["layer1"]),
        desali.compare(one, narrow, layers=["layer1"]),
        desali.compare(one, usual, layers=["layer1"], window=(-700, 600)),
        desali.compare(one, usual.pixels.astype(np.int16), layers=["layer1"], window=(-700, 600)),
    ]
    found = [figure.to_dict() for figure in rows]
    assert found[0]["image"]["window"] == [-600, 1500]
    assert all(record["image"]["window"] == [-700, 600] for record in found[1:])
    assert found[0]["rows"] != found[1]["rows"]
    assert found[1]["rows"] == found[2]["rows"] == found[3]["rows"]


def test_classes_are_named_in_the_heads_of_the_columns() -> None:
    names = ["CON", "GGO", "HCM", "NOR"]
    figure = desali.compare(BOTH, picture(), layers=["layer4"], classes=names)
    for name, model in BOTH.items():
        probabilities = torch.softmax(model(picture()[None])[0].detach(), 0)
        top = int(probabilities.argmax())
        notes = {column.note for column in figure.grid.columns if column.group == name}
        assert notes == {f"predicts {names[top]} ({float(probabilities[top]):.2f})"}
        assert figure.to_dict()["models"][name]["softmax"] == pytest.approx(
            dict(zip(names, probabilities.tolist(), strict=True)), abs=1e-6
        )
    seeded = desali.compare(BOTH, picture(), layers=["fc"], seed=desali.Seed.logit(2), classes=names)
    assert "(HCM)" in seeded.grid.title


def test_a_network_that_ends_in_a_softmax_is_not_squashed_twice() -> None:
    both = {name: nn.Sequential(model, nn.Softmax(1)).eval() for name, model in BOTH.items()}
    record = desali.compare(both, picture(), layers=["0.layer4"]).to_dict()
    plain_ = desali.compare(BOTH, picture(), layers=["layer4"]).to_dict()
    for name in BOTH:
        assert record["models"][name]["prediction"]["probability"] == pytest.approx(
            plain_["models"][name]["prediction"]["probability"], abs=1e-6
        )


def test_layers_by_default_are_spread_over_the_depth_and_show_one_channel() -> None:
    record = desali.compare(BOTH, picture()).to_dict()
    assert record["layers"] == ["relu", "layer1.relu:1", "layer2.relu:1", "layer3.relu:1", "layer4.relu:1"]
    assert record["seed"] is None
    assert len(record["channels"]["rows"]) == 5
    logit = desali.compare(BOTH, picture(), seed=desali.Seed.logit(1)).to_dict()
    assert logit["layers"] == ["fc"]


def test_single_neurons_are_compared_where_they_are_the_same() -> None:
    models = {"a": residual(5), "b": residual(6)}
    image = picture(size=(64, 64))
    figure = desali.compare(models, image, layers=["conv1"], seed=desali.Seed.neuron(2, 9, 9), random_networks=1)
    (row,) = figure.to_dict()["rows"]
    top, left, height, width = desali.record(models["a"], image[None]).receptive_field("conv1", (9, 9))
    maps = {
        name: desali.reconstruct(model, image[None], "conv1", desali.Seed.neuron(2, 9, 9))[0, 0]
        for name, model in {**models, "random": randomised(models["a"], 1)}.items()
    }
    windows = {name: map.sum(0)[top : top + height, left : left + width] for name, map in maps.items()}
    (pair,) = row["pairs"]
    assert pair["rank_correlation"] == pytest.approx(likeness(windows["a"], windows["b"]))
    (entry,) = row["models"]["b"]["reconstructions"]
    assert entry["neuron"] == [2, 9, 9]
    assert entry["receptive_field"] == [top, left, height, width]
    assert entry["rank_correlation"] == {"random": [pytest.approx(likeness(windows["b"], windows["random"]))]}
    strongest = desali.compare(models, image, layers=["conv1"], seed=desali.Seed.top(1))
    (row,) = strongest.to_dict()["rows"]
    neurons = [model["reconstructions"][0]["neuron"] for model in row["models"].values()]
    assert neurons[0] != neurons[1]
    assert row["pairs"] == []
    assert strongest.table().splitlines()[2].split() == ["conv1", "-", "-", "-"]


def test_models_of_two_architectures_stand_side_by_side_if_layers_are_named_for_each() -> None:
    models = {"a": residual(), "b": plain()}
    layers = {"a": ["relu", "layer4"], "b": ["1", "7"]}
    figure = desali.compare(models, picture(), layers=layers)
    record = figure.to_dict()
    assert record["layers"] == layers
    assert [row["layer"] for row in record["rows"]] == [{"a": "relu", "b": "1"}, {"a": "layer4", "b": "7"}]
    assert record["control"]["of"] == {name: [f"random weights {k}, as {name}" for k in (1, 2)] for name in ("a", "b")}
    labels = [column.label for column in figure.grid.columns]
    assert labels[-5:] == [*record["control"]["of"]["a"], *record["control"]["of"]["b"], "edge detector"]
    for row in record["rows"]:
        assert {"a", "b"} == set(row["models"])
        assert set(row["controls"]) == set(labels[-5:-1])
        assert row["pairs"]
    assert figure.table().splitlines()[2].startswith("relu / 1 ")
    refused = message(lambda: desali.compare(models, picture()), DataError)
    assert "b is Sequential, but a is Residual" in refused
    assert "layers={'a': [...], 'b': [...]}" in refused


def test_models_with_inputs_of_two_sizes_are_compared_at_the_smaller() -> None:
    rules = {"a": Preprocessing(32, 3), "b": Preprocessing(48, 3)}
    array = (picture().permute(1, 2, 0) * 255).to(torch.uint8).numpy()
    record = desali.compare(
        {"a": residual(0), "b": residual(1)}, array, layers=["layer3"], preprocessing=rules
    ).to_dict()
    assert -1 <= record["rows"][0]["pairs"][0]["rank_correlation"] <= 1
    assert record["models"]["b"]["preprocessing"]["size"] == 48


def test_heads_of_other_sizes_share_one_control_and_lower_layers_are_equal() -> None:
    base = residual(0)
    other = copy.deepcopy(base)
    other.fc = nn.Linear(12, 9)
    other.eval()
    figure = desali.compare({"thousand": base, "nine": other}, picture(), layers=["layer4"])
    assert words(figure, 0) == ["equal bit by bit in thousand and nine"]
    assert list(figure.to_dict()["rows"][0]["controls"]) == ["random weights 1", "random weights 2"]


def test_some_of_several_models_may_be_equal() -> None:
    models = {**BOTH, "other": residual(7)}
    figure = desali.compare(models, picture(), layers=["layer2", "layer4"])
    assert words(figure, 0) == ["equal bit by bit to before"]
    assert words(figure, 1) == []
    table = figure.table().splitlines()
    assert re.split("  +", table[0])[1] == "before : after"
    assert [len(row["pairs"]) for row in figure.to_dict()["rows"]] == [3, 3]


def test_a_loaded_model_and_a_module_may_be_mixed() -> None:
    loaded = desali.load("tests.figures.networks:residual", weights="random")
    models = {"loaded": loaded, "module": further(loaded.model, ["layer4", "fc"])}
    figure = desali.compare(models, picture(size=(40, 40)), layers=["layer3", "layer4"])
    record = figure.to_dict()
    assert record["models"]["loaded"]["weights"] == "random"
    assert record["models"]["loaded"]["architecture"] == "tests.figures.networks:residual"
    assert record["models"]["module"]["weights"] == "module"
    assert "RANDOM WEIGHTS, nothing was learned: loaded" in figure.grid.footnote
    assert "which do not say what they were trained on: module" in figure.grid.footnote
    assert words(figure, 0) == ["equal bit by bit in loaded and module"]
    array = (picture(size=(40, 40)).permute(1, 2, 0) * 255).to(torch.uint8).numpy()
    figure = desali.compare(models, array, layers=["layer3"])
    assert words(figure, 0) == [], "one normalises, the other does not"
    labels = [f"random weights {k}, as {name}" for name in ("loaded", "module") for k in (1, 2)]
    assert list(figure.to_dict()["rows"][0]["controls"]) == labels


def test_a_device_takes_copies_and_one_that_is_not_there_is_one_line() -> None:
    with untouched(*BOTH.values()):
        record = desali.compare(BOTH, picture(), layers=["layer4"], device="cpu").to_dict()
        assert record["device"] == "cpu"
        if not torch.cuda.is_available():
            assert "no CUDA device" in message(lambda: desali.compare(BOTH, picture(), device="cuda"))
        assert "unknown device 'gpux'" in message(lambda: desali.compare(BOTH, picture(), device="gpux"))
    on_meta = {"before": BOTH["before"], "after": copy.deepcopy(BOTH["after"]).to("meta")}
    assert "after cannot be recorded: its conv1.weight is on the meta device" in message(
        lambda: desali.compare(on_meta, picture())
    )


def test_models_on_different_devices_are_refused_unless_a_device_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from desali.comparison import networks

    places = {"before": torch.device("cpu"), "after": torch.device("cuda", 0)}
    monkeypatch.setattr(networks, "one_device", lambda module, name: places[name])
    text = message(lambda: desali.compare(BOTH, picture()))
    assert text.startswith("before is on cpu and after on cuda:0: move one of them, or name a device")

    def moved(module: nn.Module, device: torch.device) -> nn.Module:
        places["after"] = device
        return module

    monkeypatch.setattr(networks, "moved", moved)
    assert desali.compare(BOTH, picture(), layers=["layer4"], device="cpu").to_dict()["device"] == "cpu"


def test_a_control_that_cannot_be_drawn_is_missing_in_words() -> None:
    class Fixed(nn.Module):
        def __init__(self, seed: int) -> None:
            super().__init__()
            generator = torch.Generator().manual_seed(seed)
            self.weight = nn.Parameter(torch.randn(4, 3, 3, 3, generator=generator))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.relu(torch.nn.functional.conv2d(x, self.weight)).flatten(2).mean(2)

    figure = desali.compare({"a": Fixed(0).eval(), "b": Fixed(1).eval()}, picture(), layers=["relu_fn"])
    assert "No random control for a: none of its modules has a reset_parameters()" in figure.grid.footnote
    assert figure.to_dict()["control"]["of"] == {}
    assert [line.split()[-2:] for line in figure.table().splitlines()[1:]] == [["-", "-"]] * 2


def _training(model: nn.Module) -> nn.Module:
    twin = copy.deepcopy(model)
    twin.layer3.train()
    return twin


BAD: list[tuple[Callable[[], Any], type[DesaliError], str]] = [
    (
        lambda: desali.compare({"a": BOTH["before"]}, picture()),
        DataError,
        "compare needs two models, got one (a): use desali.show",
    ),
    (lambda: desali.compare({}, picture()), DataError, "nothing to show"),
    (lambda: desali.compare([BOTH["before"], BOTH["after"]], picture()), DataError, "models must be a dict"),
    (
        lambda: desali.compare({"a": BOTH["before"], "b": BOTH["before"]}, picture()),
        DataError,
        "a and b are the same object",
    ),
    (
        lambda: desali.compare({"a": BOTH["before"], "b": copy.deepcopy(BOTH["before"])}, picture()),
        DataError,
        "a and b hold the same weights, bit by bit",
    ),
    (
        lambda: desali.compare({"a": BOTH["before"], "b": "resnet"}, picture()),
        DataError,
        "b must be a torch.nn.Module or what desali.load",
    ),
    (
        lambda: desali.compare({"a": BOTH["before"], "b": _training(BOTH["after"])}, picture()),
        DesaliError,
        "b, module 'layer3', is in training mode",
    ),
    (
        lambda: desali.compare({"a": BOTH["before"], "b": copy.deepcopy(BOTH["after"]).train()}, picture()),
        DesaliError,
        "b is in training mode: call model.eval() first",
    ),
    (
        lambda: desali.compare({"a": residual(0, 1), "b": residual(1, 1)}, picture()),
        ImageError,
        "the image has 3 channels, but a takes 1",
    ),
    (lambda: desali.compare(BOTH, picture(colour=False)), ImageError, "the image has 1 channel, but before takes 3"),
    (
        lambda: desali.compare({"a": residual(0, 1), "b": residual(1, 1)}, COLOUR),
        ImageError,
        "a: a colour image does not fit a network of 1 input channels; convert it to grey",
    ),
    (lambda: desali.compare(BOTH, "slice.dcm"), ImageError, "desali.read_image reads a file"),
    (lambda: desali.compare(BOTH, torch.zeros(2, 3, 32, 32)), ImageError, "got a batch [2, 3, 32, 32]: give images[0]"),
    (lambda: desali.compare(BOTH, torch.zeros(0, 3, 32, 32)), ImageError, "got a batch of none, [0, 3, 32, 32]"),
    (lambda: desali.compare(BOTH, torch.zeros(32, 32)), ImageError, "[C, H, W] or [1, C, H, W], got [32, 32]"),
    (
        lambda: desali.compare(BOTH, torch.zeros(3, 32, 32, dtype=torch.uint8)),
        ImageError,
        "torch.uint8 tensor; give floats",
    ),
    (lambda: desali.compare(BOTH, torch.full((3, 32, 32), torch.nan)), ImageError, "NaN or infinity"),
    (lambda: desali.compare(BOTH, np.zeros((3, 32, 3), np.uint8)), ImageError, "could be H x W x C or C x H x W"),
    (lambda: desali.compare(BOTH, np.zeros((32, 32, 4), np.uint8)), ImageError, "drop the fourth channel"),
    (lambda: desali.compare(BOTH, np.zeros((1, 3, 32, 32), np.uint8)), ImageError, "one image H x W"),
    (lambda: desali.compare(BOTH, np.full((32, 32), 2.0)), ImageError, "must lie in [0, 1], got 2 to 2"),
    (lambda: desali.compare(BOTH, np.full((32, 32), np.nan)), ImageError, "must lie in [0, 1]"),
    (
        lambda: desali.compare(BOTH, np.full((32, 32), 1000, np.uint16)),
        ImageError,
        "uint16 array up to 1000 holds no scale",
    ),
    (lambda: desali.compare(BOTH, np.zeros((32, 32), np.int64)), ImageError, "an array of int64: give uint8"),
    (lambda: desali.compare(BOTH, np.zeros((32, 32, 3), np.int16)), ImageError, "must be H x W"),
    (lambda: desali.compare(BOTH, Image.new("P", (32, 32))), ImageError, "PIL image of mode P"),
    (lambda: desali.compare(BOTH, picture(), layers="layer4"), DataError, "write ['layer4']"),
    (lambda: desali.compare(BOTH, picture(), layers=[]), DataError, "at least one name"),
    (lambda: desali.compare(BOTH, picture(), layers={"before": ["relu"]}), DataError, "there are none for 'after'"),
    (
        lambda: desali.compare(BOTH, picture(), layers={"before": ["relu"], "after": ["relu", "layer1"]}),
        DataError,
        "equally many for each model, a row each; got before 1, after 2",
    ),
    (
        lambda: desali.compare(BOTH, picture(), seed=desali.Seed.top(3)),
        SeedError,
        "use visualize (desali.show), or top:1",
    ),
    (lambda: desali.compare(BOTH, picture(), seed="layer"), SeedError, "seed must be a desali.Seed"),
    (lambda: desali.compare(BOTH, picture(), method="desalinett"), UnknownNameError, "did you mean 'desalinet'"),
    (lambda: desali.compare(BOTH, picture(), scale="rows"), DataError, "scale must be 'panel' or 'row'"),
    (lambda: desali.compare(BOTH, picture(), classes={"befor": ["a"]}), DataError, "classes names 'befor'"),
    (lambda: desali.compare(BOTH, picture(), classes=["a", "b"]), DataError, "before has 4 outputs, but 2 class names"),
    (lambda: desali.compare(BOTH, picture(), classes=set("abcd")), DataError, "in the order of the outputs, got a set"),
    (lambda: desali.compare(BOTH, picture(), classes=iter("abcd")), DataError, "order of the outputs, got a str"),
    (
        lambda: desali.compare(BOTH, picture(), classes={"before": "abcd"}),
        DataError,
        "classes of before must be a list",
    ),
    (lambda: desali.compare(BOTH, picture(), layers=5), DataError, "layers must be a list of at least one name, got 5"),
    (lambda: desali.compare(BOTH, picture(), layers={"relu", "layer1"}), DataError, "layers must be a list of at"),
    (lambda: desali.compare(BOTH, picture(), layers=[None]), DataError, "at least one name, got [None]"),
    (lambda: desali.compare({1: BOTH["before"], "1": BOTH["after"]}, picture()), DataError, "got the name 1"),
    (
        lambda: desali.compare({"a": BOTH["before"], "random": BOTH["after"]}, picture()),
        DataError,
        "a model cannot be called 'random': the figure's captions call the random control so",
    ),
    (lambda: desali.compare(BOTH, picture(), random_seed=2**63), DataError, "random_seed must be a whole number"),
    (lambda: desali.compare(BOTH, picture(), random_seed=1.5), DataError, "2^63 - 1, got 1.5"),
    (lambda: desali.compare(BOTH, torch.zeros(3, 32, 32).to_sparse()), ImageError, "of the layout torch.sparse_coo"),
    (lambda: desali.compare(BOTH, torch.zeros(3, 32, 32, device="meta")), ImageError, "without values (meta)"),
    (
        lambda: desali.compare(BOTH, np.ma.masked_less(np.linspace(0, 1, 1024).reshape(32, 32), 0.5)),
        ImageError,
        "masked pixels",
    ),
    (lambda: desali.compare(BOTH, picture(), preprocessing=24), DataError, "preprocessing of before must be a"),
]


@pytest.mark.parametrize(("call", "kind", "expected"), BAD, ids=[expected[:40] for _, _, expected in BAD])
def test_bad_input_is_one_line(call: Callable[[], Any], kind: type[DesaliError], expected: str) -> None:
    with untouched(*BOTH.values()):
        assert expected in message(call, kind)


def test_weights_that_differ_only_in_statistics_are_compared() -> None:
    other = copy.deepcopy(BOTH["before"])
    other.layer2.bn1.running_mean += 0.5
    figure = desali.compare({"a": BOTH["before"], "b": other}, picture(), layers=["layer1", "layer2"])
    assert [bool(words(figure, row)) for row in (0, 1)] == [True, False]


def test_layers_and_classes_may_come_in_any_ordered_form() -> None:
    plain = desali.compare(BOTH, picture(), layers=["layer1", "layer2"], classes=["a", "b", "c", "d"]).to_dict()
    names: Any = (name for name in ("layer1", "layer2"))
    classes: Any = np.array(["a", "b", "c", "d"])
    other = desali.compare(BOTH, picture(), layers=names, classes=classes).to_dict()
    assert other["models"] == plain["models"]
    assert other["rows"] == plain["rows"]


def test_a_network_whose_output_is_nan_predicts_nothing() -> None:
    class Overflowing(nn.Module):
        def __init__(self, seed: int) -> None:
            super().__init__()
            self.network = residual(seed)

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.network(x) * torch.inf
            return y

    models = {"a": Overflowing(0).eval(), "b": Overflowing(1).eval()}
    figure = desali.compare(models, picture(), layers=["network.layer1"], seed=desali.Seed.layer(value="one"))
    found = figure.to_dict()["models"]["a"]["prediction"]
    assert found == {"class": None, "index": None, "probability": None}
    assert any("predicts nothing (NaN)" in column.note for column in figure.grid.columns)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("figure.bmp", "figure.bmp: unknown kind of figure '.bmp'; use .png, .pdf, .svg"),
        ("figure", "figure: unknown kind of figure 'without suffix'"),
        (".", ".: names no file"),
        ("zero\0byte.png", "holds a character that no file name can have"),
        ("n" * 300 + ".png", "cannot be written (File name too long)"),
    ],
)
def test_a_path_that_cannot_be_written_is_named(
    compared: Figure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, expected: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OutputError) as error:
        compared.save(name)
    assert expected in str(error.value)
    assert not list(tmp_path.iterdir())


def test_class_contrasts_are_of_the_same_class_by_name_in_whatever_order_it_stands() -> None:
    torch.manual_seed(0)
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3)]
    first = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU(), *head).eval()
    second, order = copy.deepcopy(first), [2, 0, 1]
    with torch.no_grad():
        second[6].weight.copy_(first[6].weight[order])
        second[6].bias.copy_(first[6].bias[order])
        second[0].weight += 1e-5

    def named(model: nn.Module, names: list[str]) -> LoadedModel:
        card = {"architecture": "own", "classes": names, "preprocessing": {"size": 32, "channels": 3}, "in_channels": 3}
        return LoadedModel(model, {**card, "origin": "none"}, None)

    names = ["x", "y", "z"]
    models = {"first": named(first, names), "second": named(second, [names[k] for k in order])}
    figure = desali.compare(models, np.random.default_rng(0).random((32, 32, 3)))
    (pair,) = figure.to_dict()["contrast"]["pairs"]
    assert pair["rank_correlation"] > 0.99
    strangers = {"first": named(first, names), "second": named(second, ["u", "v", "w"])}
    assert desali.compare(strangers, np.random.default_rng(0).random((32, 32, 3))).to_dict()["contrast"]["pairs"] == []
