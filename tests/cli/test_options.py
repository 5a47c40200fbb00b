"""Every option of the dataclasses has its flag, its key in a file and its line in the docs, and all say the same."""

from __future__ import annotations

import inspect
import re
import runpy
from pathlib import Path
from typing import Any

import click
import pytest

import desali
import desali.evaluation
from desali.cli.compare import compare_command
from desali.cli.crossvalidate import crossvalidate_command
from desali.cli.evaluate import evaluate_command
from desali.cli.experiments import LEFT_OUT
from desali.cli.grid import grid_command
from desali.cli.robustness import robustness_command
from desali.cli.train import train_command
from desali.cli.visualize import visualize_command
from desali.errors import DesaliError
from desali.evaluation.options import EvaluationOptions
from desali.experiments.options import CrossValidationOptions, RobustnessOptions
from desali.experiments.robustness import robustness
from desali.figures.options import FigureOptions, ImageOptions
from desali.figures.viewer import Settings
from desali.output.options import Option, options_of
from desali.training.config import DataConfig, TrainingConfig, read_config
from desali.training.stage import Stage
from tests.training.test_commands import run

DOCS = Path(__file__).parents[2] / "docs"
TABLES: dict[str, type] = {"": TrainingConfig, "data.": DataConfig, "stage.target.": Stage}
TRAINING = [(key, owner, name) for key, owner in TABLES.items() for name in options_of(owner)]
OTHER = {"recipe": "scratch", "epochs": 7, "milestones": (3, 4), "schedule": "step", "window": (-500.0, 900.0)}


def other_value(one: Option) -> Any:
    """An accepted value that is not the default."""
    if one.name in OTHER:
        return OTHER[one.name]
    if one.kind is bool:
        return not one.default
    if one.choices:
        return next(choice for choice in one.choices if choice != one.default)
    return {str: "cpu", int: 3, float: 0.25}[one.kind]


def as_text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def as_toml(value: Any) -> str:
    return repr(list(value) if isinstance(value, tuple) else value).replace("True", "true").replace("False", "false")


def flags_of(command: click.Command) -> dict[str, click.Option]:
    return {flag: one for one in command.params if isinstance(one, click.Option) for flag in one.opts}


@pytest.mark.parametrize(("key", "owner", "name"), TRAINING, ids=lambda value: value if isinstance(value, str) else "")
def test_flag_and_key_lead_to_the_same_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, owner: type, name: str
) -> None:
    one = options_of(owner)[name]
    value = other_value(one)
    table, path = key.removesuffix("."), tmp_path / "my.toml"
    path.write_text((f"[{table}]\n" if table else "") + f"{name} = {as_toml(value)}\n")
    from_file = read_config(path)
    kept: Any = {"": from_file, "data.": from_file.data}.get(key)
    assert (getattr(kept, name) if kept is not None else from_file.stages["target"][name]) == value
    flag = one.flags[-1]
    if flag.startswith("--"):
        arguments = [
            one.off if one.kind is bool and not value else flag,
            *([] if one.kind is bool else [as_text(value)]),
        ]
    else:
        arguments = [as_text(value)]

    class Chosen(Exception):
        """The configuration that the command begins with."""

    def stop(self: TrainingConfig) -> None:
        raise Chosen(self)

    monkeypatch.setattr(TrainingConfig, "recipes", property(stop))
    with pytest.raises(Chosen) as stopped:
        train_command.main([*arguments, *(() if name == "recipe" else ("scratch",))], standalone_mode=False)
    config = stopped.value.args[0]
    chosen: Any = {"": config, "data.": config.data}.get(key)
    if chosen is not None:
        assert getattr(chosen, name) == value
    elif name == "weights":
        assert config.stages["texture"]["weights"] == value
    else:
        assert config.stage[name] == value


def test_every_flag_of_a_training_is_an_option_of_a_dataclass() -> None:
    own = {"--config", "--resume", "--fresh"}
    made = {flag for _, owner, name in TRAINING for flag in options_of(owner)[name].flags if flag.startswith("--")}
    assert set(flags_of(train_command)) == own | made
    left = {flag for name in LEFT_OUT for flag in options_of(TrainingConfig)[name].flags}
    for command, owner, more in (
        (crossvalidate_command, CrossValidationOptions, {"--plots"}),
        (robustness_command, RobustnessOptions, {"--predictions"}),
    ):
        experiment = {flag for one in options_of(owner).values() for flag in one.flags}
        expected = (made - left) | experiment | more | {"--config", "--output", "-o"}
        assert set(flags_of(command)) == expected


def test_the_help_shows_sections_defaults_and_ranges(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "train", "--help")
    assert code == 0
    assert re.findall(r"^(\w+):$", out, re.MULTILINE) == ["Options", "Run", "Data", "Stages"]
    text = " ".join(out.split())
    for _, owner, name in TRAINING:
        one = options_of(owner)[name]
        if one.flags[0].startswith("--"):
            assert one.flags[0] in text
            if one.default_text:
                assert f"[default: {one.default_text}" in text.replace("caffenet- small", "caffenet-small")
    assert "--validation FLOAT Share of the images held out" in text
    assert "[default: 0.2; in [0, 1)]" in text


def test_the_tables_of_the_docs_are_those_of_the_dataclasses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(DOCS)
    make = runpy.run_path(str(DOCS / "make_options.py"))
    assert set(make["PAGES"]) >= {"training.md", "command-line.md"}
    for name, owners in make["PAGES"].items():
        page = (DOCS / name).read_text(encoding="utf-8")
        assert make["written"](DOCS / name) == page, "run python docs/make_options.py"
        for owner in owners.values():
            table = make["table"](owner, keys=False).splitlines()
            for one in options_of(owner).values():
                flag = one.flags[0].replace("|", r"\|")
                assert sum(line.startswith(f"| `{flag}`") for line in table) == 1, one.name


@pytest.mark.parametrize(
    ("command", "owners"),
    [
        (visualize_command, (ImageOptions, FigureOptions)),
        (compare_command, (ImageOptions, FigureOptions)),
        (grid_command, (ImageOptions, FigureOptions)),
        (evaluate_command, (EvaluationOptions,)),
    ],
)
def test_commands_that_draw_or_evaluate_take_their_options_from_dataclasses(
    command: click.Command, owners: tuple[type, ...]
) -> None:
    flags = flags_of(command)
    for owner in owners:
        for one in options_of(owner).values():
            for flag in one.flags:
                made = flags[flag]
                assert made.help is not None
                assert made.help.startswith(one.help)
                assert made.default is None, "the default stands in the dataclass alone"
                if one.default_text:
                    assert f"default: {one.default_text}" in made.help


def test_figures_have_one_set_of_defaults_in_python_and_on_the_command_line() -> None:
    asked = FigureOptions().settings(ImageOptions())
    own = Settings()
    names = {"layers", "seed", "method", "window", "scale", "random_seed", "backend"}
    assert {name: getattr(asked, name) for name in names} == {name: getattr(own, name) for name in names}
    for function in (desali.compare, desali.show):
        for name, parameter in inspect.signature(function).parameters.items():
            if name in names and parameter.default is not None:
                assert parameter.default == getattr(own, name), f"{function.__name__}({name}=)"
    for function in (desali.evaluation.compare, desali.evaluation.evaluate_recipes, robustness):
        assert inspect.signature(function).parameters["resamples"].default == EvaluationOptions().resamples


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--method", "desalinett", "unknown method 'desalinett': did you mean 'desalinet'"),
        ("--scale", "rows", "unknown scale 'rows': did you mean 'row'"),
        ("--backend", "nativ", "unknown backend 'nativ': did you mean 'native'"),
        ("--value", "two", "unknown value 'two': choose from one, activation"),
        ("--layers", ",", "layers must be names, none of them empty"),
        ("--box", "1,2", "box must be three whole numbers, got [1, 2]; expected Y,X,SIZE"),
        ("--hu-offset", "inf", "hu_offset must be a finite number, got inf"),
    ],
)
def test_a_wrong_value_for_a_figure_is_one_line_before_anything_is_read(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, option: str, value: str, words: str
) -> None:
    for command in ("compare", "grid"):
        image = "--roi" if command == "compare" else "--rois"
        code, out, err = run(capsys, command, image, str(tmp_path / "none.png"), option, value)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert f"Invalid value for '{option}': " in err
        assert words in err


@pytest.mark.parametrize(
    ("flag", "key", "text", "toml", "words"),
    [
        ("--epochs", "stage.epochs", "0", "0", "epochs must be at least 1, got 0"),
        ("--optimizer", "stage.optimizer", "adam", "'adam'", "'adam': did you mean 'adamw'? choose from adamw, sgd"),
        ("--noise-hu", "stage.noise_hu", "-1", "-1", "noise_hu must be at least 0, got -1.0"),
        ("--seed", "seed", "-1", "-1", "seed must lie in [0, 2^63), got -1"),
        ("--data-share", "data.share", "2", "2", "share must lie in (0, 1], got 2.0"),
        ("--window", "data.window", "3", "[3]", "window must be two numbers, got "),
        ("--hu-offset", "data.hu_offset", "nan", "nan", "hu_offset must be a finite number, got nan"),
    ],
)
def test_flag_and_key_are_refused_with_the_same_words(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, flag: str, key: str, text: str, toml: str, words: str
) -> None:
    code, out, err = run(capsys, "train", "scratch", flag, text)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"desali: error: Invalid value for '{flag}': ")
    assert words in err
    table, _, name = key.rpartition(".")
    path = tmp_path / "my.toml"
    path.write_text((f"[{table}]\n" if table else "") + f"{name} = {toml}\n")
    with pytest.raises(DesaliError) as error:
        read_config(path)
    assert words in str(error.value)
    assert str(path) in str(error.value)
