"""A session of small networks over a few images whose classes have hostile names."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from desali.data.imageset import ImageSet
from desali.web.explorer.networks import Networks
from desali.web.explorer.opened import decode
from desali.web.explorer.session import Session
from desali.web.explorer.shelf import shelf
from tests.figures.networks import plain, residual
from tests.web.conftest import HOSTILE

SIZE = 24
LAYER = "layer2.relu"


def images(n: int = 12, unit: str = "hu") -> ImageSet:
    """Noise with a bright square somewhere; three classes, four patients."""
    rng = np.random.default_rng(3)
    made = rng.normal(-700, 100, (n, SIZE, SIZE))
    for k in range(n):
        made[k, k % 12 : k % 12 + 8, 4:12] += 500
    labels = np.arange(n) % 3
    pixels = made.astype(np.int16) if unit == "hu" else (rng.random((n, SIZE, SIZE)) * 255).astype(np.uint8)
    patients = np.array([f"P{k % 4}" for k in range(n)])
    return ImageSet("made", pixels, labels, patients, HOSTILE, unit, "made up", {})  # type: ignore[arg-type]


def loaded(seed: int, size: int = SIZE, classes: tuple[str, ...] = HOSTILE) -> Any:
    """A residual network as `desali.load` would give it."""
    from desali.models.checkpoint import LoadedModel

    card = {
        "architecture": "Residual", "classes": list(classes), "preprocessing": {"size": size}, "recipe": None,
        "origin": "made up", "weights_sha256": f"{seed:064d}",
    }  # fmt: skip
    return LoadedModel(residual(seed, classes=len(classes)), card, None)


def session(models: dict[str, Any] | None = None, **more: Any) -> Session:
    """Two networks of one architecture and one of another, over `images`."""
    from desali.web.explorer.opened import of_objects

    made = models or {"a": loaded(1), "b": loaded(2), "other": plain(3)}
    if more:
        return Session(Networks(made), shelf(images()), decode, **more)
    return of_objects(made, images())


def ask(one: Session, what: str, **params: Any) -> Any:
    """The answer, which must be one; JSON as its value, else bytes."""
    status, value = asked(one, what, **params)
    assert status == 200, value
    return value


def asked(one: Session, what: str, body: bytes | None = None, **params: Any) -> tuple[int, Any]:
    """Status and value of an answer; `source` is the parameter "from"."""
    words = {("from" if name == "source" else name): str(value) for name, value in params.items()}
    answer = one.answer(what, words, body)
    return answer.status, json.loads(answer.body) if answer.kind == "application/json" else answer.body
