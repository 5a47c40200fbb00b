"""`desali layers`: names, kinds, sizes and receptive fields, as the library gives them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import desali
from tests.cli.conftest import Result

Run = Callable[..., Result]


def test_the_layers_of_a_recipe_are_listed(desali: Run, runs: Path) -> None:
    result = desali("layers", "scratch", "--runs", runs)
    assert result.code == 0, result.err
    head, columns, *rows = result.out.splitlines()
    assert head == f"scratch, image 3 x 64 x 64: {len(rows)} layers"
    assert columns.split() == ["layer", "kind", "channels", "size", "receptive", "field"]
    facts = json.loads(desali("layers", "scratch", "--runs", runs, "--json").out)
    assert facts["image"] == [3, 64, 64]
    assert [row.split()[0] for row in rows] == [one["name"] for one in facts["layers"]]
    first = facts["layers"][0]
    assert first["name"] == "features.conv1"
    assert first["kind"] == "Convolution"


def test_what_is_said_of_a_layer_is_so(desali: Run, runs: Path) -> None:
    facts = json.loads(desali("layers", "scratch", "--runs", runs, "--json").out)
    recording = record(runs)
    assert [one["name"] for one in facts["layers"]] == recording.layers
    for one in facts["layers"]:
        channels, *size = recording.shape(one["name"])
        assert (one["channels"], one["size"]) == (channels, size)
        window = recording.receptive_field(one["name"], tuple(side // 2 for side in size))
        assert tuple(one["receptive_field"]) == window[2:]
        assert one["rectifies"] == (one["kind"] == "ReLU")


def record(runs: Path) -> desali.Recording:
    loaded = desali.load("scratch", runs=runs)
    return desali.record(loaded.model, torch.zeros(1, 3, 64, 64))


def test_a_network_by_its_name_needs_no_weights_and_takes_another_size(
    desali: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own.py").write_text(
        "from torch import nn\n"
        "def small():\n"
        "    return nn.Sequential(nn.Conv2d(1, 4, 5, 2), nn.ReLU(), nn.Conv2d(4, 6, 3), nn.ReLU(),\n"
        "                         nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 2))\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    result = desali("layers", "own:small", "--size", 21)
    assert result.code == 0, result.err
    lines = [line.split() for line in result.out.splitlines()[1:]]
    assert ["0", "Convolution", "4", "9", "x", "9", "5", "x", "5"] in lines
    assert ["2", "Convolution", "6", "7", "x", "7", "9", "x", "9"] in lines
    assert ["6", "Linear", "2", "-", "21", "x", "21"] in lines


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nothing"], "nothing"),
        (["own:missing"], "own"),
        (["squeezenet1_0@missing.pth"], "missing.pth"),
        (["squeezenet1_0", "--size", "0"], "--size"),
    ],
)
def test_what_cannot_be_listed_is_one_line(desali: Run, tmp_path: Path, arguments: list[str], words: str) -> None:
    result = desali("layers", *arguments, "--runs", tmp_path)
    assert result.code == 2
    assert words in result.err
    assert len(result.err.splitlines()) == 1
    assert result.out == ""
