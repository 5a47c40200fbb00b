"""The explorer as a widget in a page that is what a notebook is to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import numpy as np
import pytest
from PIL import Image

from tests.web.explorer.browsing import dicom_file, drop, notebook, numbers, pictures, settled

pytestmark = pytest.mark.browser


def test_the_same_view_in_a_notebook(browser: Any, tmp_path: Path) -> None:
    from playwright.sync_api import expect

    from tests.web.explorer.explored import session

    with notebook(browser, session(), "image=2") as page:
        panels = page.locator(".panel[data-shown]")
        expect(panels).to_have_count(2, timeout=60_000)  # two architectures, a panel each
        expect(page.locator(".model[aria-busy]")).to_have_count(0, timeout=60_000)
        assert page.locator(".model").count() == page.locator(".picture.control img").count() == 3
        assert "image=2" in page.evaluate("window.traits.state")
        page.locator(".panel").nth(1).locator(".map").click()
        expect(page.locator(".model[aria-busy]")).to_have_count(0)
        kept = parse_qs(page.evaluate("window.traits.state"))
        assert {"y.1", "x.1"} <= set(kept)
        assert "y" not in kept, "a click in one panel moved another"
        drop(page, dicom_file(tmp_path))
        expect(page.locator(".images button").first).to_contain_text("slice <b>1.dcm", timeout=60_000)
        heading = page.evaluate("getComputedStyle(document.querySelector('h1')).fontSize")
        assert heading == "32px", "the widget's styles leak into the notebook"
        assert page.evaluate(PAPER) == "rgb(19, 23, 27)"


PAPER = "getComputedStyle(document.querySelector('#cell')).backgroundColor"


def test_a_network_of_any_size_shows_its_layers_once_there_is_an_image(browser: Any, tmp_path: Path) -> None:
    from playwright.sync_api import expect

    from desali.web.explorer.opened import of_objects
    from tests.figures.networks import residual

    with notebook(browser, of_objects({"any": residual(1)}), dark=False) as page:
        expect(page.locator(".notes, .tools summary").first).to_be_visible(timeout=60_000)
        assert page.evaluate(PAPER) == "rgb(255, 255, 255)"
        assert page.locator(".strip button").count() == 0
        file = tmp_path / "colour.png"
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 48, 3)).astype(np.uint8)).save(file)
        with page.expect_file_chooser() as chooser:
            page.get_by_role("button", name="Open files…").click()
        chooser.value.set_files([str(file)])
        settled(page)
        assert page.locator(".strip button").count() > 5
        assert len(pictures(page)) == len(pictures(page, ".control")) == 1
        page.locator(".map").click()
        settled(page)
        assert "y" in parse_qs(page.evaluate("window.traits.state"))


def test_a_network_that_fails_stands_last_and_is_folded(browser: Any) -> None:
    from playwright.sync_api import expect

    from desali.web.explorer.opened import of_objects
    from tests.figures.networks import plain
    from tests.web.explorer.explored import SIZE, images
    from tests.web.explorer.test_views import fixed, silenced

    made = of_objects({"fixed": fixed(), "any": plain(2)}, images())
    with notebook(browser, made, "image=2&from=channel") as page:
        settled(page)
        lost = page.locator(".panel.lost")
        expect(lost).to_have_count(1)
        assert lost.locator(".banner").inner_text().startswith("needs 48 × 48 pixels")
        assert f"the image has {SIZE} × {SIZE}" in lost.inner_text()
        assert not lost.locator(".strip, .models, .foot").first.is_visible()
        assert lost.bounding_box()["y"] > page.locator(".panel:not(.lost)").bounding_box()["y"]
        assert page.locator(".right select").input_value() == "1", "the numbers are of a network that works"
        expect(page.locator(".strongest button").first).to_be_visible()
    with notebook(browser, of_objects({"a": silenced()}, images()), "image=2&layer=4&from=neuron&channel=1") as page:
        settled(page)
        assert "silent here" in page.locator(".reading").inner_text()
        assert numbers(page, "value") == ["silent here"]
        assert "silent" in page.evaluate(
            "getComputedStyle(document.querySelector('#cell').shadowRoot.querySelector('.picture'), '::after').content"
        )
