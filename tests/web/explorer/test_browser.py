"""The explorer in a real browser: pictures beside their controls, numbers, clicks, toggles, partners, contrasts."""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.web.explorer.browsing import (
    CLASSES,
    Explorer,
    as_float,
    models,
    numbers,
    opened,
    pick,
    pictures,
    settled,
    state,
)

pytestmark = pytest.mark.browser


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

    record = json.loads((world / "lineage" / "natural-target.json").read_text())
    with opened(browser, explorer) as page:
        now = state(page)
        assert record["networks"]["before"]["stage"] in models(page)[0]
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


def test_a_partner_is_followed(browser: Any, explorer: Explorer, world: Path) -> None:
    record = json.loads((world / "lineage" / "natural-target.json").read_text())
    layer = next(one for one in record["layers"] if one["layer"] == "features.relu5")
    assert not record["strangers"]
    assert not layer["strangers"]
    partners = layer["each_channel"]["partner"]
    other = next(k for k, one in enumerate(partners) if one not in (k, -1))
    with opened(browser, explorer, f"layer=features.relu5&channel={other}&from=channel") as page:
        assert numbers(page, "channel") == [str(other)] * 2
        page.get_by_role("button", name="Its partner").click()
        settled(page)
        assert numbers(page, "channel") == [str(other), str(partners[other])]
        page.get_by_role("button", name="Same channel").click()
        settled(page)
        assert numbers(page, "channel") == [str(other)] * 2


def test_class_contrast(browser: Any, explorer: Explorer) -> None:
    with opened(browser, explorer) as page:
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
        assert numbers(page, "value") == []
        assert len(numbers(page, "logit difference")) == 1
        assert f"has no class {CLASSES[1]}" in page.locator(".model.failed .absent").inner_text()
        assert not page.get_by_role("button", name="Before", exact=True).is_visible(), "alone"
        for meaningless in (".strip", ".map", ".stepper", ".strongest", ".patches"):
            assert not page.locator(meaningless).first.is_visible()


def test_likeness_is_a_range_over_draws(browser: Any, explorer: Explorer) -> None:
    from playwright.sync_api import expect

    with opened(browser, explorer) as page:
        expect(page.locator(".panel[data-drawn]")).to_have_count(1, timeout=60_000)
        cells = numbers(page, "likeness")
        assert all(one.startswith("5") for one in numbers(page, "draws"))
        with page.expect_download() as download:
            page.locator(".exports [data-format=json]").click()
        record = json.loads(Path(download.value.path()).read_bytes())
        for cell, one, under in zip(
            cells, record["models"], page.locator(".picture.control .fine").all_inner_texts(), strict=True
        ):
            low, high = one["draws"]["low"], one["draws"]["high"]
            assert f"likeness {cell} (5 draws" in " ".join(under.split())
            if low is None:
                assert cell == "none"
                continue
            found = [as_float(part) for part in re.findall(r"[−\d.]+", cell)]
            assert [found[0], found[-1]] == pytest.approx([low, high], abs=0.006)
            assert ("one draw for all 2" in under) == (len(set(pictures(page, ".control"))) == 1)


def test_who_hears_the_page_hears_the_range_alone(browser: Any, explorer: Explorer) -> None:
    """Never the likeness to a single draw: not before the others are there, and not after."""
    from playwright.sync_api import expect

    alts = "all => all.filter(x => x.checkVisibility()).map(x => x.alt)"
    with opened(browser, explorer) as page:
        expect(page.locator(".panel[data-drawn]")).to_have_count(1, timeout=60_000)
        cells = numbers(page, "likeness")
        for which in (":not(.control)", ".control"):
            said = page.eval_on_selector_all(f".picture{which} img", alts)
            assert len(said) == len(cells) == 2
            assert all(f"random weights: {cell} (5 draws" in one for cell, one in zip(cells, said, strict=True))
        page.route("**/api/likeness*", lambda way: None)  # never answered
        page.locator(".strip button").first.click()
        settled(page)
        layer = state(page)["layer"]
        expect(page.locator(".picture img").first).to_have_attribute("alt", re.compile(re.escape(layer)))
        said = page.eval_on_selector_all(".picture img", alts)
        assert len(said) == 4
        assert not [one for one in said if "ikeness" in one]
        said = page.locator(".explorer > [aria-live]").inner_text()
        assert layer in said
        assert "ikeness" not in said


def test_a_class_that_one_model_lacks_moves_no_list(browser: Any, explorer: Explorer) -> None:
    """The first model lacks the class; that says nothing of the image, and the lists stay with that model."""
    with opened(browser, explorer) as page:
        assert page.locator(".right select").input_value() == "0"
        pick(page, {"From": "contrast"})
        settled(page)
        lacking = page.locator(".tools label:has(> span:text-is('Class')) option").all_inner_texts()
        first = models(page)[0]
        for name in ("0", str(len(lacking) - 2)):  # a class of the one, then of the other
            pick(page, {"Class": name})
            settled(page)
            assert page.locator(".model.failed").count() == 1
            assert page.locator(".right select").input_value() == "0"
        assert models(page)[0] == first


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
        for which in (":not(.control)", ".control"):
            boxes = [one.bounding_box() for one in page.locator(f".picture{which} figcaption").all()]
            assert len(boxes) == 2
            assert all(box is not None and box["height"] > 0 for box in boxes)
            assert len({box["y"] for box in boxes}) == 1, "captions do not stand on one line"


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
