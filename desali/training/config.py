"""The configuration of a training: one TOML file, options that win over it, and what repeats the run."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from desali.errors import DesaliError, UnknownNameError
from desali.training.domains import SYNTHETIC
from desali.training.recipes import DOMAINS, RECIPES, STAGE_OPTIONS, Recipe, Stage, recipe

if TYPE_CHECKING:
    from desali.data.preprocess import Preprocessing

RUN_OPTIONS = (
    "recipe",
    "runs",
    "architecture",
    "size",
    "seed",
    "accelerator",
    "devices",
    "nodes",
    "tensorboard",
    "input_memory",
)
DATA_OPTIONS = (*DOMAINS, "seed", "share", "skip_unreadable", "hu_offset", "window", "cache")
_KINDS: dict[str, str] = {
    field.name: str(field.type).replace(" | None", "") for field in fields(Stage) if field.name != "domain"
}


@dataclass(frozen=True)
class TrainingConfig:
    """Everything that `desali train` can be told; the names are those of the TOML file.

    Attributes:
        recipe: a recipe's name, or "all".
        runs: where results go.
        architecture: see `desali.models.architecture`.
        size: side of the network's input in pixels, for architectures that take several; None for their own.
        seed: of weights, batches, augmentation, dropout and held-out groups.
        accelerator, devices, nodes, tensorboard, input_memory: see `desali.training.train`.
        data: table [data]: a specification for each domain ("synthetic" if left out; else see
            `desali.data.read_images`), "seed" and "share" of the synthetic images, "skip_unreadable", "hu_offset",
            "cache" (a folder for decoded images) and "window" (level, width in HU).
        stage: table [stage]: options of `Stage` for every stage.
        stages: tables [stage.natural], [stage.texture], [stage.target]: options of that domain's stage.
    """

    recipe: str = "all"
    runs: str = "runs"
    architecture: str = "caffenet-small"
    size: int | None = None
    seed: int = 0
    accelerator: str = "auto"
    devices: int = 1
    nodes: int = 1
    tensorboard: bool = False
    input_memory: int | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    stage: Mapping[str, Any] = field(default_factory=dict)
    stages: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def with_options(
        self,
        data: Mapping[str, Any],
        stage: Mapping[str, Any],
        weights: Mapping[str, str | None],
        **options: Any,
    ) -> TrainingConfig:
        """The configuration with other values; None leaves one as it is.

        An option of `stage` wins over every table of the file, those of a domain included. `weights` is a file for each
        domain whose stage comes from weights.
        """
        given = {name: value for name, value in stage.items() if value is not None}
        return replace(
            self,
            **{name: value for name, value in options.items() if value is not None},
            data={**self.data, **{name: value for name, value in data.items() if value is not None}},
            stage={**self.stage, **given},
            stages={
                domain: {name: value for name, value in self.stages.get(domain, {}).items() if name not in given}
                | ({} if weights.get(domain) is None else {"weights": weights[domain]})
                for domain in DOMAINS
                if domain in self.stages or weights.get(domain) is not None
            },
        )

    @property
    def recipes(self) -> list[Recipe]:
        """The recipes with all options in their stages.

        Raises:
            UnknownNameError: an unknown recipe or option. DesaliError: a value out of range.
        """
        names = list(RECIPES) if self.recipe == "all" else [self.recipe]
        return [recipe(name).with_options(domains=self.stages, **self.stage) for name in names]

    @property
    def preprocessing(self) -> Preprocessing:
        """The architecture's preprocessing, with the size that was asked for and the window of the data.

        Raises:
            DesaliError: another size than the only one that the architecture takes.
        """
        from desali.data.preprocess import Preprocessing
        from desali.models.registry import architecture

        entry = architecture(self.architecture)
        plain = Preprocessing(**entry.preprocessing)
        if self.size not in (None, plain.size):
            if not entry.any_size:
                raise DesaliError(f"size {self.size}: {entry.name} takes images of {plain.size} pixels only")
            plain = replace(plain, size=self.size)
        window = self.data.get("window")
        return plain if window is None else replace(plain, window=tuple(window))

    def resolved(self, one: Recipe) -> str:
        """TOML that repeats the training of the recipe `one` (from `recipes`), every option written out."""
        run = {name: getattr(self, name) for name in RUN_OPTIONS} | {"recipe": one.name}
        data = {"seed": 0, "share": 1.0, "skip_unreadable": False} | dict.fromkeys(DOMAINS, SYNTHETIC) | dict(self.data)
        needed = [stage.domain for stage in one.stages if stage.weights is None]
        data = {name: value for name, value in data.items() if name not in DOMAINS or name in needed}
        lines = [*_toml(run), "", "[data]", *_toml(data)]
        for stage in one.stages:
            values = {"weights": stage.weights} if stage.weights else {n: getattr(stage, n) for n in STAGE_OPTIONS}
            lines += ["", f"[stage.{stage.domain}]", *_toml(values)]
        return "\n".join(lines) + "\n"


def read_config(path: Path) -> TrainingConfig:
    """The configuration in the TOML file at `path`.

    Raises:
        DesaliError: the file is missing or not TOML, or a value has the wrong type.
        UnknownNameError: an unknown key; the message suggests the nearest.
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib

    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DesaliError(f"{path}: no such file; give a TOML file, for instance runs/two_stage/config.toml") from None
    except OSError as error:
        raise DesaliError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DesaliError(f"{path}: not TOML ({error}); see docs/training.md for an example") from None
    try:
        return _checked(values)
    except DesaliError as error:
        error.args = (f"{path}: {error}",)
        raise


def _checked(values: dict[str, Any]) -> TrainingConfig:
    data, stage = (_table(values, name) for name in ("data", "stage"))
    tables: dict[str, dict[str, Any]] = {name: _table(stage, name, "stage.") for name in DOMAINS if name in stage}
    common = {name: value for name, value in stage.items() if name not in DOMAINS}
    _check_names("key", values, (*RUN_OPTIONS, "data", "stage"))
    _check_names("key of [data]", data, DATA_OPTIONS)
    _check_names("key of [stage]", common, (*STAGE_OPTIONS, *DOMAINS))
    kinds = {one.name: str(one.type).replace(" | None", "") for one in fields(TrainingConfig)}
    run = {name: _value(name, values[name], kinds[name]) for name in RUN_OPTIONS if name in values}
    of_data = {"seed": "int", "share": "float", "skip_unreadable": "bool", "hu_offset": "float", "window": "numbers"}
    data = {name: _value(f"data.{name}", value, of_data.get(name, "str")) for name, value in data.items()}
    for domain, table in tables.items():
        _check_names(f"key of [stage.{domain}]", table, (*STAGE_OPTIONS, "weights"))
        tables[domain] = {n: _value(f"stage.{domain}.{n}", v, _KINDS[n]) for n, v in table.items()}
    common = {name: _value(f"stage.{name}", value, _KINDS[name]) for name, value in common.items()}
    return TrainingConfig(**run, data=data, stage=common, stages=tables)


def _table(values: Mapping[str, Any], name: str, before: str = "") -> dict[str, Any]:
    table = values.get(name, {})
    if not isinstance(table, dict):
        raise DesaliError(f"{before}{name} must be a table, [{before}{name}], got {table!r}")
    return table


def _check_names(kind: str, given: Mapping[str, Any], known: Sequence[str]) -> None:
    for name in given:
        if name not in known:
            raise UnknownNameError(kind, name, known)


def _value(name: str, value: Any, kind: str) -> Any:
    """`value` if it is what a field of that type takes."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind == "int" and isinstance(value, int) and number:
        return value
    if kind == "float" and number:
        return float(value)
    if kind == "bool" and isinstance(value, bool):
        return value
    if kind.startswith("tuple") and isinstance(value, list) and all(type(one) is int for one in value):
        return tuple(value)
    if kind == "numbers" and isinstance(value, list) and all(type(one) in (int, float) for one in value):
        return tuple(map(float, value))
    if kind not in ("int", "float", "bool", "numbers") and not kind.startswith("tuple") and isinstance(value, str):
        return value
    words = {"int": "a whole number", "float": "a number", "bool": "true or false", "numbers": "a list of numbers"}
    wanted = "a list of whole numbers" if kind.startswith("tuple") else words.get(kind, "text")
    raise DesaliError(f"{name} must be {wanted}, got {value!r}")


def _toml(values: Mapping[str, Any]) -> list[str]:
    """Lines `name = value`; what is None is left out."""
    return [f"{name} = {_literal(value)}" for name, value in values.items() if value is not None]


def _literal(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_literal, value))}]"
    return json.dumps(value, ensure_ascii=False)
