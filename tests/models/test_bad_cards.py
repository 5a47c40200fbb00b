"""Weights and cards that cannot be used are refused in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from desali.errors import WeightsError
from desali.models import checkpoint
from desali.models.registry import ARCHITECTURES


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    entry = ARCHITECTURES["caffenet-small"]
    card = {"architecture": entry.name, "classes": ["a", "b"], "preprocessing": entry.preprocessing}
    return checkpoint.save(entry.build(2, 3), tmp_path / "model.safetensors", card)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite(weights: Path, value: float) -> None:
    loaded = checkpoint.load(weights)
    with torch.no_grad():
        loaded.model.get_parameter("classifier.fc8.bias")[0] = value
    checkpoint.save(loaded.model, weights, loaded.card)
    with pytest.raises(WeightsError, match=r"fc8\.bias holds NaN or infinity"):
        checkpoint.load(weights)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"in_channels": "abc"}, "in_channels"),
        ({"in_channels": 0}, "in_channels"),
        ({"preprocessing": {"size": 64, "scale": "x"}}, "preprocessing"),
        ({"preprocessing": {"size": 64, "mean": 5}}, "preprocessing"),
        ({"preprocessing": {"size": 32}}, "64"),
    ],
)
def test_cards_that_cannot_be_used(weights: Path, change: dict[str, Any], expected: str) -> None:
    side = checkpoint.side_file(weights)
    side.write_text(json.dumps({**json.loads(side.read_text()), **change}))
    with pytest.raises(WeightsError, match=expected) as caught:
        checkpoint.load(weights)
    assert "\n" not in str(caught.value)


def test_saving_again_keeps_the_versions_that_trained(weights: Path) -> None:
    loaded = checkpoint.load(weights)
    card = {**loaded.card, "versions": {"torch": "of the training"}}
    checkpoint.save(loaded.model, weights, card)
    assert checkpoint.load(weights).card["versions"] == {"torch": "of the training"}
