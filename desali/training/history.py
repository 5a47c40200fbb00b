"""The history of a stage as CSV: one row of metrics an epoch."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from desali.training.state import Row

HISTORY_NAME = "history.csv"
TIMING_NAME = "timing.csv"


def rows_as_csv(rows: Sequence[Row]) -> str:
    """A header line with the names of the first row's metrics, then the rows; at least one."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def compute_share(timing: Sequence[Row]) -> float | None:
    """The share of the training time in which the trainer did not wait for input; None if nothing was measured."""
    seconds = sum(row["seconds"] for row in timing)
    return None if not seconds else 1 - sum(row["waiting"] for row in timing) / seconds
