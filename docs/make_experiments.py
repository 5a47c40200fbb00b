"""Write the tables of the experiments' pages from the results beside them: python docs/make_experiments.py."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from page_tables import filled, markdown

from desali.evaluation.bundle import load_trainings

FOLDER = Path(__file__).with_name("experiments")
RESULTS = FOLDER / "results"
SHOWN = ("macro F1", "accuracy", "macro recall", "macro precision", "macro AUROC", "Brier score", "ECE")
PRIMARY = "macro F1"
Row = dict[str, str]


def metrics(name: str) -> list[list[str]]:
    """Each metric of each model with its interval over patients, and the spread of the primary one over trainings."""
    rows = [row for row in _rows(RESULTS / name / "evaluation.csv") if not row["minus"] and not row["class"]]
    models = list(dict.fromkeys(row["recipe"] for row in rows))
    found = {(row["recipe"], row["metric"]): row for row in rows}
    made = [["", *models]]
    for metric in SHOWN:
        word = f"**{metric}**" if metric == PRIMARY else metric
        made.append([word, *(_estimate(found[model, metric]) for model in models)])
    spread = [found[model, PRIMARY] for model in models]
    many = [
        f"{_number(row['least'])} to {_number(row['greatest'])}" if int(row["trainings"]) > 1 else "one training"
        for row in spread
    ]
    return [*made, [f"{PRIMARY}, least and greatest training", *many]]


def pairs(name: str) -> list[list[str]]:
    """The primary metric's difference of every two recipes, with what patients and what trainings say."""
    made = [["", f"difference in {PRIMARY}", "p over patients", "p over trainings", "p of both (Holm)", "verdict"]]
    for row in _rows(RESULTS / name / "evaluation.csv"):
        if row["minus"] and row["metric"] == PRIMARY and not row["class"]:
            value = f"{float(row['value']):+.3f} ({float(row['low']):+.3f} to {float(row['high']):+.3f})"
            ps = [f"{float(row[key]):.3f}" if row[key] else "-" for key in ("p_patients", "p_trainings", "p_holm")]
            made.append([f"{row['recipe']} - {row['minus']}", value, *ps, row["verdict"]])
    return made


def patients(name: str) -> list[list[str]]:
    """Share of correct ROIs of each patient, mean over the trainings."""
    trainings, _ = load_trainings(RESULTS / name / "predictions.npz")
    found = trainings[1.0]
    models = list(dict.fromkeys(one.recipe for one in found))
    made = [["patient", "ROIs", *models]]
    whom = found[0].patients
    for patient in dict.fromkeys(whom.tolist()):
        own = whom == patient
        right = {one: [] for one in models}
        for one in found:
            right[one.recipe].append(float((one.predicted == one.labels)[own].mean()))
        made.append([str(patient), str(int(own.sum())), *(_number(np.mean(right[one])) for one in models)])
    return made


def fractions(name: str, by: str) -> list[list[str]]:
    """The primary metric at each fraction of the training data."""
    rows = [row for row in _rows(RESULTS / name / f"robustness-{by}.csv") if row["metric"] == PRIMARY]
    models = list(dict.fromkeys(row["recipe"] for row in rows))
    made = [[f"share of the training {by}", *models]]
    for fraction in dict.fromkeys(row["fraction"] for row in rows):
        here = {row["recipe"]: row for row in rows if row["fraction"] == fraction}
        made.append([f"{100 * float(fraction):g} %", *(_estimate(here[model]) for model in models)])
    return made


def traceable(name: str, last: str) -> list[list[str]]:
    """Share of traceable channels by layer and stage, with interval, the random networks' range and the replicates'."""
    return _by_layer(name, last, _traceable)


def probe(name: str, last: str) -> list[list[str]]:
    """Balanced accuracy of a linear probe before and after each stage."""
    return _by_layer(name, last, lambda row: _before_after(row, "probe"))


def purity(name: str, last: str) -> list[list[str]]:
    """Class purity of the nine strongest images before and after each stage."""
    return _by_layer(name, last, lambda row: _before_after(row, "purity"))


def similarity(name: str, last: str) -> list[list[str]]:
    """Similarity (CKA) of before and after each stage."""

    def cell(row: Row) -> str:
        if not row["similarity"]:
            return "-"
        own = f"{_short(row['similarity'])} ({_short(row['similarity_low'])} to {_short(row['similarity_high'])})"
        floor = _again(row, "similarity_replicate", "similarity_no_difference")
        return f"{own}; random {_range(row, 'similarity_random')}{floor}"

    return _by_layer(name, last, cell)


def states(name: str, last: str) -> list[list[str]]:
    """How many channels of each layer are in each state after each stage."""

    def cell(row: Row) -> str:
        found = {key.removeprefix("channels_").replace("_", " "): int(row[key]) for key in row
                 if key.startswith("channels_") and row[key]}  # fmt: skip
        return ", ".join(f"{count} {state}" for state, count in found.items() if count) or "strangers"

    return _by_layer(name, last, cell)


def selectivity(name: str) -> list[list[str]]:
    """Edges against patterns: mean, least and greatest of the trainings, silent channels, and the random networks."""
    rows = json.loads((RESULTS / name / "selectivity.json").read_text(encoding="utf-8"))
    models, layers = (list(dict.fromkeys(row[key] for row in rows)) for key in ("model", "layer"))
    made = [["layer", *models, f"{len(rows[0]['random'])} random networks"]]
    for layer in layers:
        cells = [[row for row in rows if row["layer"] == layer and row["model"] == model] for model in models]
        shown = [_index([row["mean"] for row in cell], [row["silent"] for row in cell], True) for cell in cells]
        random = _index(cells[0][0]["random"], cells[0][0]["random_silent"], False)
        made.append([layer.removeprefix("features."), *shown, random])
    return made


TABLES: dict[str, Callable[..., list[list[str]]]] = {
    "metrics": metrics,
    "pairs": pairs,
    "patients": patients,
    "fractions": fractions,
    "traceable": traceable,
    "probe": probe,
    "purity": purity,
    "similarity": similarity,
    "states": states,
    "selectivity": selectivity,
}


def written(page: Path) -> str:
    """The page with its tables made anew."""
    text = page.read_text(encoding="utf-8")
    for asked in re.findall(r"<!-- table: ([^\n]+) -->", text):
        kind, *arguments = asked.split()
        made = markdown(TABLES[kind](*arguments))
        text = filled(text, f"<!-- table: {asked} -->", "<!-- end of table -->", made)
    return text


def pages() -> list[Path]:
    """The pages that hold tables."""
    return [page for page in sorted(FOLDER.glob("*.md")) if "<!-- table: " in page.read_text(encoding="utf-8")]


def _by_layer(name: str, last: str, cell: Callable[[Row], str]) -> list[list[str]]:
    """A row a layer, a column for each stage on the domain `last`."""
    rows = [row for row in _rows(RESULTS / name / "lineage.csv") if row["pair"].split(" (")[0].endswith(last)]
    stages = list(dict.fromkeys(row["pair"] for row in rows))
    layers = list(dict.fromkeys(row["layer"] for row in rows))
    found = {(row["pair"], row["layer"]): row for row in rows}
    made = [["layer", *(re.sub(r" \(from (.*)\)$", r"<br>from \1", stage) for stage in stages)]]
    for layer in layers:
        cells = [cell(found[stage, layer]) if (stage, layer) in found else "" for stage in stages]
        made.append([layer.removeprefix("features."), *cells])
    return made


def _traceable(row: Row) -> str:
    own = f"{_percent(row['traceable'])} ({_percent(row['low'])} to {_percent(row['high'])})"
    stranger = ", strangers" if row["strangers"] == "True" else ""
    floor = _again(row, "replicate", "no_difference", _percent)
    return f"{own}{stranger}; random {_range(row, 'random', _percent)}{floor}"


def _before_after(row: Row, what: str) -> str:
    if not row.get(f"{what}_after"):
        return "-"
    change = f"{_short(row[f'{what}_before'])} > {_short(row[f'{what}_after'])}"
    value, *ends = (float(row[f"{what}_difference{end}"]) for end in ("", "_low", "_high"))
    random, floor = _range(row, f"{what}_random"), _again(row, f"{what}_replicate", f"{what}_no_difference")
    return f"{change} ({value:+.2f}, {ends[0]:+.2f} to {ends[1]:+.2f}); random {random}{floor}"


def _index(values: Sequence[float], silent: Sequence[int], mean: bool) -> str:
    ends = f"{min(values):.2f} to {max(values):.2f}"
    said = f"; {min(silent)} to {max(silent)} silent" if any(silent) else ""
    return (f"{np.mean(values):.2f} ({ends})" if mean else ends) + said


def _again(row: Row, what: str, verdict: str, show: Callable[[str], str] | None = None) -> str:
    if not row.get(f"{what}_low"):
        return ""
    return f"; replicates {_range(row, what, show or _short)}" + (", no difference" if row[verdict] == "True" else "")


def _range(row: Row, what: str, show: Callable[[str], str] | None = None) -> str:
    ends = [(show or _short)(row[f"{what}_{end}"]) for end in ("low", "high")] if row.get(f"{what}_low") else ["-"]
    return ends[0] if len(set(ends)) == 1 else " to ".join(ends)


def _estimate(row: Row) -> str:
    ends = f" ({_number(row['low'])} to {_number(row['high'])})" if row["low"] and row["high"] else ""
    return f"{_number(row['value'])}{ends}"


def _number(value: str | float) -> str:
    return f"{float(value):.3f}"


def _short(value: str) -> str:
    return f"{float(value):.2f}"


def _percent(value: str) -> str:
    return f"{100 * float(value):.0f} %"


def _rows(path: Path) -> Sequence[Row]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


if __name__ == "__main__":
    for one in pages():
        one.write_text(written(one), encoding="utf-8")
