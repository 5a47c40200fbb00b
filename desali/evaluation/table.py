"""A comparison as plain text."""

from __future__ import annotations

from textwrap import wrap

from desali.evaluation.models import CLASS_METRICS
from desali.evaluation.results import ALL_METRICS, PRIMARY, RECIPES, Comparison, Estimate, Pair
from desali.output.columns import columns

SHOWN = (PRIMARY, *(name for name in ALL_METRICS if name not in (PRIMARY, "weighted recall")))
"""Metrics of a model, the primary one first; weighted recall equals accuracy."""
PAIRED = (PRIMARY, "accuracy", "macro recall", "macro AUROC", "log loss")
SECONDARY = "secondary:"

AGREE = (
    "An interval leaves out 0 where p of its one comparison is below 0.05; the verdict allows for all of them (Holm).",
)  # fmt: skip
FEW = "With so few patients no test can decide, and the intervals say little more than that."
UNKNOWN = (
    "It is not known whose the images are: each counts as its own, so that no test can decide, and the intervals are "
    "too narrow if several are of one patient."
)
SYMMETRY = "Sign flips take a patient's difference to be as likely of one sign as of the other where models are alike."


def format_table(comparison: Comparison) -> str:
    """The comparison as text: where the data come from, metrics with intervals, differences of every two models."""
    blocks = [_head(comparison), _metrics(comparison), _trainings(comparison), _classes(comparison)]
    blocks += [_pairs(comparison), _mcnemar(comparison), _patients(comparison)]
    return "\n\n".join("\n".join(block) for block in blocks if block)


def few(comparison: Comparison) -> bool:
    """Whether no test can decide: too few patients, or nobody knows whose the images are."""
    return not comparison.decided


def few_note(comparison: Comparison) -> str:
    """Why no test can decide, in a sentence; "" where one can."""
    if comparison.decided:
        return ""
    return FEW if comparison.known else UNKNOWN


def trainings_note(comparison: Comparison) -> str:
    """How often the recipes were trained, and what the intervals of metrics therefore leave out."""
    counts = {one.recipe: len(one.seeds) for one in comparison.evaluations}
    if set(counts.values()) == {1}:
        return (
            "Each recipe was trained once: every sentence is about these trainings, and how much another training "
            "would differ is not in here."
        )
    once = [name for name, count in counts.items() if count == 1]
    several = sorted({count for count in counts.values() if count > 1})
    most = " or ".join(map(str, several))
    text = f"Metrics are means over {most} trainings (seeds) of each recipe; their intervals are over patients alone."
    return text + (f" Trained once: {', '.join(once)} (sentences about it are about these trainings)." if once else "")


def pairs_note(comparison: Comparison) -> str:
    """What must hold for two models to be called different."""
    scopes = {pair.scope for pair in comparison.pairs}
    said = []
    if RECIPES in scopes:
        said.append(
            "Recipes differ only if sign flips over patients, the t-test over trainings and the crossed bootstrap over "
            "both reject; the interval reaches over the intervals of all three."
        )
    if scopes - {RECIPES}:
        said.append("Where a recipe was trained once, patients alone decide, about these trainings.")
    return " ".join(said)


def role(metric: str) -> str:
    """ "primary" or "secondary"."""
    return "primary" if metric == PRIMARY else "secondary"


def labelled(metric: str) -> str:
    """The metric's name, and that it is the primary one if it is."""
    return f"{metric} (primary)" if metric == PRIMARY else metric


def estimate_text(estimate: Estimate | None, signed: bool = False) -> str:
    """Value and interval with three decimals; a dash where there is none."""
    if estimate is None:
        return "-"
    value = f"{estimate.value:+.3f}" if signed else f"{estimate.value:.3f}"
    if estimate.ends is None:
        return f"{value} (-)"
    form = "({:+.3f} to {:+.3f})" if signed else "({:.3f}-{:.3f})"
    return f"{value} {form.format(*estimate.ends)}"


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
        *_wrapped(
            "Metrics with 95 % intervals over patients (jackknife with Student's t, on the logit scale in [0, 1]; of "
            f"the calibration errors from {comparison.resamples} resamples). {PRIMARY} is the primary metric, all "
            "others are secondary. Macro recall is also called balanced accuracy; weighted recall equals accuracy. Of "
            "Brier score, log loss and the calibration errors less is better."
        ),
        *_wrapped(few_note(comparison)),
        "",
    ]
    empty = [""] * len(comparison.evaluations)
    rows = [["", *(one.recipe for one in comparison.evaluations)]]
    for name in SHOWN:
        rows.append([labelled(name), *(estimate_text(one.metrics.get(name)) for one in comparison.evaluations)])
        if name == PRIMARY:
            rows.append([SECONDARY, *empty])
        if any(name in one.bias_corrected for one in comparison.evaluations):
            values = [one.bias_corrected.get(name) for one in comparison.evaluations]
            rows.append([f"{name}, bias-corrected", *("-" if value is None else f"{value:.3f}" for value in values)])
    rows.append(
        [
            "accuracy, Wilson (ignores patients)",
            *("{:.3f}-{:.3f}".format(*one.accuracy_wilson) for one in comparison.evaluations),
        ]
    )
    return lines + columns(rows)


def spreads(comparison: Comparison) -> tuple[list[str], list[list[str]]]:
    """The models that were trained several times, each with how often, and a row of `SHOWN` metrics over trainings."""
    several = [one for one in comparison.evaluations if len(one.seeds) > 1]
    rows = []
    for name in SHOWN:
        found = [one.spread.get(name) for one in several]
        cells = ["-" if s is None else f"{s.least:.3f}-{s.greatest:.3f}, sd {s.sd:.3f}" for s in found]
        rows.append([labelled(name), *cells])
    return [f"{one.recipe} ({len(one.seeds)})" for one in several], rows


def _trainings(comparison: Comparison) -> list[str]:
    models, (primary, *others) = spreads(comparison)
    if not models:
        return []
    lines = [*_wrapped(trainings_note(comparison)), "Over the trainings: least to greatest, standard deviation", ""]
    return lines + columns([["", *models], primary, [SECONDARY, *[""] * len(models)], *others])


def _classes(comparison: Comparison) -> list[str]:
    lines = [
        "Secondary: each class against the rest; the interval is about the patients that hold the class, and there is",
        "none for a class of one patient",
        "",
    ]
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
        f"{comparison.lack}: no test can decide; range when one patient is left out"
        if is_few
        else f"Holm over the {len(comparison.pairs)} pairs of each metric"
    )
    said = [pairs_note(comparison), *(() if is_few else (*AGREE, SYMMETRY)), trainings_note(comparison)]
    lines = [f"Paired differences, same ROIs ({how})", *_wrapped(" ".join(said)), ""]
    heads = ["left-out range"] if is_few else ["p patients", "p trainings", "p (Holm)"]
    rows = [["", "metric", "role", "difference, 95 % interval", *heads, ""]]
    for pair in comparison.pairs:
        for name in PAIRED:
            if name not in pair.differences:
                continue
            about = [f"{pair.first} - {pair.second}", name, role(name)]
            rows.append([*about, estimate_text(pair.differences[name], signed=True), *_tests(pair, name, is_few)])
    return lines + columns(rows)


def _wrapped(text: str) -> list[str]:
    return wrap(text, 115, break_on_hyphens=False)


def _tests(pair: Pair, name: str, is_few: bool) -> list[str]:
    if is_few:
        left_out = pair.leave_one_out.get(name)
        return ["-" if left_out is None else "{:+.3f} to {:+.3f}".format(*left_out), "undecided"]
    tests = [pair.p_patients.get(name), pair.p_trainings.get(name), pair.p_holm.get(name)]
    return [*("-" if p is None else p_text(p) for p in tests), pair.sentence(name)]


def _mcnemar(comparison: Comparison) -> list[str]:
    if not comparison.pairs or few(comparison):
        return []
    lines = [
        "Secondary: accuracy of these trainings by the clustered McNemar test (Obuchowski 1998), and by the plain one,",
        "which IGNORES that ROIs of one patient are alike and is here to compare with publications only (several",
        "trainings: least to greatest p)",
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
    if not few(comparison) or not comparison.known:
        return []
    rows = [["patient", *(one.recipe for one in comparison.evaluations)]]
    for patient in comparison.evaluations[0].patients:
        counts = [one.patients[patient] for one in comparison.evaluations]
        rows.append([patient, *(f"{correct:g}/{rois}" for rois, correct in counts)])
    return ["Secondary: correct ROIs of each patient", "", *columns(rows)]
