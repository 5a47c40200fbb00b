"""The notebooks in examples/ run as they are: `make notebooks`."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT

NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
BEGIN = "from tests.torchvision_models import torchvision; torchvision()"
"""Run in the kernel before a notebook: torchvision without its compiled operators, as CI has it."""


def _read(path: Path) -> Any:
    if importlib.util.find_spec("nbclient") is None:
        pytest.skip("NO NOTEBOOKS: `make notebooks` installs nbclient and runs this. This test has checked NOTHING.")
    import nbformat

    return nbformat.read(path, 4)


def test_there_are_two() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["folder_to_answer", "two_resnets"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_stripped(path: Path) -> None:
    assert path.stat().st_size < 20_000
    for cell in _read(path).cells:
        if cell.cell_type == "code":
            assert not cell.outputs
            assert cell.execution_count is None


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_shows_its_figures(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    book = _read(path)
    needs_torchvision = any("torchvision" in cell.source for cell in book.cells if cell.cell_type == "code")
    networks = os.environ.get("DESALI_NETWORKS", "")
    if needs_torchvision and not networks:
        pytest.skip("TORCHVISION ABSENT: `make notebooks` has it. This test has checked NOTHING.")
    from nbclient import NotebookClient

    if needs_torchvision:  # in this notebook alone: Lightning imports torchvision if it is there, and fails
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), networks]))
    arguments = [f"--IPKernelApp.exec_lines={BEGIN}"] if needs_torchvision else []
    client = NotebookClient(book, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}},
                            extra_arguments=arguments)  # fmt: skip
    client.execute()
    shown = [kind for cell in book.cells if cell.cell_type == "code" for output in cell.outputs
             for kind in output.get("data", {})]  # fmt: skip
    assert shown.count("image/png") >= 2
    assert "text/html" in shown
