"""What a page says beside a picture: the range over draws, what a network was trained on, what an image is unlike."""

from __future__ import annotations

import io
import json
import threading
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import desali
from desali.errors import NotFiniteWarning
from desali.figures.settings import Settings
from desali.figures.viewer import Viewer
from desali.web.explorer import cards
from desali.web.explorer.draws import Draws
from desali.web.explorer.networks import Networks
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


@pytest.mark.parametrize("source", ["neuron", "channel", "layer", "contrast"])
def test_likeness_to_every_draw_is_that_of_the_figure(made: Session, source: str) -> None:
    state = {"neuron": {"channel": 3, "y": 2, "x": 4}, "channel": {"channel": 3}, "layer": {}, "contrast": {"a": 1}}
    seeds = {
        "neuron": desali.Seed.neuron(3, 2, 4), "channel": desali.Seed.channel(3), "layer": desali.Seed.layer(),
        "contrast": desali.Seed.contrast(1),
    }  # fmt: skip
    asking = {"image": 1, "layer": LAYER, "source": source, "models": "0", **state[source]}
    found = ask(made, "likeness", **asking)["models"][0]["draws"]
    layers = None if source == "contrast" else (LAYER,)
    chosen = Settings(layers=layers, seed=seeds[source], contrast=False, random_networks=5)
    record = Viewer({"a": loaded(1)}, chosen).figure(images().images[1]).to_dict()
    own = record["rows"][0]["models"]["a"]["reconstructions"][0]
    alike = own.get("rank_correlation", {}).get("random", [])
    assert found["networks"] == 5
    assert [one for one in found["likeness"] if one is not None] == pytest.approx(alike, abs=1e-6)
    first = ask(made, "view", **asking)["models"][0]["likeness"]
    assert found["likeness"][0] == first, "the first of them is the one that is shown"
    known = [one for one in found["likeness"] if one is not None]
    assert (found["low"], found["high"]) == ((min(known), max(known)) if known else (None, None))
    record = ask(made, "export", format="json", **asking)
    assert record["models"][0]["draws"] == {key: value for key, value in found.items() if key not in ("words", "rows")}
    assert record["control"]["networks"] == 5


@pytest.mark.parametrize(
    ("likeness", "silent", "words"),
    [
        ((0.14, 0.66, 0.3), 0, "0.14 to 0.66 (3 draws)"),
        ((None, 0.66, -0.2), 1, "−0.20 to 0.66 (3 draws, 1 silent)"),
        ((None, None), 2, "none (2 draws, 2 silent)"),
        ((0.501, 0.502), 0, "0.50 (2 draws)"),
        ((0.5,), 0, "0.50 (1 draw)"),
    ],
)
def test_the_range_in_words(likeness: tuple[float | None, ...], silent: int, words: str) -> None:
    assert Draws(likeness, silent).words == words


def test_other_draws_are_made_when_they_are_asked_for() -> None:
    made = session({"a": loaded(1), "b": loaded(2)})
    asking = {"image": 1, "layer": LAYER, "source": "channel", "channel": 1}
    ask(made, "view", **asking)
    assert len(made.networks.recordings) == 3, "two models and one network with random weights"
    found = [one["draws"]["likeness"] for one in ask(made, "likeness", **asking)["models"]]
    assert len(made.networks.recordings) == 7
    assert [len(own) for own in found] == [5, 5]
    for own in found:
        known = [one for one in own if one is not None]
        assert len(set(known)) == len(known) > 2, "five draws, and not one five times"
    assert made.answer("likeness", {name: str(own) for name, own in asking.items()}, None, lambda: True).status == 409
    with pytest.raises(desali.errors.DesaliError, match="from 1 to 8"):
        Networks({"a": loaded(1)}, draws=9)


@pytest.mark.parametrize("draws", [1, 3, 5])
def test_few_draws_are_called_so_as_in_a_lineage(draws: int) -> None:
    from desali.comparison.controls import ENOUGH_RANDOM
    from desali.web.options import DRAWS

    assert DRAWS == ENOUGH_RANDOM
    made = of_objects({"a": loaded(1)}, images(), draws=draws)
    asking = {"image": 1, "layer": LAYER, "source": "channel", "channel": 1}
    words = {1: "1 random network is too few for a range; 5 are a start.",
             3: "3 random networks are too few for a range; 5 are a start.", 5: ""}[draws]  # fmt: skip
    said = [ask(made, "session")["meaning"], ask(made, "export", format="json", **asking)["note"],
            " ".join(ask(made, "export", format="svg", **asking).decode().split())]  # fmt: skip
    for one in said:
        assert (words in one) if words else ("too few" not in one)


@pytest.mark.parametrize("source", ["channel", "contrast"])
def test_who_hears_the_page_hears_the_range(made: Session, source: str) -> None:
    """And no likeness to a single draw before it."""
    asking = {"image": 1, "layer": LAYER, "source": source, "channel": 1, "a": 1, "b": 0, "models": "0,1"}
    first = ask(made, "view", **asking)["models"]
    later = ask(made, "likeness", **asking)["models"]
    record = ask(made, "export", format="json", **asking)["models"]
    for before, after, kept in zip(first, later, record, strict=True):
        for name in ("alt", "control_alt"):
            assert "ikeness" not in before[name]
            assert after[name].startswith(before[name])
            assert f"ikeness to the same network with random weights: {after['draws']['words']}" in after[name]
            assert kept[name] == after[name]
        assert "given tensor" not in before["alt"]


def test_draws_are_worked_on_side_by_side() -> None:
    """Two hands hold a draw each at the same time: none has to wait for the other's."""
    from desali.web.explorer.hands import Hands
    from tests.web.explorer.test_hands import threads_of_torch

    made = session({"a": loaded(1), "b": loaded(2)})
    asking = {"image": 1, "layer": LAYER, "source": "channel", "channel": 1}
    wanted = ask(made, "likeness", **asking)
    made = session({"a": loaded(1), "b": loaded(2)})
    ask(made, "view", **asking)
    with threads_of_torch(2):
        made.views.hands = Hands(2)
    both, threads = threading.Barrier(2, timeout=30), set()
    twin = made.networks.twin

    def waiting(index: int, draw: int = 0) -> Any:
        if draw in (1, 2) and index == 0:
            threads.add(threading.current_thread().name)
            both.wait()
        return twin(index, draw)

    made.networks.twin = waiting  # type: ignore[method-assign]
    assert ask(made, "likeness", **asking) == wanted
    assert len(threads) == 2
    assert all(one.startswith("desali-hand") for one in threads)


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
        assert len(found) == len(wanted), (name, found)
        assert all(any(one.startswith(words) for one in found) for words in wanted), (name, found)
        assert ask(made, "export", format="json", **asking)["models"][0]["doubts"] == found
    assert cards.doubts(made.networks.shown[1], entry, made.networks.input(1, entry)) == []


def test_a_contrast_pairs_classes_by_name() -> None:
    turned = (HOSTILE[2], HOSTILE[0], HOSTILE[1])
    made = session({"a": loaded(1), "turned": loaded(2, classes=turned), "others": loaded(3, classes=("x", "y", "z"))})
    assert made.networks.classes == [*HOSTILE, "x", "y", "z"]
    first, second, third = ask(made, "view", image=5, source="contrast", a=1, b=0)["models"]
    assert first["what"] == second["what"] == f"for {HOSTILE[1]}, against {HOSTILE[0]}"
    own = made.networks.shown[1]
    recorded = made.networks.recorded(1, made.shelf["5"]).recording
    signal = torch.zeros(1, 3)
    signal[0, own.classes.index(HOSTILE[1])], signal[0, own.classes.index(HOSTILE[0])] = 1.0, -1.0
    map = recorded.reconstruct("fc", desali.Seed.tensor(signal), "gradient")
    from desali.figures.windows import contrast_map

    assert second["picture"]["scale"] == pytest.approx(abs(contrast_map(map[0, 0])[1]), rel=1e-5)
    assert third["error"] == f"has no class {HOSTILE[1]}"
    only = ask(made, "view", image=5, source="contrast", a=4)["models"]
    assert [one.get("error") for one in only] == ["has no class y", "has no class y", None]
    predicted = ask(made, "view", image=5, source="contrast")["models"]
    assert predicted[0]["what"] == predicted[1]["what"]
    assert "error" in predicted[2]
    assert asked(made, "view", image=5, source="contrast", a=6) == (
        404, {"error": "class 6: there are 6, which count from 0"},
    )  # fmt: skip


def test_classes_without_names_are_one_by_number_where_there_are_as_many() -> None:
    alike = of_objects({"a": plain(1), "b": plain(2)}, images())
    assert not [one for one in ask(alike, "view", image=5, source="contrast", a=1)["models"] if "error" in one]
    other = of_objects({"a": plain(1), "b": plain(2, classes=5)}, images())
    assert all("not known" in one["error"] for one in ask(other, "view", image=5, source="contrast", a=1)["models"])
    named = of_objects({"a": loaded(1), "b": plain(2)}, images())
    assert ["error" in one for one in ask(named, "view", image=5, source="contrast", a=1)["models"]] == [False, True]


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


def test_a_draw_that_several_models_share_is_called_so(made: Session) -> None:
    answer = ask(made, "view", image=1, layer=LAYER, source="channel", channel=2, models="0,1")["models"]
    assert answer[0]["control"]["png"] == answer[1]["control"]["png"]
    assert [one["control"]["shared"] for one in answer] == [2, 2]
    other = ask(made, "view", image=1, layer="1", source="channel", channel=2, models="2")["models"]
    assert other[0]["control"]["shared"] == 1
    assert b"one draw for all 2" in ask(
        made, "export", format="svg", image=1, layer=LAYER, source="channel", channel=2, models="0,1"
    )


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


def test_the_picture_holds_the_range(made: Session) -> None:
    state = {"image": 1, "layer": LAYER, "source": "channel", "channel": 2, "models": "0"}
    picture = Image.open(io.BytesIO(ask(made, "export", format="png", **state)))
    record = json.loads(picture.text["desali"])  # type: ignore[attr-defined]
    assert record["models"][0]["draws"]["networks"] == 5
    assert b"(5 draws" in ask(made, "export", format="svg", **state)
