"""`python -m tests.fuzz --inputs 100000 --log build/fuzz`: every target in a process of its own, with limited memory.

Every failure is kept with its input under the log's folder; the exit code is 1 if there is one. An input is a function
of target, seed and number, so that `--first NUMBER --inputs 1 --targets NAME` runs it again.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from tests.fuzz.ops import OPS
from tests.fuzz.run import fuzz
from tests.fuzz.targets import TARGETS


def main() -> int:
    """Run the targets and write a line of JSON for each."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=100_000, help="of each target")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--targets", nargs="*", default=[*TARGETS, *OPS])
    parser.add_argument("--log", type=Path, default=Path("build/fuzz"))
    asked = parser.parse_args()
    log = asked.log.resolve()
    log.mkdir(parents=True, exist_ok=True)
    failed = 0
    with (log / "log.jsonl").open("a", encoding="utf-8") as file:
        for name in asked.targets:
            share = TARGETS[name].share if name in TARGETS else 1.0
            found = fuzz(name, asked.first, max(1, round(asked.inputs * share)), asked.seed, log)
            failed += found["failed"]
            print(json.dumps(found), file=file, flush=True)
            print(f"{name}: {found['inputs']} inputs, {found['read']} read, {found['refused']} refused, "
                  f"{found['failed']} failed, {found['seconds']:.0f} s", flush=True)  # fmt: skip
            for line, times in sorted(found["failures"].items()):
                print(f"  {times} x {line}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
