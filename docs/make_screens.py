"""Make the pictures of the pages again: `python docs/make_screens.py DEMO`, with the folder that `desali demo` made.

Everything on them is of the synthetic data that desali brings along. It needs Playwright and a Chromium, as the tests
of the pages do (`make browser` installs both).
"""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
COLOURS = (160, 96, 64, 40)
MOST = 200 * 1024
"""Bytes of a picture."""
COMMAND = [sys.executable, "-m", "desali.cli.main"]


def keep(page: Any, name: str) -> None:
    """What the window shows, as a PNG of few colours.

    Raises:
        ValueError: it is larger than a page of the docs should load.
    """
    from PIL import Image

    shot = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    buffer = io.BytesIO()
    for colours in COLOURS:
        few = shot.quantize(colours, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
        buffer = io.BytesIO()
        few.save(buffer, "PNG", optimize=True)
        if len(buffer.getvalue()) <= MOST:
            break
    if len(buffer.getvalue()) > MOST:
        raise ValueError(f"{name}: {len(buffer.getvalue()) >> 10} KiB")
    (HERE / "images" / name).write_bytes(buffer.getvalue())
    print(f"{name}: {shot.width} x {shot.height}, {len(buffer.getvalue()) >> 10} KiB")


def report(browser: Any, demo: Path) -> None:
    """The sheets of channels, and the gallery."""
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "report.html"
        subprocess.run([*COMMAND, "report", demo, "-o", made], check=True)
        page = browser.new_page(viewport={"width": 1180, "height": 1100})
        page.goto(made.as_uri())
        shown = (("[data-sheets]", "report.png", 1100), ("#gallery form", "report-gallery.png", 760))
        for place, name, height in shown:
            page.set_viewport_size({"width": 1180, "height": height})
            page.locator(place).first.evaluate("one => one.scrollIntoView()")
            page.wait_for_timeout(500)
            keep(page, name)
        page.close()


def explorer(browser: Any, demo: Path) -> None:
    """A channel in every model, light, and a class contrast, dark."""
    from playwright.sync_api import expect

    line = [*COMMAND, "explore", "--runs", demo / "runs", "--lineage", demo / "what-changed.json", "--no-browser"]
    program = subprocess.Popen([*map(str, line), "--port", "0"], stdout=subprocess.PIPE, text=True)
    try:
        assert program.stdout is not None
        address = next(found for text in program.stdout if (found := re.search(r"(http://\S+?)/\?token=\S+", text)))
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        context.new_page().goto(address[0])
        for scheme, state, name in (
            ("light", "image=150&layer=features.relu3&from=channel", "explore.png"),
            ("dark", "image=150&layer=features.relu3&from=contrast", "explore-contrast.png"),
        ):
            page = context.new_page()
            page.emulate_media(color_scheme=scheme)
            page.goto(f"{address[1]}/#{state}")
            expect(page.locator(".panel[data-shown]")).to_have_count(1, timeout=120_000)
            expect(page.locator(".model[aria-busy]")).to_have_count(0, timeout=120_000)
            expect(page.locator(".right p[role=status]")).to_contain_text(re.compile("^(The|Channel)"), timeout=120_000)
            expect(page.locator(".panel[data-drawn]")).to_have_count(1, timeout=120_000)
            page.wait_for_timeout(500)
            keep(page, name)
    finally:
        program.terminate()
        program.wait(60)


def main() -> None:
    """Make all."""
    from playwright.sync_api import sync_playwright

    demo = Path(sys.argv[1])
    program = os.environ.get("DESALI_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        report(browser, demo)
        explorer(browser, demo)
        browser.close()


if __name__ == "__main__":
    main()
