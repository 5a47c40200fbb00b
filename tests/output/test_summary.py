"""How objects show themselves: one line in a console, an escaped table in a notebook, and never an error."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import desali
from desali.data.imageset import ImageSet
from desali.evaluation.comparison import compare
from desali.evaluation.predictions import Predictions
from desali.models.checkpoint import LoadedModel
from desali.output import summary
from tests.figures.networks import residual

EVIL = '<img src=x onerror=alert(1)>\n& "quoted"'
CLASSES = (EVIL, *(f"class {number}" for number in range(40)))


def _images() -> ImageSet:
    n = 6
    groups = np.array(["p1", "p1", "p2", "p2", "p3", EVIL])
    return ImageSet(EVIL, np.zeros((n, 8, 8), np.uint8), np.arange(n) % 2, groups, CLASSES, "uint8", EVIL, {})


def _predictions(recipe: str) -> Predictions:
    images = _images()
    probabilities = np.full((6, len(CLASSES)), 1 / len(CLASSES), np.float32)
    return Predictions(recipe, probabilities, images.labels, images.patients, CLASSES, EVIL, "f" * 64, EVIL)


def _loaded() -> LoadedModel:
    card = {
        "architecture": EVIL,
        "classes": list(CLASSES),
        "preprocessing": {"size": 32},
        "origin": EVIL,
        "recipe": EVIL,
    }
    return LoadedModel(residual(), card, None)


def _broken() -> LoadedModel:
    return LoadedModel(None, {"classes": [], "preprocessing": {}}, None)  # type: ignore[arg-type]


def _recording() -> desali.Recording:
    model = type(EVIL, (torch.nn.Sequential,), {})(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU()).eval()
    recording = desali.record(model, torch.rand(2, 3, 16, 16))
    del model[1]
    with torch.no_grad():
        model[0].weight.zero_()
    return recording


def _compared() -> Any:
    return compare([_predictions(EVIL), _predictions("other")], resamples=20, curve_resamples=5)


SHOWN = {
    "recording": (_recording, ["2 x [3 x 16 x 16] images", "2 layers", "held", "device cpu"]),
    "loaded": (_loaded, ["41 classes", "3 x 32 x 32 input", "kB weights", "from random", "device cpu"]),
    "broken": (_broken, []),
    "images": (_images, ["6 x [8 x 8] images", "41 classes", "4 patients", "384 bytes"]),
    "predictions": (lambda: _predictions(EVIL), ["6 images", "41 classes", "4 patients"]),
    "comparison": (_compared, ["6 images", "4 patients", "1 pairs"]),
}


@pytest.mark.parametrize("name", SHOWN)
def test_one_line_and_an_escaped_table(name: str) -> None:
    make, facts = SHOWN[name]
    shown = make()  # type: ignore[operator]
    text, page = repr(shown), shown._repr_html_()
    assert text.startswith(f"{type(shown).__name__}(")
    assert text.endswith(")")
    assert "\n" not in text
    assert len(text) < 500
    assert all(fact in text for fact in facts)
    assert "<img" not in page
    assert page.count("<") == page.count(">")
    assert len(page) < 3000
    if name != "broken":
        assert "&lt;img" in page
    assert "tensor(" not in text + page
    assert "array(" not in text + page


@given(st.text(), st.text(), st.lists(st.tuples(st.text(), st.text()), max_size=4))
def test_whatever_is_shown_keeps_to_one_line_and_to_its_tags(
    kind: str, name: str, facts: list[tuple[str, str]]
) -> None:
    assert len(summary.line("Thing", name, facts).splitlines()) == 1
    page = summary.table(kind, name, facts)
    rows = sum(bool(value) for _, value in facts)
    assert page.count("<") == 2 + 4 + rows * 6


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 bytes"), (999, "999 bytes"), (1500, "1.5 kB"), (45_000_000, "45.0 MB"), (3e9, "3.0 GB")]
)
def test_sizes_are_read_at_a_glance(count: float, text: str) -> None:
    assert summary.size(count) == text
