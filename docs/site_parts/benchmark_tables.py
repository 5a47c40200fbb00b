"""The page of all benchmark tables, made from the stored results when the site is built."""

from __future__ import annotations

from pathlib import Path
from typing import Any

PAGE = "benchmark-tables.md"
HEAD = """# All benchmark tables

Made from `benchmarks/results/` when this site was built. [The summary](benchmarks.md) says what is measured, how,
and where desali loses.
"""


def write(app: Any) -> None:
    """Write the page beside the others; git ignores it."""
    from benchmarks.table import document

    folder = Path(app.srcdir)
    results = sorted((folder.parent / "benchmarks" / "results").glob("*.json"))
    page = folder / PAGE
    text = f"{HEAD}\n{document(results)}"
    if not page.is_file() or page.read_text(encoding="utf-8") != text:
        page.write_text(text, encoding="utf-8")


def setup(app: Any) -> dict[str, bool]:
    """Tell Sphinx."""
    app.connect("builder-inited", write, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
