"""A lineage beside the pictures: facts and partners of channels, and nothing of strangers."""

from __future__ import annotations

from typing import Any

import pytest

import desali
from desali.errors import DataError
from desali.web.explorer.followed import of_networks
from tests.web.explorer.explored import ask, asked, images, loaded, session


@pytest.mark.parametrize("strangers", ["none", "one layer", "all"])
def test_lineage_brings_facts_and_partners(strangers: str) -> None:
    models = {"c": plain_of_another(), "a": loaded(1), "b": loaded(2)}
    change = desali.lineage(models["a"], models["b"], images(), random_networks=2).to_dict()
    name = "layer2.relu:1"
    change["strangers"] = strangers == "all"
    for layer in change["layers"]:
        layer["strangers"] = strangers == "all" or (strangers == "one layer" and layer["layer"] == name)
    first = session(models)
    known, notes = of_networks(change, "lineage", first.networks)
    assert known is not None
    made = session(models, followed=known)
    layers = ask(made, "session")["lineage"]["layers"]
    partner = layers[name]["partner"]
    channel = next(k for k, other in enumerate(partner) if other not in (k, -1))
    for word in ("same", "partner"):
        asking = {"image": 1, "layer": name, "source": "channel", "channel": channel, "partner": word}
        before, after = ask(made, "view", **asking, models="0,1,2")["models"][:2]
        assert (before["name"], after["name"]) == ("a", "b"), "the pair stands first, as on the page"
        assert before["channel"] == channel
        record = ask(made, "export", format="json", **asking)
        assert [one["name"] for one in record["models"]] == ["a", "b", "c"]
        assert [one["role"] for one in record["models"]] == ["before", "after", "same number"]
        figure = ask(made, "export", format="svg", **asking).decode()
        assert "reconstruction, before" in figure
        assert "same number" in figure
        assert ("strangers" in figure) == (strangers != "none")
        if strangers == "none":
            assert before["facts"]["r"] == pytest.approx(layers[name]["correlation"][channel])
            assert before["facts"]["state"] == layers[name]["state"][channel]
            assert before["facts"]["partner"] == partner[channel]
            assert after["channel"] == (channel if word == "same" else partner[channel])
            assert before["rows"]["traceable in layer"] == pytest.approx(layers[name]["traceable"])
            assert before["rows"]["traceable, random"] == pytest.approx(layers[name]["null"])
            continue
        for one in (before, after):
            assert one["channel"] == channel, "strangers have no partners"
            assert not {"r", "r_null", "partner"} & set(one["facts"])
            assert one["facts"]["state"] == one["rows"]["state"] == "strangers"
            assert one["facts"]["firing"] is not None
    assert any("are strangers" in note for note in notes) == (strangers == "all")
    assert "strangers: " in ask(made, "session")["meaning"]
    assert asked(first, "view", image=1, layer=name, source="channel", channel=1, partner="partner")[1]["models"][0][
        "error"
    ].startswith("no lineage")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("partner", None), ("partner", "x"), ("partner", 9999), ("partner", 7.9), ("partner", -2),
        ("correlation", "y"), ("correlation", float("nan")), ("firing_after", True), ("state", 3),
        ("purity_before_low", "y"), ("random_high", float("inf")),
    ],
)  # fmt: skip
def test_a_lineage_with_values_that_none_writes_is_damaged(name: str, value: object) -> None:
    models = {"a": loaded(1), "b": loaded(2)}
    change = desali.lineage(*models.values(), images(), random_networks=1).to_dict()
    layer = change["layers"][1]
    if name in layer["each_channel"]:
        layer["each_channel"][name][3] = value
    else:
        layer[name] = value
    with pytest.raises(DataError, match="damaged"):
        of_networks(change, "lineage", session(models).networks)


def plain_of_another() -> Any:
    return loaded(9)


def test_a_lineage_of_other_networks_is_passed_over_and_said() -> None:
    models = {"a": loaded(1), "b": loaded(2)}
    change = desali.lineage(loaded(5), loaded(6), images(), random_networks=0).to_dict()
    known, notes = of_networks(change, "some.json", session(models).networks)
    assert known is None
    assert "some.json: passed over, the network before and the network after" in notes[0]
