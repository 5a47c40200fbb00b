"""Where results come from: data, weights, versions, commands and processors, as the records and cards say."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from desali.models.checkpoint import WEIGHTS_NAME, read_card
from desali.web.found import Found, damaged
from desali.web.report.image_sets import Images, of_card
from desali.web.report.lineage_curves import Change, arrows

Facts = list[tuple[str, str]]


@dataclass
class Origin:
    """What a page says of the origin of its results.

    Attributes:
        data: of each image set what is known.
        weights: a row a model: name, stage, seed, data, SHA-256.
        commands: of each result the line that made it.
        versions, machines: each once, with what it is of.
    """

    data: list[tuple[str, Facts]] = field(default_factory=list)
    weights: list[tuple[str, str, str, str, str]] = field(default_factory=list)
    commands: list[tuple[str, str]] = field(default_factory=list)
    versions: list[str] = field(default_factory=list)
    machines: list[str] = field(default_factory=list)


def origin(
    found: Found, changes: Sequence[Change], images: Sequence[tuple[str, Images]] = (), command: str = ""
) -> Origin:
    """Collect it from everything that was found.

    Args:
        images: the sets that the page shows something of, with the words for each.
        command: the line that makes the page.

    Raises:
        WeightsError: a model's card cannot be read. DataError: a record lacks something.
    """
    made = Origin()
    if command:
        made.commands.append(("this page", command))
    for name, one in images:
        _data(made, name, one.facts)
    for runs, names in found.runs.items():
        for name in names:
            _card(made, name, runs / name / WEIGHTS_NAME)
    for change in changes:
        try:
            _change(made, change)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise damaged(change.path, error) from error
    for source in [*found.demos, *found.figures]:
        record = source.value
        if isinstance(record.get("command"), list):
            line = shlex.join(str(part) for part in record["command"])
            known = next((k for k, (_, other) in enumerate(made.commands) if other == line), None)
            if known is None:
                made.commands.append((source.path.stem, line))
            elif source.path.stem not in made.commands[known][0].split(", "):
                made.commands[known] = (f"{made.commands[known][0]}, {source.path.stem}", line)
        _machine(made, record)
    return made


def _card(made: Origin, name: str, weights: Path) -> None:
    card = read_card(weights)
    stage, data = card.get("stage"), card.get("data")
    stage = stage if isinstance(stage, Mapping) else {}
    data = data if isinstance(data, Mapping) else {}
    seed = card.get("seed")
    row = (
        name,
        arrows(str(stage.get("title") or card.get("architecture") or "–")),
        "–" if seed is None else str(seed),
        str(data.get("name") or "–"),
        str(card.get("weights_sha256") or "–"),
    )
    made.weights.append(row)
    if data.get("name"):
        try:
            trained = of_card(card)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise damaged(weights.with_suffix(".json"), error) from error
        _data(made, f"{trained.title} (training)", trained.facts)
    _machine(made, card)


def _change(made: Origin, change: Change) -> None:
    for name, one in change.record["networks"].items():
        sha = str(one.get("weights_sha256") or "–")
        if sha not in {row[4] for row in made.weights}:
            stage = str(one.get("stage") or one.get("class") or "–")
            seed = "–" if one.get("seed") is None else str(one["seed"])
            made.weights.append((name, arrows(stage), seed, "–", sha))


def _data(made: Origin, name: str, facts: Facts) -> None:
    if (name, facts) not in made.data:
        made.data.append((name, facts))


def _machine(made: Origin, record: Mapping[str, Any]) -> None:
    for key, lines in (("versions", made.versions), ("machine", made.machines)):
        value = record.get(key)
        if isinstance(value, Mapping):
            line = ", ".join(f"{name} {one}" for name, one in value.items() if one is not None)
            if line and line not in lines:
                lines.append(line)
