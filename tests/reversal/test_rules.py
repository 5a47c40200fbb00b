"""Methods as data."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import desali
from desali.errors import MethodError, UnknownNameError
from desali.reversal.methods import method


def test_the_three_published_methods_are_corners() -> None:
    assert desali.METHODS["desalinet"].corner == "TTT"
    assert desali.METHODS["deconvnet"].corner == "FTT"
    assert desali.METHODS["saliency"].corner == "TTF"
    assert desali.METHODS["saliency"].lrn == "adjoint"
    assert desali.METHODS["desalinet"].lrn == "identity"


def test_eight_corners_cover_all_bits() -> None:
    corners = {
        (m.relu_mask, m.switches, m.relu_backward)
        for name, m in desali.METHODS.items()
        if len(name) == 3 and m.corner == name
    }
    assert len(corners) == 8


@pytest.mark.parametrize(
    ("arguments", "options", "word"),
    [
        ((1, True, True), {}, "relu_mask"),
        ((True, None, True), {}, "switches"),
        ((True, True, True), {"lrn": "Adjoint"}, "'Adjoint'"),
        ((True, True, True), {"overlap": "add"}, "'add'"),
        ((True, True, True), {"smooth": True}, "smooth"),
        ((True, True, True), {"only": "features.1"}, "list of layer names"),
    ],
)
def test_a_wrong_method_is_refused_in_one_line(arguments: Any, options: Any, word: str) -> None:
    with pytest.raises(MethodError) as error:
        desali.Method(*arguments, **options)
    assert word in str(error.value)
    assert "\n" not in str(error.value)


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'desalinet'"):
        method("desalnet")
    own = desali.Method(False, False, True)
    assert method(own) is own


def test_methods_are_values() -> None:
    first, second = desali.Method(True, True, True, only=["a"]), desali.Method(True, True, True, only=("a",))
    assert first == second
    assert hash(first) == hash(second)
    with pytest.raises(AttributeError):
        first.relu_mask = False  # type: ignore[misc]


def test_names_known_from_elsewhere_are_exactly_what_they_say() -> None:
    assert desali.METHODS["guided_backprop"] == desali.Method(True, True, True, lrn="adjoint", overlap="sum")
    assert desali.METHODS["deconv"] is desali.METHODS["deconvnet"]
    assert desali.METHODS["gradient"] is desali.METHODS["saliency"]


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [("guidedbackprop", "guided_backprop"), ("grad", "gradient"), ("deconvolution", "deconvnet"), ("ttf", "TTF")],
)
def test_near_misses_of_every_name_are_understood(wrong: str, meant: str) -> None:
    with pytest.raises(UnknownNameError, match=f"did you mean '{meant}'"):
        method(wrong)


METHOD = st.builds(
    desali.Method,
    st.booleans(),
    st.booleans(),
    st.booleans(),
    lrn=st.sampled_from(["identity", "adjoint"]),
    overlap=st.sampled_from(["sum", "overwrite"]),
    only=st.none() | st.lists(st.text(max_size=5), max_size=3),
    smooth=st.sampled_from(["refuse", "gradient"]),
)


@given(METHOD)
def test_a_method_is_the_same_after_a_way_through_json(own: desali.Method) -> None:
    data = json.loads(json.dumps(own.to_dict()))
    assert desali.Method.from_dict(data) == own
    assert set(data) == {field.name for field in dataclasses.fields(own)}, "nothing of a method is lost"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"relu_mask": True, "switches": True}, "no entry 'relu_backward'"),
        ({"relu_mask": True, "switches": True, "relu_backward": True, "lnr": "adjoint"}, "did you mean 'lrn'"),
        ({"relu_mask": 1, "switches": True, "relu_backward": True}, "relu_mask must be True or False"),
        ({"relu_mask": True, "switches": True, "relu_backward": True, "only": 3}, "only must be a list"),
        ({"relu_mask": True, "switches": True, "relu_backward": True, "only": [3]}, "only must be a list"),
        ({"relu_mask": True, "switches": True, "relu_backward": True, "lrn": ["adjoint"]}, "lrn must be one of"),
        ("TTT", "must be an object"),
    ],
)
def test_broken_data_of_a_method_are_refused_in_one_line(data: Any, words: str) -> None:
    with pytest.raises(MethodError) as error:
        desali.Method.from_dict(data)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_every_name_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "methods.md").read_text(encoding="utf-8")
    for name in desali.METHODS:
        assert f"`{name}`" in page, name
