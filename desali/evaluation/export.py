"""A comparison as CSV, LaTeX and JSON: the same metrics as the text, for other programs and for papers."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping

from desali.evaluation.results import Comparison, Estimate
from desali.evaluation.table import PAIRED, SHOWN, few, format_table, labelled, p_text, pairs_note, role, trainings_note

COLUMNS = (
    "data", "origin", "recipe", "minus", "class", "metric", "role", "value", "low", "high", "bias_corrected",
    "trainings", "least", "greatest", "sd", "rois", "patients", "scope", "low_patients", "high_patients",
    "low_jackknife", "high_jackknife", "low_trainings", "high_trainings", "low_crossed", "high_crossed", "p_patients",
    "p_trainings", "p_crossed", "p", "p_holm", "verdict", "left_out_least", "left_out_greatest",
)  # fmt: skip


def format_csv(comparison: Comparison) -> str:
    """One row a model and metric, one a model, class and metric, one a pair and metric, one a pair and McNemar test.

    `value` with `low` and `high` (95 %); `least`, `greatest` and `sd` are over the trainings. A row of a pair has the
    second model in `minus`, and beside the deciding interval and p those that they were made of; `scope` says whether
    the verdict is about recipes or about these trainings. `role` is "primary" or "secondary". McNemar's rows have their
    statistic in `value`: chi-squared, or for the plain test, which ignores the patients, ROIs that the first model
    alone has right minus those of the second, one row for each two trainings.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    common = {"data": comparison.data, "origin": comparison.origin}
    size = {"rois": comparison.rois, "patients": comparison.patients}
    for one in comparison.evaluations:
        base = {**common, "recipe": one.recipe, "trainings": len(one.seeds)}
        for name, estimate in one.metrics.items():
            spread = vars(one.spread[name])
            own = {"metric": name, "role": role(name), "bias_corrected": one.bias_corrected.get(name, "")}
            writer.writerow({**base, **size, **own, **_ends(estimate), **spread})
        for label, found in one.classes.items():
            own = {"rois": found.support, "patients": found.patients, "class": label}
            for name, estimate in found.metrics.items():
                writer.writerow({**base, **own, "metric": name, "role": "secondary", **_ends(estimate)})
    for pair in comparison.pairs:
        base = {**common, "recipe": pair.first, "minus": pair.second, **size, "scope": pair.scope}
        for name, estimate in pair.differences.items():
            tests = {
                column: getattr(pair, column).get(name, "")
                for column in ("p_patients", "p_trainings", "p_crossed", "p", "p_holm", "verdict")
            }
            parts = {"patients": pair.over_patients, "jackknife": pair.jackknife, "trainings": pair.over_trainings,
                     "crossed": pair.crossed}  # fmt: skip
            for part, estimates in parts.items():
                ends = _ends(estimates[name]) if name in estimates else {}
                tests |= {f"{end}_{part}": ends.get(end, "") for end in ("low", "high")}
            left = dict(zip(("left_out_least", "left_out_greatest"), pair.leave_one_out.get(name, ()), strict=False))
            writer.writerow({**base, "metric": name, "role": role(name), **_ends(estimate), **tests, **left})
        if pair.clustered_mcnemar is not None:
            test = pair.clustered_mcnemar
            row = {
                "metric": "clustered McNemar",
                "role": "secondary",
                "value": test.statistic,
                "p": test.p,
                "p_holm": test.p_holm,
            }
            writer.writerow({**base, **row})
        for plain in pair.mcnemar_ignoring_patients:
            row = {"metric": "plain McNemar (ignores patients)", "role": "secondary",
                   "value": plain.only_first - plain.only_second}  # fmt: skip
            writer.writerow({**base, **row, "p": plain.p})
    return text.getvalue()


def _ends(estimate: Estimate) -> dict[str, float | str]:
    low, high = estimate.ends or ("", "")
    return {"value": estimate.value, "low": low, "high": high}


_LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
        "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
        "|": r"\textbar{}", '"': "''", "\n": " ",
    }
)  # fmt: skip


def latex_escape(text: str) -> str:
    """Text that LaTeX prints as it stands."""
    return text.translate(_LATEX)


def format_latex(comparison: Comparison) -> str:
    r"""Two `table` floats for `\input`: metrics of each model, and differences of every two; needs booktabs alone.

    Each caption names the data, their origin, ROIs, patients and how intervals and p-values were made.
    """
    what = (
        f"{comparison.data} (origin: {comparison.origin}), {comparison.rois} ROIs of {comparison.patients} patients. "
        f"95 % intervals over patients (jackknife with Student's t; calibration errors: {comparison.resamples} "
        f"resamples). Primary metric: {comparison.primary}; all others are secondary. {trainings_note(comparison)} "
    )
    notes = "".join(f"Note: {note}. " for note in comparison.notes)
    rows = []
    for name in SHOWN:
        rows.append([latex_escape(labelled(name)), *(_math(one.metrics.get(name)) for one in comparison.evaluations)])
    head = ["", *(latex_escape(one.recipe) for one in comparison.evaluations)]
    shown = _float(head, rows, latex_escape(f"Metrics on {what}{notes}"), "tab:desali-metrics")
    text = f"% \\usepackage{{booktabs}} in the preamble\n{shown}"
    if comparison.pairs:
        is_few = few(comparison)
        how = (
            f"{comparison.lack.capitalize()}: no test can decide; the range is that when one patient is left out."
            if is_few
            else f"{pairs_note(comparison)} p-values are Holm-adjusted over the pairs of each metric."
        )
        head = ["", "metric", "difference (95 \\% interval)", "left-out range" if is_few else "$p$ (Holm)", "verdict"]
        rows = []
        for pair in comparison.pairs:
            for name in PAIRED:
                if name not in pair.differences:
                    continue
                last = f"${p_text(pair.p_holm[name])}$" if name in pair.p_holm else "--"
                if is_few and name in pair.leave_one_out:
                    last = "${:+.3f}$ to ${:+.3f}$".format(*pair.leave_one_out[name])
                verdict = "undecided" if is_few else pair.sentence(name)
                names = latex_escape(f"{pair.first} - {pair.second}")
                rows.append([names, latex_escape(labelled(name)), _math(pair.differences[name], True), last, verdict])
        text += "\n" + _float(head, rows, latex_escape(f"Paired differences on {what}{how}"), "tab:desali-differences")
    return text


def format_json(comparison: Comparison) -> str:
    """Everything that the comparison holds."""
    return json.dumps(comparison.to_dict(), indent=2, ensure_ascii=False) + "\n"


FORMATS: Mapping[str, Callable[[Comparison], str]] = {
    "text": lambda comparison: format_table(comparison) + "\n",
    "csv": format_csv,
    "latex": format_latex,
    "json": format_json,
}
"""Name -> the comparison in that format, with a final newline."""


def _float(head: list[str], rows: list[list[str]], caption: str, label: str) -> str:
    lines = [r"\begin{table}", r"\centering", rf"\caption{{{caption.strip()}}}", rf"\label{{{label}}}"]
    lines += [rf"\begin{{tabular}}{{{'l' * len(head)}}}", r"\toprule", " & ".join(head) + r" \\", r"\midrule"]
    lines += [" & ".join(row) + r" \\" for row in rows]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}", ""])


def _math(estimate: Estimate | None, signed: bool = False) -> str:
    if estimate is None:
        return "--"
    form = "${:+.3f}$" if signed else "${:.3f}$"
    value, ends = form.format(estimate.value), estimate.ends
    return f"{value} (--)" if ends is None else f"{value} ({form.format(ends[0])} to {form.format(ends[1])})"
