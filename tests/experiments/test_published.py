"""The published tables can be made again from the predictions beside them, or their page says that they cannot."""

from __future__ import annotations

from pathlib import Path

import pytest

from desali.evaluation import compare, format_table
from desali.evaluation.bundle import NAME, all_of

PAGES = Path(__file__).parents[2] / "docs" / "experiments"
FOLDERS = sorted(path for path in (PAGES / "results").iterdir() if path.is_dir())
LOST = "the predictions of its trainings were not kept"


def test_there_are_published_experiments() -> None:
    assert FOLDERS


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_tables_come_from_the_predictions_beside_them(folder: Path) -> None:
    pages = [page.read_text() for page in PAGES.glob("*.md") if f"results/{folder.name}/" in page.read_text()]
    assert pages
    if (folder / NAME).exists():
        assert format_table(compare(all_of([folder / NAME]))) + "\n" == (folder / "evaluation.txt").read_text()
        assert all(LOST not in " ".join(page.split()) for page in pages)
        assert any(f"desali evaluate --predictions docs/experiments/results/{folder.name}/{NAME}" in p for p in pages)
    else:
        assert all(LOST in " ".join(page.split()) for page in pages)
