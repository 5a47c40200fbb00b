"""Robustness for a page: the primary metric over shares of the training data, and what each recipe loses."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from desali.errors import DataError
from desali.experiments.robustness import Robustness
from desali.output.words import MINUS
from desali.web.report.charts import Chart
from desali.web.report.evaluated import MODEL_COLOURS, difference, models_listed, text
from desali.web.report.lineage_curves import Table


@dataclass(frozen=True)
class Curves:
    """Robustness as a page shows it."""

    title: str
    origin: str
    verdict: list[str]
    chart: Chart
    table: Table
    losses: Table | None
    path: Path


def curves(found: Robustness, path: Path) -> Curves:
    """Robustness as a page shows it.

    Raises:
        DataError: the primary metric is not defined at every fraction.
    """
    first = found.comparisons[0]
    metric = first.primary
    names = [one.recipe for one in first.evaluations]
    values = {name: found.curve(name, metric) for name in names}
    every = [v for row in values.values() for e in row for v in (e.value, *(e.ends or ()))]
    if not every:
        raise DataError(f"{path}: has no {metric}")
    shares = [f"{100 * fraction:g} %" for fraction in found.fractions]
    said = "; ".join(f"{name}: " + ", ".join(text(e) for e in row) for name, row in values.items())
    low, high = max(0.0, min(every) - 0.03), min(1.0, max(every) + 0.03)
    chart = Chart(
        shares, low, high, f"{metric} by share of the training {found.by}", said, "{:.2f}".format, marks=False
    )
    for (name, row), colour in zip(values.items(), MODEL_COLOURS * 9, strict=False):
        chart.whiskers([e.ends for e in row], colour)
        chart.line([e.value for e in row], colour, name)
    rows = [[share, *(text(values[name][k]) for name in names)] for k, share in enumerate(shares)]
    lost = [[f"{one.recipe} {MINUS} {one.minus}" if one.minus else one.recipe,
             difference(one.estimate)]
            for one in found.losses if one.metric == metric]  # fmt: skip
    span = f"from 100 % to {shares[0]} of the training {found.by}"
    verdict = []
    if lost:
        own = ", ".join(f"{name} {value}" for name, value in lost)
        verdict.append(
            f"What each recipe loses in {metric} when it is trained on {shares[0]} instead of all of the training "
            f"{found.by}, with 95 % intervals; 0 would mean that nothing is lost, an interval that holds 0 shows no "
            f"loss (of a pair: by how much more the first loses): {own}."
        )
    if not found.decided:
        verdict.append(f"Undecided whatever the interval: {first.lack}.")
    return Curves(
        f"{models_listed(names)} with less training data ({first.data})",
        first.origin,
        verdict,
        chart,
        Table(["share", *names], rows, f"{metric} with 95 % intervals over patients"),
        Table(
            ["recipe", "lost, 95 %"], lost, f"Lost in {metric} {span}; intervals over patients and trainings, no test"
        )
        if lost
        else None,
        path,
    )
