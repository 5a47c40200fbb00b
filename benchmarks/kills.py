"""Commands killed with SIGKILL at random moments and started again until they are done: is anything lost?

`python -m benchmarks.kills --kills 50 --log build/kills`. Each command works on tiny data. What it ends with after the
kills is compared with what it makes uninterrupted: weights, predictions, figures and tables, byte for byte. Temporary
files and locks must be gone, and no run may print a traceback.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

SIDE = 64
TRAINING = ["--device", "cpu", "--epochs", "5", "--batch-size", "8", "--threads", "1"]


@dataclass(frozen=True)
class Command:
    """What is killed.

    Attributes:
        name: in the table.
        arguments: of `desali`, given the output folder.
        results: what must be equal at the end, given that folder.
    """

    name: str
    arguments: Callable[[Path], list[str]]
    results: Callable[[Path], dict[str, Any]]


def images(folder: Path, seed: int, each: int) -> Path:
    """An image folder of two classes, a patient a class and number."""
    from PIL import Image

    rng = np.random.default_rng(seed)
    for label, step in (("fine", 4), ("coarse", 16)):
        for number in range(each):
            home = folder / label / f"p{number % 4}"
            home.mkdir(parents=True, exist_ok=True)
            stripes = (np.arange(SIDE) // step % 2 * 120)[:, None] + rng.integers(0, 90, (SIDE, SIDE))
            Image.fromarray(stripes.astype(np.uint8)).save(home / f"{number}.png")
    return folder


def run(arguments: Sequence[str], output: Path, after: float | None = None) -> tuple[int, float]:
    """Run `desali` in a forked process; kill it after so many seconds. Returns exit code (-9: killed) and seconds."""
    begun = time.monotonic()
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, 1)
        os.dup2(file, 2)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        code = 70
        try:
            from desali.cli.main import main

            main(list(arguments))
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(code)
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        if after is not None and time.monotonic() - begun > after:
            os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
            break
        time.sleep(0.002)
    return os.waitstatus_to_exitcode(status), time.monotonic() - begun


def trained(folder: Path) -> dict[str, Any]:
    """Weights and history of a training."""
    return {name: (folder / "scratch" / name).read_bytes() for name in ("model.safetensors", "history.csv")}


def predicted(folder: Path) -> dict[str, Any]:
    """Pooled probabilities and the table of a cross-validation."""
    from desali.evaluation.bundle import load_trainings

    found = load_trainings(folder / "predictions.npz")[0][1.0]
    return {
        "probabilities": [one.probabilities.tobytes() for one in found],
        "table": (folder / "evaluation.csv").read_bytes(),
    }


def drawn(folder: Path) -> dict[str, Any]:
    """Every picture of a grid."""
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.png"))}


def followed(folder: Path) -> dict[str, Any]:
    """The table of a lineage, and its figures' names."""
    return {
        "table": (folder / "lineage.csv").read_bytes(),
        "files": sorted(path.name for path in folder.iterdir() if not path.name.startswith(".")),
    }


def commands(folder: Path) -> list[Command]:
    """The four commands, and what they need, made in the folder."""
    spec = f"folder:{images(folder / 'images', 0, 16)}?patient=folder"
    other = images(folder / "other", 1, 20)
    train = ["train", "scratch", "--target", spec, "--cache", str(folder / "cache"), *TRAINING]
    for seed in ("1", "2"):
        code, _ = run([*train, "--seed", seed, "--runs", str(folder / f"given{seed}")], folder / "given.log")
        if code:
            raise SystemExit((folder / "given.log").read_text()[-2000:])
    before, after = (str(folder / f"given{seed}" / "scratch") for seed in ("1", "2"))
    small = images(folder / "few", 2, 3)
    return [
        Command("train", lambda out: [*train, "--runs", str(out)], trained),
        Command(
            "crossvalidate",
            lambda out: [
                "crossvalidate", "scratch", "--target", spec, "--folds", "3", "--cache", str(folder / "cache"),
                "--no-plots", "-o", str(out), *TRAINING, "--epochs", "2",
            ],
            predicted,
        ),
        Command("grid", lambda out: ["grid", "--rois", str(small), "--models", before, "-o", str(out)], drawn),
        Command(
            "lineage",
            lambda out: [
                "lineage", "--before", before, "--after", after, "--images", f"folder:{other}?patient=folder",
                "--random-networks", "1", "--allow-training-images", "--device", "cpu", "-o", str(out),
            ],
            followed,
        ),
    ]  # fmt: skip


def differences(found: dict[str, Any], expected: dict[str, Any]) -> list[str]:
    """Names of what is missing, surplus or different."""
    return [name for name in sorted({*found, *expected}) if found.get(name) != expected.get(name)]


def leftovers(folder: Path) -> list[str]:
    """Temporary files, locks and states of unfinished work."""
    names = [path.name for path in folder.rglob("*") if path.is_file()]
    return [name for name in names if name.startswith(".") or name.endswith(".ckpt")]


def killed(command: Command, kills: int, seed: int, folder: Path) -> dict[str, Any]:
    """Kill a command so many times, over as many rounds as that takes."""
    rng = random.Random(f"{command.name} {seed}")
    log = folder / f"{command.name}.log"
    for _ in range(2):  # the second time nothing is read or imported for the first time
        shutil.rmtree(folder / f"{command.name}-whole", ignore_errors=True)
        code, seconds = run(command.arguments(folder / f"{command.name}-whole"), log)
        if code:
            raise SystemExit(f"{command.name}: exit code {code}\n{log.read_text()[-2000:]}")
    expected = command.results(folder / f"{command.name}-whole")
    hit = lost = left = rounds = failed = 0
    said: list[str] = []
    while hit < kills:
        rounds += 1
        output = folder / f"{command.name}-{rounds}"
        for _ in range(rng.randint(3, 8)):
            if hit == kills:
                break
            code, _ = run(command.arguments(output), log, rng.uniform(0.05, 0.9) * seconds)
            hit += code == -signal.SIGKILL
            failed += code not in (0, -signal.SIGKILL)
            if code == 0:
                break
        code, _ = run(command.arguments(output), log)
        failed += code != 0
        wrong = differences(command.results(output), expected) if code == 0 else [f"exit code {code}"]
        stays = leftovers(output)
        lost, left = lost + bool(wrong), left + len(stays)
        said += [f"round {rounds}: {one}" for one in (*wrong, *stays)]
        shutil.rmtree(output, ignore_errors=True)
    text = log.read_text(errors="replace")
    for one in said:
        print(f"  {one}", flush=True)
    if failed:
        print(text[-1500:], flush=True)
    return {
        "command": command.name, "kills": hit, "hit": hit, "rounds": rounds, "lost": lost, "left": left,
        "tracebacks": text.count("Traceback (most recent call last)") + failed, "seconds_uninterrupted": seconds,
        "seed": seed, "said": said,
    }  # fmt: skip


def main() -> int:
    """Kill the commands and write a line of JSON for each."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=50, help="of each command, while it works")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", default=None, help="commands")
    parser.add_argument("--log", type=Path, default=Path("build/kills"))
    asked = parser.parse_args()
    # Imported once, so that what is killed is the work and not the import.
    for module in ("lightning", "matplotlib.pyplot", "desali.cli.main", "desali.training.fit", "desali.figures.viewer"):
        importlib.import_module(module)
    import torch

    torch.set_num_threads(1)
    asked.log.mkdir(parents=True, exist_ok=True)
    bad = 0
    with tempfile.TemporaryDirectory() as home, (asked.log / "log.jsonl").open("a", encoding="utf-8") as file:
        os.environ["DESALI_CACHE"] = f"{home}/user"
        for command in commands(Path(home)):
            if asked.only and command.name not in asked.only:
                continue
            found = killed(command, asked.kills, asked.seed, Path(home))
            bad += found["lost"] + found["left"] + found["tracebacks"]
            print(json.dumps(found), file=file, flush=True)
            print(f"{found['command']}: {found['kills']} kills in {found['rounds']} rounds, {found['lost']} lost, "
                  f"{found['left']} files left, {found['tracebacks']} tracebacks", flush=True)  # fmt: skip
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
