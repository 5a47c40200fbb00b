"""What a page says beside a picture: the range over draws, what a network was trained on, what an image is unlike."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import desali
from desali.errors import NotFiniteWarning
from desali.web.explorer import cards
from desali.web.explorer.opened import of_objects
from desali.web.explorer.session import Session
from tests.figures.networks import plain
from tests.web.conftest import HOSTILE
from tests.web.explorer.explored import SIZE, ask, asked, images, loaded, session

LAYER = "layer2.relu:1"


@pytest.fixture(scope="module")
def made() -> Session:
    return session()


def card_of(seed: int, **card: Any) -> Any:
    """A network with more in its card."""
    one = loaded(seed, classes=card.pop("classes", HOSTILE))
    return replace(one, card={**one.card, **card})


PHANTOMS = {
    "origin": "synthetic (CT-like phantoms; invented patients)",
    "data": {"name": "synthetic-target-train", "unit": "hu", "parameters": {"domain": "target"}},
}


def test_what_a_network_was_trained_on_stands_everywhere() -> None:
    models = {
        "phantoms": card_of(1, **PHANTOMS), "known": card_of(2, origin="proxy labels", data={"name": "lung"}),
        "unknown": card_of(3, origin="unknown"), "nothing": card_of(4, origin="none"), "module": loaded(5).model,
    }  # fmt: skip
    made = of_objects(models, images())
    wanted = {
        "phantoms": "synthetic phantoms, not patients", "known": "lung: proxy labels",
        "unknown": "unknown (its card does not say)", "nothing": "nothing (random weights)",
        "module": "unknown (given as a module)",
    }  # fmt: skip
    assert {one["name"]: one["trained_on"] for one in ask(made, "session")["models"]} == wanted
    asking = {"image": 1, "layer": LAYER, "source": "channel", "channel": 1}
    record = ask(made, "export", format="json", **asking)
    assert {name: one["trained_on"] for name, one in record["networks"].items()} == wanted
    assert record["networks"]["phantoms"]["data"] == "synthetic-target-train"
    assert "not patients" in ask(made, "export", format="svg", **asking).decode()


def test_codes_of_classes_are_spelled_out_where_the_data_does() -> None:
    codes = ("NOR", "EMP", "CON")
    made = session({"a": card_of(1, classes=codes, **PHANTOMS), "b": loaded(2, classes=codes)})
    assert ask(made, "session")["classes"] == ["NOR (normal)", "EMP (emphysema)", "CON (consolidation)"]
    first, second = ask(made, "view", image=1, layer=LAYER, source="channel", channel=1)["models"]
    assert first["scores_in_words"].startswith("score of class ")
    assert "(" in first["scores_in_words"]
    assert "(" not in second["scores_in_words"], "nothing says that these codes are those of the phantoms"


def test_codes_are_spelled_out_as_in_a_report() -> None:
    cases = {
        "emphysema": ({"name": "copd", "parameters": {"reader": "emphysema"}}, "NT", "normal tissue"),
        "medgift": (
            {"name": "clinic", "parameters": {"reader": "medgift", "options": {"labels": "seven"}}},
            "GGO", "ground-glass opacity",
        ),
    }  # fmt: skip
    for data, code, words in cases.values():
        made = session({"a": card_of(1, classes=(code, "x", "y"), origin="a clinic", data=data)})
        assert ask(made, "session")["classes"] == [f"{code} ({words})", "x", "y"]
        record = ask(made, "export", format="json", image=1, layer=LAYER, source="channel", channel=1)
        assert record["networks"]["a"]["classes"] == {code: words, "x": None, "y": None}


def test_only_an_image_makes_a_network_unfit() -> None:
    """A class, a partner or a layer that one network lacks says nothing of the image."""
    made = of_objects({"a": loaded(1), "b": loaded(2, classes=("x", "y", "z")), "fixed": fixed()}, images())
    for asking in ({"source": "contrast", "a": 0}, {"source": "channel", "channel": 1, "layer": LAYER}):
        found = {one["name"]: one for one in ask(made, "view", image=1, **asking)["models"]}
        assert "error" not in found["a"]
        if asking["source"] == "contrast":
            assert (found["b"]["error"], found["b"]["unfit"]) == (f"has no class {HOSTILE[0]}", False)
        else:
            assert found["fixed"]["unfit"]
            assert found["fixed"]["error"].startswith("needs 48 × 48 pixels")


def test_a_network_that_overflows_fails_alone() -> None:
    """As on the command line, where what is not finite is an error."""
    broken = loaded(2)
    with torch.no_grad():
        next(broken.model.parameters()).fill_(float("inf"))
    made = of_objects({"a": loaded(1), "b": broken}, images())
    with warnings.catch_warnings():
        warnings.simplefilter("error", NotFiniteWarning)
        found = ask(made, "view", image=1, source="channel", channel=1, layer=LAYER)["models"]
    assert ["error" in one for one in found] == [False, True]
    assert "not finite" in found[1]["error"]


def test_an_image_that_is_unlike_the_training_is_said() -> None:
    made = session({"a": card_of(1, **PHANTOMS), "b": loaded(2)})
    rng = np.random.default_rng(0)
    cases = {
        "slice": (rng.integers(-1000, 300, (512, 512)).astype(np.int16), ["512 × 512 pixels, far more"]),
        "dot": (np.zeros((1, 1), np.int16), ["1 × 1 pixels, far fewer", "one pixel has no pattern"]),
        "flat": (np.full((SIZE, SIZE), -700, np.int16), ["the image is constant"]),
        "photo": (rng.integers(0, 255, (SIZE, SIZE)).astype(np.uint8), ["display values, not Hounsfield units"]),
        "patch": (rng.integers(-1000, 300, (SIZE, SIZE)).astype(np.int16), []),
    }
    for name, (pixels, wanted) in cases.items():
        entry = made.shelf.drop(name, desali.figures.inputs.to_image(pixels))
        asking = {"image": entry.id, "layer": LAYER, "source": "channel", "channel": 1}
        found = ask(made, "view", **asking)["models"][0]["doubts"]
        assert found.pop().startswith("it saw synthetic images alone")
        assert len(found) == len(wanted), (name, found)
        assert all(any(one.startswith(words) for one in found) for words in wanted), (name, found)
        assert ask(made, "export", format="json", **asking)["models"][0]["doubts"][: len(found)] == found
    assert cards.doubts(made.networks.shown[1], entry, made.networks.input(1, entry)) == []


@pytest.mark.parametrize("source", ["neuron", "channel", "layer", "top", "contrast"])
def test_one_scale_for_pictures_and_controls(made: Session, source: str) -> None:
    asking = {"image": 1, "layer": LAYER, "source": source, "channel": 2, "models": "0,1"}
    own = ask(made, "view", **asking)["models"]
    most = max(one[name]["scale"] for one in own for name in ("picture", "control"))
    common = ask(made, "view", scale="common", **asking)["models"]
    for one, before in zip(common, own, strict=True):
        for name in ("picture", "control"):
            if one[name]["silent"]:
                continue
            assert one[name]["scale"] == pytest.approx(most)
            assert one[name]["words"].endswith("one scale")
            assert (one[name]["png"] == before[name]["png"]) == (before[name]["scale"] == pytest.approx(most))
            assert one[name]["clipped"] <= before[name]["clipped"] + 1e-9
    record = ask(made, "export", format="json", scale="common", **asking)
    assert record["scale"] == "common"
    assert "scale=common" in record["state"]
    assert [one["control"]["scale"] for one in record["models"]] == [one["control"]["scale"] for one in common]


def silenced() -> nn.Module:
    """A chain whose second channel never opens."""
    model = plain(1)
    with torch.no_grad():
        model[3].weight[1], model[3].bias[1] = 0.0, -1.0
    return model


def test_a_silent_channel_has_no_place() -> None:
    made = of_objects({"a": silenced()}, images())
    for source in ("neuron", "channel"):
        one = ask(made, "view", image=1, layer="4", source=source, channel=1)["models"][0]
        assert (one["y"], one["x"], one["value"], one["box"]) == (None, None, 0.0, None)
        assert one["picture"]["silent"]
        assert one["picture"]["words"] == "silent here"
        assert (one["rows"]["value"], one["rows"]["row, column"]) == ("silent here", None)
    strongest = ask(made, "channels", image=1, layer="4", model=0)["strongest"]
    assert next(one for one in strongest if one["channel"] == 1) == {"channel": 1, "value": 0.0, "y": None, "x": None}
    at = ask(made, "view", image=1, layer="4", source="neuron", channel=1, y=2, x=3)["models"][0]
    assert (at["y"], at["x"]) == (2, 3), "a place that was asked for is one"


def fixed(size: int = 48) -> nn.Module:
    """A chain whose classifier takes images of one size."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(4), nn.Flatten(), nn.Linear(4 * (size // 4) ** 2, 3)
    ).eval()


def test_a_network_that_does_not_take_the_image_says_which_it_takes() -> None:
    made = of_objects({"fixed": fixed(), "any": plain(2)}, images())
    known = ask(made, "session")["models"]
    words = f"needs 48 × 48 pixels or another size that its layers take; the image has {SIZE} × {SIZE}"
    assert [one["unfit"] for one in known] == [words, ""]
    assert [one["name"] for one in known[0]["layers"]] == ["0", "1", "2", "3", "4"]
    for source in ("channel", "contrast"):
        found = ask(made, "view", image=1, layer="1", source=source, channel=1, a=1, models="0")["models"][0]
        assert found["error"] == words
    entry = made.shelf.drop("fit", desali.figures.inputs.to_image(np.full((48, 48), 9, np.uint8)))
    fit = ask(made, "view", image=entry.id, layer="1", source="channel", channel=1, models="0")["models"][0]
    assert "error" not in fit


def test_the_export_says_a_reason_once(made: Session) -> None:
    status, value = asked(made, "export", format="json", image=1, layer="layer2.rleu", source="channel", channel=1)
    assert status == 400
    assert value["error"].count("unknown layer") == 2, "of two architectures"
    assert value["error"].startswith("a, b: unknown layer 'layer2.rleu'; the nearest of ")
    assert "layer2.relu" in value["error"].partition(" are ")[2].split(",")[0]
    assert len(value["error"]) < 400
    assert "conv1" not in value["error"]
