"""Plots of a comparison: confusion matrices, reliability, ROC and precision-recall curves, each with its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from desali.evaluation.bands import MACRO, Band, bands
from desali.evaluation.curves import GRID
from desali.evaluation.models import Model, gather
from desali.evaluation.predictions import file_name
from desali.evaluation.results import Comparison, Estimate, Evaluation
from desali.evaluation.statistics import resample_weights
from desali.evaluation.table import estimate_text, few, role, trainings_note
from desali.figures.drawing.text import drawable, family, plain_text, wrap
from desali.output.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from desali.evaluation.predictions import Predictions

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#999933", "#882255", "#666666")
"""Okabe and Ito's palette, which colour-blind readers can tell apart, and three more."""
DASHES = ("-", "--", "-.", ":")
BAND_RESAMPLES = 300
FOREST = ("macro F1", "accuracy", "macro recall", "macro precision", "macro AUROC", "macro average precision")
AREAS = {"ROC": "AUROC", "precision-recall": "average precision"}
"""The metric that is the area under each curve."""
INCHES = (11.0, 10.0)
OVERVIEW = "models.png"
ROOMY = 10
"""So many names fit beside each other in letters of the usual size."""

Curves = Mapping[str, Mapping[str, Band]]


def plot(
    predictions: Sequence[Predictions], comparison: Comparison, folder: Path, resamples: int = BAND_RESAMPLES
) -> list[Path]:
    """Draw models.png (all models overlaid), and NAME.png and NAME-classes.png of each; returns the paths.

    Bands are pointwise 95 % intervals of a bootstrap over patients. Every figure names the data and their origin.

    Args:
        predictions: those that `comparison` was made of.
        comparison: their metrics.
        folder: is made if missing.
        resamples: of the patients, for the bands of the curves.

    Raises:
        DataError: see `models.gather`. OutputError: the folder cannot be written.
    """
    models = gather(predictions)
    weights = resample_weights(len(models[0].patients), resamples, comparison.seed)
    curves = [bands(model, weights) for model in models]
    with plain_text([*comparison.classes, *(one.recipe for one in comparison.evaluations)]):
        paths = [_save(_overview(comparison, models, curves, resamples), Path(folder) / OVERVIEW)]
        for one, of_model in zip(comparison.evaluations, curves, strict=True):
            name = file_name(one.recipe)
            paths.append(_save(_model(comparison, one, of_model, resamples), Path(folder) / f"{name}.png"))
            paths.append(_save(_each_class(comparison, one, of_model, resamples), Path(folder) / f"{name}-classes.png"))
    return paths


def _overview(comparison: Comparison, models: Sequence[Model], curves: Sequence[Curves], resamples: int) -> Figure:
    figure, axes = _sheet(comparison, "All models", 2, 2, resamples)
    _forest(axes[0][0], comparison, models)
    _diagonal(axes[0][1])
    for k, one in enumerate(comparison.evaluations):
        _reliability(axes[0][1], one, k)
    _reliability_labels(axes[0][1])
    for axis, (kind, area) in zip(axes[1], AREAS.items(), strict=True):
        for k, (one, of_model) in enumerate(zip(comparison.evaluations, curves, strict=True)):
            if MACRO in of_model[kind]:
                value = _short(one.metrics.get(f"macro {area}"))
                _curve(axis, of_model[kind][MACRO], k, f"{one.recipe}: {value}")
        _curve_labels(axis, kind, f"Macro {kind}, {area}")
    return figure


def _model(comparison: Comparison, one: Evaluation, curves: Curves, resamples: int) -> Figure:
    figure, axes = _sheet(comparison, one.recipe, 2, 2, resamples)
    _confusion(axes[0][0], one, comparison.classes)
    _diagonal(axes[0][1])
    _reliability(axes[0][1], one, 0, f"ECE {_short(one.metrics.get('ECE'))}")
    _counts(axes[0][1], one)
    _reliability_labels(axes[0][1])
    for axis, (kind, name) in zip(axes[1], AREAS.items(), strict=True):
        for k, label in enumerate(comparison.classes):
            if label in curves[kind]:
                style = {"color": colour_of(k), "linestyle": dash_of(k), "linewidth": 1.0}
                text = f"{label}: {_short(one.classes[label].metrics.get(name))}"
                axis.plot(GRID, curves[kind][label].value, label=drawable(text), **style)
        if MACRO in curves[kind]:
            _curve(axis, curves[kind][MACRO], None, f"macro: {_short(one.metrics.get(f'macro {name}'))}")
        _curve_labels(axis, kind, f"Each class against the rest: {kind}, {name}")
    return figure


def _each_class(comparison: Comparison, one: Evaluation, curves: Curves, resamples: int) -> Figure:
    labels = [name for name in comparison.classes if name in curves["precision-recall"]]
    size = (max(2, len(labels)) * 2.9 + 0.6, 7.6)
    figure, axes = _sheet(comparison, f"{one.recipe}, each class against the rest", 2, len(labels), resamples, size)
    for k, label in enumerate(labels):
        found = one.classes[label]
        title = f"{label}: {found.support} ROIs, {found.patients} patients"
        for row, (kind, name) in enumerate(AREAS.items()):
            axis = axes[row][k]
            if label in curves[kind]:
                _curve(axis, curves[kind][label], k, f"{name}\n{_short(found.metrics.get(name))}")
            if kind != "ROC":
                share = found.support / comparison.rois
                axis.axhline(share, color="0.6", linestyle=":", linewidth=1, label=f"chance {share:.3f}")
            _curve_labels(axis, kind, title if row == 0 else "")
    return figure


def _sheet(
    comparison: Comparison, title: str, rows: int, columns: int, resamples: int, size: tuple[float, float] = INCHES
) -> tuple[Figure, Any]:
    """A figure with a title that names the data, a footnote, and axes between them."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=110)
    room = (size[0] - 0.6) * 72
    data = f"{comparison.data}: {comparison.rois} ROIs of {comparison.patients} patients"
    head = wrap(f"{data}. Origin: {comparison.origin}", room, 9.5)
    foot = (
        f"Bands: pointwise 95 % intervals, bootstrap over patients ({resamples} resamples); bars and numbers: 95 % "
        f"intervals, jackknife over patients (calibration errors: {comparison.resamples} resamples). Primary metric: "
        f"{comparison.primary}; all others are secondary. {trainings_note(comparison)}"
    )
    if few(comparison):
        why = "With so few patients" if comparison.known else "Since it is not known whose the images are,"
        foot += f" {why} the bands are too narrow, and no test can decide."
    lines = [line for text in (foot, *(f"Note: {note}." for note in comparison.notes)) for line in wrap(text, room, 8)]
    figure.text(0.3 / size[0], 1 - 0.3 / size[1], drawable(title), size=14, weight="bold", va="center", family=family())
    figure.text(0.3 / size[0], 1 - 0.5 / size[1], "\n".join(head), size=9.5, va="top", family=family())
    figure.text(0.3 / size[0], 0.12 / size[1], "\n".join(lines), size=8, va="bottom", family=family(), color="0.25")
    top, bottom = 0.65 + 0.19 * len(head), 0.3 + 0.16 * len(lines)
    figure.set_layout_engine("constrained", rect=(0, bottom / size[1], 0.99, 1 - (top + bottom) / size[1]))
    return figure, figure.subplots(rows, max(1, columns), squeeze=False)


def _forest(axis: Axes, comparison: Comparison, models: Sequence[Model]) -> None:
    count = len(comparison.evaluations)
    step = 0.8 / count
    once = np.ones((1, comparison.patients), np.int64)
    for k, (one, model) in enumerate(zip(comparison.evaluations, models, strict=True)):
        each = model.metrics(once, once)[0] if len(one.seeds) > 1 else {}
        for row, name in enumerate(FOREST):
            estimate = one.metrics.get(name)
            if estimate is None:
                continue
            y = row + (k - (count - 1) / 2) * step
            if estimate.ends is not None:
                axis.plot(estimate.ends, [y, y], color=colour_of(k), linewidth=1.6)
            label = drawable(one.recipe) if row == 0 else None
            axis.plot(estimate.value, y, "o", color=colour_of(k), markersize=4.5, label=label)
            if name in each:
                values = each[name][:, 0]
                axis.plot(values, np.full(len(values), y), "|", color=colour_of(k), markersize=6, markeredgewidth=0.8)
    axis.set_yticks(range(len(FOREST)), [f"{name}\n({role(name)})" for name in FOREST], fontsize=8)
    axis.invert_yaxis()
    several = any(len(one.seeds) > 1 for one in comparison.evaluations)
    axis.set_xlabel("dot: metric; bar: 95 % interval" + ("; ticks: each training" if several else ""))
    axis.grid(axis="x", color="0.9")
    axis.set_title("Metrics with intervals", fontsize=10)
    axis.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=3, frameon=False)


def _confusion(axis: Axes, one: Evaluation, classes: Sequence[str]) -> None:
    counts = np.array(one.confusion)
    support = counts.sum(1, keepdims=True)
    share = np.divide(counts, support, out=np.zeros_like(counts), where=support > 0)
    axis.imshow(share, cmap="Blues", vmin=0, vmax=1)
    size = 8 if len(classes) <= 8 else 5
    for row, column in np.ndindex(share.shape):
        if counts[row, column] > 0:
            dark = share[row, column] > 0.55
            text = f"{counts[row, column]:.4g}\n{share[row, column]:.0%}"
            axis.text(column, row, text, ha="center", va="center", size=size, color="white" if dark else "black")
    names = [drawable(name) for name in classes]
    small: dict[str, Any] = {} if len(classes) <= ROOMY else {"fontsize": max(4.0, 10 * ROOMY / len(classes))}
    axis.set_xticks(range(len(classes)), names, rotation=45, ha="right", rotation_mode="anchor", **small)
    totals = [f"{name} ({total:g})" for name, total in zip(names, support[:, 0], strict=True)]
    axis.set_yticks(range(len(classes)), totals, **small)
    axis.set_xlabel("predicted class")
    axis.set_ylabel("true class (ROIs)")
    trainings = f", mean of {len(one.seeds)} trainings" if len(one.seeds) > 1 else ""
    axis.set_title(f"Confusion matrix: ROIs and share of the true class{trainings}", fontsize=10)


def _reliability(axis: Axes, one: Evaluation, k: int, label: str | None = None) -> None:
    points = one.reliability
    text = label or f"{one.recipe}: ECE {_short(one.metrics.get('ECE'))}"
    axis.fill_between(points.confidence, points.low, points.high, color=colour_of(k), alpha=0.13, linewidth=0)
    axis.plot(points.confidence, points.accuracy, linewidth=1.0, alpha=0.6, color=colour_of(k), linestyle=dash_of(k))
    axis.plot([], [], "o", markersize=4, color=colour_of(k), label=drawable(text))
    share = np.array(points.rois) / sum(points.rois)
    axis.scatter(points.confidence, points.accuracy, s=4 + 120 * share, color=colour_of(k))


def _counts(axis: Axes, one: Evaluation) -> None:
    points = one.reliability
    share = np.array(points.rois) / max(points.rois)
    label = f"ROIs (most: {max(points.rois):.0f})"
    axis.bar(points.confidence, 0.25 * share, width=0.03, color="0.7", zorder=0, label=label)


def _reliability_labels(axis: Axes) -> None:
    _square(
        axis,
        "mean probability of the predicted class",
        "share of correct ROIs",
        "Reliability of the predicted class; dots by ROIs",
    )


def _diagonal(axis: Axes) -> None:
    axis.plot([0, 1], [0, 1], color="0.6", linestyle=":", linewidth=1)


def _curve(axis: Axes, band: Band, k: int | None, label: str) -> None:
    colour = "black" if k is None else colour_of(k)
    axis.fill_between(GRID, band.low, band.high, color=colour, alpha=0.13, linewidth=0)
    style = "-" if k is None else dash_of(k)
    axis.plot(GRID, band.value, color=colour, linestyle=style, linewidth=1.6, label=drawable(label))


def _curve_labels(axis: Axes, kind: str, title: str) -> None:
    if kind == "ROC":
        _diagonal(axis)
        _square(axis, "false positive rate", "true positive rate", title)
    else:
        _square(axis, "recall", "precision", title)


def _square(axis: Axes, x: str, y: str, title: str) -> None:
    axis.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.03), xlabel=x, ylabel=y)
    axis.grid(color="0.92")
    axis.set_axisbelow(True)
    axis.set_title(drawable(title), fontsize=10)
    if axis.get_legend_handles_labels()[0]:
        many = len(axis.get_legend_handles_labels()[0])
        axis.legend(fontsize=8 if many <= ROOMY else max(4.0, 8 * ROOMY / many), loc="best", framealpha=0.7)


def _short(estimate: Estimate | None) -> str:
    return "not defined" if estimate is None else estimate_text(estimate)


def colour_of(k: int) -> str:
    """The colour of model `k`, the same in every plot and told apart by colour-blind readers (Okabe and Ito)."""
    return COLOURS[k % len(COLOURS)]


def dash_of(k: int) -> str:
    """The line style of model `k`: another one when the colours begin again."""
    return DASHES[(k // len(COLOURS)) % len(DASHES)]


def _save(figure: Figure, path: Path) -> Path:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    with atomic_path(path) as temporary:
        figure.savefig(temporary)
    return path
