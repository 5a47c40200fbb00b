"""From a data set's labels to classes: explicit tables, and labels that are left out on purpose."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from desali.data.readers.listing import read_lines
from desali.errors import DataError
from desali.input.files import at_home
from desali.input.tables import read_csv
from desali.input.values import parse_json

LABEL_TABLES: dict[str, dict[str, str]] = {
    "seven": {
        "consolidation": "CON",
        "ground_glass": "GGO",
        "reticulation": "RET",
        "honeycombing": "HCM",
        "emphysema": "EMP",
        "micronodules": "NOD",
        "healthy": "NOR",
    },
}
"""Tables by name. "seven": the tissue labels of MedGIFT and Talisman that have one of the seven classes of Suzuki et
al. as their equal. It does not know what has none (fibrosis, bronchiectasis, macronodules, ...): whether fibrosis is
reticular or honeycomb is for the researcher to decide and to say."""

Labels = str | Mapping[str, str | None] | None


def label_table(labels: Labels) -> dict[str, str] | None:
    """Label -> class ("" for: leave out), or None if labels are classes as they are.

    Args:
        labels: a mapping; a file, .json (an object) or .csv (columns label and class); or text with commas between: the
            name of a table in `LABEL_TABLES`, or label:class, later ones over earlier ones.

    Raises:
        DataError: a file that is no such table, or a part that is neither.
    """
    if labels is None or labels == "":
        return None
    if isinstance(labels, Mapping):
        return {str(label): name or "" for label, name in labels.items()}
    if Path(labels).suffix.lower() in (".csv", ".json") or os.sep in labels:
        return _file(at_home(labels))
    table: dict[str, str] = {}
    for part in labels.split(","):
        label, colon, name = part.strip().partition(":")
        if colon and label:
            table[label.strip()] = name.strip()
        elif part.strip() in LABEL_TABLES:
            table |= LABEL_TABLES[part.strip()]
        else:
            raise DataError(
                f"labels: {part.strip()!r} is neither label:class nor one of the tables {', '.join(LABEL_TABLES)} "
                "nor a .csv or .json file"
            )
    return table


def _file(path: Path) -> dict[str, str]:
    lines = read_lines(path, "a table of labels: .csv with columns label and class, or .json with an object")
    if path.suffix.lower() == ".json":
        table = parse_json("\n".join(lines), str(path), DataError, "expected an object of labels and classes")
        if not isinstance(table, dict) or not all(isinstance(one, str | None) for one in table.values()):
            raise DataError(f"{path}: expected an object of labels and classes, such as {{"
                            '"healthy": "NOR"}')  # fmt: skip
        return {label: name or "" for label, name in table.items()}
    columns, rows = read_csv("\n".join(lines), str(path), DataError)
    if not {"label", "class"} <= set(columns):
        raise DataError(f"{path}: columns are {', '.join(columns) or 'none'}; expected label and class")
    return {row["label"]: row["class"] for row in rows}


def names(value: str | Iterable[str] | None) -> tuple[str, ...]:
    """Names from text with commas between, spaces around them left out, or from a sequence, as they are."""
    if value is None:
        return ()
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return tuple(part for part in value if part)
