"""`visualize` and `compare`, end to end, on real CT."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.conftest import RECIPES, Result

Run = Callable[..., Result]


def _picture(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"), np.float64)


@pytest.mark.parametrize("kind", ["lung_patch_tiff", "lung_patch_png"])
def test_visualize_shows_a_real_patch(
    desali: Run, runs: Path, tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    roi = request.getfixturevalue(kind)
    out = tmp_path / "figure.png"
    result = desali("visualize", "--model", "two_stage", "--roi", roi, "--runs", runs, "-o", out)
    assert result.code == 0, result.err
    assert result.out.strip() == str(out)
    pixels = _picture(out)
    assert pixels.shape[0] > 500
    assert pixels.std() > 10
    record = json.loads(out.with_suffix(".json").read_text())
    assert [row["layer"] for row in record["rows"]] == record["layers"]
    assert len(record["layers"]) >= 4
    assert list(record["models"]) == ["two_stage"]
    assert sum(record["models"]["two_stage"]["softmax"].values()) == pytest.approx(1, abs=1e-5)


def test_compare_shows_all_models_and_controls_on_a_dicom_box(
    desali: Run, runs: Path, tmp_path: Path, dicom_slice: Path
) -> None:
    out = tmp_path / "compare.png"
    result = desali("compare", "--roi", dicom_slice, "--box", "40,40,32", "--runs", runs, "-o", out, "--scale", "row")
    assert result.code == 0, result.err
    record = json.loads(out.with_suffix(".json").read_text())
    assert tuple(record["models"]) == RECIPES
    assert record["image"]["box"] == [40, 40, 32]
    assert record["image"]["unit"] == "hu"
    for row in record["rows"]:
        scales = {entry["reconstructions"][0]["a"] for entry in row["models"].values()}
        assert len(scales) == 1, "one scale for a row"
        for entry in row["models"].values():
            alike = entry["reconstructions"][0]["rank_correlation"]
            for rho in [*alike.pop("random"), *alike.values()]:
                assert -1 <= rho <= 1


def test_compare_follows_channels_over_images_and_without_them_says_that_it_did_not(
    desali: Run, runs: Path, tmp_path: Path, lung_patch_png: Path
) -> None:
    folder = tmp_path / "probe"
    rng = np.random.default_rng(0)
    for number in range(6):
        own = folder / f"class{number % 2}"
        own.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (40, 40), dtype=np.uint8)).save(own / f"{number}.png")
    out = tmp_path / "compare.png"
    base = ["compare", "--roi", lung_patch_png, "--runs", runs, "--layers", "features.relu2", "-o", out]
    base += ["--models", "natural,two_stage"]
    for more, expected in (
        (["--images", f"folder:{folder}"], "Channels were followed over 6 images"),
        (["--no-follow"], "Ancestry was not measured (no images were given)"),
    ):
        result = desali(*base, *more)
        assert result.code == 0, result.err
        record = json.loads(out.with_suffix(".json").read_text())
        assert expected in record["note"]
    out.unlink()
    result = desali(*base, "--images", tmp_path / "nowhere")
    assert result.code == 2
    assert "nowhere" in result.err
    assert not out.exists()


def test_compare_prints_how_alike_the_models_are_and_needs_two_that_differ(
    desali: Run, runs: Path, tmp_path: Path, lung_patch_png: Path
) -> None:
    out = tmp_path / "compare.png"
    base = ["compare", "--roi", lung_patch_png, "--runs", runs, "--layers", "features.relu2", "-o", out]
    base += ["--no-follow", "--random-networks", 1, "--models"]
    result = desali(*base, "scratch", "--models", "natural")
    assert result.code == 0, result.err
    record = json.loads(out.with_suffix(".json").read_text())
    (row,) = record["rows"]
    path, *words, head, contrast, line = result.out.splitlines()
    assert path == str(out)
    assert " ".join(words) == record["lead"]
    assert head.split("  ")[0] == "layer"
    assert contrast.startswith("class contrast ")
    alike = [row["pairs"][0], *(row["models"][name]["reconstructions"][0] for name in ("scratch", "natural"))]
    numbers = [alike[0]["rank_correlation"], *(entry["rank_correlation"]["random"][0] for entry in alike[1:])]
    assert line.split() == ["features.relu2", *(f"{number:.2f}" for number in numbers)]
    out.unlink()
    for models, expected in (("scratch", "compare needs two models"), ("scratch,scratch", "hold the same weights")):
        result = desali(*base, models)
        assert result.code == 2
        assert expected in result.err
        assert not out.exists()


def test_the_record_makes_the_same_figure_again(
    desali: Run, runs: Path, tmp_path: Path, lung_patch_tiff: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = tmp_path / "a.png"
    args = ["compare", "--roi", str(lung_patch_tiff), "--runs", str(runs), "-o", str(first), "--method", "deconvnet"]
    monkeypatch.setattr("sys.argv", ["desali", *args])
    assert desali(*args).code == 0
    before = first.read_bytes()
    command = json.loads(first.with_suffix(".json").read_text())["command"]
    first.unlink()
    assert desali(*command[1:]).code == 0
    assert first.read_bytes() == before


def test_methods_and_seeds_change_the_picture(desali: Run, runs: Path, tmp_path: Path, lung_patch_tiff: Path) -> None:
    pictures = []
    for number, options in enumerate(
        ([], ["--method", "saliency"], ["--from", "channel:3"], ["--from", "top:2"], ["--from", "neuron:3,2,2"])
    ):
        out = tmp_path / f"{number}.png"
        result = desali(
            "visualize", "--model", "natural", "--roi", lung_patch_tiff, "--runs", runs, "-o", out,
            "--layers", "features.conv2,features.conv3", *options,
        )  # fmt: skip
        assert result.code == 0, result.err
        pictures.append(out.read_bytes())
    assert len(set(pictures)) == len(pictures)


def test_logit_seed_on_the_classifier(desali: Run, runs: Path, tmp_path: Path, lung_patch_tiff: Path) -> None:
    out = tmp_path / "logit.png"
    result = desali(
        "compare",
        "--roi",
        lung_patch_tiff,
        "--runs",
        runs,
        "-o",
        out,
        "--layers",
        "classifier.fc8",
        "--from",
        "logit:2",
    )
    assert result.code == 0, result.err


BAD: list[tuple[list[str], str]] = [
    (["--model", "two_stge"], "did you mean 'two_stage'"),
    (["--method", "desalinett"], "did you mean 'desalinet'"),
    (["--layers", "features.conv9"], "did you mean 'features.conv"),
    (["--from", "neurn:1,2,3"], "did you mean 'neuron'"),
    (["--from", "neuron:1,x"], "whole numbers"),
    (["--from", "neuron:9999,1,1"], "outside layer"),
    (["--from", "neuron:1"], "coordinates"),
    (["--box", "0,0,999"], "--box"),
    (["--box", "1,2"], "y,x,size".upper()),
    (["--window", "1,-5"], "--window"),
    (["--roi", "nowhere.png"], "nowhere.png"),
    (["--backend", "nativ"], "did you mean 'native'"),
    (["-o", "/proc/nothing/figure.png"], "/proc/nothing/figure.png"),
    (["-o", "figure.json"], "figure.json"),
]


@pytest.mark.parametrize(
    ("options", "expected"), BAD, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_bad_input_is_one_line_and_exit_code_2(
    desali: Run, runs: Path, tmp_path: Path, lung_patch_tiff: Path, options: list[str], expected: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    base = {"--model": "two_stage", "--roi": str(lung_patch_tiff), "--runs": str(runs), "-o": "figure.png"}
    base.update(zip(options[::2], options[1::2], strict=True))
    result = desali("visualize", *(part for pair in base.items() for part in pair))
    assert result.code == 2
    assert expected in result.err
    assert len(result.err.strip().splitlines()) == 1
    assert list(work.iterdir()) == [], "nothing half-written"


def test_without_a_trained_model_the_message_names_the_command(
    desali: Run, tmp_path: Path, lung_patch_tiff: Path
) -> None:
    result = desali("visualize", "--model", "two_stage", "--roi", lung_patch_tiff, "--runs", tmp_path / "none")
    assert result.code == 2
    assert "desali train two_stage" in result.err


def test_a_foreign_weights_file_is_refused(desali: Run, tmp_path: Path, lung_patch_tiff: Path) -> None:
    weights = tmp_path / "other.safetensors"
    weights.write_bytes(b"not weights at all")
    result = desali("compare", "--roi", lung_patch_tiff, "--models", weights)
    assert result.code == 2
    assert "other.safetensors" in result.err


def test_an_output_never_replaces_the_image_or_another_file(
    desali: Run, runs: Path, tmp_path: Path, lung_patch_png: Path
) -> None:
    before = lung_patch_png.read_bytes()
    card = (runs / "scratch" / "model.json").read_bytes()
    base = ["visualize", "--model", "scratch", "--roi", lung_patch_png, "--runs", runs]
    onto_image = desali(*base, "-o", lung_patch_png)
    onto_card = desali(*base, "-o", runs / "scratch" / "model.png")
    (tmp_path / "taken.json").mkdir()
    onto_folder = desali(*base, "-o", tmp_path / "taken.png")
    assert (onto_image.code, onto_card.code, onto_folder.code) == (2, 2, 2)
    assert lung_patch_png.read_bytes() == before
    assert (runs / "scratch" / "model.json").read_bytes() == card
    assert not (runs / "scratch" / "model.png").exists()
    assert not (tmp_path / "taken.png").exists()


@pytest.mark.parametrize("command", ["visualize", "compare"])
def test_on_real_lung_ct(desali: Run, runs: Path, tmp_path: Path, real_data: Path, command: str) -> None:
    slices = sorted((real_data / "lung_ct" / "dicom").glob("*.dcm"))
    out = tmp_path / "figure.png"
    options = ["--model", "two_stage"] if command == "visualize" else []
    result = desali(
        command, *options, "--roi", slices[0], "--box", "200,120,64", "--window", "-600,1500", "--runs", runs, "-o", out
    )
    assert result.code == 0, result.err
    assert json.loads(out.with_suffix(".json").read_text())["image"]["unit"] == "hu"


def test_models_of_different_architecture_are_refused(
    desali: Run, runs: Path, tmp_path: Path, lung_patch_png: Path
) -> None:
    import torch
    from torch import nn

    from desali.models import checkpoint
    from desali.models.registry import ARCHITECTURES

    entry = ARCHITECTURES["caffenet"]
    with torch.device("meta"):
        large = entry.build(7, 3)
    large.to_empty(device="cpu")
    for parameter in large.parameters():
        nn.init.zeros_(parameter)
    card = {"architecture": "caffenet", "classes": list("abcdefg"), "preprocessing": entry.preprocessing}
    weights = checkpoint.save(large, tmp_path / "large.safetensors", card)
    result = desali("compare", "--roi", lung_patch_png, "--runs", runs, "--models", f"scratch,{weights}")
    assert result.code == 2
    assert "within one architecture" in result.err


def test_a_logit_seed_shows_the_output_and_takes_a_class_by_name(
    desali: Run, runs: Path, tmp_path: Path, lung_patch_png: Path
) -> None:
    out = tmp_path / "logit.png"
    result = desali(
        "visualize", "--model", "natural", "--runs", runs, "--roi", lung_patch_png, "--from", "logit:HCM", "-o", out
    )
    assert result.code == 0, result.err
    record = json.loads(out.with_suffix(".json").read_text())
    assert record["layers"] == ["classifier.fc8"]
    assert record["seed"] == {"kind": "logit", "channel": 3, "value": "one"}
    assert record["seed_in_words"] == "logit 3, set to 1 (HCM)"
    wrong = desali("visualize", "--model", "natural", "--runs", runs, "--roi", lung_patch_png, "--from", "logit:HMC")
    assert wrong.code == 2
    assert "the name of a class (CON, GGO" in wrong.err
    inner = desali(
        "visualize", "--model", "natural", "--runs", runs, "--roi", lung_patch_png, "--from", "logit:1",
        "--layers", "features.relu1",
    )  # fmt: skip
    assert inner.code == 2
    assert "needs the network's output" in inner.err


def test_an_unwritable_output_and_a_window_for_display_values_are_refused_at_once(
    desali: Run, runs: Path, lung_patch_png: Path
) -> None:
    common = ["--model", "natural", "--runs", runs, "--roi", lung_patch_png]
    assert "cannot be written" in desali("visualize", *common, "-o", "/proc/none/a.png").err
    refused = desali("visualize", *common, "--window", "-600,1500")
    assert refused.code == 2
    assert "--window does not apply, the file holds display values" in refused.err


def test_a_silent_seed_is_called_silent(desali: Run, runs: Path, tmp_path: Path) -> None:
    from PIL import Image

    dark = tmp_path / "dark.png"
    Image.new("L", (32, 32), 128).save(dark)
    out = tmp_path / "silent.png"
    result = desali(
        "compare", "--runs", runs, "--roi", dark, "--layers", "features.relu5", "--from", "channel:3", "-o", out
    )
    assert result.code == 0, result.err
    (row,) = json.loads(out.with_suffix(".json").read_text())["rows"]
    entries = [model["reconstructions"][0] for model in row["models"].values()]
    assert all(("silent" in entry) == (entry["a"] == 0) for entry in entries)
    assert all("rank_correlation" not in entry for entry in entries if "silent" in entry)
