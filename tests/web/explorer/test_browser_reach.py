"""The page for everybody in a real browser: keys alone, sizes, schemes, axe, and a program that ended."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.web.browser import NARROW, WIDE, axe_faults, check_scheme
from tests.web.explorer.browsing import Explorer, opened, pictures, settled, state

pytestmark = pytest.mark.browser


def test_keys_alone_reach_everything(browser: Any, explorer: Explorer) -> None:
    with opened(browser, explorer) as page:
        layer = state(page)["layer"]
        page.keyboard.press("]")  # nothing is chosen yet
        settled(page)
        assert state(page)["layer"] != layer
        page.keyboard.press("[")
        settled(page)
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        before = page.url
        page.keyboard.press("Enter")
        assert page.url == before, "the skip link takes the state's place"
        assert page.evaluate("document.activeElement.id") == "explorer"
        reached = set()
        for _ in range(200):
            page.keyboard.press("Tab")
            reached.add(
                page.evaluate(
                    "(({ tagName, className, dataset, type, parentElement }) => dataset.format || className || "
                    "Object.keys(dataset)[0] || `${tagName} ${type ?? ''} ${parentElement.className}`)"
                    "(document.activeElement)"
                )
            )
        assert {"map", "png", "svg", "json", "id", "layer", "channel", "copy", "value"} <= reached
        map = page.locator(".map").first
        map.focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowDown")
        assert re.match(r"row \d+, column \d+: ", page.locator(".explorer > [aria-live]").inner_text())
        page.keyboard.press("Enter")
        settled(page)
        now = state(page)
        assert f"row {now['y']}, column {now['x']}" in map.get_attribute("aria-label")
        page.keyboard.press("]")
        settled(page)
        layer = state(page)["layer"]
        assert layer != now["layer"]
        page.keyboard.press("[")
        settled(page)
        assert state(page)["layer"] == now["layer"]
        channel = int(state(page)["channel"])
        page.keyboard.press(".")
        settled(page)
        assert int(state(page)["channel"]) == channel + 1
        for shown in ("before", "after"):
            page.keyboard.press("b")
            settled(page)
            assert state(page)["show"] == shown
            assert page.evaluate("document.activeElement.className") == "map", "the key took the focus away"
        page.locator(".images button[tabindex='0']").focus()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        settled(page)
        assert state(page)["image"] != now["image"]
        page.locator(".strip button[aria-checked=true]").focus()
        page.keyboard.press("Home")
        settled(page)
        assert page.evaluate("document.activeElement.getAttribute('aria-checked')") == "true"


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_sizes_and_schemes(browser: Any, explorer: Explorer, size: dict[str, int], scheme: str) -> None:
    with opened(browser, explorer, viewport=size, color_scheme=scheme) as page:
        check_scheme(page, scheme)
        if size is WIDE:
            boxes = [
                page.locator(f".picture{which} img").first.bounding_box() for which in (":not(.control)", ".control")
            ]
            assert all(box["y"] + box["height"] <= size["height"] for box in boxes), "a control is below the window"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault(browser: Any, explorer: Explorer, scheme: str) -> None:
    context = browser.new_context(
        viewport=WIDE,
        color_scheme=scheme,
        bypass_csp=True,
        storage_state=explorer.cookies,  # type: ignore[attr-defined]
    )
    page = context.new_page()
    page.goto(explorer.origin)
    settled(page)
    try:
        assert axe_faults(page) == []
    finally:
        context.close()


def test_a_program_that_ended_is_said(browser: Any, world: Path) -> None:
    from playwright.sync_api import expect

    pytest.importorskip("uvicorn")
    made = Explorer("--runs", world / "runs", "--images", f"{world / 'target'}?patient=/(P\\d+)_")
    context = browser.new_context()
    page = context.new_page()
    try:
        page.goto(made.address)
        settled(page)
        made.end()
        page.locator(".strip button").first.click()
        expect(page.locator(".panel .banner")).to_contain_text("is it still running?")
        assert len(pictures(page)) > 0
    finally:
        context.close()
        made.end()


def test_nothing_on_the_page_is_an_object_in_words(browser: Any, explorer: Explorer) -> None:
    with opened(browser, explorer) as page:
        page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        assert "[object" not in page.locator("body").inner_text()
        assert page.locator(".tools details dt").count() >= 5, "the keys are listed"
        assert page.locator(".tools details .check").count() == page.locator(".model").count()
