"""`desali bench`: measure desali against PyTorch and Captum, from a source checkout."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import time
from pathlib import Path
from types import ModuleType

import click

from desali.cli.parameters import device_option
from desali.errors import DesaliError
from desali.output.files import check_writable

LEVELS = {"avx512": ("AVX512_CORE", "avx512"), "avx2": ("AVX2", "avx2"), "portable": ("SSE41", "default")}
"""By instruction set: what oneDNN and PyTorch call it."""

BUSY = 0.5
"""Load above which times say little."""


def _checkout() -> Path:
    """The folder that holds `benchmarks`: the one this file was installed from, else the current one.

    Raises:
        DesaliError: neither is a source checkout.
    """
    for folder in (Path(__file__).resolve().parent.parent, Path.cwd()):
        if (folder / "benchmarks" / "runner.py").is_file() and (folder / "csrc").is_dir():
            return folder
    raise DesaliError(
        "the benchmarks are not part of the installed package: run `desali bench` inside a source checkout of desali"
    )


def _module(name: str) -> ModuleType:
    """A module of `benchmarks`."""
    folder = str(_checkout())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    return importlib.import_module(f"benchmarks.{name}")


def _use(device: str) -> str:
    """Make the device current and return its kind, "cpu" or "cuda"."""
    import torch

    from desali.ops.device import on_gpu, resolve

    where = resolve(device)
    if on_gpu(where):
        torch.cuda.set_device(where)
    return where.type


def _hold(level: str) -> None:
    """Hold desali, oneDNN and PyTorch to an instruction set, as on a processor that has no better one.

    Raises:
        DesaliError: PyTorch is loaded already, and has chosen.
    """
    if "torch" in sys.modules:
        raise DesaliError(
            f"--simd {level}: PyTorch is loaded and has chosen its instructions; run `desali bench` by itself"
        )
    onednn, torch = LEVELS[level]
    os.environ.update(DESALI_SIMD=level, ONEDNN_MAX_CPU_ISA=onednn, ATEN_CPU_CAPABILITY=torch)


def _load() -> float:
    """The load of the last minute; 0 on a system that tells none."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


def _wait_for_quiet() -> None:
    """Until the load of the last minute is at most `BUSY`."""
    said = False
    while _load() > BUSY:
        if not said:
            click.echo(f"waiting until the machine's load is at most {BUSY}", err=True)
        said = True
        time.sleep(2)


def _check_quiet() -> None:
    """Refuse to measure beside other work.

    Raises:
        DesaliError: the load of the last minute is above `BUSY`.
    """
    load = _load()
    if load > BUSY:
        raise DesaliError(
            f"the machine is not quiet: its load was {load:.1f} in the last minute, at most {BUSY} is measured beside; "
            "wait, stop other programs, or say --noisy to measure all the same (the tables then say so)"
        )


@click.command()
@click.option("--quick", is_flag=True, help="A reduced set, under two minutes; needs no quiet machine.")
@click.option("--cases", help="Names with commas between; default: all.")
@click.option("--noisy", is_flag=True, help=f"Measure above a load of {BUSY} too; the tables say so.")
@click.option("--wait", is_flag=True, help=f"Wait until the load is at most {BUSY}.")
@click.option(
    "--simd",
    type=click.Choice(list(LEVELS)),
    help="Hold desali, oneDNN and PyTorch to an instruction set; default: the processor's best.",
)
@device_option()
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="JSON file; default benchmarks/results/DEVICE[-SIMD][-quick][-CASES].json of the checkout.",
)
def bench_command(
    quick: bool, cases: str | None, noisy: bool, wait: bool, simd: str | None, device: str, output: Path | None
) -> None:
    """Time every case against its baselines, losses first, and write the timings as JSON.

    Before anything is timed, all candidates of a case must agree; if not, the run fails and writes nothing.
    """
    if wait:
        _wait_for_quiet()
    if not (quick or noisy):
        _check_quiet()
    if simd is not None:
        _hold(simd)
    runner = _module("runner")
    if importlib.util.find_spec("captum") is None:
        raise DesaliError("the benchmarks need the package 'captum': run pip install -e '.[dev]' in the checkout")
    names = None if cases is None else [name.strip() for name in cases.split(",") if name.strip()]
    kind = _use(device)
    target = output or runner.default_output(names, kind, quick)
    check_writable(target)
    measured = runner.run(names, "quick" if quick else "full", kind, lambda text: click.echo(text, err=True))
    _module("stored").save(target, measured)
    if any(result["kind"] != "curve" for result in measured["results"]):
        click.echo(_module("summary").render([measured]))
    click.echo(_module("table").render(measured))
    click.echo(f"written to {target}", err=True)
