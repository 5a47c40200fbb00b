"""Replicates: the last stage again from the same parent, with other seeds; how they are kept, resumed and listed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from desali.errors import DesaliError, WeightsError
from desali.models import load, replicates
from desali.models.sources import label
from desali.training import recipe, train
from desali.training.cards import TrainedRecipe
from tests.training.images import stripes

DATA = {
    "natural": stripes(24, classes=4, patients=3, seed=1),
    "target": stripes(24, classes=3, patients=4, seed=3),
}
QUICK = [recipe(name).with_options(epochs=1, batch_size=32) for name in ("scratch", "natural")]
Trained = tuple[Path, dict[str, TrainedRecipe], list[str]]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    runs, lines = tmp_path_factory.mktemp("runs"), []
    return runs, train(QUICK, DATA, runs, seed=7, replicates=2, report=lines.append, device="cpu"), lines


def test_the_last_stage_is_trained_again_from_the_same_parent(trained: Trained) -> None:
    runs, results, lines = trained
    assert len(lines) == len(list((runs / "stages").iterdir())) == 3 + 2 * 2  # the shared parent is trained once
    assert sum("replicate" in line for line in lines) == 4
    for name, result in results.items():
        assert result.replicates == tuple(runs / name / f"replicate-{k}" / "model.safetensors" for k in (1, 2))
        own = load(name, runs=runs)
        for number, path in enumerate(result.replicates, 1):
            again = load(path)
            assert (path.parent / "history.csv").is_file()
            assert again.card["replicate"] == {
                "number": number, "stage": own.card["stage"]["key"], "seed": 7 + number, "seed_of_the_stage": 7,
            }  # fmt: skip
            assert (again.card["seed"], again.card["parent"]) == (7 + number, own.card["parent"])
            assert again.card["stages"][:-1] == own.card["stages"][:-1]
            states = own.model.state_dict(), again.model.state_dict()
            assert any(not torch.equal(states[0][key], states[1][key]) for key in states[0])
    keys = {load(path).card["weights_sha256"] for result in results.values() for path in result.replicates}
    assert len(keys) == 4


def test_without_a_parent_the_features_start_from_the_same_initial_weights(tmp_path: Path) -> None:
    still = recipe("scratch").with_options(epochs=1, batch_size=32, learning_rate=1e-12, weight_decay=0)
    train([still], DATA, tmp_path, replicates=1, device="cpu")
    first, again = load("scratch", runs=tmp_path), load("scratch/replicate-1", runs=tmp_path)
    assert again.card["features_seed"] == 0
    assert "features_seed" not in first.card
    weights = first.model.state_dict(), again.model.state_dict()
    torch.testing.assert_close(weights[0]["features.conv1.weight"], weights[1]["features.conv1.weight"])
    assert not torch.allclose(weights[0]["classifier.fc.weight"], weights[1]["classifier.fc.weight"])


def test_nothing_is_trained_twice_and_a_lost_replicate_is_made_again_bit_for_bit(
    trained: Trained, tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(trained[0], runs)
    path = runs / "natural" / "replicate-2" / "model.safetensors"
    before = path.read_bytes()
    key = load(path).card["stage"]["key"]
    shutil.rmtree(path.parent)
    shutil.rmtree(runs / "stages" / key)
    lines: list[str] = []
    train([QUICK[1]], DATA, runs, seed=7, replicates=2, report=lines.append, device="cpu")
    assert [line for line in lines if "already trained" not in line] == [lines[-1]]
    assert path.read_bytes() == before


def test_replicates_are_listed_by_number_and_named_like_models(trained: Trained, tmp_path: Path) -> None:
    runs, results, _ = trained
    found = replicates(runs, "natural")
    assert found == list(results["natural"].replicates) == replicates(runs, runs / "natural")
    assert label("natural/replicate-2", runs=runs) == "natural-replicate-2" == label(found[1])
    assert load("natural/replicate-2", runs=runs).card["weights_sha256"] == load(found[1]).card["weights_sha256"]
    with pytest.raises(WeightsError, match="no such model under"):
        replicates(runs, "two_stage")


def test_replicates_of_another_training_and_unfinished_ones_are_not_listed(trained: Trained, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(trained[0], runs)
    (runs / "natural" / "replicate-1" / "model.json").unlink()
    assert [path.parent.name for path in replicates(runs, "natural")] == ["replicate-2"]
    train([QUICK[0]], DATA, runs, seed=8, device="cpu")
    assert replicates(runs, "scratch") == []
    card = json.loads((runs / "natural" / "model.json").read_text())
    del card["stage"]
    (runs / "natural" / "model.json").write_text(json.dumps(card))
    assert replicates(runs, "natural") == []


@pytest.mark.parametrize("number", [-1, True, 1.5])
def test_a_wrong_number_of_replicates_is_refused(number: int, tmp_path: Path) -> None:
    with pytest.raises(DesaliError, match="replicates must be a whole number of at least 0"):
        train(QUICK, DATA, tmp_path, replicates=number)
