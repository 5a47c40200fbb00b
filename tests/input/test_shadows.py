"""Files and folders of the working directory that hide packages are named, whoever imports."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from desali.input.shadows import shadows


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend("")
    return tmp_path


def test_what_hides_a_package_is_named(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert shadows() == []
    for harmless in ("numpy", "data", "runs"):  # folders that are no packages hide nothing that is installed
        (here / harmless).mkdir()
    (here / "mine.py").touch()
    assert shadows() == []
    (here / "numpy" / "__init__.py").touch()
    (here / "random.py").touch()
    (here / "torch.py").touch()
    assert [one.split()[0] for one in shadows()] == ["numpy", "random.py", "torch.py"]
    monkeypatch.setattr(sys, "path", [one for one in sys.path if one not in ("", str(here))])
    assert shadows() == []
    monkeypatch.setattr(sys, "path", [*sys.path, str(here)])  # behind what is installed
    assert shadows() == []


def test_a_folder_that_gdcm_asks_for_is_named_where_gdcm_is(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from desali.input import shadows as module

    (here / "dl").mkdir()
    monkeypatch.setattr(module, "_installed", lambda name: name == "gdcm")
    assert "dl in the working directory is imported by the package gdcm" in shadows()[0]
    monkeypatch.setattr(module, "_installed", lambda name: False)
    assert shadows() == []


def test_the_command_and_the_library_name_it(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise AttributeError('this is not torch')\n")
    code = "import desali\ntry:\n    desali.record\nexcept desali.DesaliError as error:\n    print(error)"
    found = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert "torch.py in the working directory hides the package torch" in found.stdout, found.stderr
    command = [sys.executable, "-m", "desali.cli.main", "info"]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert found.returncode == 2
    assert found.stderr.startswith("desali: error: torch.py in the working directory hides the package torch; rename")
    assert found.stderr.count("\n") == 1
