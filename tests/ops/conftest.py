from __future__ import annotations

from collections.abc import Iterator

import pytest

from desali.ops import core, crossovers
from tests.ops.cases import LEVELS


@pytest.fixture(params=LEVELS)
def level(request: pytest.FixtureRequest) -> Iterator[str]:
    """Every instruction set that this machine runs, with its own table of crossovers, which no later test meets."""
    module, reason = core()
    if module is None:
        pytest.skip(str(reason))
    before = module.describe()["simd"]
    if not module.set_simd(request.param):
        pytest.skip(f"this processor has no {request.param}")
    crossovers.current.cache_clear()
    yield request.param
    module.set_simd(before)
    crossovers.current.cache_clear()
