"""Class contrasts: which class of which model, its number, and how long it is kept."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import desali
from desali.web.explorer.opened import of_objects
from desali.web.explorer.session import Session
from tests.figures.networks import plain
from tests.web.conftest import HOSTILE
from tests.web.explorer.explored import ask, asked, images, loaded, session
from tests.web.explorer.test_session import pixels


@pytest.fixture(scope="module")
def made() -> Session:
    return session()


def test_a_contrast_is_of_one_class_in_all_models(made: Session) -> None:
    predicted = ask(made, "view", image=5, source="contrast", models="0,1")
    assert len({one["seed"] for one in predicted["models"]}) == 1
    assert predicted["sentence"].count("(the class that a names)") == 1
    two = ask(made, "view", image=5, source="contrast", a=0, b=2, models="0,1")
    assert "names)" not in two["sentence"]
    assert two["sentence"].startswith(f"contrast of {HOSTILE[0]} against {HOSTILE[2]}")
    other = ask(made, "view", image=5, source="contrast", a=2, b=0, models="0")["models"][0]
    forward, back = (1 - pixels(one["picture"]["png"])[..., :3] / 255 for one in (two["models"][0], other))
    assert np.abs(forward - back[..., ::-1]).mean() < 0.15, "for one class against the other, with the sign turned"
    assert asked(made, "view", image=5, source="contrast", a=1, b=1)[1]["models"][0]["error"].startswith("a and b")


@pytest.mark.parametrize("b", [None, 0, 2])
def test_the_number_of_a_contrast_is_that_of_its_classes(made: Session, b: int | None) -> None:
    """Beside each class, the one with the largest logit or not, stand its own logits and no other's."""
    logits = loaded(1).model(made.networks.input(0, made.shelf["5"]).tensor[None])[0].double()
    for a in (0, 1, 2):
        if a == b:
            continue
        others = [k for k in range(3) if k != a] if b is None else [b]
        wanted = float((logits[a] - logits[others].mean()).detach())
        asking = {"image": 5, "source": "contrast", "a": a, "models": "0", **({} if b is None else {"b": b})}
        one = ask(made, "view", **asking)["models"][0]
        assert one["value"] == one["rows"]["logit difference"] == pytest.approx(wanted, abs=1e-5)
        assert "value" not in one["rows"]
        words = f"logit difference {one['value']:.3g}"
        assert words in one["alt"]
        record = ask(made, "export", format="json", **asking)["models"][0]
        assert (record["value"], record["measure"]) == (one["value"], "logit difference")
        assert words in ask(made, "export", format="svg", **asking).decode()


def test_what_was_drawn_is_not_drawn_again(made: Session) -> None:
    asked_for = [{"a": 1}, {"a": 1, "b": 0}, {"a": 0, "b": 1}]
    for classes in asked_for:
        ask(made, "likeness", image=5, source="contrast", **classes)
    kept = made.networks.views.nbytes, len(made.networks.views)
    for classes in asked_for * 2:
        ask(made, "likeness", image=5, source="contrast", **classes)
    assert (made.networks.views.nbytes, len(made.networks.views)) == kept


def test_a_network_of_more_classes_has_a_twin_of_as_many() -> None:
    made = session({"a": loaded(1), "more": loaded(2, classes=(*HOSTILE, "fourth"))})
    twins = [made.networks.twin(index) for index in (0, 1)]
    first, second = (dict(one.named_parameters()) for one in twins if one is not None)
    assert all(torch.equal(first[name], second[name]) for name in first if not name.startswith("fc"))
    answer = ask(made, "view", image=5, source="contrast", a=1, b=0)
    assert not [one for one in answer["models"] if "error" in one]
    other = ask(made, "view", image=5, source="contrast", a=3, models="1")
    assert other["models"][0]["control"]["scale"] > 0


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
