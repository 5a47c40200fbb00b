"""The address of a view: what names nothing is said in a line each, and the page stands."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from desali.web.explorer.session import Session
from tests.web.explorer.explored import ask, asked, session

LAYER = "layer2.relu"


@pytest.fixture(scope="module")
def made() -> Session:
    one = session()
    ask(one, "session")
    return one


def checked(made: Session, **params: Any) -> tuple[dict[str, str], list[str]]:
    words = {name.replace("_", "."): value for name, value in params.items()}
    answer = ask(made, "address", **words)
    return answer["state"], answer["problems"]


def test_what_is_left_open_is_filled_in(made: Session) -> None:
    state, problems = checked(made)
    assert problems == []
    assert state == {"image": "0", "from": "channel", "layer": "layer3.relu", "layer.1": "4"}


def test_a_good_address_stays(made: Session) -> None:
    given = {
        "image": "3", "layer": LAYER, "channel": "2", "y": "1", "x": "2", "show": "both", "scale": "common", "k": "4",
        "models": "0,2", "model": "2", "a": "1", "window": "-600,1500", "method": "saliency", "layer_1": "1",
    }  # fmt: skip
    state, problems = checked(made, **given, source="neuron")
    assert problems == []
    assert state == {**{name.replace("_", "."): value for name, value in given.items()}, "from": "neuron"}


@pytest.mark.parametrize(
    ("params", "words", "gone"),
    [
        ({"x": "-4", "y": "1"}, "x=-4: expected a whole number", ["x"]),
        ({"channel": "9999", "layer": LAYER}, f"channel=9999: {LAYER} has 8", ["channel"]),
        ({"channel": "9999"}, "channel=9999: layer3.relu has 10", ["channel"]),
        ({"y": "3"}, "y=3: a place needs x too", ["y"]),
        ({"x": "3"}, "x=3: a place needs y too", ["x"]),
        ({"y": "90", "x": "1", "layer": LAYER}, f"y=90: {LAYER} has 6", ["y", "x"]),
        ({"layer": "layer2.rleu", "channel": "3"}, "unknown layer 'layer2.rleu'; the nearest of", ["channel"]),
        ({"layer_1": "layer2.relu"}, "unknown layer 'layer2.relu'", []),
        ({"image": "nowhere"}, "image 'nowhere': there is none", []),
        ({"model": "77"}, "model 77: there are 3", ["model"]),
        ({"models": "0,77"}, "model 77: there are 3", ["models"]),
        ({"a": "3"}, "a=3: there are 3 classes", ["a"]),
        ({"show": "neither"}, "show=neither: expected one of both, before, after", ["show"]),
        ({"scale": "mine"}, "scale=mine: expected one of own, common", ["scale"]),
        ({"source": "everything"}, "from=everything: expected one of neuron", []),
        ({"chanel": "3"}, "chanel=3: nothing in an address is called so; did you mean channel?", ["chanel"]),
        ({"layer_7": "1"}, "layer.7=1: nothing in an address is called so", ["layer.7"]),
        ({"layer_01": "1"}, "layer.01=1: nothing in an address is called so", ["layer.01"]),
        ({"channel_01": "99999"}, "channel.01=99999: nothing in an address is called so", ["channel.01"]),
        ({"y_0": "1"}, "y.0=1: nothing in an address is called so", ["y.0"]),
        ({"x_00000011": "1"}, "x.00000011=1: nothing in an address is called so", ["x.00000011"]),
        ({"image_1": "1"}, "image.1=1: nothing in an address is called so", ["image.1"]),
    ],
)
def test_what_names_nothing_is_one_line(made: Session, params: dict[str, str], words: str, gone: list[str]) -> None:
    state, problems = checked(made, **params)
    assert len(problems) == 1
    assert problems[0].startswith(f"The address: {words}")
    assert not set(gone) & set(state)
    assert {"image", "layer", "layer.1"} <= set(state)


@settings(max_examples=80, deadline=None)
@given(
    params=st.dictionaries(
        st.sampled_from(["image", "layer", "layer.1", "from", "channel", "channel.1", "y", "x", "k", "a", "b", "method",
                         "partner", "show", "scale", "models", "model", "window", "foo", "layer.9", "layer.01",
                         "channel.01", ""]),
        st.one_of(st.text(max_size=12), st.integers(-3, 99).map(str), st.sampled_from([LAYER, "1", "contrast"])),
    )
)  # fmt: skip
def test_what_is_kept_can_be_asked_for(made: Session, params: dict[str, str]) -> None:
    answer = made.answer("address", params)
    assert answer.status == 200
    value = json.loads(answer.body)
    state, problems = value["state"], value["problems"]
    assert len(problems) <= len(params)
    again = made.answer("address", state)
    assert json.loads(again.body) == {"state": state, "problems": []}
    one = {name: own for name, own in state.items() if "." not in name and name not in ("show", "model")}
    status, _ = asked(made, "view", **{("source" if name == "from" else name): own for name, own in one.items()})
    assert status == 200
