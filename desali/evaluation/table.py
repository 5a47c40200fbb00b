"""A comparison as plain text and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from desali.evaluation.comparison import LEAST_PATIENTS
from desali.evaluation.results import Comparison, Estimate

SHOWN = ("accuracy", "macro recall", "macro precision", "macro F1", "weighted precision", "weighted F1")
PAIRED = ("accuracy", "macro recall", "macro F1")


CAUTION = (
    "Each interval is for its one comparison, the p-values allow for all of them: an interval may leave out 0 where",
    "no difference is shown. Each recipe was trained once; how much another training would differ is not in here.",
)


def format_table(comparison: Comparison) -> str:
    """The comparison as text: where the data come from, figures with intervals, differences of every two models."""
    few = comparison.patients < LEAST_PATIENTS
    lines = [
        f"Data: {comparison.data}; origin: {comparison.origin}",
        f"{comparison.rois} ROIs of {comparison.patients} patients, {len(comparison.classes)} classes "
        f"({', '.join(comparison.classes)})",
        "",
        f"Figures with 95 % intervals (bootstrap over patients, {comparison.resamples} resamples; a class absent from",
        "a resample takes no part in its averages). Macro recall is also called balanced accuracy; weighted recall",
        "equals accuracy.",
        "",
    ]
    rows = [["", *(one.recipe for one in comparison.evaluations)]]
    for name in SHOWN:
        rows.append([name, *(_estimate(one.figures[name]) for one in comparison.evaluations)])
    rows.append(
        [
            "accuracy, Wilson (ignores patients)",
            *("{:.3f}-{:.3f}".format(*one.accuracy_wilson) for one in comparison.evaluations),
        ]
    )
    lines += _columns(rows)
    if comparison.pairs:
        how = (
            f"fewer than {LEAST_PATIENTS} patients: no test can decide; range when one patient is left out"
            if few
            else f"p from patient-level sign flips, Holm over the {len(comparison.pairs)} pairs of each figure"
        )
        lines += ["", f"Paired differences, same ROIs ({how})", *([] if few else CAUTION), ""]
        rows = [["", "figure", "difference, 95 % interval", "left-out range" if few else "p (Holm)", ""]]
        for pair in comparison.pairs:
            for name in PAIRED:
                last = "{:+.3f} to {:+.3f}".format(*pair.leave_one_out[name]) if few and pair.leave_one_out else "-"
                rows.append(
                    [
                        f"{pair.first} - {pair.second}",
                        name,
                        _estimate(pair.differences[name], signed=True),
                        last if few else f"{pair.p_holm[name]:.3f}",
                        pair.verdict[name],
                    ]
                )
        lines += _columns(rows)
    if few:
        lines += ["", "Correct ROIs of each patient", ""]
        rows = [["patient", *(one.recipe for one in comparison.evaluations)]]
        for patient in comparison.evaluations[0].patients:
            counts = [one.patients[patient] for one in comparison.evaluations]
            rows.append([patient, *(f"{correct:g}/{rois}" for rois, correct in counts)])
        lines += _columns(rows)
    return "\n".join(lines)


def format_csv(comparison: Comparison) -> str:
    """One row a model and figure, then one a pair and figure: value, interval, p-values and verdict."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["recipe", "minus", "figure", "value", "low", "high", "p", "p_holm", "verdict"])
    for one in comparison.evaluations:
        for name in one.figures:
            estimate = one.figures[name]
            writer.writerow([one.recipe, "", name, estimate.value, estimate.low, estimate.high, "", "", ""])
    for pair in comparison.pairs:
        for name in pair.differences:
            estimate = pair.differences[name]
            p = [pair.p.get(name, ""), pair.p_holm.get(name, ""), pair.verdict.get(name, "")]
            writer.writerow([pair.first, pair.second, name, estimate.value, estimate.low, estimate.high, *p])
    return text.getvalue()


def _estimate(estimate: Estimate, signed: bool = False) -> str:
    form = "{:+.3f} ({:+.3f} to {:+.3f})" if signed else "{:.3f} ({:.3f}-{:.3f})"
    return form.format(estimate.value, estimate.low, estimate.high)


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
