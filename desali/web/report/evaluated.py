"""An evaluation for a page: the primary metric and its differences as intervals, patients, trainings, classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from desali.data.class_words import class_words
from desali.evaluation.models import CLASS_METRICS
from desali.evaluation.results import Comparison, Estimate, Pair
from desali.evaluation.table import (
    AGREE,
    PAIRED,
    SHOWN,
    estimate_text,
    few,
    few_note,
    labelled,
    p_text,
    pairs_note,
    spreads,
    trainings_note,
)
from desali.output.words import MINUS, listed, signed
from desali.web.report.charts import Row, intervals
from desali.web.report.image_sets import Images
from desali.web.report.lineage_curves import Table

MODEL_COLOURS = ("m0", "m1", "m2", "m3", "m4", "m5", "m6", "m7")
MOST_NAMED = 4
"""Models, or pairs of them, that a sentence names."""
MEANING = {
    "macro F1": (
        "how well each class is found (F1 joins the share of its ROIs that are named and the share of its name that is "
        "right), the mean over the classes; 1 is without error, and always naming one class reaches at most {one:.2f}."
    ),
}


@dataclass(frozen=True)
class Confusion:
    """One model: how many ROIs of each class (rows) are taken for which, and each cell's share of its row."""

    model: str
    rows: list[tuple[str, list[tuple[str, str]]]]


@dataclass(frozen=True)
class Evaluated:
    """A comparison of models as a page shows it.

    Attributes:
        title: what was evaluated.
        images: the set, with what its classes are called in full.
        verdict: what can be said of the primary metric, with what it means, a sentence each.
        size: ROIs, patients and classes in words.
        primary, differences: charts; `differences` is empty for a single model.
        notes: what a reader must know.
    """

    title: str
    images: Images
    size: str
    metric: str
    verdict: list[str]
    primary: Markup
    differences: Markup
    metrics: Table
    pairs: Table
    classes: Table
    patients: Table
    trainings: Table | None
    confusions: list[Confusion]
    class_names: list[str]
    notes: list[str]
    path: Path


def evaluated(comparison: Comparison, path: Path, whole: Images | None = None) -> Evaluated:
    """A comparison as a page shows it.

    Args:
        whole: the image set at hand, which may be that of the comparison.
    """
    metric = comparison.primary
    images = _set_of(comparison, whole)
    rows = [
        Row(one.recipe, one.metrics[metric].value, one.metrics[metric].ends, text(one.metrics[metric]), colour)
        for one, colour in zip(comparison.evaluations, MODEL_COLOURS * 9, strict=False)
        if metric in one.metrics
    ]
    pairs = [
        Row(_name(pair), pair.differences[metric].value, pair.differences[metric].ends,
            f"{difference(pair.differences[metric])}{_p(pair, metric)}",
            "c0" if pair.verdict.get(metric) == "differs" else "quiet")
        for pair in comparison.pairs
        if metric in pair.differences
    ]  # fmt: skip
    said = [trainings_note(comparison)]
    if comparison.pairs:
        said = [pairs_note(comparison), *([few_note(comparison)] if few(comparison) else AGREE), *said]
    return Evaluated(
        title=f"{models_listed([one.recipe for one in comparison.evaluations])} on {images.title}",
        images=images,
        size=f"{images.size.replace(' images', ' ROIs', 1)}, {len(comparison.classes)} classes",
        metric=metric,
        verdict=_verdict(comparison),
        primary=intervals(rows, f"{metric} with 95 % intervals by patient", False) if rows else Markup(""),
        differences=intervals(pairs, f"Differences in {metric}, 95 %", True, axis) if pairs else Markup(""),
        metrics=_metrics(comparison),
        pairs=_pairs(comparison),
        classes=_classes(comparison),
        patients=_patients(comparison),
        trainings=_trainings(comparison),
        confusions=_confusions(comparison),
        class_names=list(comparison.classes),
        notes=[*(f"{note}." for note in comparison.notes), *said],
        path=path,
    )


def _set_of(comparison: Comparison, whole: Images | None) -> Images:
    if whole is not None and whole.sha256 == comparison.fingerprint:
        return whole
    first = comparison.evaluations[0].classes if comparison.evaluations else {}
    counts = {name: first[name].support for name in comparison.classes if name in first}
    return Images(
        comparison.fingerprint, comparison.data, comparison.origin, str(comparison.parameters.get("spec") or ""),
        comparison.rois, None if comparison.unit_of_split == "image" else comparison.patients,
        comparison.unit_of_split, comparison.known,
        classes=counts, words=class_words(comparison.data, comparison.classes, comparison.parameters),
    )  # fmt: skip


def models_listed(names: Sequence[str]) -> str:
    """Models in a row; their number where there are many."""
    return f"{len(names)} models" if len(names) > MOST_NAMED else listed(names)


def _verdict(comparison: Comparison) -> list[str]:
    """What can be said of the primary metric: what it is, how the models stand, and each difference with its null."""
    metric = comparison.primary
    one = 1 / max(1, len(comparison.classes))
    lines = [f"{metric}: {MEANING[metric].format(one=one)}"] if metric in MEANING else []
    known = [model for model in comparison.evaluations if metric in model.metrics]
    if known:
        best = max(known, key=lambda model: model.metrics[metric].value)
        least = min(known, key=lambda model: model.metrics[metric].value)
        names = [best] if best is least else [best, least]
        stands = ", ".join(f"{model.recipe} {_plain(model.metrics[metric])}" for model in names)
        lines.append(f"{'Highest and lowest: ' if len(names) > 1 else ''}{stands}.")
    if not comparison.pairs:
        return [*lines, "One model, so that nothing is compared."]
    if few(comparison):
        return [
            *lines,
            f"Undecided: {_why(comparison)} no test can decide about {metric}, however far apart the models lie.",
        ]
    every = len(comparison.pairs)
    found: dict[str, list[Pair]] = {}
    for pair in comparison.pairs:
        found.setdefault(pair.sentence(metric), []).append(pair)
    holm = f"p after Holm's correction for {every} comparisons" if every > 1 else "p"
    for sentence, pairs in found.items():
        shown = [pair for pair in pairs if metric in pair.differences][:MOST_NAMED]
        more = f"; and {len(pairs) - len(shown)} more pairs" if len(pairs) > len(shown) else ""
        said = "; ".join(f"{_name(pair)} {_apart(pair, metric)}" for pair in shown)
        lines.append(f"{sentence[:1].upper()}{sentence[1:]}: {said}{more}.")
    lines.append(
        "Read: 0 would mean alike; an interval that holds 0, or a p above 0.05, shows no difference; p is how often "
        f"models that are alike would lie so far apart by chance ({holm})."
    )
    return lines


def _why(comparison: Comparison) -> str:
    if not comparison.known:
        return "it is not known whose the images are, and several may be of one patient, so that"
    return f"with {comparison.patients} {comparison.unit_of_split}s ({comparison.lack.rpartition(' ')[0]})"


def _plain(estimate: Estimate) -> str:
    ends = "" if estimate.ends is None else f" (95 % interval {estimate.ends[0]:.2f} to {estimate.ends[1]:.2f})"
    return f"{estimate.value:.2f}{ends}"


def _apart(pair: Pair, metric: str) -> str:
    """A difference with its interval and its p-value."""
    one = pair.differences[metric]
    ends = "" if one.ends is None else f", 95 % interval {one.ends[0]:+.3f} to {one.ends[1]:+.3f}"
    return f"{one.value:+.3f}{ends}{_p(pair, metric)}".replace("-", MINUS)


def _p(pair: Pair, metric: str) -> str:
    p = pair.p_holm.get(metric)
    return "" if p is None else f", p {p_text(p)}"


def axis(value: float) -> str:
    """A difference as an axis prints it."""
    return "0" if abs(value) < 1e-9 else signed(value)


def text(estimate: Estimate | None) -> str:
    """A value with its interval."""
    return estimate_text(estimate).replace("-", "–")


def difference(estimate: Estimate) -> str:
    """A difference with its interval."""
    return estimate_text(estimate, signed=True).replace("-", MINUS)


def _name(pair: Pair) -> str:
    return f"{pair.first} {MINUS} {pair.second}"


def _metrics(comparison: Comparison) -> Table:
    rows = []
    for name in SHOWN:
        rows.append([labelled(name), *(text(one.metrics.get(name)) for one in comparison.evaluations)])
    caption = (
        "Metrics with 95 % intervals over patients; of Brier score, log loss and calibration errors less is better"
    )
    return Table(["metric", *(one.recipe for one in comparison.evaluations)], rows, caption)


def _pairs(comparison: Comparison) -> Table:
    rows = []
    for pair in comparison.pairs:
        for name in PAIRED:
            if name in pair.differences:
                p = pair.p_holm.get(name)
                verdict = "undecided" if few(comparison) else pair.sentence(name)
                apart = difference(pair.differences[name])
                rows.append([_name(pair), name, apart, "–" if p is None else p_text(p), verdict])
    head = ["pair", "metric", "difference, 95 %", "p (Holm)", "verdict"]
    return Table(head, rows, "Paired differences on the same ROIs")


def _classes(comparison: Comparison) -> Table:
    rows = []
    for name in comparison.classes:
        for one in comparison.evaluations:
            own = one.classes.get(name)
            if own is not None:
                cells = [text(own.metrics.get(metric)) for metric in CLASS_METRICS]
                rows.append([name, str(own.support), str(own.patients), one.recipe, *cells])
    return Table(
        ["class", "ROIs", "patients", "model", *CLASS_METRICS], rows, "Each class against the rest (secondary)"
    )


def _patients(comparison: Comparison) -> Table:
    some = comparison.evaluations and comparison.unit_of_split != "image"
    names = list(comparison.evaluations[0].patients) if some else []
    rows = []
    for patient in names:
        counts = [one.patients.get(patient) for one in comparison.evaluations]
        total = next((count[0] for count in counts if count is not None), 0)
        rows.append([patient, str(total), *("–" if count is None else f"{count[1]:g}" for count in counts)])
    head = ["patient", "ROIs", *(f"right: {one.recipe}" for one in comparison.evaluations)]
    return Table(head, rows, "ROIs of each patient that are classified correctly, the mean over trainings")


def _trainings(comparison: Comparison) -> Table | None:
    models, found = spreads(comparison)
    if not models:
        return None
    rows = [[name, *(cell.replace("-", "–") for cell in cells)] for name, *cells in found]
    return Table(["metric", *models], rows, "Over the trainings (seeds): least to greatest, standard deviation")


def _confusions(comparison: Comparison) -> list[Confusion]:
    found = []
    for one in comparison.evaluations:
        rows = []
        for name, counts in zip(comparison.classes, one.confusion, strict=True):
            total = sum(counts) or 1.0
            rows.append((name, [(f"{count:g}" if count else "", f"s{round(10 * count / total)}") for count in counts]))
        found.append(Confusion(one.recipe, rows))
    return found
