"""Regular expressions of a user over many texts, in a process of their own, which ends when its time is over.

Python's expressions are kept whole (groups by name, look-ahead), so that what worked works; a linear engine (RE2) would
be one more dependency with fewer expressions. An expression with nested repetitions can take longer than the universe
is old, and neither Python's engine nor a thread around it can be stopped from inside; a process can.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence

from desali.errors import DesaliError
from desali.limits import PATTERN_SECONDS

_WORKER = """
import json, re, sys
pattern, texts, group = json.load(sys.stdin)
try:
    expression = re.compile(pattern)
except (re.error, OverflowError, RecursionError, MemoryError, ValueError) as error:
    json.dump({"bad": str(error) or type(error).__name__}, sys.stdout)
    sys.exit()
which = group if group in expression.groupindex else 1
groups = expression.groups
found = [expression.search(text) for text in texts] if groups else []
json.dump({"groups": groups, "found": [one and one.group(which) for one in found]}, sys.stdout)
"""


def search_all(pattern: str, texts: Sequence[str], group: str, name: str, error: type[DesaliError]) -> list[str | None]:
    """What a group of an expression matches in each text; None where it matches nothing.

    Args:
        group: the name of the group; the first one if there is none of that name.
        name: what a message calls the expression.
        error: what is raised.

    Raises:
        error: not an expression, one without a group, or one that takes longer than PATTERN_SECONDS.
    """
    seconds = PATTERN_SECONDS.value
    shown = f"{name}={pattern[:200]}"
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", _WORKER],
            input=json.dumps([pattern, list(texts), group]),
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=seconds,
            check=True,
        )
        answer = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        raise error(
            f"{shown}: the regular expression takes longer than {seconds} seconds over {len(texts)} paths; write it "
            f"without repetitions inside repetitions, or raise {PATTERN_SECONDS.variable}"
        ) from None
    except (OSError, subprocess.CalledProcessError, ValueError):
        raise error(f"{shown}: the regular expression cannot be used; write it in a simpler way") from None
    if "bad" in answer:
        raise error(f"{shown}: not a regular expression ({' '.join(answer['bad'].split())[:120]})")
    if not answer["groups"]:
        raise error(f"{shown}: expected none, folder, or a regular expression with one (group)")
    found: list[str | None] = answer["found"]
    return found
