"""One target in a process of its own: limited memory, an alarm for every input, counts that survive a crash."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import random
import resource
import signal
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

SECONDS = 20
"""An input that takes longer hangs."""
MEMORY = 2 << 30
"""Bytes beyond what the imports take."""
KEPT = 20
"""Failures of a target whose inputs are kept."""


class Hang(BaseException):
    """Raised by the alarm."""


def _alarm(number: int, frame: Any) -> None:
    raise Hang


def _where(error: BaseException) -> str:
    """Kind and innermost line of ours."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [one for one in frames if f"{os.sep}desali{os.sep}" in one.filename]
    last = (ours or frames)[-1]
    return f"{type(error).__name__} at {'/'.join(Path(last.filename).parts[-3:])}:{last.lineno}: {str(error)[:100]}"


def run_target(name: str, first: int, count: int, seed: int, folder: Path, state: Path, at: Any) -> None:
    """Inputs `first` to `first + count - 1` of one target; the counts are written to `state` as it goes."""
    import torch

    from desali.errors import DesaliError
    from tests.fuzz.ops import OPS
    from tests.fuzz.targets import TARGETS

    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    target = TARGETS.get(name)
    seeds = target.seeds(folder) if target else []
    if target:  # a valid file is read, and what is imported on the way is no answer to a file
        for data in seeds:
            (folder / target.file).write_bytes(data)
            with contextlib.suppress(*target.expected):
                target.read(folder / target.file)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # what libraries in C print
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, resource.RLIM_INFINITY))
    signal.signal(signal.SIGALRM, _alarm)
    counts: Counter[str] = Counter()
    failures: Counter[str] = Counter()
    slowest, begun = 0.0, time.monotonic()

    def write(done: int) -> None:
        usage = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        facts = {"done": done, "counts": counts, "failures": failures, "slowest": slowest, "rss_kib": usage,
                 "seconds": time.monotonic() - begun}  # fmt: skip
        state.with_suffix(".new").write_text(json.dumps(facts))
        state.with_suffix(".new").replace(state)

    for number in range(first, first + count):
        rng = random.Random(f"{name} {seed} {number}")
        data, expected = b"", (DesaliError,)
        if target:
            data = target.mutate(rng, rng.choice(seeds), seeds)
            expected = target.expected  # type: ignore[assignment]
            (folder / target.file).write_bytes(data)
        else:
            expected = (DesaliError, ValueError, TypeError)  # type: ignore[assignment]
            torch.manual_seed(number)
        at.value = number
        start = time.monotonic()
        signal.alarm(SECONDS)
        try:
            target.read(folder / target.file) if target else OPS[name](rng)
            outcome = "read"
        except expected as error:
            outcome = "refused"
            if not str(error).strip() or (target and len(str(error).splitlines()) > 1):
                outcome = f"message of no or several lines: {_where(error)}"
        except Hang as error:
            outcome = f"hang: {_where(error)}"
        except (MemoryError, RuntimeError) as error:  # of torch and of the core, for results of terabytes
            no_memory = not target and (isinstance(error, MemoryError) or "allocate memory" in str(error))
            outcome = "refused" if no_memory else f"traceback: {_where(error)}"
        except BaseException as error:
            outcome = f"traceback: {_where(error)}"
        finally:
            signal.alarm(0)
        slowest = max(slowest, time.monotonic() - start)
        counts[outcome if outcome in ("read", "refused") else "failed"] += 1
        if outcome not in ("read", "refused"):
            failures[outcome] += 1
            if sum(failures.values()) <= KEPT:
                kept = state.parent / f"{state.stem}-{number}.bin"
                kept.write_bytes(data)
        if number % 200 == 199 or outcome not in ("read", "refused"):
            write(number + 1 - first)
    write(count)


def fuzz(name: str, first: int, count: int, seed: int, log: Path) -> dict[str, Any]:
    """One target to its end; a crash or a hang inside a library is counted, and the next input goes on."""
    import tempfile

    stem = "".join(letter if letter.isalnum() else "-" for letter in name)
    state = log / f"{stem}.state"
    total: Counter[str] = Counter()
    failures: Counter[str] = Counter()
    slowest, memory, begun, done = 0.0, 0, time.monotonic(), 0
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        at = multiprocessing.get_context("fork").Value("q", -1)
        while done < count:
            state.unlink(missing_ok=True)
            process = multiprocessing.get_context("fork").Process(
                target=run_target, args=(name, first + done, count - done, seed, Path(folder), state.resolve(), at)
            )
            process.start()
            at.value = last = -1
            since = time.monotonic()
            while process.is_alive():
                process.join(1)
                now = at.value
                if now != last:
                    last, since = now, time.monotonic()
                elif time.monotonic() - since > 6 * SECONDS and last >= 0:  # no alarm is heard inside a library
                    process.kill()
            facts = json.loads(state.read_text()) if state.exists() else {"done": 0}
            if process.exitcode and at.value < 0:
                raise SystemExit(f"{name}: does not begin (exit code {process.exitcode})")
            if not process.exitcode:
                done = count
            total.update(facts.get("counts", {}))
            failures.update(facts.get("failures", {}))
            slowest, memory = max(slowest, facts.get("slowest", 0)), max(memory, facts.get("rss_kib", 0))
            if process.exitcode:
                total["failed"] += 1
                failures[f"crash or hang inside a library (exit code {process.exitcode}) at input {at.value}"] += 1
                lost = at.value - first - done - facts["done"]
                total["read or refused, lost by a crash"] += max(0, lost)
                done = at.value - first + 1
    state.unlink(missing_ok=True)
    return {
        "target": name, "seed": seed, "first": first, "inputs": sum(total.values()), "read": total["read"],
        "refused": total["refused"], "failed": total["failed"], "failures": dict(failures), "slowest_seconds": slowest,
        "peak_mib": memory >> 10, "seconds": time.monotonic() - begun,
    }  # fmt: skip
