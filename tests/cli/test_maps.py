"""`--maps`: the numbers behind a figure; and the options of a method and of recording, from the outside."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import desali
from desali.models import load
from desali.output.options import options_of
from desali.reversal.methods import METHODS, Method, changed

Run = Callable[..., Any]


@pytest.fixture
def image(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    path = tmp_path / "img.png"
    Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(path)
    return path


def recorded(runs: Path, image: Path, name: str = "scratch") -> Any:
    loaded = load(name, runs=runs)
    roi = desali.read_image(image)
    return desali.record(loaded.model, loaded.preprocessing.apply(roi.pixels, roi.unit)[None])


def test_maps_of_visualize_are_those_of_the_library(desali: Run, runs: Path, image: Path, tmp_path: Path) -> None:
    common = ("visualize", "--model", "scratch", "--roi", image, "--runs", runs, "-o", tmp_path / "f.png")
    options = ("--layers", "features.relu5", "--from", "top:2", "--maps", tmp_path / "m.npz")
    result = desali(*common, *options)
    assert result.code == 0
    assert result.out.splitlines() == [str(tmp_path / "f.png"), f"maps: {tmp_path / 'm.npz'}"]
    record = json.loads((tmp_path / "m.npz.json").read_text())
    by_name = {one["name"]: one for one in record["arrays"]}
    own = recorded(runs, image)
    with np.load(tmp_path / "m.npz") as arrays:
        assert set(arrays) == set(by_name)
        maps = own.reconstruct("features.relu5", __import__("desali").Seed.top(2))[0]
        assert np.array_equal(arrays["map/scratch/features.relu5"], maps.numpy())
        activation = own.activation("features.relu5")[0]
        assert np.array_equal(arrays["activation/scratch/features.relu5"], activation.numpy())
        assert np.array_equal(arrays["input/scratch"], own.images[0].numpy())
        assert np.array_equal(arrays["scores/scratch"], own.output[0].numpy())
        for name in arrays:
            assert list(arrays[name].shape) == by_name[name]["shape"]
            assert len(by_name[name]["axes"]) == arrays[name].ndim
            assert by_name[name]["unit"]
    assert {one["is"] for one in by_name.values()} == {"model", "control", "edge detector"}
    one = by_name["map/scratch/features.relu5"]
    assert len(one["neurons"]) == len(one["receptive_fields"]) == 2
    assert record["figure"]["seed_in_words"] == json.loads((tmp_path / "f.json").read_text())["seed_in_words"]
    assert record["command"][0] == "desali"


def test_compare_names_all_networks(desali: Run, runs: Path, image: Path, tmp_path: Path) -> None:
    names = ("--models", "scratch,texture", "--layers", "features.relu5", "--no-follow", "--random-networks", "1")
    out = ("-o", tmp_path / "f.png", "--maps", tmp_path / "m.npz")
    assert desali("compare", "--roi", image, "--runs", runs, *names, *out).code == 0
    with np.load(tmp_path / "m.npz") as arrays:
        shown = {name.split("/")[1] for name in arrays if name.startswith("map/")}
        assert shown == {"scratch", "texture", "random-weights"}


@pytest.mark.parametrize("suffix", [".npz", ".zarr"])
def test_grid_puts_all_images_together_and_goes_on(
    desali: Run, runs: Path, image: Path, tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if suffix == ".zarr":
        pytest.importorskip("zarr")
    folder, maps = tmp_path / "rois", tmp_path / f"maps{suffix}"
    folder.mkdir()
    for number in range(3):
        Image.open(image).rotate(90 * number).save(folder / f"i{number}.png")
    common = ("grid", "--rois", folder, "--runs", runs, "--models", "scratch", "--random-networks", "0")
    common = (*common, "--layers", "features.relu5", "-o", tmp_path / "out")
    assert desali(*common).code == 0  # the figures are there, their maps not
    from desali.figures import batch_maps

    write, calls, again = batch_maps.write_arrays, [], []

    def stop(path: Path, *rest: Any) -> Path:
        calls.append(Path(path).name)
        if len(calls) == 3 and not again:
            raise KeyboardInterrupt
        return write(path, *rest)

    monkeypatch.setattr(batch_maps, "write_arrays", stop)
    assert desali(*common, "--maps", maps).code == 130
    assert not maps.exists()
    calls.clear()
    again.append(True)
    assert "0 figures made, 3 already there" in desali(*common, "--maps", maps).out
    assert [name[:2] for name in calls] == ["i2", "ma"]  # two images are not looked at anew
    record = json.loads((tmp_path / f"maps{suffix}.json").read_text())
    assert [one["name"] for one in record["images"]] == ["i0", "i1", "i2"]
    assert {one["image"] for one in record["arrays"]} == {"i0", "i1", "i2"}
    assert len(record["arrays"]) % 3 == 0
    assert set(record["figures"]) == {"i0", "i1", "i2"}
    assert not (tmp_path / "out" / ".maps").exists()
    if suffix == ".npz":
        before = maps.read_bytes()
        (folder / "i1.png").unlink()
        assert desali(*common, "--maps", maps).code == 0
        with np.load(maps) as arrays:
            assert {name.split("/")[0] for name in arrays} == {"i0", "i2"}
        Image.open(image).rotate(90).save(folder / "i1.png")
        assert desali(*common, "--maps", maps).code == 0
        assert maps.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--maps", "m.npy"), "m.npy: arrays are written as .npz, or as a folder .zarr"),
        (("--maps", "img.png"), "img.png: arrays are written as .npz"),
        (("--smooth", "grad"), "Invalid value for '--smooth': unknown smooth 'grad': did you mean 'gradient'?"),
        (("--only", "features.relu9"), "unknown layer 'features.relu9'"),
        (("--only", "classifier.fc8"), "--only classifier.fc8 holds no ReLU; choose from features.relu1"),
        (("--overlap", "max"), "choose from sum, overwrite"),
    ],
)
def test_bad_values_are_said(
    desali: Run, runs: Path, image: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], words: str
) -> None:
    monkeypatch.chdir(image.parent)
    result = desali("visualize", "--model", "scratch", "--roi", image, "--runs", runs, *arguments)
    assert result.code == 2
    assert words in result.err
    assert [path.name for path in image.parent.iterdir()] == ["img.png"]


def test_every_option_of_a_method_and_of_recording_is_a_flag_of_every_command_that_draws(desali: Run) -> None:
    for command in ("visualize", "compare", "grid", "channels"):
        said = desali(command, "--help").out
        assert all(flag in said for one in options_of(Method).values() for flag in one.flags)
        assert "--maps" in said
        if command != "channels":
            assert "--fold-batch-norm" in said
    named = {"relu_mask", "switches", "relu_backward"}  # by --method
    assert set(Method.__dataclass_fields__) == named | set(options_of(Method))


def test_the_options_do_what_they_say(desali: Run, runs: Path, image: Path, tmp_path: Path) -> None:
    common = ("visualize", "--model", "scratch", "--roi", image, "--runs", runs, "-o", tmp_path / "f.png")
    common = (*common, "--layers", "features.relu5", "--from", "top:1", "--random-networks", "0", "--no-contrast")
    asked = (
        "--method",
        "deconvnet",
        "--lrn",
        "adjoint",
        "--overlap",
        "overwrite",
        "--only",
        "features.relu4,features.pool2",
    )
    assert desali(*common, *asked, "--maps", tmp_path / "m.npz").code == 0
    rule = changed(
        "deconvnet", {"lrn": "adjoint", "overlap": "overwrite", "only": ("features.relu4", "features.pool2")}
    )
    expected = recorded(runs, image).reconstruct("features.relu5", __import__("desali").Seed.top(1), rule)
    with np.load(tmp_path / "m.npz") as arrays:
        assert np.array_equal(arrays["map/scratch/features.relu5"], expected[0].numpy())
    record = json.loads((tmp_path / "f.json").read_text())
    assert Method.from_dict(record["method"]) == rule
    said = "FTT, lrn adjoint, overlap overwrite, only features.relu4, features.pool2"
    assert record["method_in_words"].replace("deconvnet", "FTT") == said


def test_folding_and_smooth_layers(desali: Run, image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gated.py").write_text(
        "from torch import nn\n"
        "def net(num_classes=3):\n"
        "    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.GELU(),\n"
        "                         nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, num_classes))\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    common = ("visualize", "--model", "gated:net", "--weights", "random", "--roi", image, "-o", tmp_path / "f.png")
    refused = desali(*common)
    assert refused.code == 2
    assert "gelu has no rule in the ReLU framework; to reverse it by its gradient pass --smooth gradient" in refused.err
    done = desali(*common, "--smooth", "gradient", "--fold-batch-norm", "--random-networks", "1")
    assert done.code == 0
    record = json.loads((tmp_path / "f.json").read_text())
    assert record["method"]["smooth"] == record["contrast"]["method"]["smooth"] == "gradient"
    assert record["fold_batch_norm"] is True
    assert "smooth gradient" in record["method_in_words"]


def test_methods_in_words() -> None:
    assert Method(True, True, True).describe() == "TTT"
    assert METHODS["saliency"].describe() == "saliency"
    assert changed("saliency", {"smooth": "gradient"}).describe() == "saliency, smooth gradient"
    assert (
        changed("FFF", {"only": ["a", "b"], "overlap": "overwrite"}).describe() == "FFF, overlap overwrite, only a, b"
    )
    assert changed("TTT", {"only": ()}).describe() == "TTT, only nothing"
