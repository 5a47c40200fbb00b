"""A browser, and an explorer of the world with hostile names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.web.browser import launched
from tests.web.explorer.browsing import Explorer


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with launched() as made:
        yield made


@pytest.fixture(scope="module")
def explorer(browser: Any, world: Path) -> Iterator[Explorer]:
    pytest.importorskip("starlette")
    pytest.importorskip("uvicorn")
    made = Explorer("--runs", world / "runs", "--lineage", world / "lineage" / "natural-target.json",
                    "--images", f"{world / 'target'}?patient=/(P\\d+)_")  # fmt: skip
    try:
        context = browser.new_context()
        context.new_page().goto(made.address)
        made.cookies = context.storage_state()  # type: ignore[attr-defined]
        context.close()
        yield made
    finally:
        made.end()
