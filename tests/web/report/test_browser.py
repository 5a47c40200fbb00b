"""The report in a real browser: slider, toggle, filter, keys, dark mode, window sizes, paper, and without a script."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.web.browser import NARROW, WIDE, axe_faults, check_scheme, launched, opened
from tests.web.conftest import HOSTILE, OPTIONS

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with launched() as made:
        yield made


@pytest.fixture(scope="module")
def url(page: Path) -> str:
    return page.as_uri()


def shown_layers(page: Any) -> list[str]:
    found: list[str] = page.eval_on_selector_all(".sheet", "all => all.filter(x => !x.hidden).map(x => x.dataset.name)")
    return found


def shown_bands(page: Any) -> set[str]:
    names = "all => all.filter(x => x.checkVisibility()).map(x => x.dataset.band)"
    return set(page.eval_on_selector_all(".mosaic", names))


def test_hostile_names_do_nothing(browser: Any, url: str) -> None:
    with opened(browser, url) as page:
        page.wait_for_timeout(300)
        assert page.title() != "pwned"
        assert page.title() == "runs, lineage, what-changed.png: results"
        labels = page.eval_on_selector_all(".roi", "all => [...new Set(all.map(x => x.dataset.label))]")
        assert {name.strip() for name in labels} == {name.strip() for name in HOSTILE}


def test_slider_and_curves_show_one_layer(browser: Any, url: str) -> None:
    with opened(browser, url) as page:
        slider = page.locator("[data-layer]").first
        count = page.locator(".sheet").count()
        assert count > 1
        slider.fill("0")
        first = shown_layers(page)
        slider.fill(str(count - 1))
        last = shown_layers(page)
        assert len(first) == len(last) == 1
        assert first != last
        assert page.locator("[data-layer-name]").first.inner_text() == last[0]
        marked = page.eval_on_selector_all(".place.here", "all => all.length")
        assert marked > 0
        place = page.locator(".place.can").first
        place.scroll_into_view_if_needed()
        place.click()
        assert shown_layers(page) == first


def test_a_slider_marks_the_curves_over_its_own_images_alone(browser: Any, mixed: Path) -> None:
    with opened(browser, mixed.as_uri()) as page:
        page.locator("[data-layer]").first.fill("0")
        marked = page.eval_on_selector_all(
            ".place.here", "all => [...new Set(all.map(x => x.closest('[data-set]').getAttribute('aria-label')))]"
        )
        assert len(marked) == 1
        assert "clinic" in marked[0]
        can = page.eval_on_selector_all(
            ".place.can", "all => [...new Set(all.map(x => x.closest('[data-set]').getAttribute('aria-label')))]"
        )
        assert can == marked


@pytest.mark.parametrize("size", [WIDE, {"width": 900, "height": 860}, NARROW], ids=["wide", "middle", "narrow"])
def test_states_stay_in_their_cells_and_controls_lie_level(browser: Any, url: str, size: dict[str, int]) -> None:
    with opened(browser, url, viewport=size) as page:
        out = page.eval_on_selector_all(
            ".channel h6, .channel .state, .channel .why, .mosaic figcaption",
            """all => all.filter(x => x.checkVisibility() && (x.scrollWidth > x.clientWidth + 1 && x.clientWidth > 0 ||
                x.getBoundingClientRect().right > x.closest(".channel").getBoundingClientRect().right))
                .map(x => x.textContent)""",
        )
        assert out == []
        uneven = page.eval_on_selector_all(
            ".sheet",
            """all => all.filter(x => x.checkVisibility()).map(sheet => {
                const rows = new Map();
                for (const one of sheet.querySelectorAll(".channel")) {
                    const pair = [one, one.querySelector(".mosaic.control")];
                    const [own, control] = pair.map(x => x.getBoundingClientRect());
                    rows.set(Math.round(own.top), [...(rows.get(Math.round(own.top)) ?? []), Math.round(control.top)]);
                }
                return [...rows.values()].some(tops => Math.max(...tops) - Math.min(...tops) > 1);
            })""",
        )
        assert uneven == [False] * len(uneven)
        assert uneven


def test_toggle_never_hides_the_control(browser: Any, url: str) -> None:
    with opened(browser, url) as page:
        assert shown_bands(page) == {"before", "after", "control"}
        page.get_by_role("button", name="Before").first.click()
        assert shown_bands(page) == {"before", "control"}
        page.get_by_role("button", name="After").first.click()
        assert shown_bands(page) == {"after", "control"}
        page.get_by_role("button", name="Both").first.click()
        assert shown_bands(page) == {"before", "after", "control"}


def test_keys_alone_reach_everything(browser: Any, url: str) -> None:
    with opened(browser, url) as page:
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        reached = set()
        for _ in range(400):
            page.keyboard.press("Tab")
            here = page.evaluate("[document.activeElement.tagName, document.activeElement.dataset.by || '']")
            reached.add(tuple(here))
            if here[1] == "wrong":
                break
        assert {("INPUT", ""), ("BUTTON", ""), ("SUMMARY", ""), ("SELECT", "label"), ("SELECT", "wrong")} <= reached
        page.locator("[data-layer]").first.focus()
        before = shown_layers(page)
        page.keyboard.press("Home")
        page.keyboard.press("ArrowRight")
        assert shown_layers(page) != before or page.locator("[data-layer]").first.input_value() == "1"
        page.keyboard.press("b")
        assert shown_bands(page) == {"before", "control"}
        page.keyboard.press("b")
        assert shown_bands(page) == {"after", "control"}
        assert page.locator("#said").inner_text() == "Showing after"


def test_filter(browser: Any, url: str) -> None:
    with opened(browser, url) as page:
        everything = page.locator(".roi:visible").count()
        assert everything == OPTIONS.rois
        page.locator("select[data-by=label]").select_option(HOSTILE[0])
        own = page.eval_on_selector_all(".roi", "all => all.filter(x => !x.hidden).map(x => x.dataset.label)")
        assert set(own) == {HOSTILE[0]}
        assert page.locator("[data-count]").inner_text() == f"{len(own)} of {everything} ROIs"
        page.locator("select[data-by=label]").select_option("")
        page.locator("select[data-by=agree]").select_option("no")
        assert page.locator(".roi:visible").count() == page.locator(".roi[data-agree=no]").count()


def test_numbers_in_the_page_are_those_of_the_api(browser: Any, url: str, world: Path) -> None:
    import desali
    from desali.data.readers import find_images
    from desali.data.readers.reading import read_found
    from desali.models.sources import load

    images = read_found(find_images(f"{world / 'target'}?patient=/(P\\d+)_").choose(split="test"), cache=False)
    model = load(world / "runs" / "natural" / "model.safetensors")
    recording = desali.record(model.model, model.preprocessing.apply_batch(images.images, images.unit))
    answers = recording.output.softmax(1)
    with opened(browser, url) as page:
        rois = page.eval_on_selector_all(
            ".roi", "all => all.map(x => [x.querySelector('img').alt, x.querySelectorAll('.cells b')[1].textContent])"
        )
        assert len(rois) == OPTIONS.rois
        for alt, said in rois:
            number = int(alt.split()[1])
            best = int(answers[number].argmax())
            right = best == int(images.labels[number])
            name = " ".join(images.classes[best].split())
            assert " ".join(said.split()) == f"{'✓' if right else '✗'} {name} {float(answers[number][best]):.2f}"
        record = json.loads((world / "picture" / "what-changed.json").read_text())["lineage"]
        said = page.locator("svg.chart").last.get_attribute("aria-label")
        cells = page.locator(".change .numbers tbody tr").all_text_contents()
        for layer in record["layers"]:
            assert any(layer["layer"] in row and f"{layer['traceable']:.0%}".replace("%", " %") in row for row in cells)
        assert said


def test_no_name_of_a_chart_is_cut(browser: Any, url: str) -> None:
    with opened(browser, url) as page:
        cut = page.eval_on_selector_all(
            ".chart-card svg text",
            """all => all.filter(x => {
                const [own, card] = [x.getBoundingClientRect(), x.closest(".chart-card").getBoundingClientRect()];
                return own.left < card.left || own.right > card.right || own.bottom > card.bottom;
            }).map(x => x.textContent)""",
        )
        assert cut == []
        assert page.locator(".chart-card svg text").count() > 20


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_sizes_and_schemes(browser: Any, url: str, size: dict[str, int], scheme: str, tmp_path: Path) -> None:
    with opened(browser, url, viewport=size, color_scheme=scheme) as page:
        check_scheme(page, scheme)


def test_without_a_script_everything_is_there(browser: Any, url: str) -> None:
    with opened(browser, url, java_script_enabled=False) as page:
        assert page.locator(".sheet:visible").count() == page.locator(".sheet").count()
        assert page.locator(".roi:visible").count() == OPTIONS.rois
        assert page.locator(".mosaic:visible").count() == page.locator(".mosaic").count()
        assert page.locator(".bar:visible, .copy:visible, #theme:visible").count() == 0
        page.locator("summary").first.click()
        assert page.locator("details[open]").count() > 0


def test_paper(browser: Any, url: str, tmp_path: Path) -> None:
    with opened(browser, url, color_scheme="dark") as page:
        page.get_by_role("button", name="Before").first.click()
        page.emulate_media(media="print", color_scheme="dark")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert page.locator(".bar:visible").count() == 0
        assert page.eval_on_selector_all("img", "all => all.every(x => x.complete && x.naturalWidth > 0)")
        assert page.locator("table.numbers").last.is_visible(), "what is folded on the screen is on paper"
        assert shown_bands(page) == {"before", "after", "control"}
        assert page.locator(".sheet:visible").count() == page.locator(".sheet").count(), "paper has no slider"
        made = page.pdf(path=str(tmp_path / "page.pdf"), format="A4", print_background=True)
        assert made.startswith(b"%PDF")
        assert b"/MediaBox [0 0 594" in made or b"/MediaBox [0 0 595" in made


def test_copy(browser: Any, url: str) -> None:
    from playwright.sync_api import expect

    with opened(browser, url, permissions=["clipboard-read", "clipboard-write"]) as page:
        button = page.locator("button.copy").first
        wanted = button.get_attribute("data-copy")
        button.scroll_into_view_if_needed()
        button.click()
        expect(button).not_to_have_text("copy")
        assert page.locator("#said").inner_text() in ("Copied", "Selected; press Ctrl+C")
        if button.inner_text() == "copied":
            assert page.evaluate("navigator.clipboard.readText()") == wanted


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault(browser: Any, url: str, scheme: str) -> None:
    context = browser.new_context(viewport=WIDE, color_scheme=scheme, bypass_csp=True)
    page = context.new_page()
    page.goto(url)
    try:
        assert axe_faults(page) == []
    finally:
        context.close()
