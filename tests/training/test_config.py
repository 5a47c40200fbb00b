"""One TOML file: read, refused with a hint, won over by options, and written so that it repeats the run."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from desali.errors import DataError, DesaliError, UnknownNameError
from desali.training import recipe
from desali.training.config import DataConfig, TrainingConfig, read_config
from tests.training.images import stripes
from tests.training.test_commands import run

DOCS = Path(__file__).parents[2] / "docs" / "training.md"


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "my.toml"
    path.write_text(text)
    return path


def test_the_example_in_the_docs_is_read(tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    config = read_config(written(tmp_path, example))
    natural, texture, target = config.recipes[-1].stages
    assert config.recipe == "two_stage"
    assert (natural.epochs, texture.epochs, target.epochs) == (30, 20, 12)
    assert (target.mode, target.unfreeze_every, target.layer_decay, target.noise_hu) == ("fine_tuning", 2, 0.8, 20)
    assert natural.milestones == (15, 25)
    assert config.data.texture.startswith("folder:")
    assert config.preprocessing.window == (-600, 1500)


@pytest.mark.parametrize("name", ["scratch", "two_stage"])
def test_the_resolved_configuration_gives_the_same_again(tmp_path: Path, name: str) -> None:
    config = TrainingConfig(
        recipe=name, seed=7, stage={"epochs": 3, "milestones": (1, 2), "schedule": "step", "noise_hu": 10.0},
        stages={"texture": {"layer_decay": 0.5, "batch_size": 9}, "target": {"mode": "feature_extraction"}},
        data=DataConfig(window=(-500.0, 1200.0), target='a "quoted" ü\\path', share=0.5),
    )  # fmt: skip
    (one,) = config.recipes
    again = read_config(written(tmp_path, config.resolved(one)))
    assert again.recipes == [one]
    assert again.seed == 7
    assert again.preprocessing == config.preprocessing
    assert again.data == config.data
    assert again.resolved(one) == config.resolved(one)


def test_options_win_over_the_file(tmp_path: Path) -> None:
    config = read_config(written(tmp_path, 'seed = 3\n[data]\ntarget = "a"\n[stage.target]\nepochs = 4\nshift = 2\n'))
    won = config.with_options(
        {"target": "b", "seed": None}, {"epochs": 9}, {"natural": "w.pt"}, seed=5, recipe="natural"
    )
    assert (won.seed, won.data.target, won.recipe) == (5, "b", "natural")
    natural, target = won.recipes[0].stages
    assert (target.epochs, target.shift) == (9, 2)
    assert natural.weights == "w.pt"
    assert config.with_options({}, {}, {}, seed=None) == config
    assert TrainingConfig(recipe="scratch").recipes == [recipe("scratch")]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sed = 3", "unknown key 'sed': did you mean 'seed'"),
        ("[data]\ntargett = 'a'", r"unknown key of \[data\] 'targett': did you mean 'target'"),
        ("[stage]\nepoch = 3", r"unknown key of \[stage\] 'epoch': did you mean 'epochs'"),
        ("[stage.textur]\nepochs = 3", r"unknown key of \[stage\] 'textur': did you mean 'texture'"),
        ("[stage.target]\nlayer_deca = 3", r"unknown key of \[stage.target\] 'layer_deca': did you mean 'layer_decay'"),
        ("seed = true", "seed must be a whole number, got True"),
        ("[stage]\nepochs = 2.5", r"stage\.epochs must be a whole number, got 2\.5"),
        ("[stage.target]\nbalance = 'yes'", r"stage\.target\.balance must be true or false, got 'yes'"),
        ("[stage]\nmilestones = 3", "stage.milestones must be a list of whole numbers, got 3"),
        ("stage = 3", r"stage must be a table, \[stage\], got 3"),
        ("recipe = 3", "recipe must be text, got 3"),
        ("recipe = ", "not TOML"),
        (f"seed = {'9' * 5000}", "not TOML"),
        (f"seed = {'[' * 5000}{']' * 5000}", "tables in tables too deep to read"),
    ],
)
def test_bad_files_are_refused_by_name(tmp_path: Path, text: str, words: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(DesaliError, match=words) as error:
        read_config(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)
    with pytest.raises(DesaliError, match="no such file"):
        read_config(tmp_path / "other.toml")


def test_a_file_of_an_editor_that_marks_its_encoding_is_read(tmp_path: Path) -> None:
    assert read_config(written(tmp_path, "\ufeffseed = 3")).seed == 3


def test_a_command_with_data_of_its_own_is_repeated_by_its_configuration(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[str, dict[str, Any]]] = []

    def read(domain: str, data: DataConfig, size: int, *_: object) -> Any:
        calls.append((getattr(data, domain), {"size": size, "skip": data.skip_unreadable}))
        return stripes(24, classes=3, patients=4, seed=3)

    monkeypatch.setattr("desali.training.domains._read", read)
    monkeypatch.chdir(tmp_path)
    options = ("--target", "folder:my images", "--skip-unreadable", "--epochs", "1", "--shift", "2", "--seed", "4")
    code, out, err = run(capsys, "train", "scratch", "--resume", *options)
    assert (code, err) == (2, "desali: error: runs: nothing to resume, no such folder; leave out --resume to start\n")
    code, out, err = run(capsys, "train", "scratch", *options)
    assert code == 0, err
    assert "of it compute, the rest waiting for input" in out
    assert "trained on target images" in out
    assert calls == [("folder:my images", {"size": 64, "skip": True})]
    weights = (tmp_path / "runs" / "scratch" / "model.safetensors").read_bytes()
    code, out, err = run(capsys, "train", "--config", "runs/scratch/config.toml", "--runs", "again")
    assert code == 0, err
    assert (tmp_path / "again" / "scratch" / "model.safetensors").read_bytes() == weights
    code, out, _ = run(capsys, "train", "--config", "runs/scratch/config.toml", "--resume")
    assert (code, "already trained" in out) == (0, True)
    code, _, err = run(capsys, "train", "--config", "runs/scratch/config.toml", "--resume", "--epochs", "2")
    assert (code, "runs: nothing to resume, no stage with these options and data" in err) == (2, True)
    code, _, err = run(capsys, "train", "--config", "runs/scratch/config.toml", "--noise-hu", "5")
    assert (code, "needs images in Hounsfield units, but these are display values" in err) == (2, True)
    code, _, err = run(capsys, "train", "--epochs", "2")
    assert (code, "name a recipe, all, or a file with --config" in err) == (2, True)


def test_a_folder_of_images_is_read_and_its_training_part_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from PIL import Image

    from desali.training.domains import datasets_of

    images = stripes(8, classes=2, patients=2)
    rows = ["path,label,patient,split"]
    for number, pixels in enumerate(images.images):
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        part = "test" if images.patients[number] == "P00" else "train"
        rows.append(f"{number}.png,{'ab'[images.labels[number]]},{images.patients[number]},{part}")
    (tmp_path / "rois.csv").write_text("\n".join(rows) + "\n")
    lines: list[str] = []
    data = DataConfig(target=f"table:{tmp_path / 'rois.csv'}", cache=str(tmp_path / "cache"))
    read = datasets_of(["target"], data, 16, report=lines.append)["target"]
    assert set(read.patients) == {"P01"}
    assert len(read) == 4
    assert "its part 'train'" in lines[-1]
    (tmp_path / "7.png").write_bytes(b"broken")
    with pytest.raises(DataError, match=r"7\.png"):
        datasets_of(["target"], data, 16)
    assert len(datasets_of(["target"], replace(data, skip_unreadable=True), 16)["target"]) == 3


def test_tensorboard_that_is_missing_is_said_before_the_work(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from importlib import util

    find = util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "tensorboard" else find(name))
    monkeypatch.chdir(tmp_path)
    code, _, err = run(capsys, "train", "scratch", "--tensorboard")
    assert (code, "pip install 'desali[tensorboard]'" in err) == (2, True)
    assert list(tmp_path.iterdir()) == []


def test_several_recipes_stand_with_commas_between() -> None:
    assert [one.name for one in TrainingConfig(recipe="scratch, natural,scratch").recipes] == ["scratch", "natural"]
    with pytest.raises(UnknownNameError, match="unknown recipe 'naturale': did you mean 'natural'"):
        _ = TrainingConfig(recipe="scratch,naturale").recipes
