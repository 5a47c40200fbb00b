"""Robustness curves as a picture: a panel a metric, a line a recipe, bands over patients."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path

from desali.evaluation.plots import colour_of, dash_of
from desali.evaluation.table import role
from desali.experiments.robustness import CURVES, Robustness
from desali.figures.drawing.text import drawable
from desali.output.files import atomic_path

CHANCE: dict[str, Callable[[int], float]] = {"macro recall": lambda classes: 1 / classes, "macro AUROC": lambda _: 0.5}
"""What a classifier that knows nothing reaches, from the number of classes."""


def plot_robustness(result: Robustness, path: Path, metrics: Sequence[str] = CURVES, dpi: int = 150) -> Path:
    """Write the curves of `metrics` to `path` (PNG, PDF, SVG); dots are the single trainings' least and greatest.

    Raises:
        OutputError: it cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    first = result.comparisons[0]
    names = [one.recipe for one in first.evaluations]
    metrics = [
        name for name in metrics if all(name in one.metrics for c in result.comparisons for one in c.evaluations)
    ]
    figure = Figure(figsize=(3.6 * len(metrics) + 0.6, 4.2), dpi=dpi, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, len(metrics), squeeze=False, sharey=True)[0]
    x = [100 * fraction for fraction in result.fractions]
    gap = min((b - a for a, b in itertools.pairwise(x)), default=10.0)
    step = min(1.5, 0.3 * gap / max(len(names), 1))  # recipes stand beside each other
    for ax, what in zip(axes, metrics, strict=True):
        for k, name in enumerate(names):
            curve = result.curve(name, what)
            spread = [one.spread[what] for c in result.comparisons for one in c.evaluations if one.recipe == name]
            at = [value + (k - (len(names) - 1) / 2) * step for value in x]
            colour = colour_of(k)
            ax.plot(
                at, [e.value for e in curve], marker="o", markersize=4, color=colour, linestyle=dash_of(k),
                label=drawable(name), zorder=3,
            )  # fmt: skip
            ends = [e.ends or (e.value, e.value) for e in curve]
            ax.fill_between(at, [e[0] for e in ends], [e[1] for e in ends], color=colour, alpha=0.12, linewidth=0)
            if max(len(one.seeds) for one in first.evaluations) > 1:
                for position, one in zip(at, spread, strict=True):
                    ax.plot([position, position], [one.least, one.greatest], color=colour, linewidth=1.2, zorder=2)
        if what in CHANCE:
            chance = CHANCE[what](len(first.classes))
            ax.axhline(chance, color="0.5", linewidth=0.8, linestyle=":", zorder=1)
            ax.annotate(
                "chance", (0.01, chance), xycoords=("axes fraction", "data"), fontsize=7, color="0.4", va="bottom"
            )
        ax.set_title(f"{what} ({role(what)})", fontsize=10)
        ax.set_xticks(x, [f"{value:g}" for value in x])
        ax.set_xlabel(f"% of the training {'ROIs' if result.by == 'rois' else 'patients'}")
        ax.grid(alpha=0.25)
    axes[0].legend(fontsize=8, loc="best")
    verdict = "" if result.decided else " Too few patients for a test: undecided."
    several = any(len(one.seeds) > 1 for one in first.evaluations)
    trainings = " Upright lines: least and greatest of the trainings (seeds)." if several else " One training each."
    said = (
        f"{first.data}: {first.origin}. {first.rois} ROIs, {first.patients} patients. Bands: 95 % intervals, jackknife "
        f"over patients.{trainings}{verdict} Not a medical device."
    )
    figure.supxlabel("\n".join(textwrap.wrap(drawable(said), int(46 * len(metrics)))), fontsize=7, x=0.01, ha="left")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format=path.suffix.lstrip(".") or "png")
    return path
