"""A figure that another command drew, with what its record says of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from desali.comparison import tracing
from desali.errors import DataError
from desali.figures.captions import signed
from desali.web.found import PICTURES, Source, damaged
from desali.web.pictures import file_uri
from desali.web.report.image_sets import Images, of_lineage
from desali.web.report.lineage_curves import Table
from desali.web.report.lineage_words import sentences

READ = (
    "Likeness: 1 would be the same picture, 0 unrelated ones, −1 a picture and its negative. What a network with "
    "random weights reaches too says nothing of what was learned."
)
PLACES = ("what changed", "channels")
"""Figures that stand in the section of what changed; all others compare models on images."""


@dataclass(frozen=True)
class Recorded:
    """A figure as a page shows it; `picture` is "" where there is none that a page can hold, and `why` says so."""

    title: str
    lead: list[str]
    picture: str
    size: tuple[int, int]
    alt: str
    why: str
    note: str
    table: Table | None
    place: str
    path: Path


def recorded(source: Source, known: Mapping[str, Images] | None = None) -> Recorded:
    """Read the record of a figure, and the picture beside it.

    Args:
        known: image sets whose names are known, by their SHA-256.

    Raises:
        DataError: the record lacks something, or the picture is damaged.
    """
    record = source.value
    try:
        kind = str(record.get("figure", "images"))
        lead = _change(record["lineage"], known or {}) if kind == "what changed" else [str(record.get("lead", ""))]
        table = _channels(record) if kind == "channels" else _likeness(record)
        title, note = str(record["title"]), str(record.get("note", ""))
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise damaged(source.path, error) from error
    lead = [line for line in [*lead, READ if kind == "images" and table else ""] if line]
    picture, size, why = _picture(source.path)
    numbers = (
        "; ".join(", ".join(f"{h} {c}" for h, c in zip(table.head, row, strict=True)) for row in table.rows)
        if table
        else ""
    )
    alt = ". ".join(part for part in (title, *lead, numbers) if part)
    place = "changed" if kind in PLACES else "images"
    return Recorded(title, lead, picture, size, alt, why, note, table, place, source.path)


def _picture(record: Path) -> tuple[str, tuple[int, int], str]:
    beside = [record.with_suffix(suffix) for suffix in PICTURES if record.with_suffix(suffix).is_file()]
    if not beside:
        return "", (0, 0), "The picture is not beside its record."
    if beside[0].suffix != ".png":
        return "", (0, 0), f"{beside[0].name} is no PNG, and is not put into a page."
    try:
        picture, size = file_uri(beside[0])
    except Exception as error:  # Pillow raises OSError, SyntaxError, ValueError, DecompressionBombError, ...
        raise DataError(f"{beside[0]}: cannot be read as a picture ({' '.join(str(error).split())})") from error
    return picture, size, ""


def _change(record: dict[str, Any], known: Mapping[str, Images]) -> list[str]:
    images = of_lineage(record)
    images = known.get(images.sha256, images)
    return [f"Of {images.title}: {images.size}; {images.kind}.", *sentences(record)]


def _likeness(record: dict[str, Any]) -> Table | None:
    """How alike the models' class contrasts are, beside what random networks reach."""
    contrast = record.get("contrast")
    if not contrast or not contrast.get("pairs"):
        return None
    rows = [[str(one["first"]), str(one["second"]), _two(one["rank_correlation"])] for one in contrast["pairs"]]
    return Table(["", "", "likeness"], rows, "Likeness of the class contrasts (rank correlation after a slight blur)")


def _channels(record: dict[str, Any]) -> Table:
    images = record["images"]
    decided = tracing.units_in(images.get("chosen_on") or images).decided
    rows = []
    for column in record["columns"]:
        ends: Sequence[float] | None = column.get("r_interval")
        r = _two(column.get("r")) + (f" ({_two(ends[0])} to {_two(ends[1])})" if ends else "")
        state = "–" if column.get("state") is None else tracing.shown(str(column["state"]), decided)
        rows.append([str(column["channel"]), str(column["why"]), state, r])
    return Table(["channel", "why it is shown", "state", "r, 95 %"], rows, f"Channels of {record['layer']}")


def _two(value: Any) -> str:
    return "–" if value is None else signed(float(value))
