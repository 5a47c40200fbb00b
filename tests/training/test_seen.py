"""Images that stages have seen: found by their pixels wherever they lie, and by patients in the same data set."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from desali.errors import WeightsError
from desali.models import load, save
from desali.training import recipe, train
from desali.training.initial import initial
from desali.training.seen import SEEN_NAME, keeps_marks, seen, stages_behind
from tests.training.images import stripes

NATURAL, TARGET = stripes(24, classes=4, patients=3, seed=1), stripes(24, classes=3, patients=4, seed=3)
OTHERS = stripes(24, classes=3, patients=4, seed=8)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    quick = recipe("natural").with_options(epochs=1, batch_size=32)
    train([quick], {"natural": NATURAL, "target": TARGET}, folder, replicates=1, device="cpu")
    return folder


def test_every_stage_behind_weights_is_found(runs: Path) -> None:
    own = stages_behind(runs / "natural" / "model.safetensors")
    again = stages_behind(runs / "natural" / "replicate-1" / "model.safetensors")
    assert [path.parent.name for path in own] == load("natural", runs=runs).card["stages"]
    assert own[0] == again[0]
    assert own[1] != again[1]
    assert stages_behind(own[1]) == own
    assert all(map(keeps_marks, own))


def test_pixels_are_recognised_wherever_they_lie(runs: Path) -> None:
    first, last = stages_behind(runs / "natural" / "model.safetensors")
    assert seen(TARGET, first) is None
    assert seen(TARGET, last) == "24 of the 24 images"  # those held out for early stopping too
    moved = replace(TARGET.subset(np.arange(5)), name="elsewhere", patients=np.array(["x"] * 5))
    assert seen(moved, last) == "5 of the 5 images"
    assert seen(OTHERS, last) is None


def test_other_images_of_the_same_patients_are_named(runs: Path) -> None:
    last = stages_behind(runs / "natural" / "model.safetensors")[-1]
    assert seen(replace(OTHERS, name=TARGET.name), last) == "other images of 4 of the patients (P00, ...)"
    here, there = {"path": "/a/rois"}, {"path": "/b/rois"}
    card = load(last).card
    copy = last.parent.with_name("copy") / last.name
    save(load(last).model, copy, {**card, "data": {**card["data"], "parameters": here}})
    assert seen(replace(OTHERS, name=TARGET.name, parameters=there), copy) is None  # another set of the same name
    assert seen(replace(OTHERS, name="x", parameters=here), copy) is not None
    assert not keeps_marks(copy)
    assert seen(TARGET, copy) == "24 of the 24 images"  # by the fingerprint of the whole set


def test_a_broken_list_is_said(runs: Path, tmp_path: Path) -> None:
    last = stages_behind(runs / "natural" / "model.safetensors")[-1]
    path = save(load(last).model, tmp_path / "model.safetensors", load(last).card)
    (tmp_path / SEEN_NAME).write_bytes(b"no array")
    with pytest.raises(WeightsError, match=r"images\.npy: unreadable"):
        seen(TARGET, path)


def test_initial_weights_are_made_again_and_proved(runs: Path) -> None:
    first = load(stages_behind(runs / "natural" / "model.safetensors")[0])
    network, doubt = initial(first.card)
    assert network is not None
    assert doubt is None
    assert network.card["weights_sha256"] == first.card["initial_sha256"]
    assert initial({**first.card, "initial_sha256": "other"})[0] is None
    unproved = {name: value for name, value in first.card.items() if name != "initial_sha256"}
    assert "is not shown" in str(initial(unproved)[1])
