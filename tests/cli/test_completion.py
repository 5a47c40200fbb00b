"""Completion of commands, options and values, as a shell asks for it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from desali.cli.main import COMMANDS
from tests.cli.conftest import Result

BIN = str(Path(sys.executable).parent)
ENVIRONMENT = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}


def ask(shell: str, *words: str) -> list[str]:
    """What the program offers for the last of the words after `desali`."""
    line = " ".join(["desali", *words])
    asked = {"COMP_WORDS": line, "COMP_CWORD": words[-1] if shell == "fish" else str(len(words))}
    done = subprocess.run(
        [sys.executable, "-m", "desali.cli.main"],
        capture_output=True, text=True, timeout=60, check=False,
        env={**ENVIRONMENT, **asked, "_DESALI_COMPLETE": f"{shell}_complete"},
    )  # fmt: skip
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_commands_are_completed() -> None:
    assert ask("bash", "vis") == ["plain,visualize"]
    assert ask("bash", "") == [f"plain,{name}" for name in COMMANDS]
    assert ask("fish", "com") == [f"plain,{name}\t{COMMANDS[name]}" for name in ("compare", "completion")]
    assert ask("zsh", "evalu") == ["plain", "evaluate", COMMANDS["evaluate"]]


def test_options_of_a_command_and_their_values_are_completed() -> None:
    assert ask("bash", "compare", "--fro") == ["plain,--from"]
    assert {"plain,--device", "plain,--seed", "plain,--roi"} <= set(ask("bash", "compare", "--"))
    assert ask("bash", "visualize", "--method", "g") == ["plain,guided_backprop", "plain,gradient"]
    assert ask("bash", "visualize", "--from", "n") == ["plain,neuron:"]
    assert ask("bash", "grid", "--scale", "") == ["plain,panel", "plain,row"]
    assert ask("bash", "selectivity", "--device", "c") == ["plain,cpu", "plain,cuda"]
    assert ask("bash", "compare", "--roi", "") == ["file,"]
    assert ask("bash", "data", "che") == ["plain,check"]
    assert ask("bash", "completion", "") == ["plain,bash", "plain,zsh", "plain,fish"]


def test_a_word_that_is_no_command_breaks_nothing() -> None:
    assert ask("bash", "visualise", "--x") == [""]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_printed(desali: Callable[..., Result], shell: str) -> None:
    result = desali("completion", shell)
    assert result.code == 0, result.err
    assert f"_DESALI_COMPLETE={shell}_complete" in result.out
    assert result.out.count("desali") > 1


def test_another_shell_is_refused(desali: Callable[..., Result]) -> None:
    result = desali("completion", "pwsh")
    assert result.code == 2
    assert "'bash', 'zsh', 'fish'" in result.err
    assert len(result.err.splitlines()) == 1


def test_bash_itself_completes_with_the_script() -> None:
    script = (
        'eval "$(desali completion bash)"\n'
        "COMP_WORDS=(desali compare --fro); COMP_CWORD=2; _desali_completion desali\n"
        'echo "${COMPREPLY[@]}"\n'
        "complete -p desali\n"
    )
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, timeout=60, check=True, env=ENVIRONMENT
    )
    assert done.stdout.splitlines() == ["--from", "complete -o nosort -F _desali_completion desali"]
