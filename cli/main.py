"""Entry point: finds the commands without importing what they need, and turns errors into one line and exit code 2."""

from __future__ import annotations

import importlib
import os
import re
import sys
import warnings
from typing import TYPE_CHECKING, Any

import click

from desali import __version__
from desali.errors import DesaliError, NotFiniteWarning
from desali.input.shadows import shadows
from desali.output.interrupts import remembered

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

PROGRAM = "desali"
COMPLETE_VARIABLE = "_DESALI_COMPLETE"
SECTIONS = {
    "Look into models": {
        "visualize": "Show what one model sees in an image, layer by layer.",
        "compare": "Show one image through all models side by side.",
        "grid": "Compare many images: a figure for each, and contact sheets.",
        "layers": "List a model's layers, as --layers names them.",
        "channels": "Show what channels look for, before and after a stage of training.",
        "lineage": "Follow every channel through training, stage by stage.",
        "selectivity": "Ask whether channels answer to edges or to patterns.",
    },
    "Train and evaluate": {
        "demo": "Train four models on synthetic data and compare them.",
        "train": "Train one recipe or all.",
        "evaluate": "Print how well the trained models classify.",
        "crossvalidate": "Train and predict fold by fold, every patient held out once.",
        "robustness": "Draw how metrics change with the share of training data.",
    },
    "Hand on": {
        "report": "Write results as one page that opens anywhere.",
        "explore": "Open a local page: click a neuron, see what it sees in every model.",
    },
    "Data": {
        "data": "Check data sets before a long run, and list the formats that are read.",
    },
    "Program": {
        "info": "Print versions, what was built and what is used.",
        "bench": "Measure the core against plain PyTorch and Captum.",
        "tune": "Measure which kernels are the fastest on this machine.",
        "completion": "Print the completion script of bash, zsh or fish.",
    },
}
COMMANDS = {name: text for section in SECTIONS.values() for name, text in section.items()}


class Commands(click.Group):
    """A group whose commands are imported when they are called; their one-line helps stand in `SECTIONS`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(importlib.import_module(f"desali.cli.{cmd_name}"), f"{cmd_name}_command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Suggest the nearest command for an unknown one, unless a shell is only completing."""
        if args and args[0] == "help" and not ctx.resilient_parsing:
            raise click.UsageError("`desali --help` lists the commands, `desali COMMAND --help` the options of one")
        if args and not args[0].startswith("-") and args[0] not in COMMANDS and not ctx.resilient_parsing:
            from desali.errors import UnknownNameError

            raise UnknownNameError("command", args[0], COMMANDS)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands from `SECTIONS`, without importing them, all descriptions in one column."""
        width = max(map(len, COMMANDS))
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), text) for name, text in commands.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Commands from `COMMANDS`, without importing them, and the program's own options."""
        from click.shell_completion import CompletionItem

        found = [CompletionItem(name, help=text) for name, text in COMMANDS.items() if name.startswith(incomplete)]
        return found + click.Command.shell_complete(self, ctx, incomplete)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name=PROGRAM)
def cli() -> None:
    """See what transfer learning changed inside a CNN.

    Not a medical device. Start with `desali demo`.
    """


def main(argv: list[str] | None = None) -> Any:
    """Run the command line; returns only by exiting.

    Exit codes: 0 done, 1 findings (`data check`), 2 bad input or use, 130 interrupted.
    """
    try:
        if hidden := shadows():
            raise DesaliError(hidden[0])
        with warnings.catch_warnings(), remembered():
            warnings.simplefilter("error", NotFiniteWarning)
            result = cli.main(args=argv, prog_name=PROGRAM, complete_var=COMPLETE_VARIABLE, standalone_mode=False)
    except (DesaliError, NotFiniteWarning) as error:
        _fail(str(error))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:  # of a path that no check foresaw
        _fail(f"{error.filename or 'a file'}: {error.strerror or error}; check the path")
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        sys.exit(0)
    except click.UsageError as error:
        _fail(with_remedy(error))
    except click.ClickException as error:
        _fail(error.format_message())
    except (click.Abort, KeyboardInterrupt):
        click.echo("desali: interrupted; the same command goes on where it stopped", err=True)
        sys.exit(130)
    sys.exit(result if isinstance(result, int) else 0)


def with_remedy(error: click.UsageError) -> str:
    """Click's message, with what to give for what is missing, and where the options are listed."""
    message = error.format_message().rstrip(".")
    parameter = getattr(error, "param", None)
    if isinstance(error, click.MissingParameter) and isinstance(parameter, click.Option) and error.ctx is not None:
        name, help = parameter.get_help_record(error.ctx) or ("", "")
        return f"{message}: give {name}. {help}"
    listed = "--help lists the options" if error.ctx is None else f"see `{error.ctx.command_path} --help`"
    plain = not isinstance(error, click.BadParameter) or isinstance(error, click.MissingParameter)
    if plain and type(error) is not click.UsageError and "Did you mean" not in message:
        return f"{message}; {listed}"
    if "unexpected extra argument" in message:
        return f"{message}: a value stands behind its option, several with commas between; {listed}"
    return message


PARAMETERS = (
    "box",
    "window",
    "hu_offset",
    "frame",
    "page",
    "device",
    "layers",
    "label",
    "weights",
    "runs",
    "images",
    "skip_unreadable",
    "only",
    "smooth",
    "random_networks",
    "max_bytes",
    "allow_missing",
    "num_classes",
    "model_output",
    "download",
    "output",
)
"""Parameters of the library that are options of the same name here."""
FLAGS = {"output": "--model-output"}
"""Flags of other names than the parameter's."""
_PARAMETER = re.compile(rf"(?<![\w.-])({'|'.join(PARAMETERS)})=(True\b)?(?=(\S)?)")


_METHOD = re.compile(r"(?:a )?(?:desali\.)?Method\(\.\.\., (\w+)=([^)]*)\)")
"""A method with one option, as messages of the library write it."""


_LAYERS = re.compile(r"name the layers for each, layers=\{.*?\}, or ")
"""What Python alone can say."""


def in_options(message: str) -> str:
    """A message of the library in the words of the command line: box=1,2,3 is --box 1,2,3."""

    def option(found: re.Match[str]) -> str:
        value = found[3] is not None and found[2] is None and found[3] not in ",;:)"
        flag = FLAGS.get(found[1], f"--{found[1].replace('_', '-')}")
        return f"{flag}{' ' if value else ''}"

    message = _LAYERS.sub("", message)

    def of_method(found: re.Match[str]) -> str:
        value = found[2].strip("[]'\"")
        return f"--{found[1]} {'NAME,...' if value == '...' else value}"

    return _PARAMETER.sub(option, _METHOD.sub(of_method, message))


def _fail(message: str) -> None:
    click.echo(f"desali: error: {' '.join(in_options(message).split())}", err=True)
    sys.exit(2)


if __name__ == "__main__":
    main()
