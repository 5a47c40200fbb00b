"""Lines of shell as the pages show them: split into words, and `desali` checked against the real commands."""

from __future__ import annotations

import re
import shlex

import click

_VARIABLE = re.compile(r"[A-Z_]+=")


def commands(content: str) -> list[list[str]]:
    """The words of each line; what goes on after a backslash is joined, comments, variables and pipes are left out."""
    lines = content.replace("\\\n", " ").split("\n")
    found = []
    for line in lines:
        words = shlex.split(line, comments=True)
        while words and _VARIABLE.match(words[0]):
            words = words[1:]
        for sign in (">", ">>", "|"):
            words = words[: words.index(sign)] if sign in words else words
        if words:
            found.append(words)
    return found


def check(words: list[str]) -> None:
    """Parse one `desali` line without running it; a CUDA device need not be there.

    Raises:
        click.ClickException, desali.DesaliError: no such command or option, or a value that does not fit.
    """
    from desali.cli.main import cli

    command: click.Command = cli
    context = None
    device = re.compile(r"^cuda(:\d+)?$")
    name, rest = words[0], ["cpu" if device.match(word) else word for word in words[1:]]
    try:
        while True:
            context = command.make_context(name, list(rest), parent=context)
            if not isinstance(command, click.Group):
                return
            found, sub, rest = command.resolve_command(context, [*context._protected_args, *context.args])
            assert found is not None
            assert sub is not None
            name, command = found, sub
    except click.exceptions.Exit:  # --help, --version
        return
