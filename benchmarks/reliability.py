"""The tables of docs/reliability.md, from the logs of `make fuzz` and `make kills` (`make reliability`)."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.simulated import filled

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reliability.md"
LOGS = {"fuzz": ROOT / "build" / "fuzz" / "log.jsonl", "kills": ROOT / "build" / "kills" / "log.jsonl"}


def fuzz_table(rows: list[dict[str, Any]]) -> str:
    """One line a target, several runs of one added up."""
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        one = found.setdefault(row["target"], {**row, "runs": set()})
        if (row["seed"], row["first"]) in one["runs"]:
            continue  # the same inputs again
        if one["runs"]:
            for key in ("inputs", "read", "refused", "failed"):
                one[key] += row[key]
            for key in ("slowest_seconds", "peak_mib"):
                one[key] = max(one[key], row[key])
        one["runs"].add((row["seed"], row["first"]))
    lines = [
        "| target | inputs | read | refused | tracebacks, hangs, crashes | slowest input, s | peak memory, MiB |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {name} | {one['inputs']:,} | {one['read']:,} | {one['refused']:,} | {one['failed']} | "
        f"{one['slowest_seconds']:.1f} | {one['peak_mib']:,} |"
        for name, one in found.items()
    ]
    total = {key: sum(one[key] for one in found.values()) for key in ("inputs", "read", "refused", "failed")}
    lines.append(
        f"| **all** | {total['inputs']:,} | {total['read']:,} | {total['refused']:,} | {total['failed']} | "
        f"{max(one['slowest_seconds'] for one in found.values()):.1f} | "
        f"{max(one['peak_mib'] for one in found.values()):,} |"
    )
    return "\n".join(lines)


def kills_table(rows: list[dict[str, Any]]) -> str:
    """One line a command, the last run of each."""
    latest = {row["command"]: row for row in rows}
    lines = [
        "| command | kills while it worked | rounds | lost or different results | files left behind | tracebacks |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {name} | {one['kills']} | {one['rounds']} | {one['lost']} | {one['left']} | {one['tracebacks']} |"
        for name, one in latest.items()
    ]
    return "\n".join(lines)


def main() -> int:
    """Write the tables whose logs are there."""
    text = PAGE.read_text(encoding="utf-8")
    for name, make in (("fuzz", fuzz_table), ("kills", kills_table)):
        if not LOGS[name].is_file():
            print(f"{LOGS[name]}: no log, so the table of {name} stays; `make {name}` writes one", file=sys.stderr)
            continue
        rows = [json.loads(line) for line in LOGS[name].read_text(encoding="utf-8").splitlines()]
        text = filled(text, {name: make(rows)})
    PAGE.write_text(text, encoding="utf-8")
    print(f"written to {PAGE.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
