"""The demo: carried weights before the target, pictures first, and a digest that is checked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from desali.data import synthetic
from desali.errors import WeightsError
from desali.experiments import carried
from desali.experiments import demo as demos
from desali.experiments.carried import FOLDER, LIMIT, SOURCES, carry, with_carried
from desali.experiments.carried import sources as sources_of_the_package
from desali.models import VGGSmall, architecture, load, save
from desali.training import RECIPES

pytest.importorskip("lightning")


def card(title: str, key: str, name: str = "vgg-small") -> dict[str, Any]:
    domain = title.split(" -> ")[-1]
    return {
        "architecture": name,
        "classes": ["a", "b", "c"],
        "preprocessing": dict(architecture("vgg-small").preprocessing),
        "stage": {"key": key, "title": title, "domain": domain, "best_epoch": 2, "epochs_trained": 3},
        "parent": None,
        "lineage": [f"{one}: made up" for one in title.split(" -> ")],
        "metrics": {"held_out_balanced_accuracy": 0.75},
        "origin": "made up",
    }


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """What `python -m desali.experiments.carried` trains, with random weights."""
    runs = tmp_path / "sources"
    torch.manual_seed(0)
    for one in sources_of_the_package():
        title = " -> ".join(stage.domain for stage in one.stages)
        save(VGGSmall(3), runs / one.name / "model.safetensors", {**card(title, one.name), "recipe": one.name})
    return runs


@pytest.fixture
def folder(sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "carried"
    carry(sources, folder)
    monkeypatch.setattr(carried, "FOLDER", folder)
    return folder


def test_source_stages_are_carried_with_their_cards(folder: Path) -> None:
    names = sorted(path.name for path in folder.iterdir())
    stems = sorted(stem for stem, _ in SOURCES.values())
    assert names == sorted(f"{stem}.{suffix}" for stem in stems for suffix in ("json", "safetensors"))
    assert sum(path.stat().st_size for path in folder.iterdir()) < LIMIT
    found = json.loads((folder / "natural-texture.json").read_text())
    assert found["stage"]["title"] == "natural -> texture"
    assert found["command"] == "python -m desali.experiments.carried RUNS"
    assert "recipe" not in found
    assert set(found["versions"]) >= {"numpy", "scipy", "torch"}
    assert set(found["machine"]) == {"processor", "instructions", "threads"}


def test_recipes_start_from_what_is_carried(folder: Path) -> None:
    assert with_carried(RECIPES["scratch"]) == RECIPES["scratch"]
    for name, (stem, domain) in SOURCES.items():
        source, target = with_carried(RECIPES[name]).stages
        assert (source.domain, source.weights) == (domain, str(folder / f"{stem}.safetensors"))
        assert target == RECIPES[name].stages[-1]


def test_other_bits_than_the_card_says_and_missing_weights_are_refused(folder: Path) -> None:
    file = folder / "texture.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(WeightsError, match=r"texture\.safetensors"):
        with_carried(RECIPES["texture"])
    file.unlink()
    with pytest.raises(WeightsError, match="carries are missing"):
        with_carried(RECIPES["texture"])


def test_only_the_default_network_is_carried(sources: Path, tmp_path: Path) -> None:
    model = architecture("caffenet-small").build(3, 3)
    other = {**card("texture", "k", "caffenet-small"), "preprocessing": architecture("caffenet-small").preprocessing}
    save(model, sources / "texture" / "model.safetensors", other)
    with pytest.raises(
        WeightsError, match="texture was trained with the architecture caffenet-small, expected vgg-small"
    ):
        carry(sources, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_the_package_carries_what_the_demo_needs() -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < LIMIT
    for name, (stem, _) in SOURCES.items():
        found = load(FOLDER / f"{stem}.safetensors").card
        assert found["architecture"] == "vgg-small"
        assert found["command"] == carried.COMMAND
        with_carried(RECIPES[name])


def test_the_demo_draws_first_and_trains_the_target_stages_alone(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = synthetic.target(0, train=0.003, evaluation=0.02, floor=8)
    monkeypatch.setattr(synthetic, "target", lambda *_, **__: small)
    monkeypatch.setattr(demos, "EPOCHS", 1)
    monkeypatch.setattr(demos, "SHEET", 2)
    lines: list[str] = []
    result = demos.demo(tmp_path / "demo", device="cpu", report=lines.append)
    first = next(k for k, line in enumerate(lines) if line.startswith("first pictures:"))
    assert first < next(k for k, line in enumerate(lines) if line.startswith("[training]"))
    assert list(result.seconds)[:6] == ["sheets", "data", "training", "replicate", "evaluation", "figure"]
    assert all(path.exists() for path in result.files.values())
    trained = [line for line in lines if " of 1 kept" in line and "already" not in line]
    assert len(trained) == 5  # four recipes and a replicate
    assert (
        "stage natural -> texture: weights from natural-texture.safetensors, selection score 0.750 when"
        in "\n".join(lines)
    )
    found = load(tmp_path / "demo" / "runs" / "two_stage" / "model.safetensors").card
    assert found["stage"]["title"] == "natural -> texture -> target"
    assert [line.split(":")[0] for line in found["lineage"]] == ["natural", "texture", "target"]
    facts = json.loads((tmp_path / "demo" / "demo.json").read_text())
    assert facts["machine"]["threads"] == torch.get_num_threads()
