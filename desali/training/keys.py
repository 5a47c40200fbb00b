"""Keys: sixteen hexadecimal digits that name everything a stage's weights depend on."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import Any

from desali.training.stage import Domain, Stage

KEY_FORMAT = 4
"""Raise it when a change of the training code changes the weights that the same configuration gives."""

FRAMED = "framed 1"
"""In the key of images that the preprocessing cuts, pads or resizes as bytes; raise it when it does so otherwise."""


def stage_key(
    stage: Stage,
    *,
    architecture: str,
    preprocessing: dict[str, Any],
    data: str,
    seed: int,
    parent: str | None,
    features: int | None = None,
) -> str:
    """Sixteen hexadecimal digits that name everything a stage's weights depend on.

    `data` is the image set's fingerprint, `parent` the key of the stage before, `features` the seed of the first
    feature layers where that is another one than `seed`. Two recipes that need the same stage get the same key, so it
    is trained once.
    """
    named = asdict(stage)
    del named["weights"]  # such a stage has a key of its own, see `weights_key`
    parts = {
        "format": KEY_FORMAT,
        "stage": named,
        "architecture": architecture,
        "preprocessing": preprocessing,
        "data": data,
        "seed": seed,
        "parent": parent,
    }
    if features is not None:
        parts["features"] = features
    return _digest(parts)


def weights_key(domain: Domain, *, architecture: str, weights: str) -> str:
    """The same for a stage whose weights come from a file; `weights` is the file's SHA-256."""
    return _digest({"format": KEY_FORMAT, "domain": domain, "architecture": architecture, "weights": weights})


def _digest(parts: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
