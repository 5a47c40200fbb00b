"""What a figure shows, in a sentence or two above it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from desali.comparison.differences import changed_parts
from desali.figures.captions import signed
from desali.figures.subjects import Shown
from desali.output.words import listed

MOST_PARTS = 4


def lead(
    shown: Sequence[Shown],
    rows: Sequence[Mapping[str, Any]],
    contrast: Mapping[str, Any] | None,
    replicates: Mapping[str, str],
) -> str:
    """Where the weights of the models are equal, which layers are, and how alike the class contrasts are.

    Args:
        rows, contrast: the numbers of the figure's rows.
        replicates: the model that each is of, by label.
    """
    said = [_weights(shown), _equal(shown, rows), *(_contrast(contrast, replicates) if contrast else [])]
    return " ".join(part for part in said if part)


def _weights(shown: Sequence[Shown]) -> str:
    found = []
    for index, one in enumerate(shown):
        for other in shown[index + 1 :]:
            parts = changed_parts(one.model, other.model)
            if parts:
                found.append(f"{one.name} and {other.name} differ in {_some(parts)} alone")
    if not found:
        return ""
    return f"{'; '.join(found[:3])}{' ...' if len(found) > 3 else ''}: all other weights are equal bit by bit."


def _some(parts: Sequence[str]) -> str:
    if len(parts) <= MOST_PARTS:
        return listed(list(parts))
    return f"{', '.join(parts[:MOST_PARTS])} and {len(parts) - MOST_PARTS} more parts"


def _equal(shown: Sequence[Shown], rows: Sequence[Mapping[str, Any]]) -> str:
    if len(shown) < 2:
        return ""
    names = [row["layer"] if isinstance(row["layer"], str) else "/".join(row["layer"].values()) for row in rows]
    equal = [name for name, row in zip(names, rows, strict=True) if len(row["equal"]) == len(shown) - 1]
    if not equal:
        return ""
    others = [name for name in names if name not in equal]
    run = f"{equal[0]} to {equal[-1]}" if names[: len(equal)] == equal and len(equal) > 2 else listed(equal)
    verb = "is" if len(equal) == 1 else "are"
    rest = f"; the change shows in {listed(others)}" if others else ""
    return f"On this image {run} {verb} equal bit by bit in all models{rest}."


def _contrast(contrast: Mapping[str, Any], replicates: Mapping[str, str]) -> list[str]:
    models = contrast["models"]
    pairs = [pair for pair in contrast["pairs"] if pair["first"] in models and pair["second"] in models]
    again = [pair for pair in contrast["pairs"] if replicates.get(pair["second"]) == pair["first"]]
    floor = max((pair["rank_correlation"] for pair in contrast["random"]), default=None)
    if not pairs:
        return []
    ranked = sorted(pairs, key=lambda pair: -pair["rank_correlation"])
    ends = [ranked[0]] if len(ranked) == 1 else [ranked[0], ranked[-1]]
    words = " to ".join(f"{signed(pair['rank_correlation'])} ({pair['first']} : {pair['second']})" for pair in ends)
    beside = "" if floor is None else f"; with random weights at most {signed(floor)}"
    noise = "".join(f"; {pair['first']} : its replicate {signed(pair['rank_correlation'])}" for pair in again)
    said = [f"Likeness of the class contrasts: {words}{beside}{noise}."]
    if again and min(pair["rank_correlation"] for pair in again) <= ranked[-1]["rank_correlation"]:
        first, second = again[0]["first"], again[0]["second"]
        said.append(
            f"On this image no two models differ more than {first} and its replicate {second}: no difference shown."
        )
    return said
