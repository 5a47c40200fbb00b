"""What leaves the page in a real browser: the address, the copied command, the exported figure."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.web.explorer.browsing import Explorer, as_float, models, numbers, opened, pictures, settled, state

pytestmark = pytest.mark.browser


def test_a_link_reproduces_the_view(browser: Any, explorer: Explorer) -> None:
    from playwright.sync_api import expect

    with opened(browser, explorer) as page:
        page.locator(".strip button").nth(1).click()
        settled(page)
        page.locator(".strongest button").nth(1).click()
        settled(page)
        page.locator(".images button").nth(2).click()
        settled(page)
        link, made, cells = state(page), pictures(page), numbers(page, "value")
        fragment = page.url.partition("#")[2]
    assert {"image", "layer", "channel"} <= set(link)
    with opened(browser, explorer, fragment) as page:
        assert state(page) == link
        assert pictures(page) == made
        assert numbers(page, "value") == cells
        page.evaluate("location.hash = location.hash.replace(/image=\\d+/, 'image=4')")
        expect(page.locator(".panel")).to_have_attribute("data-shown", "4")
        settled(page)
        assert pictures(page) != made


def test_an_address_that_names_nothing_says_so(browser: Any, explorer: Explorer) -> None:
    with opened(browser, explorer, "image=nowhere&layer=no.such&channel=99&model=77") as page:
        said = page.locator(".problems li").all_inner_texts()
        assert any("image 'nowhere': there is none" in one for one in said)
        assert any("unknown layer 'no.such'" in one for one in said)
        assert any("model 77" in one for one in said)
        assert len(said) == 3
        assert len(pictures(page)) == 2
        page.get_by_role("button", name="dismiss").first.click()
        assert page.locator(".problems li").count() == len(said) - 1


def test_an_address_that_could_not_be_checked_is_kept(browser: Any, explorer: Explorer) -> None:
    """The program did not answer; what the link names is shown and not thrown away."""
    context = browser.new_context(storage_state=explorer.cookies)  # type: ignore[attr-defined]
    page = context.new_page()
    try:
        page.route("**/api/address*", lambda way: way.fulfill(status=503, json={"error": "too many wait"}))
        page.goto(f"{explorer.origin}/#image=3&layer=features.relu5&channel=2&from=channel")
        settled(page)
        assert page.locator(".problems li").all_inner_texts()[0].startswith("too many wait")
        found = state(page)
        assert (found["image"], found["layer"], found["channel"]) == ("3", "features.relu5", "2")
        assert numbers(page, "channel") == ["2", "2"]
    finally:
        context.close()


def test_export_holds_pictures_controls_and_numbers(browser: Any, explorer: Explorer) -> None:
    made: dict[str, bytes] = {}
    with opened(browser, explorer) as page:
        for kind in ("png", "svg", "json"):
            with page.expect_download() as download:
                page.locator(f".exports [data-format={kind}]").click()
            assert re.fullmatch(r"[\w.-]+\." + kind, download.value.suggested_filename)
            made[kind] = Path(download.value.path()).read_bytes()
        values = dict(zip(models(page), map(as_float, numbers(page, "value")), strict=True))
    assert Image.open(io.BytesIO(made["png"])).size > (200, 200)
    assert b"<svg" in made["svg"]
    record = json.loads(made["json"])
    assert {one["name"]: one["value"] for one in record["models"]} == pytest.approx(values, abs=0.006)
    assert all(one["picture"] and one["control"] for one in record["models"])
    assert record["control"]["networks"] == 5
    assert all(one["draws"]["networks"] == 5 for one in record["models"])


def test_copied_command_is_the_one_shown(browser: Any, explorer: Explorer) -> None:
    from playwright.sync_api import expect

    with opened(browser, explorer, permissions=["clipboard-read", "clipboard-write"]) as page:
        shown = page.locator(".foot code").inner_text()
        assert shown.startswith("desali explore ")
        button = page.get_by_role("button", name="copy command")
        button.click()
        expect(button).not_to_have_text("copy")
        if button.inner_text() == "copied":
            assert page.evaluate("navigator.clipboard.readText()") == shown
            link = page.get_by_role("button", name="copy link")
            link.click()
            expect(page.locator("#link")).to_have_text("copied")
            assert page.evaluate("navigator.clipboard.readText()") == page.url
            assert "token" not in page.url
