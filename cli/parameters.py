"""Option types, and options that several commands share beside those of dataclasses: each stands here once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from desali.reversal.seeds import FORMS

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    _ParamType = click.ParamType[Any]
else:  # generic only in newer releases of click
    _ParamType = click.ParamType

MODEL_HELP = "a recipe under --runs, a path to weights, torchvision:NAME, timm:NAME, module:factory or squeezenet1_0"


def _completions(words: Iterable[str], incomplete: str) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    return [CompletionItem(word) for word in words if word.startswith(incomplete)]


class Names(_ParamType):
    """One or several names with commas between."""

    name = "names"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Parse the text."""
        if isinstance(value, tuple):
            return value
        names = tuple(part.strip() for part in str(value).split(",") if part.strip())
        if not names:
            self.fail(f"{value!r}: expected names with commas between", param, ctx)
        return names


class SeedText(_ParamType):
    """What is projected, as `Seed.parse` reads it; classes are known only with the model."""

    name = "seed"

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        """What the help shows for a value."""
        return "WHAT"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """The kinds of seeds."""
        return _completions((kind if kind == "layer" else f"{kind}:" for kind in FORMS), incomplete)


class RandomSeed(_ParamType):
    """A whole number from 0 to 2^63 - 1 that decides what is drawn at random."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Parse the number; whoever means what is projected is told where that goes."""
        if str(value).partition(":")[0].strip() in FORMS:
            self.fail(f"{value!r}: expected a whole number; what is projected is named with --from", param, ctx)
        try:
            number = int(value)
        except ValueError:
            number = -1
        if not 0 <= number < 2**63:
            self.fail(f"{value!r}: expected a whole number from 0 to 2^63 - 1", param, ctx)
        return number


class Device(_ParamType):
    """A device by its word; one that is not there is refused while the options are read, before any work begins."""

    name = "device"

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        """What the help shows for a value."""
        return "cpu|cuda|cuda:N|auto"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check that the device is there."""
        if str(value) != "cpu":  # which is always there, and needs no torch to say so
            from desali.ops.device import resolve

            resolve(str(value))
        return str(value)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """The words that need no number."""
        return _completions(("cpu", "cuda", "auto"), incomplete)


def _stack(options: list[Callable[[Any], Any]]) -> Callable[[Any], Any]:
    def decorate(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def seed_option(help: str, default: int = 0) -> Callable[[Any], Any]:
    """`--seed`, a random number on every command."""
    return click.option("--seed", type=RandomSeed(), default=default, show_default=True, help=help)


def device_option(default: str = "cpu") -> Callable[[Any], Any]:
    """`--device`: "cpu" where a figure or table should come out the same on every machine, else "auto"."""
    return click.option(
        "--device", type=Device(), default=default, show_default=True,
        help="Where the networks run; auto: a CUDA device if there is one.",
    )  # fmt: skip


def dpi_option(default: int) -> Callable[[Any], Any]:
    """`--dpi` of a command that draws."""
    return click.option(
        "--dpi", type=click.IntRange(20, 2400), default=default, show_default=True, help="Pixels per inch."
    )


maps_option = click.option(
    "--maps", type=click.Path(path_type=Path), metavar="FILE",
    help="Also write the numbers behind the figure there: activations, reconstructions and inputs, as .npz or as a "
    "folder .zarr, with what each is in FILE.json.",
)  # fmt: skip
"""`--maps` of a command that draws."""


def folder_option(default: str) -> Callable[[Any], Any]:
    """`-o` of a command that leaves several files."""
    return click.option(
        "-o", "--output", type=click.Path(path_type=Path), default=default, show_default=True, help="Folder."
    )


runs_option = click.option(
    "--runs", type=click.Path(path_type=Path), default=Path("runs"), show_default=True, help="Folder of trained models."
)


def pair_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Any two networks in the place of a recipe, and replicates of the second."""
    for option in (
        click.option(
            "--replicate", "replicates", metavar="SPEC", multiple=True,
            help="A network made as --after was, with another seed; several times for several. "
            "A recipe's own are found.",
        ),
        click.option("--after", metavar="SPEC", help="What it became: a network of the same architecture."),
        click.option(
            "--before", metavar="SPEC", help=f"Instead of a recipe, any network: {MODEL_HELP}, with @FILE or @random."
        ),
    ):  # fmt: skip
        command = option(command)
    return command


def _joined(context: click.Context, argument: click.Parameter, value: tuple[str, ...]) -> str | None:
    """Recipes that were given with spaces, commas or both between, as one text with commas."""
    return ",".join(part for part in ",".join(value).replace(" ", ",").split(",") if part) or None


def recipes_argument(metavar: str) -> Callable[[Any], Any]:
    """The argument of recipes, with spaces or commas between; its name is `name`, and nothing given is None."""
    return click.argument("name", nargs=-1, metavar=metavar, callback=_joined)


MODELS = "scratch,texture,natural,two_stage"


def _all_of(context: click.Context, option: click.Parameter, value: tuple[tuple[str, ...], ...]) -> tuple[str, ...]:
    """The names of an option that was given several times, or of its default."""
    return tuple(name for names in value for name in names) or tuple(MODELS.split(","))


models_option = click.option(
    "--models", type=Names(), multiple=True, callback=_all_of, show_default=MODELS,
    help=f"With commas between, or given again, of one architecture: {MODEL_HELP}, with @FILE or @random behind a "
    "network.",
)  # fmt: skip

layers_option = click.option(
    "--layers", type=Names(), help="ReLU or other layers, with commas between; default: the architecture's own choice."
)

roi_option = click.option(
    "--roi", required=True, type=click.Path(path_type=Path), help="PNG, JPEG, TIFF or DICOM file."
)

hu_offset_option = click.option("--hu-offset", type=float, help="HU = pixel + offset, for unsigned 16-bit images.")

threads_option = click.option(
    "--threads",
    type=click.IntRange(1),
    help="Of the processor for torch; results repeat for one number on one processor. [default: torch's own]",
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def set_threads(threads: int | None) -> None:
    """Use so many threads; None leaves torch's own number."""
    import torch

    if threads is not None:
        torch.set_num_threads(threads)
