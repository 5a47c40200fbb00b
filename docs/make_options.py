"""Write the tables of options in the docs from the dataclasses that hold them: python docs/make_options.py."""

from __future__ import annotations

from pathlib import Path

from page_tables import filled, markdown

from desali.data.rois.options import RoiOptions
from desali.evaluation.options import EvaluationOptions
from desali.experiments.options import FollowOptions, LineageOptions, RobustnessOptions
from desali.figures.options import FigureOptions, ImageOptions
from desali.models.options import ModelOptions
from desali.output.options import Option, options_of
from desali.reversal.methods import Method
from desali.training.config import DataConfig, TrainingConfig
from desali.training.stage import Stage
from desali.web.options import ExploreOptions, ReportOptions

PAGES: dict[str, dict[str, type]] = {
    "training.md": {"run": TrainingConfig, "data": DataConfig, "stage": Stage, "experiment": RobustnessOptions},
    "command-line.md": {
        "image": ImageOptions,
        "figure": FigureOptions,
        "method": Method,
        "follow": FollowOptions,
        "model": ModelOptions,
        "evaluation": EvaluationOptions,
    },
    "how-to/rois.md": {"rois": RoiOptions},
    "lineage.md": {"lineage": LineageOptions},
    "how-to/report.md": {"report": ReportOptions},
    "how-to/explore.md": {"explore": ExploreOptions},
}
IN_A_FILE = {TrainingConfig, DataConfig, Stage}
"""Those whose options are also keys of a TOML file."""


def table(owner: type, keys: bool) -> str:
    """A Markdown table of the options of a dataclass; with `keys`, also their names in a TOML file."""
    head = ["option", *(["in the file"] if keys else []), "default", "accepts", "meaning"]
    rows = [head]
    for name, one in options_of(owner).items():
        rows.append([_flags(one), *([f"`{name}`"] if keys else []), _default(one), _accepted(one), one.help])
    return markdown(rows)


def written(page: Path) -> str:
    """The page with its tables made anew."""
    text = page.read_text(encoding="utf-8")
    for name, owner in PAGES[page.relative_to(Path(__file__).parent).as_posix()].items():
        made = table(owner, keys=owner in IN_A_FILE)
        text = filled(text, f"<!-- options: {name} -->", "<!-- end of options -->", made)
    return text


def _flags(one: Option) -> str:
    flags = [*one.flags, *([one.off] if one.off else [])]
    return ", ".join(f"`{flag}`" for flag in flags)


def _accepted(one: Option) -> str:
    if one.choices:
        return ", ".join(f"`{choice}`" for choice in one.choices)
    words = {bool: "yes or no", int: "whole numbers", float: "numbers", str: "text"}[one.kind]
    words = "names" if one.kind is str and one.length is not None else words
    return words if one.range is None else f"{words} {one.range}"


def _default(one: Option) -> str:
    text = one.default_text
    return text if one.shown or text in ("yes", "no", "") else f"`{text}`"


if __name__ == "__main__":
    for name in PAGES:
        path = Path(__file__).parent / name
        path.write_text(written(path), encoding="utf-8")
