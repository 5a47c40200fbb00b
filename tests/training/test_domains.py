"""A share of the synthetic data is the share that it says, of the target alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from desali.data import drawn, synthetic
from desali.errors import DataError
from desali.training.domains import synthetic_datasets
from desali.training.splits import first_of_each_class
from tests.training.images import stripes


@given(count=st.integers(6, 200), share=st.floats(0.001, 1))
def test_each_class_is_cut_to_its_share_but_keeps_two(count: int, share: float) -> None:
    whole = stripes(count, classes=3, size=2)
    part = first_of_each_class(whole, share)
    for label in range(3):
        before, after = (np.flatnonzero(images.labels == label) for images in (whole, part))
        assert len(after) == max(2, round(share * len(before)))
        assert (part.images[after] == whole.images[before][: len(after)]).all()
        assert (part.patients[after] == whole.patients[before][: len(after)]).all()


def test_a_smaller_share_is_part_of_a_larger_one() -> None:
    whole = stripes(60)
    small, large = (first_of_each_class(whole, share).images.tolist() for share in (0.2, 0.5))
    assert all(image in large for image in small)
    assert first_of_each_class(whole, 1.0) is whole


def test_only_the_target_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def make(domain: str, result: Any) -> Any:
        def generate(*given: Any, **options: Any) -> Any:
            asked[domain] = (given, options)
            return result

        return generate

    whole = stripes(90)
    monkeypatch.setattr(synthetic, "natural", make("natural", whole), raising=False)
    monkeypatch.setattr(synthetic, "texture", make("texture", whole), raising=False)
    monkeypatch.setattr(drawn, "drawn_target", make("target", whole))
    full = synthetic_datasets(["natural", "texture", "target"], 3)
    for_all = dict(asked)
    tenth = synthetic_datasets(["natural", "texture", "target"], 3, 0.1)
    assert asked == for_all
    assert asked["target"] == (("train",), {"seed": 3})  # the evaluation images are not made
    assert full["target"] is full["natural"] is tenth["natural"] is tenth["texture"] is whole
    assert np.bincount(tenth["target"].labels).tolist() == [3, 3, 3]
    assert tenth["target"].parameters == {"seed": 0, "share": 0.1, "counts": {"a": 3, "b": 3, "c": 3}}
    assert tenth["target"].fingerprint != whole.fingerprint


@pytest.mark.parametrize("share", [0, -0.5, 1.01, float("nan")])
def test_no_share_is_refused(share: float) -> None:
    with pytest.raises(DataError, match=r"must lie in \(0, 1\]"):
        synthetic_datasets(["target"], 0, share)
