"""One process a folder, temporary files of killed processes, and Ctrl-C that is never lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from desali.errors import OutputError
from desali.output import files
from desali.output.files import atomic_path, own_mark, write_text
from desali.output.interrupts import check, remembered
from desali.output.lock import locked

HOLD = """
import sys, time
from pathlib import Path
from desali.output.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""
KILLED = """
import sys, time
from desali.output.files import atomic_path
with atomic_path(sys.argv[1]) as temporary:
    temporary.write_bytes(b"half")
    print(temporary, flush=True)
    time.sleep(60)
"""


def started(code: str, path: Path) -> tuple[subprocess.Popen[str], str]:
    process = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def test_a_second_process_is_refused_and_a_killed_one_holds_nothing(tmp_path: Path) -> None:
    process, said = started(HOLD, tmp_path)
    try:
        assert said == "held"
        holder = rf"another process works there \(process {process.pid}"
        with pytest.raises(OutputError, match=holder), locked(tmp_path):
            pass
        with locked(tmp_path, "seed1"):  # another part
            pass
    finally:
        process.kill()
        process.communicate()
    with locked(tmp_path):
        assert list(tmp_path.iterdir())
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_holds_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with locked(tmp_path / "file" / "below"):
        pass


def test_what_a_killed_process_left_goes_with_the_next_one(tmp_path: Path) -> None:
    process, name = started(KILLED, tmp_path / "a.png")
    foreign = [tmp_path / ".a.desali-00000000-1-x.png", tmp_path / ".hidden", tmp_path / ".a.xyz.png"]
    for path in foreign:
        path.touch()
    write_text(tmp_path / "b.txt", "b")
    assert Path(name).is_file(), "its process is alive"
    process.kill()
    process.communicate()
    files._looked.clear()
    write_text(tmp_path / "b.txt", "b")
    assert not Path(name).exists()
    assert all(path.exists() for path in foreign)


def test_own_temporary_files_are_never_removed(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "a.txt") as temporary:
        assert own_mark() in temporary.name
        files._looked.clear()
        write_text(tmp_path / "b.txt", "b")
        assert temporary.exists()
        temporary.write_text("a")
    assert (tmp_path / "a.txt").read_text() == "a"


def test_an_interruption_that_is_swallowed_is_raised_after_all() -> None:
    def swallow() -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)
        except KeyboardInterrupt:
            pass

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), remembered():
        swallow()
    with remembered():
        swallow()
        with pytest.raises(KeyboardInterrupt):
            check()
    assert signal.getsignal(signal.SIGINT) is before
    check()
    with remembered():
        check()
