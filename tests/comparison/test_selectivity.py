"""Stimuli of one mean and contrast; the index of networks whose preference is known; the command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from desali.cli.main import main
from desali.comparison.selectivity import format_selectivity, index, responses, selectivity
from desali.comparison.stimuli import CONTRAST, MEAN, edges, patterns
from desali.data.preprocess import Preprocessing
from desali.errors import DataError
from desali.models import architecture, save

PLAIN = Preprocessing(32, channels=1)


@pytest.mark.parametrize("size", [64, 96, 227])
def test_stimuli_share_mean_and_contrast(size: int) -> None:
    for pictures in (edges(size), patterns(size)):
        assert pictures.shape == (36, size, size)
        values = pictures / 255
        assert np.abs(values.mean((1, 2)) - MEAN).max() < 0.02
        assert np.abs(values.std((1, 2)) - CONTRAST).max() < 0.03
    assert len(np.unique(edges(size).reshape(36, -1), axis=0)) == 36
    opposite = 255 - edges(size)[20].astype(int)  # half a turn further, at the opposite offset
    assert np.abs(edges(size)[0] - opposite).max() <= 1


def detector(kernel: list[list[float]]) -> nn.Module:
    """A convolution, its ReLU, and a pooled output."""
    weight = torch.tensor(kernel)
    net = nn.Sequential(nn.Conv2d(1, 1, weight.shape, bias=True), nn.ReLU(), nn.Flatten(), nn.Linear(1, 2))
    net[3] = nn.Linear((33 - weight.shape[0]) * (33 - weight.shape[1]), 2)
    with torch.no_grad():
        net[0].weight.copy_(weight[None, None] - weight.mean())
        net[0].bias.zero_()
    return net.eval()


def test_a_detector_of_long_steps_prefers_edges_and_one_of_fine_ripples_patterns() -> None:
    step = detector([[-1.0] * 12 + [1.0] * 12] * 24)
    ripple = detector([[1.0, -1.0] * 2] * 4)
    found = selectivity({"step": (step, PLAIN), "ripple": (ripple, PLAIN)}, ["1"], resamples=100)
    by = {one.model: one for one in found}
    assert by["step"].low > 0.1
    assert by["ripple"].high < -0.1
    assert all(one.low <= one.mean <= one.high for one in found)
    assert "+0." in format_selectivity(found)


def test_index_is_the_contrast_of_means_and_silent_channels_take_no_part() -> None:
    edge, pattern = np.array([[3.0, 0.0], [1.0, 0.0]]), np.array([[1.0, 0.0]])
    values = index(edge, pattern)
    assert values[0] == pytest.approx(1 / 3)
    assert np.isnan(values[1])
    net = detector([[1.0, -1.0], [1.0, -1.0]])
    answers = responses(net, PLAIN, ["1"], edges(32)[:3])["1"]
    with torch.no_grad():
        expected = net[1](net[0](PLAIN.apply_batch(edges(32)[:3], "uint8"))).amax((2, 3))
    assert np.allclose(answers, expected.numpy())
    with torch.no_grad():
        net[0].bias.fill_(-1e6)
    (silent,) = selectivity({"off": (net, PLAIN)}, ["1"], resamples=10)
    assert (silent.channels, silent.silent) == (0, 1)
    with pytest.raises(DataError, match="at least one model"):
        selectivity({}, ["1"])


def test_the_command_prints_a_table_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    entry = architecture("caffenet-small")
    card = {
        "architecture": entry.name,
        "classes": ["a", "b"],
        "preprocessing": entry.preprocessing,
        "origin": "nothing",
    }
    path = save(entry.build(2, 3), tmp_path / "net.safetensors", card)
    with pytest.raises(SystemExit) as done:
        main(["selectivity", "--models", str(path), "--layers", "features.relu1,features.relu3"])
    assert done.value.code == 0
    text = capsys.readouterr().out
    assert "features.relu3" in text
    assert "random" in text
    with pytest.raises(SystemExit):
        main(["selectivity", "--models", str(path), "--layers", "features.relu1", "--json"])
    rows = json.loads(capsys.readouterr().out)
    assert {row["model"] for row in rows} == {"net", "random"}
