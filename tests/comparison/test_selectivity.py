"""Stimuli of one mean and contrast; the index of networks whose preference is known; the command."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from desali.cli.main import main
from desali.comparison.controls import randomised
from desali.comparison.nulls import random_seeds
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
    assert np.isnan(silent.mean)
    assert silent.inside_random
    assert silent.to_dict()["mean"] is None
    assert "-, 1 silent" in format_selectivity([silent])
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
    assert {row["model"] for row in rows} == {"net"}
    assert len(rows[0]["random"]) == len(rows[0]["random_silent"]) == 10
    with pytest.raises(SystemExit) as refused:
        main(["selectivity", "--models", str(path), "--random-networks", "3"])
    assert refused.value.code == 2


def test_trainings_stand_beside_the_range_of_random_networks() -> None:
    step, ripple = detector([[-1.0] * 12 + [1.0] * 12] * 24), detector([[1.0, -1.0] * 2] * 4)
    torch.manual_seed(5)
    found = selectivity({"two": [(step, PLAIN), (copy.deepcopy(step), PLAIN)]}, ["1"], resamples=10, seed=3)
    assert [one.training for one in found] == [1, 2]
    assert found[0].mean == found[1].mean
    means = []
    for seed in random_seeds(10, 3):
        twin = randomised(step, seed)
        edge, pattern = (responses(twin, PLAIN, ["1"], draw(32))["1"] for draw in (edges, patterns))
        means.append(index(edge, pattern)[0])
    assert found[0].random == pytest.approx(means, nan_ok=True)
    known = [value for value in means if not np.isnan(value)]
    assert found[0].inside_random == (min(known) <= found[0].mean <= max(known))
    text = format_selectivity(found)
    assert "2 trainings" in text
    assert "10 random networks" in text
    assert f"{min(known):+.2f} to {max(known):+.2f}" in text
    twin = randomised(ripple, 99)
    (inside,) = selectivity({"random": (twin, PLAIN)}, ["1"], resamples=10)
    assert inside.to_dict()["inside_random"] or np.isnan(inside.mean)
    if not np.isnan(inside.mean):
        inside = replace(inside, mean=inside.random[0])
    assert "no preference by this index: random at 1" in format_selectivity([inside])
    with pytest.raises(DataError, match="9 random networks do not show the range"):
        selectivity({"step": (step, PLAIN)}, ["1"], random_networks=9)
