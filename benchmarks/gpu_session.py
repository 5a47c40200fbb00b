"""Everything that has to be done once a machine with a GPU is at hand, in one call.

`python benchmarks/gpu_session.py FOLDER [--steps build,tests,...]` builds the core with CUDA, runs the GPU tests,
drives the kernels under compute-sanitizer, times each kernel, and runs `desali bench --device cuda`. What each step did
goes into FOLDER/session.json, rewritten after every step; a step that fails does not stop the others. The steps need
no network: torch, pytest, hypothesis, pybind11, cmake and nvcc must be there.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ("memcheck", "racecheck", "synccheck", "initcheck")
STEPS = ("machine", "build", "tests", "driver", "sanitizer", "kernels", "bench")


class Session:
    """Runs commands and keeps what came of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.steps: list[dict[str, Any]] = []
        folder.mkdir(parents=True, exist_ok=True)

    def note(self, name: str, **facts: Any) -> None:
        self.steps.append({"step": name, **facts})
        (self.folder / "session.json").write_text(json.dumps({"steps": self.steps}, indent=2) + "\n")
        outcome = facts.get("skipped") or f"exit status {facts.get('status', 0)}, {facts.get('seconds', 0)} s"
        print(f"{name}: {outcome}", flush=True)

    def run(self, name: str, *command: str, limit: float = 540, environment: dict[str, str] | None = None) -> bool:
        """True if the command ended well. Its whole output goes to FOLDER/NAME.log."""
        started = time.monotonic()
        log = self.folder / f"{name.replace(' ', '_')}.log"
        with log.open("w") as output:
            try:
                status: int | str = subprocess.run(
                    command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT, timeout=limit,
                    env={**os.environ, **(environment or {})},
                ).returncode  # fmt: skip
            except subprocess.TimeoutExpired:
                status = f"stopped after {limit:.0f} s"
            except FileNotFoundError as error:
                status = str(error)
        tail = log.read_text(errors="replace").splitlines()[-15:]
        seconds = round(time.monotonic() - started, 1)
        self.note(name, command=list(command), status=status, seconds=seconds, tail=tail)
        return status == 0


def machine(session: Session) -> None:
    query = "name,driver_version,memory.total,compute_cap"
    session.run("machine", "nvidia-smi", f"--query-gpu={query}", "--format=csv", limit=60)
    session.run("torch", sys.executable, "-c", "import torch; print(torch.__version__, torch.version.cuda)", limit=120)


def build(session: Session) -> None:
    """Through pip where its build backend is there, else with cmake into the checkout."""
    if importlib.util.find_spec("scikit_build_core") is not None:
        options = ["--no-build-isolation", "--no-deps", "--config-settings=cmake.define.DESALI_CUDA=ON"]
        pip = [sys.executable, "-m", "pip", "install", *options, "--editable", "."]
        session.run("build", *pip, environment={"DESALI_BUILD": "require"})
        return
    folder = str(ROOT / "build" / "gpu")
    options = ["-DDESALI_CUDA=ON", f"-DPython_EXECUTABLE={sys.executable}", "-DDESALI_CUDA_ARCHITECTURES=native"]
    if session.run("configure", "cmake", "-S", ".", "-B", folder, *options):
        session.run("build", "cmake", "--build", folder, "--parallel", str(os.cpu_count() or 1))


def tests(session: Session) -> None:
    report = session.folder / "tests.xml"
    report.unlink(missing_ok=True)
    session.run("tests", sys.executable, "-m", "pytest", "-q", "-m", "gpu", f"--junitxml={report}", "tests/gpu")
    if not report.is_file():
        return
    counts = dict(next(ElementTree.parse(report).iter("testsuite")).items())
    ran = int(counts["tests"]) - int(counts["skipped"])
    session.note("tests that ran", ran=ran, of=int(counts["tests"]), status=0 if ran else "every test was skipped")


def _driver_folder() -> Path:
    return Path(tempfile.gettempdir()) / "desali_cuda_driver"


def _driver() -> Path:
    return _driver_folder() / "csrc" / "tests" / "cuda_emulation" / "desali_cuda_driver"


def driver(session: Session) -> None:
    """The cases of the emulation, on the GPU."""
    options = ["-DDESALI_CUDA=ON", "-DDESALI_CUDA_DRIVER=ON", "-DDESALI_CUDA_ARCHITECTURES=native"]
    folder = str(_driver_folder())
    if not session.run("driver configure", "cmake", "-S", ".", "-B", folder, *options):
        return
    if session.run("driver build", "cmake", "--build", folder, "--parallel", str(os.cpu_count() or 1)):
        session.run("driver", str(_driver()), "60")


def sanitizer(session: Session) -> None:
    program = shutil.which("compute-sanitizer")
    if program is None or not _driver().is_file():
        missing = "compute-sanitizer is not on the PATH" if program is None else "the driver was not built"
        session.note("sanitizer", skipped=f"skipped: {missing}")
        return
    for tool in TOOLS:
        command = (program, "--tool", tool, "--error-exitcode", "9", str(_driver()), "4")
        session.run(f"sanitizer {tool}", *command)


def kernels(session: Session) -> None:
    session.run("kernels", sys.executable, "-m", "benchmarks.gpu_kernels", str(session.folder / "kernels.json"))


def bench(session: Session) -> None:
    """`desali bench --device cuda`; without the installed command the same through the benchmarks' own functions."""
    output = str(session.folder / "bench.json")
    beside = Path(sys.executable).with_name("desali")
    program = str(beside) if beside.is_file() else shutil.which("desali")
    if program is not None:
        session.run("bench", program, "bench", "--device", "cuda", "--output", output)
        return
    code = "import sys; from benchmarks import runner, stored; "
    code += "stored.save(sys.argv[1], runner.run(None, 'full', 'cuda', print))"
    session.run("bench", sys.executable, "-c", code, output)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the results go")
    parser.add_argument("--steps", default=",".join(STEPS), help=f"which of {', '.join(STEPS)}; default: all")
    arguments = parser.parse_args()
    wanted = arguments.steps.split(",")
    unknown = sorted(set(wanted) - set(STEPS))
    if unknown:
        parser.error(f"--steps has {', '.join(unknown)}, expected some of {', '.join(STEPS)}")
    session = Session(arguments.folder.resolve())
    for name in STEPS:
        if name in wanted:
            globals()[name](session)
    return 0 if all(step.get("status", 0) == 0 for step in session.steps) else 1


if __name__ == "__main__":
    sys.exit(main())
