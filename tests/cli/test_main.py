"""The entry point: help without heavy imports, unknown commands, `info`."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from desali.cli.main import COMMANDS, SECTIONS, cli
from tests.cli.conftest import Result

Run = Callable[..., Result]
ROOT = Path(__file__).parents[2]


def test_help_and_registries_import_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "import desali, desali.reversal.methods, desali.reversal.seeds\n"
        "import desali.models.registry, desali.training.recipes\n"
        "from desali.cli.main import main\n"
        "try:\n    main(['--help'])\n"
        "except SystemExit:\n    pass\n"
        "heavy = {'torch', 'numpy', 'scipy', 'matplotlib', 'lightning', 'pydicom', 'sklearn'} & set(sys.modules)\n"
        "print('HEAVY', sorted(heavy))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "HEAVY []"
    assert "visualize" in done.stdout


def test_help_lists_every_command_once_in_sections(desali: Run) -> None:
    text = desali("--help").out
    places = [text.index(f"\n{title}:\n") for title in SECTIONS]
    assert places == sorted(places)
    for name in COMMANDS:
        assert len([line for line in text.splitlines() if line.startswith(f"  {name} ")]) == 1


def test_help_is_there_in_half_a_second() -> None:
    times = []
    for _ in range(3):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "desali.cli.main", "--help"], capture_output=True, check=True, timeout=60)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.5


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_help_and_is_documented(desali: Run, name: str) -> None:
    result = desali(name, "--help")
    assert result.code == 0
    assert len(result.out) > 150
    command = cli.get_command(None, name)  # type: ignore[arg-type]
    assert command is not None
    assert command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{name}: {parameter.name} has no help"
    assert f"`desali {name}" in (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")


def test_an_unknown_command_suggests_the_nearest(desali: Run) -> None:
    result = desali("visualise")
    assert result.code == 2
    assert "did you mean 'visualize'" in result.err


def test_info_says_what_is_used(desali: Run) -> None:
    facts = json.loads(desali("info", "--json").out)
    assert facts["packages"]["torch"]
    assert isinstance(facts["core"]["native"], bool)
    if not facts["core"]["native"]:
        assert facts["core"]["reason"], "without the core, info says why"
    text = desali("info").out
    if facts["core"]["native"] and not facts["core"]["cuda_built"]:
        assert f"CUDA: {facts['core']['cuda']}" in text
        assert facts["core"]["cuda"].startswith("not built (")
        assert text.count(facts["core"]["cuda_reason"]) == 1, "once is enough"
    assert "torch" in text
    assert "native" in text


@pytest.mark.parametrize(
    ("python", "here"),
    [
        ("a.dcm: box=1,2,3 (Y,X,SIZE) lies outside", "a.dcm: --box 1,2,3 (Y,X,SIZE) lies outside"),
        ("name a device where copies are run (device=)", "name a device where copies are run (--device)"),
        ("pass hu_offset= (HU = pixel + offset)", "pass --hu-offset (HU = pixel + offset)"),
        ("such files are left out with skip_unreadable=True", "such files are left out with --skip-unreadable"),
        ("name a file (weights=FILE or x@FILE)", "name a file (--weights FILE or x@FILE)"),
        ("hu_offset=nan: expected", "--hu-offset nan: expected"),
        ("with a desali.Method(..., only=[...]) and a.box=3", "with --only NAME,... and a.box=3"),
        ("pass a desali.Method(..., smooth='gradient')", "pass --smooth gradient"),
    ],
)
def test_messages_name_the_option_of_a_parameter(python: str, here: str) -> None:
    from desali.cli.main import in_options

    assert in_options(python) == here


@pytest.mark.parametrize("package", ["desali", *(f"desali.{room}" for room in (
    "data", "evaluation", "experiments", "models", "ops", "training"))])  # fmt: skip
def test_names_are_imported_when_they_are_first_used(package: str) -> None:
    code = (
        f"import sys, {package} as room\n"
        "assert 'torch' not in sys.modules, 'import desali stays lazy'\n"
        "names = [name for name in room.__all__ if not name.startswith('__')]\n"
        "assert names and set(names) <= set(dir(room))\n"
        "for name in names: assert getattr(room, name) is getattr(room, name)\n"
        "assert not hasattr(room, 'no_such_name')\n"
        "try: room.no_such_name\n"
        "except AttributeError as error: said = str(error)\n"
        "assert said == f\"module '{room.__name__}' has no attribute 'no_such_name'\"\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
