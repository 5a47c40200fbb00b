"""Methods as data."""

from __future__ import annotations

from typing import Any

import pytest

import desali
from desali.errors import MethodError, UnknownNameError
from desali.reversal.methods import TRUE_ADJOINT, method


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


def test_is_adjoint_only_for_the_gradient_with_sums() -> None:
    assert desali.METHODS["saliency"].is_adjoint
    assert TRUE_ADJOINT.is_adjoint
    assert not desali.Method(True, True, False, lrn="identity").is_adjoint
    assert not desali.Method(True, True, False, lrn="adjoint", overlap="overwrite").is_adjoint
    assert not any(desali.METHODS[name].is_adjoint for name in ("desalinet", "deconvnet", "TFF", "FTF"))


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
