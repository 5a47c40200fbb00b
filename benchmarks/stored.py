"""The JSON files of measurements: written by the runner, read by the table and the chart."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from desali.cli.bench import BUSY
from desali.errors import DataError
from desali.output.files import write_json

FORMAT = 1


def save(path: Path, measured: dict[str, Any]) -> None:
    """Write a file, whole or not at all."""
    write_json(path, measured)


def load(path: Path) -> dict[str, Any]:
    """Read a file.

    Raises:
        DataError: it is missing, or not a file of measurements.
    """
    try:
        measured: Any = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); make it with `desali bench`") from error
    except ValueError as error:
        raise DataError(f"{path}: is not JSON ({error}); make it with `desali bench`") from error
    if not isinstance(measured, dict) or measured.get("format") != FORMAT:
        raise DataError(f"{path}: is not a file of measurements of format {FORMAT}; make it with `desali bench`")
    return measured


def best(result: dict[str, Any], names: Iterable[str]) -> dict[str, Any] | None:
    """The entry among `names` that is best: fastest per unit, for kind "memory" smallest; None: none was measured."""
    wanted = set(names)
    found = [entry for entry in result["entries"] if entry["name"] in wanted and cost(result, entry) is not None]
    return min(found, key=lambda entry: cost(result, entry) or 0.0, default=None)


def fastest(result: dict[str, Any]) -> dict[str, Any] | None:
    """The best of all entries that are not desali's."""
    names = (entry["name"] for entry in result["entries"])
    return best(result, [name for name in names if name not in result["ours"] and not name.startswith("desali")])


def cost(result: dict[str, Any], entry: dict[str, Any]) -> float | None:
    """Seconds for one unit, or bytes for kind "memory"; None: not measured."""
    if result["kind"] == "memory":
        value: float | None = entry["facts"].get("bytes")
        return value
    return None if entry["median"] is None else entry["median"] / entry["units"]


def ratio(result: dict[str, Any], entry: dict[str, Any]) -> float | None:
    """How many times dearer an entry is than desali's own: above 1 desali wins, below 1 it loses."""
    ours = best(result, result["ours"][:1])
    own, other = None if ours is None else cost(result, ours), cost(result, entry)
    return None if not own or other is None else other / own


def reached(result: dict[str, Any]) -> list[tuple[dict[str, Any], dict[str, Any], float]]:
    """For every target: the target, the baseline that counts, and the value (ratio; for bandwidth the fraction)."""
    found = []
    for target in result["targets"]:
        entry = best(result, target["against"])
        value = None if entry is None else ratio(result, entry)
        if entry is not None and value is not None:
            found.append((target, entry, value))
    return found


def verdict(target: dict[str, Any], value: float) -> str:
    """ "aim met", "met" or "missed"."""
    return "aim met" if value >= target["aim"] else "met" if value >= target["at_least"] else "missed"


def level(facts: dict[str, Any]) -> str:
    """The instruction set of a run's machine, and whether it was forced."""
    used, best_one = facts["simd"], facts.get("simd_best", facts["simd"])
    if used == best_one:
        return str(used)
    held = facts.get("onednn", "its own choice")
    also = "oneDNN and PyTorch too" if held != "its own choice" else "oneDNN not"
    return f"{used} forced where {best_one} is ({also})"


def noise(facts: dict[str, Any]) -> str:
    """What to say of a machine that was not quiet; empty for one that was."""
    load = facts["load_before"]
    return "" if load is None or load[0] <= BUSY else f"not quiet, load {load[0]:.1f}"
