"""A lineage in words: what is said of strangers, of silenced layers, and of images that decide nothing."""

from __future__ import annotations

from typing import Any

import pytest

from desali.web.report.lineage_words import sentences

LAYER: dict[str, Any] = {
    "layer": "relu1", "channels": 100, "traceable": 0.5, "low": 0.4, "high": 0.6, "random_low": 0.0,
    "random_high": 0.02, "replicate_low": 0.6, "replicate_high": 0.7, "equal": False, "strangers": False,
    "matched": 0.6, "matched_correlation": 0.7, "random_matched_correlation_high": 0.4, "channels_silenced": 0,
    "channels_woken": 0, "no_difference": False,
}  # fmt: skip
PROBE = {
    "probe_no_difference": False, "probe_before": 0.4, "probe_after": 0.9, "probe_before_low": 0.3,
    "probe_before_high": 0.5, "probe_after_low": 0.8, "probe_after_high": 0.95, "probe_random_low": 0.2,
    "probe_random_high": 0.3, "probe_input": 0.35, "probe_chance": 0.33, "probe_replicate_low": 0.85,
    "probe_replicate_high": 0.9,
}  # fmt: skip
STRANGE = {
    "layer": "relu6", "traceable": 0.03, "low": 0.0, "high": 0.06, "strangers": True, "matched": 0.13,
    "matched_correlation": 0.65, "no_difference": None, "replicate_low": None, "replicate_high": None,
}  # fmt: skip
KNOWN = {"count": 60, "patients": 12, "units": 12, "unit": "patient"}
FEW = {"count": 60, "patients": 2, "units": 2, "unit": "patient"}
UNKNOWN = {"count": 60, "patients": None, "units": None, "unit": "image"}
EACH_ITSELF = {"count": 60, "patients": None, "units": 60, "unit": "image"}


def lineage(images: dict[str, Any], *layers: dict[str, Any], strangers: bool = False) -> dict[str, Any]:
    return {"strangers": strangers, "images": images, "layers": [{**LAYER, **layer} for layer in layers]}


def test_a_layer_of_strangers_is_explained() -> None:
    apart, *rest = sentences(lineage(KNOWN, STRANGE))
    assert "3 of 100 are still most like themselves, 3 % (95 % interval 0 % to 6 %; random weights 0 % to 2 %)" in apart
    assert "13 % find each other under any number" in apart
    assert "median correlation r of 0.65 (1: the same signal, 0: unrelated; random weights up to 0.40" in apart
    assert len(rest) == 1
    assert "no second training" in rest[0]


def test_a_silenced_layer_is_named_beside_a_stranger_that_lost_more() -> None:
    made = lineage(KNOWN, {"channels_silenced": 60, "channels_woken": 20},
                   {**STRANGE, "channels_silenced": 70, "channels_woken": 30})  # fmt: skip
    said = [one for one in sentences(made) if "channels of relu1" in one]
    assert "60 of the 100 channels of relu1 answered before and hardly answer to any image now (silenced)." in said
    assert "20 of the 100 channels of relu1 hardly answered to any image before and do now (woken)." in said
    assert not any("of relu6 answered" in one for one in sentences(made)), "strangers have no states"


@pytest.mark.parametrize("strangers", [False, True])
@pytest.mark.parametrize(
    ("images", "first"),
    [(FEW, "Fewer than 10 patients (2), so that "), (UNKNOWN, "Patients not known, and several images may be of one")],
)
def test_what_decides_nothing_is_said_first_and_of_everything(
    strangers: bool, images: dict[str, Any], first: str
) -> None:
    made = lineage(images, {**PROBE, "channels_silenced": 60}, {**STRANGE, "layer": "relu2"}, strangers=strangers)
    why, *rest = sentences(made)
    assert why.startswith(first)
    assert "what became of a channel, and every number of a layer" in why
    assert ("share no ancestor" in rest[0]) == strangers
    (probe,) = [one for one in rest if "linear probe" in one]
    assert probe.endswith("Whether that is more than another random seed changes is undecided.")
    (kept,) = [one for one in rest if one.startswith("Still more like")]
    assert "(traceable in these images)" in kept
    silenced = [one for one in rest if "hardly answer to any image now" in one]
    assert len(silenced) == (0 if strangers else 1)
    assert all(one.endswith("(undecided; silenced in these images).") for one in silenced)


@pytest.mark.parametrize("strangers", [False, True])
@pytest.mark.parametrize("images", [KNOWN, EACH_ITSELF])
def test_with_units_enough_nothing_is_held_back(strangers: bool, images: dict[str, Any]) -> None:
    said = sentences(lineage(images, {**PROBE, "channels_silenced": 60}, strangers=strangers))
    assert said
    assert not any("undecided" in one or "in these images" in one or "not known," in one for one in said)
    assert any("by more than between replicates." in one for one in said if "linear probe" in one)


def test_a_number_says_its_direction_and_what_it_does_not_beat() -> None:
    (probe,) = [one for one in sentences(lineage(KNOWN, {**PROBE, "probe_before": 0.9, "probe_after": 0.4}))
                if "linear probe" in one]  # fmt: skip
    assert "After the stage lower at relu1, by more than between replicates." in probe
    nothing = {**PROBE, "probe_difference_low": -0.01, "probe_difference_high": 0.2}
    assert not any("linear probe" in one for one in sentences(lineage(KNOWN, nothing)))
    beaten = {**PROBE, "probe_random_low": 0.4, "probe_random_high": 0.95}
    (probe,) = [one for one in sentences(lineage(KNOWN, beaten)) if "linear probe" in one]
    assert "At relu1 it is no more than networks with random weights reach" in probe


def test_equal_weights_need_no_images() -> None:
    made = lineage(FEW, {"equal": True, "traceable": 1.0})
    assert sentences(made) == ["Nothing changed: all weights shown here are equal before and after, bit by bit."]
