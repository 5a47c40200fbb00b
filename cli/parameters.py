"""Option types and sets of options that several commands share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from desali.errors import SeedError, UnknownNameError
from desali.reversal.methods import METHODS
from desali.reversal.seeds import Seed

if TYPE_CHECKING:
    _ParamType = click.ParamType[tuple[Any, ...]]
else:  # generic only in newer releases of click
    _ParamType = click.ParamType

MODEL_HELP = "a recipe under --runs, a path to weights, torchvision:NAME, timm:NAME, module:factory or squeezenet1_0"
SEEDS = ("layer", "channel", "neuron", "top", "logit")


class Numbers(_ParamType):
    """Comma-separated numbers, so many of them."""

    name = "numbers"

    def __init__(self, names: str, kind: type[int] | type[float]) -> None:
        self.names = names
        self.kind = kind

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        """What the help shows for a value."""
        return self.names.upper()

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Any, ...]:
        """Parse the text."""
        if isinstance(value, tuple):
            return value
        parts = str(value).split(",")
        try:
            numbers = tuple(self.kind(part) for part in parts)
        except ValueError:
            numbers = ()
        if len(numbers) != len(self.names.split(",")):
            self.fail(f"{value!r}: expected {self.names.upper()}, numbers with commas between", param, ctx)
        return numbers


def parse_seed(text: str, value: str | None, classes: Sequence[str] = ()) -> Seed:
    """A seed from text: layer, channel:C, neuron:C,Y,X, top:K or logit:K, where K may be the name of one of `classes`.

    Raises:
        UnknownNameError: another kind of seed. SeedError: numbers that do not fit it.
    """
    kind, _, rest = text.partition(":")
    if kind not in SEEDS:
        raise UnknownNameError("seed", kind, SEEDS)
    if kind == "logit" and rest in classes:
        rest = str(list(classes).index(rest))
    form = {"layer": "layer", "channel": "channel:C", "neuron": "neuron:C,Y,X", "top": "top:K", "logit": "logit:K"}
    try:
        numbers = [int(part) for part in rest.split(",")] if rest else []
    except ValueError:
        names = f" or the name of a class ({', '.join(classes)})" if kind == "logit" and classes else ""
        raise SeedError(f"seed {text!r}: expected {form[kind]} with whole numbers after the colon{names}") from None
    wanted = {"layer": 0, "channel": 1, "top": 1, "logit": 1}.get(kind)
    if (wanted is not None and len(numbers) != wanted) or (kind == "neuron" and not numbers):
        raise SeedError(f"seed {text!r}: expected {form[kind]}")
    options: dict[str, Any] = {} if value is None else {"value": value}
    make: dict[str, Callable[..., Seed]] = {
        "layer": Seed.layer, "channel": Seed.channel, "neuron": Seed.neuron, "top": Seed.top, "logit": Seed.logit,
    }  # fmt: skip
    return make[kind](*numbers, **options)


def _stack(options: list[Callable[[Any], Any]]) -> Callable[[Any], Any]:
    def decorate(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


runs_option = click.option(
    "--runs", type=click.Path(path_type=Path), default=Path("runs"), show_default=True, help="Folder of trained models."
)

window_option = click.option(
    "--window",
    type=Numbers("level,width", float),
    help="HU window, e.g. -600,1500 (the default is the model's own).",
)

image_options = _stack(
    [
        click.option("--box", type=Numbers("y,x,size", int), help="Cut a square window out of the image, in pixels."),
        window_option,
        click.option("--hu-offset", type=float, help="HU = pixel + offset, for unsigned 16-bit images."),
    ]
)

reversal_options = _stack(
    [
        click.option("--layers", help="Layers to show, with commas between; default: the architecture's own choice."),
        click.option("--method", default="desalinet", show_default=True, help=f"One of {', '.join(METHODS)}."),
        click.option(
            "--seed", "seed_text", default="layer", show_default=True,
            help="What is projected: layer, channel:C, neuron:C,Y,X, top:K, or logit:K (a class by number or name).",
        ),
        click.option("--value", type=click.Choice(["one", "activation"]), help="What the seed is set to."),
        click.option(
            "--scale", type=click.Choice(["panel", "row"]), default="panel", show_default=True,
            help="Normalise every panel by itself, or all of a row together.",
        ),
        click.option(
            "--random-seed", type=click.IntRange(0, 2**63 - 1), default=1, show_default=True,
            help="Seed of the random control.",
        ),
        click.option("--backend", default="auto", show_default=True, help="auto, native or torch."),
    ]
)  # fmt: skip
