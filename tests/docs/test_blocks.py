"""Every block of code in the README and the documentation is run or, where that is too much, checked."""

from __future__ import annotations

import contextlib
import io
import linecache
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

from desali.cli.main import main
from tests.conftest import ROOT
from tests.docs.pages import Block, blocks, pages
from tests.docs.shell import check, commands

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

RUN_WHOLE = ("docs/tutorial.md",)
"""Pages whose shell lines are run, one after the other with their Python."""
CHEAP = {("info",), ("info", "--json"), ("data", "readers"), ("--help",), ("compare", "--help")}
"""Lines of `desali` that are run on every page."""
NOT_RUN: dict[str, list[str]] = {}
"""What pages say that they do not run, and why; a block that is marked and not listed here is an error."""
LANGUAGES = {"python", "sh", "toml", "text", "bibtex", "setup"}
OTHERS = {"echo", "git", "cd", "cmake", "torchrun"}
"""Programs of others that a line may start with; what follows is not checked."""


def _python(block: Block, namespace: dict[str, Any]) -> None:
    source, name = "\n" * (block.line - 1) + block.content, f"<{block.page}>"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)  # for those who read the source
    code = compile(source, name, "exec", dont_inherit=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)
        exec(code, namespace)


def _shell(block: Block, folder: Path) -> None:
    for words in commands(block.content):
        where = f"{block.where}: {' '.join(words)}"
        match words:
            case ["desali", *rest]:
                try:
                    check(words)
                except Exception as error:
                    pytest.fail(f"{where}: {error}")
                if tuple(rest) in CHEAP:
                    _run(where, " ".join(words), folder)
            case ["make", *targets]:
                known = {line.partition(":")[0] for line in (ROOT / "Makefile").read_text().splitlines() if ":" in line}
                for target in (word for word in targets if "=" not in word):
                    assert target in known, f"{where}: no target {target} in the Makefile"
            case ["pip", "install", *rest] | ["python", "-m", "pip", "install", *rest]:
                _extras(where, rest)
            case ["python", "-m", module, *_]:
                assert (ROOT / f"{module.replace('.', '/')}.py").is_file() or module == "venv", (
                    f"{where}: no such module"
                )
            case ["python" | "pytest", file, *_]:
                assert (ROOT / file).exists(), f"{where}: no such file"
            case [program, *_]:
                built = program.startswith("build/")
                assert program in OTHERS or built, f"{where}: unknown program; list it, or mark the block as text"


def _run(where: str, script: str, folder: Path) -> None:
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-ec", script], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{where}: {done.stdout}\n{done.stderr}"


def _run_here(block: Block) -> None:
    """Run lines of `desali` in this process, which has imported what takes seconds."""
    for words in commands(block.content):
        assert words[0] == "desali", f"{block.where}: run {words[0]} another way"
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as stopped:
            main(words[1:])
        assert not stopped.value.code, f"{block.where}: {out.getvalue()}\n{err.getvalue()}"


def _extras(where: str, words: list[str]) -> None:
    """Extras that a line of pip names must be the project's."""
    known = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    for word in words:
        _, bracket, rest = word.partition("[")
        if bracket:
            for extra in rest.rstrip("]").split(","):
                assert extra in known, f"{where}: pyproject.toml has no extra {extra}"


@pytest.mark.parametrize("page", pages())
def test_a_page_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    namespace: dict[str, Any] = {"__name__": "page"}
    for block in blocks(page):
        if block.file is not None:
            (tmp_path / block.file).write_text(block.content, encoding="utf-8")
        match block.language:
            case "python" | "setup" if block.not_run is None:
                try:
                    _python(block, namespace)
                except Exception as error:
                    pytest.fail(f"{block.where}: {type(error).__name__}: {error}")
            case "python":
                compile(block.content, block.where, "exec")
            case "sh":
                _shell(block, tmp_path)
                if page in RUN_WHOLE and block.not_run is None:
                    _run_here(block)
            case "toml":
                tomllib.loads(block.content)


@pytest.mark.parametrize("page", pages())
def test_a_block_says_what_it_is(page: str) -> None:
    for block in blocks(page):
        assert block.language in LANGUAGES, f"{block.where}: unknown language {block.language!r}"
        if block.language == "text":
            first = block.content.split()[:1]
            assert first not in (["desali"], ["python"], ["pip"], ["make"], ["import"]), f"{block.where}: mark it"


def test_what_is_not_run_is_listed() -> None:
    found: dict[str, list[str]] = {}
    for page in pages():
        for block in blocks(page):
            if block.not_run is not None:
                found.setdefault(page, []).append(block.not_run)
    assert found == NOT_RUN


def test_the_checks_can_fail(tmp_path: Path) -> None:
    for line in (
        "desali compare --no-such-option", "desali nothing", "desali visualize", "make nothing",
        "pip install '.[nothing]'", "python -m benchmarks.nothing", "python docs/nothing.py", "nothing at all",
    ):  # fmt: skip
        with pytest.raises((AssertionError, pytest.fail.Exception)):
            _shell(Block("page.md", 1, "sh", line), tmp_path)
    with pytest.raises(ZeroDivisionError):
        _python(Block("page.md", 3, "python", "1 / 0"), {})
