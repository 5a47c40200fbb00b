"""The view: its size, one script out of its modules, and the policy that lets nothing else run."""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from desali.web.page import TEMPLATES, VIEW, inlined

BUDGET = 80 * 1024
FORBIDDEN = re.compile(r"https?://|@import|url\(|innerHTML|insertAdjacentHTML|document\.write|\beval\b")


def test_the_view_is_small_and_asks_nobody() -> None:
    files = [*VIEW.iterdir()]
    assert sum(file.stat().st_size for file in files) < BUDGET
    for file in [*files, *TEMPLATES.iterdir()]:
        text = file.read_text(encoding="utf-8")
        assert not FORBIDDEN.search(text), file
        assert "|safe" not in text.replace(" ", ""), file


def test_modules_become_one_script() -> None:
    made = inlined("report.js", "view.css", "report.css")
    script = str(made["script"])
    assert not re.search(r"^\s*(import|export)\b", script, re.MULTILINE)
    names = re.findall(r"^(?:async )?function (\w+)|^(?:const|let) (\w+)", script, re.MULTILINE)
    flat = [one or other for one, other in names]
    assert len(flat) == len(set(flat)), "two modules define one name"
    for name in ("startSheets", "startGallery", "startCopying", "startTheme"):
        assert script.index(f"function {name}") < script.rindex(f"{name}(")


def test_the_policy_names_exactly_what_stands_there() -> None:
    made = inlined("report.js", "view.css", "report.css")
    for kind, text in (("script", made["script"]), ("style", made["styles"])):
        digest = base64.b64encode(hashlib.sha256(str(text).encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in made["policy"]


def test_the_script_is_one_that_a_parser_takes(tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("NO NODE: the script is parsed by the browser's tests alone. This test has checked NOTHING.")
    file = tmp_path / "script.mjs"
    file.write_text(str(inlined("report.js", "view.css")["script"]), encoding="utf-8")
    subprocess.run([node, "--check", file], check=True)
