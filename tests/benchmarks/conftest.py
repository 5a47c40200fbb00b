"""Measurements on toy networks, made once for all tests of the benchmarks."""

from __future__ import annotations

import json
from typing import Any

import pytest

from benchmarks.runner import run


@pytest.fixture(scope="session")
def measured() -> dict[str, Any]:
    """Every case but the slow ones at tiny size, as it is read back from JSON."""
    cases = ["neurons", "conv1", "bandwidth", "memory", "record", "layers", "scaling"]
    found: dict[str, Any] = json.loads(json.dumps(run(cases, "tiny")))
    return found
