"""The configuration of a training: one TOML file, options that win over it, and what repeats the run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from desali.errors import DesaliError, UnknownNameError
from desali.input.files import read_text
from desali.input.values import parse_toml
from desali.limits import CONFIG_BYTES
from desali.models.registry import DEFAULT
from desali.output.options import FROM_0, FROM_1, SEED, SHARE, check_fields, checked_table, option, options_of
from desali.training.recipes import Recipe, recipe, recipe_names
from desali.training.stage import DOMAINS, STAGE_OPTIONS, Stage

if TYPE_CHECKING:
    from desali.data.preprocess import Preprocessing

SYNTHETIC = "synthetic"
INPUT_MEMORY = 1024
"""MiB of prepared images that are kept in memory; more are prepared anew for every batch."""


@dataclass(frozen=True)
class DataConfig:
    """Where the images come from: the table [data]. Each field says what it is."""

    natural: str = option(SYNTHETIC, "Natural images: READER:PATH or PATH.", metavar="SPEC")
    texture: str = option(SYNTHETIC, "Textures.", metavar="SPEC")
    target: str = option(
        SYNTHETIC,
        "Images of the task. Of a set that states parts, train is read, unless the specification says ?split=PART.",
        metavar="SPEC",
    )
    seed: int = option(0, "Of the synthetic images.", range=SEED, flag="--data-seed")
    share: float = option(
        1.0,
        "Share of each synthetic target class that is trained on, at least 2 images.",
        range=SHARE,
        flag="--data-share",
    )
    skip_unreadable: bool = option(False, "Leave out images that cannot be read; they are counted and named.")
    hu_offset: float | None = option(None, "HU = pixel + offset, for unsigned 16-bit images.", metavar="HU")
    window: tuple[float, float] | None = option(
        None, "HU window, e.g. -600,1500.", metavar="LEVEL,WIDTH", shown="the model's own"
    )
    cache: str | None = option(
        None,
        "Folder where decoded images are kept and mapped from.",
        metavar="DIR",
        shown="the user's cache folder",
    )

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True)
class TrainingConfig:
    """Everything that `desali train` can be told; the names are those of the TOML file. Each option says what it is.

    Attributes:
        data: table [data].
        stage: table [stage]: options of `Stage` for every stage.
        stages: tables [stage.natural], [stage.texture], [stage.target]: options of that domain's stage, which win.

    Raises:
        DesaliError, UnknownNameError: an unknown option, or a value that it does not take.
    """

    recipe: str = option(
        "all",
        "scratch, texture, natural or two_stage, or several of them with spaces or commas between, or all.",
        flag="RECIPE...|all",
    )
    runs: str = option("runs", "Folder of trained models.", metavar="DIR")
    architecture: str = option(
        DEFAULT,
        "vgg-small (64 px, grey), caffenet-small (64 px), caffenet (227 px), squeezenet1_0, torchvision:NAME, "
        "timm:NAME or module:factory.",
        metavar="NAME",
    )
    size: int | None = option(
        None,
        "Side of the network's input in pixels, where it takes several.",
        range=FROM_1,
        shown="the architecture's own",
    )
    seed: int = option(0, "Of weights, batches, augmentation, dropout and held-out patients.", range=SEED)
    replicates: int = option(
        0,
        "Train the last stage again so many times from the same parent, with the next seeds: what another seed would "
        "change is the noise floor of every comparison.",
        range=FROM_0,
    )
    device: str = option(
        "auto", "cpu, cuda, cuda:N, or auto: a CUDA device if there is one, else the CPU.", metavar="DEVICE"
    )
    threads: int | None = option(
        None,
        "Of the processor for torch. On the CPU results repeat for one number of threads on one processor: another of "
        "either acts like another seed.",
        range=FROM_1,
        shown="torch's own number",
    )
    devices: int = option(1, "Processes on this machine, one a device.", range=FROM_1)
    nodes: int = option(1, "Machines; see docs/training.md.", range=FROM_1)
    tensorboard: bool = option(False, "Write the metrics for TensorBoard too.")
    input_memory: int = option(INPUT_MEMORY, "MiB of prepared images to keep in memory.", range=FROM_0)
    data: DataConfig = field(default_factory=DataConfig)
    stage: Mapping[str, Any] = field(default_factory=dict)
    stages: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_fields(self)
        for domain in self.stages:
            if domain not in DOMAINS:
                raise UnknownNameError("domain", domain, DOMAINS)
        stages = {
            domain: checked_table(Stage, table, f"key of [stage.{domain}]", f"stage.{domain}.")
            for domain, table in self.stages.items()
        }
        object.__setattr__(self, "stage", checked_table(Stage, self.stage, "key of [stage]", "stage."))
        object.__setattr__(self, "stages", stages)

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
        given = _given(stage)
        return replace(
            self,
            **_given(options),
            data=replace(self.data, **_given(data)),
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
            UnknownNameError: an unknown recipe. DesaliError: options that contradict each other.
        """
        found = [
            recipe(name, self.architecture).with_options(domains=self.stages, **self.stage)
            for name in recipe_names(self.recipe)
        ]
        trained = {stage.domain for name in recipe_names(self.recipe) for stage in recipe(name).stages}
        for domain, table in self.stages.items():
            if table.get("weights") is not None and domain not in trained:
                raise DesaliError(
                    f"--{domain}-weights {table['weights']}: {self.recipe} has no stage {domain}; leave it out, or "
                    "name a recipe that has one"
                )
        return found

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
        return plain if self.data.window is None else replace(plain, window=self.data.window)

    def resolved(self, one: Recipe) -> str:
        """TOML that repeats the training of the recipe `one` (from `recipes`), every option written out."""
        run = {name: getattr(self, name) for name in options_of(TrainingConfig)} | {"recipe": one.name}
        needed = [stage.domain for stage in one.stages if stage.weights is None]
        data = {name: value for name, value in asdict(self.data).items() if name not in DOMAINS or name in needed}
        lines = [*_toml(run), "", "[data]", *_toml(data)]
        for stage in one.stages:
            values = {"weights": stage.weights} if stage.weights else {n: getattr(stage, n) for n in STAGE_OPTIONS}
            lines += ["", f"[stage.{stage.domain}]", *_toml(values)]
        return "\n".join(lines) + "\n"


def read_config(path: Path) -> TrainingConfig:
    """The configuration in the TOML file at `path`.

    Raises:
        DesaliError: the file is missing or not TOML, or a value has the wrong type or is out of range.
        UnknownNameError: an unknown key; the message suggests the nearest.
    """
    text = read_text(
        path, "a TOML file", DesaliError, CONFIG_BYTES, "give a TOML file, for instance runs/two_stage/config.toml"
    )
    values = parse_toml(text, str(path), DesaliError, "see docs/training.md for an example")
    try:
        return _checked(values)
    except DesaliError as error:
        error.args = (f"{path}: {error}",)
        raise


def _checked(values: dict[str, Any]) -> TrainingConfig:
    data, stage = (_table(values, name) for name in ("data", "stage"))
    stages: dict[str, dict[str, Any]] = {name: _table(stage, name, "stage.") for name in DOMAINS if name in stage}
    for what, table, known in (
        ("key", values, (*options_of(TrainingConfig), "data", "stage")),
        ("key of [stage]", stage, (*STAGE_OPTIONS, *DOMAINS)),
    ):
        for name in table:
            if name not in known:
                raise UnknownNameError(what, name, known)
    return TrainingConfig(
        **{name: value for name, value in values.items() if name not in ("data", "stage")},
        data=DataConfig(**checked_table(DataConfig, data, "key of [data]", "data.")),
        stage={name: value for name, value in stage.items() if name not in DOMAINS},
        stages=stages,
    )


def _table(values: Mapping[str, Any], name: str, before: str = "") -> dict[str, Any]:
    table = values.get(name, {})
    if not isinstance(table, dict):
        raise DesaliError(f"{before}{name} must be a table, [{before}{name}], got {table!r}")
    return table


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _toml(values: Mapping[str, Any]) -> list[str]:
    """Lines `name = value`; what is None is left out."""
    return [f"{name} = {_literal(value)}" for name, value in _given(values).items()]


def _literal(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_literal, value))}]"
    return json.dumps(value, ensure_ascii=False)
