"""Who was trained from whom: a family of networks whose descent is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import desali
from desali.comparison.lineage import lineage
from desali.comparison.paternity import paternity
from tests.comparison.related import Residual, made, pictures, plain, shaken

FOUNDER = plain(0)
PARENT, UNCLE = shaken(FOUNDER, 0.4, 1), shaken(FOUNDER, 0.4, 2)
CHILD, COUSIN = shaken(PARENT, 0.2, 3), shaken(UNCLE, 0.2, 4)
STRANGER = plain(9)
FAMILY = {"founder": FOUNDER, "parent": PARENT, "uncle": UNCLE, "stranger": STRANGER, "child": CHILD, "cousin": COUSIN}
IMAGES = pictures(16)


def test_every_child_finds_its_parent_and_no_random_network_is_near() -> None:
    found = paternity({"child": CHILD, "cousin": COUSIN}, FAMILY, IMAGES, random_networks=8)
    for child, parent in (("child", "parent"), ("cousin", "uncle")):
        assert found.parent(child) == parent
        assert [found.parent(child, layer) for layer in found.layers] == [parent] * len(found.layers)
    assert found.random_share.shape == (2, 8, 5)
    assert found.random_likeness.max() < 0.4
    assert np.isnan(found.share[0, found.candidates.index("child")]).all()
    text = str(found)
    assert text.count("over all of these layers: parent") == 1
    assert "8 random networks" in text
    rows = found.table()
    assert len(rows) == 2 * 5 * 5
    assert {row["parent"] for row in rows if row["child"] == "child"} == {"parent"}


def test_a_child_of_nobody_has_no_parent() -> None:
    others = {name: FAMILY[name] for name in ("founder", "parent")}
    found = paternity({"stranger": STRANGER}, others, IMAGES, random_networks=20)
    assert found.parent("stranger") is None
    assert "no parent among the candidates" in str(found)


def test_the_shares_are_those_of_a_lineage_and_seeds_repeat() -> None:
    found = paternity({"child": CHILD}, {"parent": PARENT}, IMAGES, random_networks=2, seed=4)
    change = lineage(PARENT, CHILD, IMAGES, random_networks=0)
    assert found.share[0, 0].tolist() == [layer.traceable for layer in change]
    np.testing.assert_allclose(found.likeness[0, 0], [np.nanmean(layer.correlation) for layer in change], atol=1e-9)
    again = paternity({"child": CHILD}, {"parent": PARENT}, IMAGES, random_networks=2, seed=4)
    assert (again.random_likeness == found.random_likeness).all()
    part = paternity({"child": CHILD}, {"parent": PARENT}, IMAGES, layers=["features.3"], random_networks=2)
    assert part.layers == ("features.3",)
    assert part.parent("child") == "parent"


@pytest.mark.parametrize(
    ("children", "candidates", "message"),
    [
        ({}, {"parent": PARENT}, "at least one child"),
        ({"child": CHILD}, {"child": CHILD}, "one other candidate"),
        ({"child": CHILD}, {"other": made(Residual)}, "two architectures"),
    ],
)  # fmt: skip
def test_refused(children: dict[str, object], candidates: dict[str, object], message: str) -> None:
    with pytest.raises(desali.DesaliError, match=message):
        paternity(children, candidates, IMAGES, random_networks=1)  # type: ignore[arg-type]
    with pytest.raises(desali.DesaliError, match="unknown child 'nobody'"):
        paternity({"child": CHILD}, {"parent": PARENT}, IMAGES, random_networks=1).parent("nobody")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"random_networks": 0}, "random_networks must be a whole number of at least 1, got 0"),
        ({"random_networks": -1}, "random_networks must be a whole number of at least 1, got -1"),
        ({"seed": -1}, "seed must be a whole number of at least 0, got -1"),
        ({"layers": "features.3"}, "layers must be a list of at least one name, got 'features.3'"),
    ],
)
def test_without_random_networks_nobody_is_called_a_parent(options: dict[str, Any], message: str) -> None:
    with pytest.raises(desali.DesaliError, match=message):
        paternity({"stranger": STRANGER}, {"parent": PARENT}, IMAGES, **options)
