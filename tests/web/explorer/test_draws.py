"""Several networks with random weights behind a likeness: the range, in words, drawn side by side."""

from __future__ import annotations

import io
import json
import threading
from typing import Any

import pytest
from PIL import Image

import desali
from desali.figures.settings import Settings
from desali.figures.viewer import Viewer
from desali.web.explorer.draws import Draws
from desali.web.explorer.networks import Networks
from desali.web.explorer.opened import of_objects
from desali.web.explorer.session import Session
from tests.web.explorer.explored import ask, images, loaded, session

LAYER = "layer2.relu:1"


@pytest.fixture(scope="module")
def made() -> Session:
    return session()


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


def test_a_draw_that_several_models_share_is_called_so(made: Session) -> None:
    answer = ask(made, "view", image=1, layer=LAYER, source="channel", channel=2, models="0,1")["models"]
    assert answer[0]["control"]["png"] == answer[1]["control"]["png"]
    assert [one["control"]["shared"] for one in answer] == [2, 2]
    other = ask(made, "view", image=1, layer="1", source="channel", channel=2, models="2")["models"]
    assert other[0]["control"]["shared"] == 1
    assert b"one draw for all 2" in ask(
        made, "export", format="svg", image=1, layer=LAYER, source="channel", channel=2, models="0,1"
    )


def test_the_picture_holds_the_range(made: Session) -> None:
    state = {"image": 1, "layer": LAYER, "source": "channel", "channel": 2, "models": "0"}
    picture = Image.open(io.BytesIO(ask(made, "export", format="png", **state)))
    record = json.loads(picture.text["desali"])  # type: ignore[attr-defined]
    assert record["models"][0]["draws"]["networks"] == 5
    assert b"(5 draws" in ask(made, "export", format="svg", **state)
