"""A comparison as plain text."""

from __future__ import annotations

from desali.evaluation.models import CLASS_METRICS
from desali.evaluation.results import ALL_METRICS, LEAST_PATIENTS, Comparison, Estimate
from desali.output.columns import columns

SHOWN = tuple(name for name in ALL_METRICS if name != "weighted recall")
"""Metrics of a model; weighted recall equals accuracy."""
PAIRED = ("accuracy", "macro recall", "macro F1", "macro AUROC", "log loss")

CAUTION = (
    "Each interval is for its one comparison, the p-values allow for all of them: an interval may leave out 0 where",
    "no difference is shown.",
)
FEW = (
    "With so few patients the intervals are too narrow: the bootstrap cannot draw a patient that it has not seen.",
)  # fmt: skip


def format_table(comparison: Comparison) -> str:
    """The comparison as text: where the data come from, metrics with intervals, differences of every two models."""
    blocks = [_head(comparison), _metrics(comparison), _trainings(comparison), _classes(comparison)]
    blocks += [_pairs(comparison), _mcnemar(comparison), _patients(comparison)]
    return "\n\n".join("\n".join(block) for block in blocks if block)


def few(comparison: Comparison) -> bool:
    """Whether there are too few patients for a test."""
    return comparison.patients < LEAST_PATIENTS


def trainings_note(comparison: Comparison) -> str:
    """How often the recipes were trained, and what the intervals therefore leave out."""
    counts = {one.recipe: len(one.seeds) for one in comparison.evaluations}
    if set(counts.values()) == {1}:
        return "Each recipe was trained once; how much another training would differ is not in here."
    once = [name for name, count in counts.items() if count == 1]
    several = sorted({count for count in counts.values() if count > 1})
    most = " or ".join(map(str, several))
    text = f"Metrics are means over {most} trainings (seeds) of each recipe; intervals are over patients."
    return text + (f" Trained once: {', '.join(once)}." if once else "")


def estimate_text(estimate: Estimate | None, signed: bool = False) -> str:
    """Value and interval with three decimals; a dash where there is none."""
    if estimate is None:
        return "-"
    form = "{:+.3f} ({:+.3f} to {:+.3f})" if signed else "{:.3f} ({:.3f}-{:.3f})"
    return form.format(estimate.value, estimate.low, estimate.high)


def p_text(p: float) -> str:
    """A p-value with three decimals; one that would round to 0 is "<0.001"."""
    return "<0.001" if p < 0.0005 else f"{p:.3f}"


def _head(comparison: Comparison) -> list[str]:
    lines = [
        f"Data: {comparison.data}; origin: {comparison.origin}",
        f"{comparison.rois} ROIs of {comparison.patients} patients, {len(comparison.classes)} classes "
        f"({', '.join(comparison.classes)})",
    ]
    return [*lines, *(f"Note: {note}." for note in comparison.notes)]


def _metrics(comparison: Comparison) -> list[str]:
    lines = [
        f"Metrics with 95 % intervals (bootstrap over patients, {comparison.resamples} resamples, average precision "
        f"{comparison.curve_resamples}; a",
        "class absent from a resample takes no part in its averages). Macro recall is also called balanced accuracy;",
        "weighted recall equals accuracy. Of the last four rows before Wilson, less is better.",
        *(FEW if few(comparison) else ()),
        "",
    ]
    rows = [["", *(one.recipe for one in comparison.evaluations)]]
    for name in SHOWN:
        rows.append([name, *(estimate_text(one.metrics.get(name)) for one in comparison.evaluations)])
    rows.append(
        [
            "accuracy, Wilson (ignores patients)",
            *("{:.3f}-{:.3f}".format(*one.accuracy_wilson) for one in comparison.evaluations),
        ]
    )
    return lines + columns(rows)


def _trainings(comparison: Comparison) -> list[str]:
    several = [one for one in comparison.evaluations if len(one.seeds) > 1]
    if not several:
        return []
    lines = [trainings_note(comparison), "Over the trainings: least to greatest, standard deviation", ""]
    rows = [["", *(f"{one.recipe} ({len(one.seeds)})" for one in several)]]
    for name in SHOWN:
        cells = []
        for one in several:
            spread = one.spread.get(name)
            cells.append("-" if spread is None else f"{spread.least:.3f}-{spread.greatest:.3f}, sd {spread.sd:.3f}")
        rows.append([name, *cells])
    return lines + columns(rows)


def _classes(comparison: Comparison) -> list[str]:
    lines = ["Each class against the rest; an interval is over the resamples that hold the class", ""]
    rows = [["class", "ROIs", "patients", "model", *CLASS_METRICS]]
    for name in comparison.classes:
        for k, one in enumerate(comparison.evaluations):
            found = one.classes[name]
            head = [name, str(found.support), str(found.patients)] if k == 0 else ["", "", ""]
            rows.append([*head, one.recipe, *(estimate_text(found.metrics.get(metric)) for metric in CLASS_METRICS)])
    return lines + columns(rows)


def _pairs(comparison: Comparison) -> list[str]:
    if not comparison.pairs:
        return []
    is_few = few(comparison)
    how = (
        f"fewer than {LEAST_PATIENTS} patients: no test can decide; range when one patient is left out"
        if is_few
        else f"p from patient-level sign flips, Holm over the {len(comparison.pairs)} pairs of each metric"
    )
    lines = [f"Paired differences, same ROIs ({how})", *(() if is_few else CAUTION), trainings_note(comparison), ""]
    rows = [["", "metric", "difference, 95 % interval", "left-out range" if is_few else "p (Holm)", ""]]
    for pair in comparison.pairs:
        for name in PAIRED:
            if name not in pair.differences:
                continue
            last = "-"
            if is_few and name in pair.leave_one_out:
                last = "{:+.3f} to {:+.3f}".format(*pair.leave_one_out[name])
            elif name in pair.p_holm:
                last = p_text(pair.p_holm[name])
            rows.append(
                [
                    f"{pair.first} - {pair.second}",
                    name,
                    estimate_text(pair.differences[name], signed=True),
                    last,
                    pair.verdict.get(name, "undecided" if is_few else "not tested"),
                ]
            )
    return lines + columns(rows)


def _mcnemar(comparison: Comparison) -> list[str]:
    if not comparison.pairs or few(comparison):
        return []
    lines = [
        "Accuracy by the clustered McNemar test (Obuchowski 1998), and by the plain one, which IGNORES that ROIs of",
        "one patient are alike and is here to compare with publications only (several trainings: least to greatest p)",
        "",
    ]
    rows = [["", "chi-squared", "p", "p (Holm)", "plain, ignores patients: p"]]
    for pair in comparison.pairs:
        test = pair.clustered_mcnemar
        if test is None:
            continue
        plain = [one.p for one in pair.mcnemar_ignoring_patients]
        text = p_text(min(plain)) if len(plain) == 1 else f"{p_text(min(plain))} to {p_text(max(plain))}"
        names = f"{pair.first} - {pair.second}"
        rows.append([names, f"{test.statistic:.2f}", p_text(test.p), p_text(test.p_holm), text])
    return lines + columns(rows)


def _patients(comparison: Comparison) -> list[str]:
    if not few(comparison):
        return []
    rows = [["patient", *(one.recipe for one in comparison.evaluations)]]
    for patient in comparison.evaluations[0].patients:
        counts = [one.patients[patient] for one in comparison.evaluations]
        rows.append([patient, *(f"{correct:g}/{rois}" for rois, correct in counts)])
    return ["Correct ROIs of each patient", "", *columns(rows)]
