"""The page on reliability: its limits are those of the program, its tables come from the script."""

from __future__ import annotations

import re
from pathlib import Path

from benchmarks.reliability import fuzz_table, kills_table
from benchmarks.simulated import filled
from desali.limits import LIMITS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"


def test_every_limit_stands_in_the_page_with_its_default() -> None:
    rows = dict(re.findall(r"\| `(DESALI_MAX_\w+)` \| ([\d,^]+) \|", PAGE.read_text(encoding="utf-8")))
    assert set(rows) == {limit.variable for limit in LIMITS}
    for limit in LIMITS:
        base, _, power = rows[limit.variable].replace(",", "").partition("^")
        assert int(base) ** int(power or 1) == limit.default, limit.variable


def test_tables_are_made_of_logs() -> None:
    row = {"target": "PNG", "inputs": 1000, "read": 400, "refused": 600, "failed": 0, "slowest_seconds": 0.25,
           "peak_mib": 300, "seed": 1, "first": 0}  # fmt: skip
    table = fuzz_table([row, row, {**row, "seed": 2, "failed": 1, "slowest_seconds": 2.0}])
    assert "| PNG | 2,000 | 800 | 1,200 | 1 | 2.0 | 300 |" in table, "the same run counts once"
    assert "| **all** | 2,000 | 800 | 1,200 | 1 | 2.0 | 300 |" in table
    kill = {"command": "train", "kills": 50, "rounds": 9, "lost": 0, "left": 0, "tracebacks": 0}
    assert "| train | 50 | 9 | 0 | 0 | 0 |" in kills_table([{**kill, "lost": 3}, kill])
    page = PAGE.read_text(encoding="utf-8")
    made = filled(page, {"fuzz": table, "kills": kills_table([kill])})
    for name, written in (("fuzz", table), ("kills", kills_table([kill]))):
        assert f"<!-- {name}: begin -->\n{written}\n<!-- {name}: end -->" in made
    assert made.partition("<!-- fuzz: begin -->")[0] == page.partition("<!-- fuzz: begin -->")[0]
    assert made.rpartition("<!-- kills: end -->")[2] == page.rpartition("<!-- kills: end -->")[2]
