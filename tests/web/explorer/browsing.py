"""The explorer in a browser: a program of its own, a page of it, a notebook, and what stands there."""

from __future__ import annotations

import base64
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

from tests.data.test_dicom import dicom
from tests.web.browser import WIDE, Seen
from tests.web.conftest import HOSTILE

CLASSES = sorted(HOSTILE)
"""As a data set lists its folders."""


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
