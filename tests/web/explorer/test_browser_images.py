"""Images in a real browser: names, files that are dropped, the window, many of them, patches that open one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.web.browser import WIDE, Seen
from tests.web.conftest import HOSTILE
from tests.web.explorer.browsing import Explorer, dicom_file, drop, models, opened, pick, pictures, settled, state

pytestmark = pytest.mark.browser


def test_hostile_names_are_text(browser: Any, explorer: Explorer) -> None:
    with opened(browser, explorer) as page:
        labels = page.locator(".left select option").all_inner_texts()
        for name in HOSTILE:
            assert " ".join(name.split()) in [" ".join(one.split()) for one in labels]
        assert page.title() == "desali explore"
        assert page.locator("img[src=x], svg, script:not([src])").count() == 0
        pick(page, {"From": "contrast"})
        settled(page)
        assert page.title() == "desali explore"


def test_strongest_patches_open_their_image(browser: Any, explorer: Explorer) -> None:
    from playwright.sync_api import expect

    with opened(browser, explorer) as page:
        patches = page.locator(".patches button")
        expect(patches.first).to_be_visible(timeout=60_000)
        assert 0 < patches.count() <= 9
        page.locator(".patches button").last.click()
        settled(page)
        expect(page.locator(".shown canvas")).to_have_attribute("data-shown", state(page)["image"])


def grey(page: Any) -> list[int]:
    """A line of the shown image, from its canvas."""
    found: list[int] = page.evaluate(
        """() => {
            const canvas = document.querySelector(".shown canvas");
            const line = canvas.getContext("2d").getImageData(0, canvas.height >> 1, canvas.width, 1).data;
            return [...line].filter((_, k) => k % 4 === 0);
        }"""
    )
    return found


def test_drop_a_dicom_and_move_its_window(browser: Any, explorer: Explorer, tmp_path: Path) -> None:
    from playwright.sync_api import expect

    with opened(browser, explorer) as page:
        assert page.locator(".window").is_hidden()
        drop(page, dicom_file(tmp_path))
        expect(page.locator(".images button").first).to_contain_text("slice <b>1.dcm", timeout=60_000)
        expect(page.locator(".window")).to_be_visible()
        settled(page)
        canvas = page.locator(".shown canvas")
        expect(canvas).to_have_attribute("aria-label", re.compile("slice <b>1.dcm, 40 × 48 pixels"))
        assert len(pictures(page)) == len(pictures(page, ".control")) == 2
        page.get_by_role("button", name="lung", exact=True).click()
        expect(page).to_have_url(re.compile("window=-600"))
        made = pictures(page)
        requests: list[str] = []
        page.on("request", lambda request: requests.append(request.url))
        page.get_by_label("Centre in HU").fill("-200")
        page.get_by_label("Width in HU").fill("400")
        expect(page).to_have_url(re.compile("window=-200%2C400"))
        expect(page.locator(".window output").first).to_have_text("−200 HU")
        line = grey(page)
        assert (min(line), max(line)) == (0, 255)
        assert [url for url in requests if not url.startswith("data:")] == [], "a window costs a request"
        assert pictures(page) == made, "the window changes what the networks read"
        page.get_by_label("Centre in HU").focus()
        page.keyboard.press("ArrowRight")
        expect(page).to_have_url(re.compile("window=-190%2C400"))


def test_files_that_are_no_images_are_said(browser: Any, explorer: Explorer, tmp_path: Path) -> None:
    from playwright.sync_api import expect

    bad = tmp_path / "notes.txt"
    bad.write_text("no picture")
    good = tmp_path / "good.png"
    Image.fromarray(np.arange(1024, dtype=np.uint8).reshape(32, 32)).save(good)
    context = browser.new_context(viewport=WIDE, storage_state=explorer.cookies)  # type: ignore[attr-defined]
    page = context.new_page()
    page.goto(explorer.origin)
    settled(page)
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Open files…").click()
    chooser.value.set_files([str(bad), str(good)])
    expect(page.locator(".problems li")).to_contain_text("notes.txt", timeout=60_000)
    expect(page.locator(".images button").first).to_contain_text("good.png", timeout=60_000)
    expect(page).to_have_url(re.compile("image=u"))
    settled(page)
    assert len(pictures(page)) == 2
    context.close()


def test_many_images_and_many_models(browser: Any, world: Path, tmp_path: Path) -> None:
    """The list goes to an image far below, its thumbnails are small, and five models' numbers fit."""
    from playwright.sync_api import expect

    files = []
    for k in range(70):
        files.append(tmp_path / f"{k:02d}.png")
        Image.fromarray(np.full((200, 200), 3 * k, np.uint8)).save(files[-1])
    made = Explorer("--runs", world / "runs", *["--model=natural"] * 5, *files)
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    seen = Seen(page)
    small: list[str] = []
    page.on("request", lambda one: "side=" in one.url and small.append(one.url))
    try:
        page.goto(made.address + "#image=f65")
        settled(page)
        chosen = page.locator(".images button[aria-pressed=true]")
        expect(chosen).to_contain_text("65.png")
        expect(chosen).to_be_in_viewport(ratio=0.9)
        assert page.evaluate("scrollY") == 0
        chosen.focus()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        settled(page)
        assert state(page)["image"] == "f66"
        assert len(models(page)) == 5
        wide, room = page.eval_on_selector(".right .scroll", "one => [one.scrollWidth, one.clientWidth]")
        assert wide <= room, "five models' numbers scroll sideways"
        assert small
        size = "url => fetch(url).then(one => one.blob()).then(createImageBitmap).then(one => [one.width, one.height])"
        assert page.evaluate(size, small[0]) == [96, 96]
        assert seen.errors == []
    finally:
        context.close()
        made.end()
