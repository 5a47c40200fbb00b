"""The explorer without a server: numbers are those of the figures, controls always, and nothing sent breaks it."""

from __future__ import annotations

import base64
import gc
import io
import json
import threading
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import desali
from desali.figures.settings import Settings
from desali.figures.viewer import Viewer
from desali.web.explorer.session import Session
from tests.web.conftest import HOSTILE
from tests.web.explorer.explored import SIZE, ask, asked, images, loaded, session

LAYER = "layer2.relu:1"


@pytest.fixture(scope="module")
def made() -> Session:
    return session()


def pixels(url: str) -> np.ndarray:
    head, _, data = url.partition(",")
    assert head == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))


def test_session_says_what_there_is(made: Session) -> None:
    known = ask(made, "session")
    assert [one["name"] for one in known["models"]] == ["a", "b", "other"]
    assert [one["group"] for one in known["models"]] == [0, 0, 1]
    assert any("different architectures" in note for note in known["notes"])
    assert known["models"][0]["classes"] == list(HOSTILE)
    layers = {one["name"]: one for one in known["models"][0]["layers"]}
    assert (layers[LAYER]["channels"], layers[LAYER]["height"]) == (8, SIZE // 4)
    assert len(known["images"]) == 12
    assert known["images"][4] == {
        "id": "4", "name": f"{HOSTILE[1]} 4".rpartition("/")[2], "label": HOSTILE[1], "patient": "P0",
        "origin": "made up", "width": SIZE, "height": SIZE, "hu": True, "window": [-600.0, 1500.0],
    }  # fmt: skip
    assert known["lineage"] is None


def test_the_image_is_shown_through_the_window(made: Session) -> None:
    values = np.frombuffer(ask(made, "image-values", image=2), "<i2").reshape(SIZE, SIZE)
    assert np.array_equal(values, images().images[2])
    for window in ((-600, 1500), (-500, 400)):
        shown = np.asarray(Image.open(io.BytesIO(ask(made, "image", image=2, window=f"{window[0]},{window[1]}"))))
        expected = np.clip((values - (window[0] - window[1] / 2)) / window[1], 0, 1) * 255
        assert np.abs(shown - expected).max() <= 1
    assert asked(Session(made.networks, shelf_of_bytes(), made._decode), "image-values", image=0)[0] == 415


def shelf_of_bytes() -> Any:
    from desali.web.explorer.shelf import shelf

    return shelf(images(unit="uint8"))


def test_a_thumbnail_has_the_size_that_is_asked_for(made: Session) -> None:
    for side, wanted in ((None, SIZE), (16, 16), (96, SIZE)):  # nothing is made larger
        more = {} if side is None else {"side": side}
        assert Image.open(io.BytesIO(ask(made, "image", image=1, **more))).size == (wanted, wanted)
    assert asked(made, "image", image=1, side=1)[0] == 400


@pytest.mark.parametrize("source", ["neuron", "channel", "layer", "contrast"])
def test_numbers_are_those_of_the_figure(made: Session, source: str) -> None:
    state = {"neuron": {"channel": 3, "y": 2, "x": 4}, "channel": {"channel": 3}, "layer": {}, "contrast": {"a": 1}}
    seeds = {
        "neuron": desali.Seed.neuron(3, 2, 4), "channel": desali.Seed.channel(3), "layer": desali.Seed.layer(),
        "contrast": desali.Seed.contrast(1),
    }  # fmt: skip
    found = ask(made, "view", image=1, layer=LAYER, source=source, models="0", **state[source])["models"][0]
    chosen = Settings(
        layers=None if source == "contrast" else (LAYER,), seed=seeds[source], contrast=False, random_networks=1
    )
    record = Viewer({"a": loaded(1)}, chosen).figure(images().images[1]).to_dict()
    row = record["rows"][0]
    own = row["models"]["a"]["reconstructions"][0]
    assert found["picture"]["scale"] == pytest.approx(abs(own["a"]), rel=1e-6)
    assert found["control"]["scale"] == pytest.approx(abs(next(iter(row["controls"].values()))["a"]), rel=1e-6)
    alike = own.get("rank_correlation", {}).get("random", [None])
    assert found["likeness"] == (None if alike == [None] else pytest.approx(alike[0], abs=1e-6))


@pytest.mark.parametrize("source", ["neuron", "channel", "layer", "top", "contrast"])
def test_every_picture_has_its_control_and_its_words(made: Session, source: str) -> None:
    answer = ask(made, "view", image=1, layer=LAYER, source=source, channel=2, models="0,1")
    for one in answer["models"]:
        for name in ("picture", "control"):
            shown = pixels(one[name]["png"])
            assert shown.shape[:2] == (one[name]["height"], one[name]["width"])
        assert one["name"] in one["alt"]
    assert answer["latency_ms"] > 0
    assert LAYER in answer["sentence"] or source == "contrast"
    assert answer["command"] == "", "modules have no command line"


def test_a_neuron_without_a_place_is_the_strongest(made: Session) -> None:
    plane = ask(made, "activation", image=1, layer=LAYER, channel=3, models="0")["models"][0]
    one = ask(made, "view", image=1, layer=LAYER, source="neuron", channel=3, models="0")["models"][0]
    values = np.array(plane["values"])
    assert (one["y"], one["x"]) == np.unravel_index(values.argmax(), values.shape)
    assert one["value"] == pytest.approx(plane["max"])
    strongest = ask(made, "channels", image=1, layer=LAYER, model=0)["strongest"]
    mine = next(entry for entry in strongest if entry["channel"] == 3)
    assert (mine["y"], mine["x"], mine["value"]) == (one["y"], one["x"], pytest.approx(one["value"]))
    assert [entry["value"] for entry in strongest] == sorted((entry["value"] for entry in strongest), reverse=True)


def test_the_box_is_the_receptive_field_in_the_image() -> None:
    half = session({"a": loaded(1, SIZE // 2)})
    one = ask(half, "view", image=1, layer="relu", source="neuron", channel=0, y=3, x=0, models="0")["models"][0]
    recording = half.networks.recorded(0, half.shelf["1"]).recording
    top, left, height, width = recording.receptive_field("relu", (3, 0))
    assert one["box"] == {"top": 2 * top, "left": 2 * left, "height": 2 * height, "width": 2 * width}


def test_models_of_another_architecture_have_their_own_layers(made: Session) -> None:
    answer = ask(made, "view", image=1, layer=LAYER, source="channel", channel=1)
    assert [("error" in one) for one in answer["models"]] == [False, False, True]
    assert "unknown layer" in answer["models"][2]["error"]


def test_recordings_are_made_once_and_twins_are_shared() -> None:
    made = session({"a": loaded(1), "b": loaded(2)})
    for channel in (1, 2, 3):
        ask(made, "view", image=1, layer=LAYER, source="channel", channel=channel)
    assert len(made.networks.recordings) == 3, "two models and one network with random weights"


def test_a_window_is_for_the_eye_alone() -> None:
    made = session({"a": loaded(1), "b": loaded(2)})
    asking = {"image": 1, "layer": LAYER, "source": "channel", "channel": 3}
    assert ask(made, "image", **asking) != ask(made, "image", window="-500,400", **asking)
    for what, more in (
        ("activation", {}), ("channels", {"model": 0}), ("view", {}), ("likeness", {}), ("contrast", {"a": 1}),
        ("export", {"format": "json"}), ("export", {"format": "png"}),
    ):  # fmt: skip
        plain, through = (ask(made, what, **asking, **more, **own) for own in ({}, {"window": "-500,400"}))
        for one in (plain, through):
            if isinstance(one, dict):
                one.pop("latency_ms", None)
        assert plain == through, what


def test_memory_is_flat_over_many_clicks() -> None:
    made = session({"a": loaded(1), "b": loaded(2)})
    made.networks.recordings.most = 3 * 200_000
    made.networks.views.most = 200_000
    tensors = []
    for round in range(3):
        for k in range(40):
            ask(made, "view", image=k % 12, layer=LAYER, source=("neuron", "channel")[k % 2], channel=(k + round) % 8)
        gc.collect()
        tensors.append(sum(1 for one in gc.get_objects() if type(one) is torch.Tensor))
    assert made.networks.recordings.nbytes <= made.networks.recordings.most
    assert tensors[2] <= tensors[1] + 20


def test_the_strongest_patches_are_those_of_the_set() -> None:
    made = session({"a": loaded(1)})
    answer: dict[str, Any] = {"pending": True}
    while answer.get("pending"):
        answer = ask(made, "patches", layer="relu", channel=2, model=0)
    best = {}
    for k in range(12):
        plane = ask(made, "activation", image=k, layer="relu", channel=2, models="0")["models"][0]
        best[str(k)] = plane["max"]
    values = [one["value"] for one in answer["patches"]]
    assert values == sorted(values, reverse=True)
    assert values[0] == pytest.approx(max(best.values()), abs=1e-3)
    for one in answer["patches"]:
        assert one["value"] == pytest.approx(best[one["image"]], abs=1e-3)
        assert pixels(one["png"]).shape[0] > 0
    assert answer["searched"] == 12
    assert sum(answer["classes"].values()) == len(answer["patches"])
    assert "at ReLU layers" in ask(made, "patches", layer="nothing", channel=2, model=0)["words"]
    assert asked(made, "patches", layer="relu", channel=200, model=0)[0] == 404


def test_export_holds_every_control_and_its_record(made: Session) -> None:
    state = {"image": 1, "layer": LAYER, "source": "channel", "channel": 2, "models": "0,1"}
    view = ask(made, "view", **state)
    record = ask(made, "export", format="json", **state)
    for shown, kept in zip(view["models"], record["models"], strict=True):
        assert kept["likeness"] == shown["likeness"]
        assert kept["control"]["scale"] == shown["control"]["scale"]
        assert "png" not in kept["control"]
    picture = Image.open(io.BytesIO(ask(made, "export", format="png", **state)))
    assert json.loads(picture.text["desali"])["models"] == record["models"]
    svg = ask(made, "export", format="svg", **state).decode()
    assert svg.count("random weights") >= 2
    assert "noise within" in svg
    assert asked(made, "export", format="exe", **state)[0] == 400


def test_a_stale_click_is_cancelled(made: Session) -> None:
    answer = made.answer("view", {"image": "1", "layer": LAYER, "channel": "2"}, None, lambda: True)
    assert answer.status == 409


def test_many_threads_get_the_same_answer(made: Session) -> None:
    found: list[Any] = []

    def work() -> None:
        answer = ask(made, "view", image=7, layer=LAYER, source="channel", channel=4, models="0,1")
        found.append([one["picture"]["png"] for one in answer["models"]])

    threads = [threading.Thread(target=work) for _ in range(6)]
    [one.start() for one in threads]
    [one.join() for one in threads]
    assert len(found) == 6
    assert all(one == found[0] for one in found)


@pytest.mark.parametrize(
    ("what", "params", "status", "words"),
    [
        ("nothing", {}, 404, "nothing of that name"),
        ("view", {}, 404, "image is missing"),
        ("view", {"image": "99"}, 404, "there is none"),
        ("view", {"image": "../../etc/passwd"}, 404, "there is none"),
        ("view", {"image": "1", "channel": "-1"}, 400, "channel=-1"),
        ("view", {"image": "1", "channel": "9" * 40}, 400, "expected a whole number"),
        ("view", {"image": "1", "channel": "٣"}, 400, "expected a whole number"),
        ("view", {"image": "1", "from": "everything"}, 400, "expected one of neuron"),
        ("view", {"image": "1", "method": "lime"}, 400, "expected one of"),
        ("view", {"image": "1", "models": "0,x"}, 400, "models=x"),
        ("view", {"image": "1", "models": "7"}, 404, "there are 3"),
        ("view", {"image": "1", "window": "1"}, 400, "CENTRE,WIDTH"),
        ("view", {"image": "1", "window": "nan,inf"}, 400, "CENTRE,WIDTH"),
        ("view", {"image": "1" * 5000}, 400, "at most"),
        ("channels", {"image": "1", "layer": LAYER}, 400, "model is missing"),
        ("images", {"name": "x.png"}, 400, "no bytes"),
    ],
)
def test_bad_requests_are_one_line(made: Session, what: str, params: dict[str, str], status: int, words: str) -> None:
    answer = made.answer(what, params)
    assert answer.status == status
    value = json.loads(answer.body)
    assert words in value["error"]
    assert "\n" not in value["error"]


NAMES = ("image", "layer", "from", "channel", "y", "x", "k", "a", "b", "method", "partner", "window", "models", "model",
         "scale", "format", "name", "slice")  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(
    what=st.sampled_from(
        [
            "session",
            "address",
            "image",
            "image-values",
            "activation",
            "channels",
            "view",
            "likeness",
            "contrast",
            "patches",
        ]
    ),
    params=st.dictionaries(
        st.sampled_from(NAMES),
        st.one_of(st.text(max_size=20), st.integers(-3, 99).map(str), st.sampled_from(["1", "layer2", LAYER, "top"])),
    ),
)
def test_nothing_that_is_sent_raises(made: Session, what: str, params: dict[str, str]) -> None:
    answer = made.answer(what, params)
    assert answer.status in (200, 400, 404, 415)
    if answer.kind == "application/json":
        json.loads(answer.body)
