"""`desali data`: exit codes, text and JSON, and all options from the command line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from desali.data.readers import READERS
from tests.cli.conftest import Result
from tests.data.readers.trees import emphysema, folders, talisman

Run = Callable[..., Result]
ROOT = Path(__file__).parents[2]


def test_exit_codes(desali: Run, tmp_path: Path) -> None:
    folders(tmp_path / "set")
    clean = desali("data", "check", tmp_path / "set", "-O", "patient=none")
    assert clean.code == 0
    assert "no findings" in clean.out
    unsaid = desali("data", "check", tmp_path / "set")
    assert unsaid.code == 1
    assert "patients are not stated" in unsaid.out
    shutil.copy(tmp_path / "set/bark/0.png", tmp_path / "set/moss/copy.png")
    found = desali("data", "check", tmp_path / "set")
    assert found.code == 1
    assert "bark/0.png = moss/copy.png (across classes)" in found.out
    bad = desali("data", "check", tmp_path / "nowhere")
    assert bad.code == 2
    assert "no such file" in bad.err
    assert bad.out == ""
    for wrong in (["-O", "patient"], ["-O", "patients=x"], ["--split", "test"]):
        assert desali("data", "check", tmp_path / "set", *wrong).code == 2


def test_json_and_options(desali: Run, tmp_path: Path) -> None:
    talisman(tmp_path)
    result = desali(
        "data", "check", f"talisman:{tmp_path}", "--json", "--labels", "seven", "--classes", "GGO,NOR", "--proxy",
        "by a student", "-O", "unknown-patients=leave_out",
    )  # fmt: skip
    assert result.code == 1
    facts = json.loads(result.out)
    assert facts["findings"] == facts["confounded"]
    assert len(facts["confounded"]) == 2  # each class is of one patient
    assert facts["classes"] == {"GGO": {"images": 2, "patients": 1}, "NOR": {"images": 1, "patients": 1}}
    assert "PROXY LABELS (by a student)" in facts["origin"]
    assert facts["patients"] == {"patient3": 1, "patient4": 2}


def test_readers_are_listed_and_documented(desali: Run) -> None:
    shown = desali("data", "readers").out
    facts = json.loads(desali("data", "readers", "--json").out)
    page = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
    assert set(facts["readers"]) == set(READERS)
    for name, reader in READERS.items():
        assert reader.layout in shown
        assert f"`{name}:" in page
        for option in reader.options:
            assert f"`{option}" in page, f"docs/data.md does not explain {name}'s {option}"
    for option in facts["common_options"]:
        assert f"`{option}" in page


@pytest.mark.parametrize("name", ["check", "readers"])
def test_help(desali: Run, name: str) -> None:
    result = desali("data", name, "--help")
    assert result.code == 0
    assert len(result.out) > 100


def test_in_a_process_of_its_own(tmp_path: Path) -> None:
    emphysema(tmp_path)
    (tmp_path / "patches" / "patch3.tiff").write_bytes(b"II*\0")
    done = subprocess.run(
        [sys.executable, "-m", "desali.cli.main", "data", "check", str(tmp_path)],
        capture_output=True, text=True, timeout=60, env={**os.environ, "COLUMNS": "80"}, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "1 of 12 images cannot be read" in done.stdout
    assert "patch3.tiff" in done.stdout
    assert done.stderr == ""
