"""Headless Chromium, and what a page did in it: errors, messages and requests."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
WIDE, NARROW = {"width": 1280, "height": 860}, {"width": 390, "height": 780}


def chromium() -> str:
    """The browser's program; a test that needs it is skipped, and says so, where there is none."""
    pytest.importorskip("playwright", reason="NO BROWSER: Playwright is not installed. This test has checked NOTHING.")
    found = os.environ.get("DESALI_CHROMIUM") or next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("NO BROWSER: no Chromium on the path, nor DESALI_CHROMIUM. This test has checked NOTHING.")
    return found


@contextmanager
def launched() -> Iterator[Any]:
    """A headless browser."""
    program = chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield made
        made.close()


def axe_faults(page: Any) -> list[Any]:
    """What axe-core calls serious or critical in a page without a policy; skipped where there is no axe-core."""
    script = os.environ.get("DESALI_AXE")
    if not script or not Path(script).is_file():
        pytest.skip("NO AXE: DESALI_AXE names no axe.min.js (make browser installs it). This test has checked NOTHING.")
    page.evaluate(Path(script).read_text(encoding="utf-8"))
    found = page.evaluate(
        "axe.run().then(made => made.violations.map(x => [x.id, x.impact, x.nodes.map(n => n.html.slice(0, 120))]))"
    )
    return [one for one in found if one[1] in ("serious", "critical")]


class Seen:
    """What a page did that it should not."""

    def __init__(self, page: Any) -> None:
        self.errors: list[str] = []
        self.requests: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda message: self._said(message))
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("dialog", lambda dialog: self.errors.append(f"dialog {dialog.message}"))

    def _said(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.errors.append(message.text)

    def check(self, own: str) -> None:
        """No error, and no request but for the page itself and for pictures in it."""
        assert not self.errors
        assert [url for url in self.requests if not url.startswith("data:")] == [own]


@contextmanager
def opened(browser: Any, url: str, **options: Any) -> Iterator[Any]:
    """A page in a fresh profile; whatever it did wrong fails the test."""
    context = browser.new_context(**{"viewport": WIDE, **options})
    page = context.new_page()
    seen = Seen(page)
    try:
        page.goto(url)
        yield page
        seen.check(url)
    finally:
        context.close()


def check_scheme(page: Any, scheme: str) -> None:
    """The page fits its window, has the paper of its scheme, and another one after a click."""
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0, "the page scrolls sideways"
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(19, 23, 27)")
    page.locator("#theme").click()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != paper
