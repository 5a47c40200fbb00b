"""`desali completion`: the script that lets a shell complete commands, options and values."""

from __future__ import annotations

import click

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
def completion_command(shell: str) -> None:
    """Print the completion script of a shell.

    \b
    bash: echo 'eval "$(desali completion bash)"' >> ~/.bashrc
    zsh:  echo 'eval "$(desali completion zsh)"' >> ~/.zshrc
    fish: desali completion fish > ~/.config/fish/completions/desali.fish

    Then open a new shell.
    """
    from click.shell_completion import get_completion_class

    from desali.cli.main import COMPLETE_VARIABLE, PROGRAM, cli

    kind = get_completion_class(shell)
    assert kind is not None  # click knows all of SHELLS
    click.echo(kind(cli, {}, PROGRAM, COMPLETE_VARIABLE).source())
