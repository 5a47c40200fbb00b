"""The explorer in a real browser: click, slider, toggle, drop, keys, dark mode, window sizes, export, notebook."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import numpy as np
import pytest
from PIL import Image

from tests.data.test_dicom import dicom
from tests.web.browser import NARROW, WIDE, Seen, axe_faults, check_scheme, launched
from tests.web.conftest import HOSTILE

CLASSES = sorted(HOSTILE)
"""As a data set lists its folders."""

pytestmark = pytest.mark.browser


class Explorer:
    """`desali explore` as a program of its own; `origin` is where it listens."""

    def __init__(self, *arguments: object) -> None:
        line = "import sys; from desali.cli.main import main; main(sys.argv[1:])"
        self.program = subprocess.Popen(
            [sys.executable, "-c", line, "explore", *map(str, arguments), "--no-browser", "--port", "0"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        self.said: list[str] = []
        self._came = threading.Event()
        threading.Thread(target=self._listen, daemon=True).start()
        assert self._came.wait(120), self.said
        found = [re.search(r"(http://\S+?)/\?token=\S+", line) for line in self.said]
        address = next((match for match in found if match), None)
        assert address, self.said
        self.address, self.origin = address[0], address[1]

    def _listen(self) -> None:
        assert self.program.stdout is not None
        for line in self.program.stdout:
            self.said.append(line.rstrip())
            if "token=" in line:
                self._came.set()
        self._came.set()

    def end(self) -> None:
        self.program.terminate()
        self.program.wait(30)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with launched() as made:
        yield made


@pytest.fixture(scope="module")
def explorer(browser: Any, world: Path) -> Iterator[Explorer]:
    pytest.importorskip("starlette")
    pytest.importorskip("uvicorn")
    records = [file for file in (world / "lineage").glob("*.json") if file.name != "lineage.json"]
    made = Explorer("--runs", world / "runs", *(f"--lineage={file}" for file in records),
                    "--images", f"{world / 'target'}?patient=/(P\\d+)_")  # fmt: skip
    try:
        context = browser.new_context()
        context.new_page().goto(made.address)
        made.cookies = context.storage_state()  # type: ignore[attr-defined]
        context.close()
        yield made
    finally:
        made.end()


@contextmanager
def opened(browser: Any, explorer: Explorer, fragment: str = "", **options: Any) -> Iterator[Any]:
    """The explorer with its pictures there; whatever the page did wrong fails the test."""
    context = browser.new_context(**{"viewport": WIDE, "storage_state": explorer.cookies, **options})  # type: ignore[attr-defined]
    page = context.new_page()
    seen = Seen(page)
    try:
        page.goto(f"{explorer.origin}/#{fragment}")
        settled(page)
        yield page
        assert seen.errors == []
        own = (explorer.origin + "/", "data:", f"blob:{explorer.origin}/")
        assert [url for url in seen.requests if not url.startswith(own)] == []
    finally:
        context.close()


def settled(page: Any) -> None:
    """Wait until what was asked for is shown."""
    from playwright.sync_api import expect

    expect(page.locator(".panel[data-shown]")).to_have_count(page.locator(".panel").count() or 1, timeout=60_000)
    expect(page.locator(".model[aria-busy]")).to_have_count(0, timeout=60_000)


def state(page: Any) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(page.url.partition("#")[2]).items()}


def models(page: Any) -> list[str]:
    names: list[str] = page.eval_on_selector_all(
        ".model", "all => all.filter(x => x.checkVisibility()).map(x => x.ariaLabel)"
    )
    return names


def numbers(page: Any, row: str) -> list[str]:
    cells: list[str] = page.locator(f"tr[data-row='{row}'] td").all_inner_texts()
    return cells


def as_float(text: str) -> float:
    return float(text.replace("−", "-"))


def pictures(page: Any, which: str = ":not(.control)") -> list[str]:
    found: list[str] = page.eval_on_selector_all(
        f".picture{which} img", "all => all.filter(x => x.checkVisibility()).map(x => x.src)"
    )
    return found


def pick(page: Any, words: dict[str, str]) -> None:
    """Choose in the tools by their labels."""
    for label, value in words.items():
        page.locator(f".tools label:has(> span:text-is('{label}')) select").select_option(value)


def test_every_picture_stands_beside_its_control(browser: Any, explorer: Explorer) -> None:
    with opened(browser, explorer) as page:
        assert len(models(page)) == 2
        assert len(pictures(page)) == len(pictures(page, ".control")) == 2
        assert page.eval_on_selector_all(".picture img", "all => all.every(x => x.complete && x.naturalWidth > 0)")
        for alt in page.eval_on_selector_all(".picture:not(.control) img", "all => all.map(x => x.alt)"):
            assert re.search(r"channel \d+", alt), alt
        assert re.fullmatch(
            r"\d+ ms from click to picture, \d+ ms of it computing", page.locator(".latency").inner_text()
        )


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


def test_numbers_are_those_of_the_api(browser: Any, explorer: Explorer, world: Path) -> None:
    import desali
    from desali.comparison.controls import likeness_null
    from desali.data.readers import find_images
    from desali.data.readers.reading import read_found

    with opened(browser, explorer, "from=channel&image=3") as page:
        now, shown = state(page), models(page)
        assert shown[1] == "natural"
        images = read_found(find_images(f"{world / 'target'}?patient=/(P\\d+)_").choose(split="test"), cache=False)
        listed = page.locator(".images button small").nth(3).inner_text()
        model = desali.load(world / "runs" / "natural" / "model.safetensors")
        recording = desali.record(model.model, model.preprocessing.apply_batch(images.images[3:4], images.unit))
        values = recording.activation(now["layer"])[0][int(now["channel"])]
        assert f"patient {images.patients[3]}" in listed
        assert as_float(numbers(page, "value")[1]) == pytest.approx(float(values.max()), abs=0.006)
        row, column = (int(one) for one in numbers(page, "row, column")[1].split(","))
        assert float(values[row, column]) == float(values.max())
        map = desali.reconstruct(
            model.model, recording.images, now["layer"], desali.Seed.channel(int(now["channel"])), method="desalinet"
        )
        drawn = np.asarray(Image.open(io.BytesIO(base64.b64decode(pictures(page)[1].partition(",")[2]))), np.float64)
        from desali.figures.drawing.display import display_map

        wanted = 255 * display_map(map[0, 0].sum(0, keepdim=True), colour=False)[0]
        assert drawn.shape[:2] == wanted.shape
        assert np.abs((drawn if drawn.ndim == 2 else drawn[..., 0]) - wanted).max() <= 1
        assert as_float(numbers(page, "noise")[1].strip("< ")) == pytest.approx(likeness_null(wanted.shape), abs=0.006)
        best = page.locator(".strongest button").first.get_attribute("data-channel")
        own = model if page.locator(".right select").input_value() == "1" else None
        if own is not None:
            assert int(best) == int(recording.activation(now["layer"])[0].flatten(1).max(1).values.argmax())


def test_facts_are_those_of_the_lineage(browser: Any, explorer: Explorer, world: Path) -> None:
    from desali.comparison.tracing import as_shown

    records = [json.loads(f.read_text()) for f in (world / "lineage").glob("*.json") if f.name != "lineage.json"]
    with opened(browser, explorer) as page:
        now = state(page)
        before = page.locator(".model").first.get_attribute("aria-label")
        record = next(one for one in records if one["networks"]["before"]["stage"] in before)
        layer = next(one for one in record["layers"] if one["layer"] == now["layer"])
        layer = as_shown(layer, record["images"])
        each = layer["each_channel"]
        channel = int(now["channel"])
        assert models(page)[1] == "natural"
        assert numbers(page, "state")[:2] == [each["state"][channel]] * 2
        assert as_float(numbers(page, "r")[0]) == pytest.approx(each["correlation"][channel], abs=0.006)
        firing = [as_float(one) for one in numbers(page, "firing")[:2]]
        assert firing == pytest.approx([each["firing_before"][channel], each["firing_after"][channel]], abs=0.006)


def test_a_click_shows_the_neuron_in_every_model(browser: Any, explorer: Explorer) -> None:
    with opened(browser, explorer) as page:
        map = page.locator(".map").first
        box = map.bounding_box()
        before = pictures(page)
        map.click(position={"x": box["width"] * 0.1, "y": box["height"] * 0.9})
        settled(page)
        now = state(page)
        assert {"y", "x"} <= set(now)
        assert numbers(page, "row, column") == [f"{now['y']}, {now['x']}"] * 2
        assert pictures(page) != before
        assert len(pictures(page, ".control")) == 2
        value = page.locator(".reading").first
        map.hover(position={"x": box["width"] * 0.1, "y": box["height"] * 0.9})
        assert value.inner_text().startswith(f"row {now['y']}, column {now['x']}: ")
        assert as_float(value.inner_text().rpartition(" ")[2]) == pytest.approx(
            as_float(numbers(page, "value")[0]), abs=0.011
        )


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


def test_toggle_never_hides_the_control(browser: Any, explorer: Explorer) -> None:
    with opened(browser, explorer) as page:
        both = models(page)
        left = page.locator(".model").first.bounding_box()["x"]
        for name, shown in (("Before", both[:1]), ("After", both[1:]), ("Both", both)):
            page.get_by_role("button", name=name, exact=True).click()
            settled(page)
            assert models(page) == shown
            assert len(pictures(page)) == len(pictures(page, ".control")) == len(shown)
            visible = page.locator(".model:visible").first
            assert visible.bounding_box()["x"] == left, "the pair does not blink in one place"


def test_partner_and_class_contrast(browser: Any, explorer: Explorer, world: Path) -> None:
    record = next(f for f in (world / "lineage").glob("*.json") if f.name != "lineage.json")
    value = json.loads(record.read_text())
    with opened(browser, explorer) as page:
        partners = next(x for x in value["layers"] if x["layer"] == state(page)["layer"])["each_channel"]["partner"]
        other = next((k for k, one in enumerate(partners) if one not in (k, -1)), None)
        strange = next(x for x in value["layers"] if x["layer"] == state(page)["layer"])["strangers"]
        if other is not None and not value["strangers"] and not strange:
            page.get_by_label("Channel", exact=True).fill(str(other))
            page.keyboard.press("Enter")
            settled(page)
            page.get_by_role("button", name="Its partner").click()
            settled(page)
            assert numbers(page, "channel") == [str(other), str(partners[other])]
            page.get_by_role("button", name="Same channel").click()
            settled(page)
            assert numbers(page, "channel") == [str(other)] * 2
        before = pictures(page)
        pick(page, {"From": "contrast"})
        settled(page)
        shown = page.locator(".tools label:has(> span:text-is('Class')) option").all_inner_texts()
        wanted = ["predicted", *CLASSES, "a", "b", "c", "d"]
        assert [" ".join(one.split()) for one in shown] == [" ".join(one.split()) for one in wanted]
        pick(page, {"Class": "1", "against": "0"})
        settled(page)
        assert (state(page)["a"], state(page)["b"]) == ("1", "0")
        assert "against" in page.locator(".foot .sentence").inner_text()
        assert pictures(page)[-1] != before[-1]
        assert len(pictures(page)) == len(pictures(page, ".control")) == 1
        assert f"has no class {CLASSES[1]}" in page.locator(".model.failed .absent").inner_text()
        assert not page.get_by_role("button", name="Before", exact=True).is_visible(), "alone"
        for meaningless in (".strip", ".map", ".stepper", ".strongest", ".patches"):
            assert not page.locator(meaningless).first.is_visible()


def test_likeness_is_a_range_over_draws(browser: Any, explorer: Explorer) -> None:
    from playwright.sync_api import expect

    with opened(browser, explorer) as page:
        expect(page.locator(".panel[data-drawn]")).to_have_count(1, timeout=60_000)
        cells = numbers(page, "likeness")
        assert all(one.startswith("3") for one in numbers(page, "draws"))
        with page.expect_download() as download:
            page.locator(".exports [data-format=json]").click()
        record = json.loads(Path(download.value.path()).read_bytes())
        for cell, one, under in zip(
            cells, record["models"], page.locator(".picture.control .fine").all_inner_texts(), strict=True
        ):
            low, high = one["draws"]["low"], one["draws"]["high"]
            assert f"likeness {cell} (3 draws" in " ".join(under.split())
            if low is None:
                assert cell == "none"
                continue
            found = [as_float(part) for part in re.findall(r"[−\d.]+", cell)]
            assert [found[0], found[-1]] == pytest.approx([low, high], abs=0.006)
            assert ("one draw for all 2" in under) == (len(set(pictures(page, ".control"))) == 1)


def test_one_scale_is_a_toggle_of_the_state(browser: Any, explorer: Explorer) -> None:
    with opened(browser, explorer) as page:
        own = pictures(page) + pictures(page, ".control")
        page.get_by_label("one scale").check()
        settled(page)
        assert state(page)["scale"] == "common"
        assert "scale=common" in page.locator(".foot code").inner_text()
        ends = page.locator(".picture .fine span:first-child").all_inner_texts()
        assert len({one for one in ends if one != "silent here"}) == 1
        assert ends[0].endswith("one scale")
        assert pictures(page) + pictures(page, ".control") != own
        fragment = page.url.partition("#")[2]
    with opened(browser, explorer, fragment) as page:
        assert page.get_by_label("one scale").is_checked()


def test_each_model_says_what_it_was_trained_on(browser: Any, explorer: Explorer) -> None:
    with opened(browser, explorer) as page:
        assert page.locator(".model .fine", has_text="trained on: ").count() == 2
        heads = [box["y"] for one in page.locator(".picture figcaption").all() if (box := one.bounding_box())]
        assert len(set(heads)) <= 2, "captions of pictures, or of controls, do not stand on one line"


def test_strongest_patches_open_their_image(browser: Any, explorer: Explorer) -> None:
    from playwright.sync_api import expect

    with opened(browser, explorer) as page:
        patches = page.locator(".patches button")
        expect(patches.first).to_be_visible(timeout=60_000)
        assert 0 < patches.count() <= 9
        page.locator(".patches button").last.click()
        settled(page)
        expect(page.locator(".shown canvas")).to_have_attribute("data-shown", state(page)["image"])


def dicom_file(folder: Path) -> Path:
    """A slice with a bright disc on air."""
    y, x = np.mgrid[:40, :48]
    stored = np.where((y - 20) ** 2 + (x - 24) ** 2 < 90, 1064, 124).astype(np.uint16)
    file = folder / "slice <b>1.dcm"
    dicom(stored).save_as(file, enforce_file_format=True)
    return file


def drop(page: Any, *files: Path) -> None:
    """Drop files as a hand does."""
    given = [[file.name, base64.b64encode(file.read_bytes()).decode()] for file in files]
    page.evaluate(
        """files => {
            const root = document.querySelector(".left") ?? document.querySelector("#cell").shadowRoot;
            const data = new DataTransfer();
            for (const [name, bytes] of files) {
                data.items.add(new File([Uint8Array.from(atob(bytes), (c) => c.charCodeAt(0))], name));
            }
            const target = root.querySelector?.(".left") ?? root;
            for (const kind of ["dragover", "drop"]) {
                target.dispatchEvent(new DragEvent(kind, { bubbles: true, cancelable: true, dataTransfer: data }));
            }
        }""",
        given,
    )


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


def test_keys_alone_reach_everything(browser: Any, explorer: Explorer) -> None:
    with opened(browser, explorer) as page:
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
    assert record["control"]["networks"] == 3
    assert all(one["draws"]["networks"] == 3 for one in record["models"])


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


def test_only_the_newest_click_counts(browser: Any, explorer: Explorer) -> None:
    from playwright.sync_api import expect

    with opened(browser, explorer) as page:
        last = page.locator(".strip button").count() - 1
        for k in (0, 2, 1, 3, last):
            page.locator(".strip button").nth(k).click()
        settled(page)
        layer = page.locator(".strip button").nth(last).get_attribute("data-layer")
        assert state(page)["layer"] == layer
        expect(page.locator(".foot .sentence")).to_contain_text(layer, timeout=60_000)
        settled(page)
        assert layer in page.locator(".foot .sentence").inner_text()
        assert layer in page.locator(".picture img").first.get_attribute("alt")


HOST = """
<!doctype html><html lang="en"><head><meta charset="utf-8"><title>notebook</title></head>
<body data-jp-theme-light="false"><h1>a notebook</h1><div id="cell"></div>
<script type="module">
import widget from "./widget.js";
const traits = TRAITS;
let heard = null;
const model = {
  get: (name) => traits[name], set: (name, value) => { traits[name] = value; }, save_changes: () => {},
  on: (_, call) => { heard = call; }, off: () => { heard = null; },
  send: async (message, _, buffers) => {
    const answer = await window.kernel(message, buffers.map((one) => [...new Uint8Array(one)]));
    heard?.(answer.message, [new DataView(Uint8Array.from(answer.bytes).buffer)]);
  },
};
window.traits = traits;
window.end = widget.render({ model, el: document.getElementById("cell") });
</script></body></html>
"""
"""What a notebook is to a widget: traits, messages and a place."""


@contextmanager
def notebook(browser: Any, answering: Any, state: str = "", dark: bool = True) -> Iterator[Any]:
    """The widget in a page that is what a notebook is to it."""
    from desali.web.explorer.widget import reply
    from desali.web.page import inlined

    view = inlined("widget.js", "view.css", "explore.css")
    host = HOST.replace("TRAITS", json.dumps({"styles": str(view["styles"]), "state": state}))
    host = host if dark else host.replace('light="false"', 'light="true"')
    context = browser.new_context(viewport=WIDE, color_scheme="light" if dark else "dark")
    page = context.new_page()
    seen = Seen(page)

    def kernel(message: dict[str, Any], buffers: list[list[int]]) -> dict[str, Any]:
        answer, bodies = reply(answering, message, [bytes(one) for one in buffers])
        return {"message": answer, "bytes": list(bodies[0])}

    try:
        page.expose_function("kernel", kernel)
        page.route("**/widget.js", lambda way: way.fulfill(body=str(view["script"]), content_type="text/javascript"))
        page.route("**/notebook", lambda way: way.fulfill(body=host, content_type="text/html"))
        page.goto("http://127.0.0.1:9/notebook")
        yield page
        assert seen.errors == []
        page.evaluate("window.end()")
    finally:
        context.close()


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
