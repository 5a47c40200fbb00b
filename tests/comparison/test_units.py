"""What images of few patients, or of nobody knows whom, leave undecided: everything but equal weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import desali
from desali.comparison.ancestry import LayerLineage
from desali.comparison.nulls import Null
from desali.comparison.probe_set import probe_set
from desali.comparison.tracing import Units, units_in
from desali.comparison.verdict import verdict
from desali.data.imageset import ImageSet
from tests.comparison.related import patients, pictures, plain, shaken

IMAGES = pictures()


def test_few_patients_decide_nothing_but_what_is_frozen() -> None:
    from desali.comparison.tracing import STATES, Units, as_shown, in_words, shown

    assert [Units(count).decided for count in (None, 1, 9, 10, 200)] == [False, False, False, True, True]
    assert {shown(state, False) for state in STATES} == {"frozen", "undecided"}
    assert [shown(state, True) for state in STATES] == list(STATES)
    assert in_words({"frozen": 2, "kept": 3, "lost": 1}, False) == "2 frozen, 4 undecided (here: 3 kept, 1 lost)"
    assert in_words({"frozen": 2, "kept": 3, "lost": 0}, True) == "2 frozen, 3 kept"
    parent = plain()
    after, again = shaken(parent, 0.3, 1), shaken(parent, 0.3, 2)
    few, enough = (
        desali.lineage(parent, after, IMAGES, patients(len(IMAGES), count), replicates=[again]) for count in (9, 10)
    )
    for one, other in zip(few, enough, strict=True):
        assert not one.decided
        assert other.decided
        assert one.state.tolist() == other.state.tolist(), "what is found in the images is the same"
        assert one.counts == other.counts
        assert set(one.shown.tolist()) == {"undecided"}
        assert other.shown.tolist() == other.state.tolist()
    assert few.verdict.startswith("undecided, since 9 patients are fewer than 10")
    assert "undecided" not in enough.verdict
    assert any(note.startswith("Fewer than 10 patients (9)") for note in few.notes)
    assert not any("ewer than 10" in note for note in enough.notes)
    for change, words in ((few, {"undecided"}), (enough, {word for layer in enough for word in layer.state.tolist()})):
        record = change.to_dict()
        assert {
            word for layer in record["layers"] for word in as_shown(layer, record["images"])["each_channel"]["state"]
        } == (words), "as the explorer reads it"
    assert "undecided (here: " in str(few)
    assert "undecided" not in str(enough)


def test_images_of_nobody_knows_whom_decide_nothing() -> None:
    parent = plain()
    change = desali.lineage(parent, shaken(parent, 0.3), IMAGES)
    assert len(IMAGES) >= 10
    assert not any(layer.decided for layer in change)
    assert {word for layer in change for word in layer.shown.tolist()} == {"undecided"}
    assert change.verdict.startswith("undecided, since it is not known whose the images are")
    assert any(note.startswith("Patients not known, and several images may be of one") for note in change.notes)
    record = change.to_dict()["images"]
    assert (record["patients"], record["units"], record["unit"]) == (None, None, "image")
    assert not units_in(record).decided


def folder(root: Path, spec: str) -> ImageSet:
    from desali.data import read_images

    rng = np.random.default_rng(0)
    for k in range(12):
        path = root / "ab"[k % 2] / f"{k}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (8, 8), np.uint8)).save(path)
    return read_images(spec.format(root))


def test_images_that_stand_for_themselves_decide_where_that_is_known(tmp_path: Path) -> None:
    """Rendered scenes, formats of photos, and sets that are said to have no patients; not a folder without a word."""
    from desali.data.imageset import independent
    from desali.data.preprocess import Preprocessing
    from desali.data.synthetic.natural_images import natural

    scenes = natural(images_per_class=1, size=16)
    assert scenes.unit_of_split == "image"
    silent, said = folder(tmp_path, "folder:{}"), folder(tmp_path, "folder:{}?patient=none")
    assert silent.unit_of_split == said.unit_of_split == "image"
    assert [one.independent for one in (scenes, said, silent)] == [True, True, False]
    assert independent("image", {"reader": "imagenet", "options": {}})
    assert not independent("image", {"reader": "table", "options": {"patient_column": "none"}})
    assert not independent("image", {})
    assert independent("view", {})
    rule = Preprocessing(size=16, channels=3)
    counts = [probe_set(one, preprocessing=rule).units for one in (scenes, said, silent)]
    assert counts == [Units(12, "image"), Units(12, "image"), Units(None, "image")]
    assert probe_set(silent, [f"P{k}" for k in range(12)], preprocessing=rule).units == Units(12, "patient")


def layer(name: str) -> LayerLineage:
    """A layer of ten channels whose numbers are as they are asked for."""
    ten = np.full(10, 0.5)
    parent = desali.lineage(plain(), shaken(plain(), 0.1), IMAGES, patients(24, 12), random_networks=0, labels=())
    one = parent[parent.layers[0]]
    return replace(
        one, name=name, channels=10, traceable=0.5, correlation=ten, firing_before=ten, firing_after=ten, equal=False,
        strangers=False, random=Null(), state=np.array(["lost"] * 10, np.str_),
    )  # fmt: skip


@pytest.fixture(scope="module")
def pair() -> tuple[LayerLineage, LayerLineage]:
    """A layer with six of ten channels silenced, and a stranger with seven."""
    base = layer("one")
    related = replace(base, state=np.array(["silenced"] * 6 + ["lost"] * 4, np.str_))
    return related, replace(base, name="two", strangers=True, state=np.array(["silenced"] * 7 + ["lost"] * 3, np.str_))


def test_a_silenced_layer_is_named_beside_a_stranger_that_lost_more(pair: tuple[LayerLineage, LayerLineage]) -> None:
    said = verdict(pair[0], pair, False, Units(12))
    assert "one silenced 6 of 10;" in said
    assert "two silenced" not in said
    assert "one silenced 6 of 10 in these images" in verdict(pair[0], pair, False, Units(3))


@pytest.mark.parametrize(
    ("units", "why"),
    [
        (Units(2), "2 patients are fewer than 10"),
        (Units(1), "1 patient is fewer"),
        (Units(None, "image"), "it is not known whose the images are"),
    ],
)
@pytest.mark.parametrize("strangers", [False, True])
def test_the_verdict_says_first_what_decides_nothing(
    pair: tuple[LayerLineage, LayerLineage], units: Units, why: str, strangers: bool
) -> None:
    said = verdict(pair[0], pair, strangers, units)
    assert said.startswith(f"undecided, since {why}")
    assert ("share no ancestor" in said) == strangers
    enough = verdict(pair[0], pair, strangers, Units(10))
    assert "undecided" not in enough
    assert enough.startswith("These two networks share no ancestor") == strangers


def test_strangers_of_few_patients_in_earnest() -> None:
    change = desali.lineage(plain(), plain(8), IMAGES, patients(24, 2))
    assert change.strangers
    assert change.verdict.startswith("undecided, since 2 patients are fewer than 10")
    assert "share no ancestor" in change.verdict
