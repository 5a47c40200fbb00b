"""The main picture: curves by depth above four channels."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import nn

import desali
from desali.errors import DataError


def networks() -> tuple[nn.Module, nn.Module, nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    parts = [nn.Conv2d(1, 12, 3), nn.ReLU(), nn.Conv2d(12, 16, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    before = nn.Sequential(*parts, nn.Linear(16, 3)).eval()

    def trained(seed: int) -> nn.Module:
        after = copy.deepcopy(before)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            after[2].weight += 0.05 * torch.randn(after[2].weight.shape, generator=generator)
        return after

    return before, trained(1), trained(2), torch.rand(40, 1, 20, 20)


PATIENTS = [f"P{k // 4}" for k in range(40)]
CLASSES = [("a", "b")[k % 2] for k in range(40)]


def test_the_picture_says_what_changed(tmp_path: Path) -> None:
    before, after, again, images = networks()
    figure = desali.what_changed(
        before,
        after,
        images,
        groups=PATIENTS,
        labels=CLASSES,
        replicates=[again],
        others={"another": copy.deepcopy(again)},
    )
    path = figure.save(tmp_path / "a.png")
    assert Image.open(path).size[0] > 900
    record = figure.to_dict()
    assert record["figure"] == "what changed"
    assert len(record["shown"]) <= 4
    assert record["sheet"]["layer"] == "3", "the first layer is equal, so the second is shown"
    assert set(record["similarity_to_others"]) == {"another"}
    assert record["similarity_to_others"]["another"]["1"] == pytest.approx(1)
    assert figure.grid.lead.startswith(figure.change.verdict)
    assert len(figure.grid.plots) == 4
    assert "deepest layer" in figure.grid.lead
    assert figure.save(tmp_path / "b.png").read_bytes() == path.read_bytes()


def test_without_classes_there_is_no_probe_and_a_layer_may_be_named() -> None:
    before, after, _, images = networks()
    figure = desali.what_changed(before, after, images, layer="3", groups=PATIENTS)
    assert len(figure.grid.plots) == 3
    assert "16 channels." in figure.grid.lead
    assert figure.to_dict()["lineage"]["verdict"] == figure.change.verdict


def test_other_models_cost_no_purity_and_no_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    from desali.comparison import numbers

    calls = {"purities": 0, "balanced_accuracy": 0}
    for name in calls:
        own = getattr(numbers, name)

        def counted(*given: Any, own: Any = own, name: str = name) -> Any:
            calls[name] += 1
            return own(*given)

        monkeypatch.setattr(numbers, name, counted)
    before, after, again, images = networks()
    made = []
    for others in ({}, {"one": copy.deepcopy(again), "two": copy.deepcopy(before)}):
        calls.update(purities=0, balanced_accuracy=0)
        figure = desali.what_changed(before, after, images, groups=PATIENTS, labels=CLASSES, others=others)
        made.append((dict(calls), figure.change.to_dict()))
    assert made[0] == made[1]
    assert min(made[0][0].values()) > 0
    similar = figure.to_dict()["similarity_to_others"]["two"]
    assert similar == pytest.approx({layer.name: layer.similarity.value for layer in figure.change})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"random_networks": -1}, "random_networks must be a whole number of at least 0, got -1"),
        ({"seed": -1}, "seed must be a whole number of at least 0, got -1"),
        ({"layers": "3"}, "layers must be a list of at least one name, got '3'"),
        ({"layers": []}, "layers must be a list of at least one name"),
        ({"layers": [3]}, "layers must be a list of at least one name"),
        ({"layer": 3}, "layer must be one name, got 3"),
        ({"replicates": None}, "replicates must be a list of networks, got NoneType"),
        ({"others": []}, "others must be networks by name, got list"),
    ],
)
def test_what_is_no_request_is_refused_in_one_line(options: dict[str, Any], message: str) -> None:
    before, after, _, images = networks()
    with pytest.raises(DataError, match=re.escape(message)) as error:
        desali.what_changed(before, after, images, **options)
    assert "\n" not in str(error.value)


def test_two_networks_with_nothing_to_show_are_refused() -> None:
    before, _, _, images = networks()
    torch.manual_seed(5)
    stranger = copy.deepcopy(before)
    for module in stranger.modules():
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()
    with pytest.raises(DataError, match="share no ancestor"):
        desali.what_changed(before, stranger, images, groups=PATIENTS)
    head = copy.deepcopy(before)
    head[6].weight.data += 1
    with pytest.raises(DataError, match="no weights changed"):
        desali.what_changed(before, head, images, groups=PATIENTS)
