"""Everything that has to be done once a machine with a GPU is at hand, in one call.

`python benchmarks/gpu_session.py FOLDER [--steps build,tests,...]` looks what is there, builds the core with CUDA, runs
the GPU tests, drives the kernels under compute-sanitizer, times each kernel, compares sweeps with and without a CUDA
graph, and runs every case of `desali bench --device cuda`. What each step did goes into FOLDER/session.json, rewritten
after every step; a step that fails does not stop the others. No network is needed; the step "needs" names what is
missing, and what cannot be done for that. All of it takes longer than ten minutes: `--steps` and `--quick` cut it up.
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
STEPS = ("machine", "needs", "build", "tests", "driver", "sanitizer", "kernels", "graphs", "bench")
# What is needed: where to look for it, and for what.
PACKAGES = {
    "torch": "everything",
    "numpy": "the tests and the benchmarks",
    "pybind11": "the build",
    "scikit_build_core": "a build through pip (without it: by cmake, into the checkout)",
    "pytest": "the tests",
    "hypothesis": "the tests",
    "captum": "one baseline of the benchmarks (without it: noted as not installed)",
}
OPTIONAL_PACKAGES = ("scikit_build_core", "captum")
PROGRAMS = {
    "nvcc": "the build and the driver",
    "cmake": "the build and the driver",
    "ninja": "a quicker build (without it: make)",
    "nvidia-smi": "the driver's version",
    "compute-sanitizer": "the step sanitizer",
}
ON_A_GPU = ("tests", "sanitizer", "kernels", "graphs", "bench")
CASES = ("neurons", "top9", "layer", "conv1", "bandwidth", "memory", "record", "layers", "figure", "drawn", "scaling")
OPTIONAL_PROGRAMS = ("ninja", "nvidia-smi", "compute-sanitizer")


class Session:
    """Runs commands and keeps what came of them."""

    def __init__(self, folder: Path, quick: bool = False) -> None:
        self.folder = folder
        self.quick = quick
        self._reason: str | None = None
        self.steps: list[dict[str, Any]] = []
        folder.mkdir(parents=True, exist_ok=True)

    def reason_against_a_gpu(self) -> str | None:
        """None if torch can use a GPU here, else what it says."""
        if self._reason is None:
            code = "import torch; torch.zeros(1, device='cuda')"
            tried = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=self.folder)
            lines = tried.stderr.strip().splitlines() or ["no message"]
            self._reason = "" if tried.returncode == 0 else lines[-1][:200]
        return self._reason or None

    def note(self, name: str, **facts: Any) -> None:
        self.steps.append({"step": name, **facts})
        (self.folder / "session.json").write_text(json.dumps({"steps": self.steps}, indent=2) + "\n")
        outcome = facts.get("skipped") or facts.get("status", 0)
        if isinstance(outcome, int):
            outcome = f"exit status {outcome}, {facts.get('seconds', 0)} s"
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


def needs(session: Session) -> None:
    """What is there, and what is missing and for what."""
    lacks = {name: use for name, use in PACKAGES.items() if importlib.util.find_spec(name) is None}
    lacks |= {name: use for name, use in PROGRAMS.items() if _program(name) is None}
    reason = session.reason_against_a_gpu()
    if reason is not None:
        lacks["a GPU that torch can use"] = f"all but the builds: {reason}"
    optional = {*OPTIONAL_PACKAGES, *OPTIONAL_PROGRAMS}
    hard = [name for name in lacks if name not in optional]
    status = f"missing: {', '.join(f'{name} (for {use})' for name, use in lacks.items())}" if lacks else 0
    session.note("needs", missing=lacks, skipped=None if hard or not lacks else status, status=status if hard else 0)


def _program(name: str) -> str | None:
    """Path of a program, also beside this Python (cmake, ninja) and in the CUDA toolkit."""
    folders = [str(Path(sys.executable).parent), *(f"{root}/bin" for root in _toolkits())]
    return shutil.which(name) or shutil.which(name, path=os.pathsep.join(folders))


def _toolkits() -> list[str]:
    return [root for root in (os.environ.get("CUDA_HOME"), os.environ.get("CUDA_PATH"), "/usr/local/cuda") if root]


def build(session: Session) -> None:
    """Through pip where its build backend is there, else with cmake into the checkout."""
    if importlib.util.find_spec("scikit_build_core") is not None:
        options = ["--no-build-isolation", "--no-deps", "--config-settings=cmake.define.DESALI_CUDA=ON"]
        pip = [sys.executable, "-m", "pip", "install", *options, "--editable", "."]
        session.run("build", *pip, environment={"DESALI_BUILD": "require"})
        return
    folder = str(ROOT / "build" / "gpu")
    options = ["-DDESALI_CUDA=ON", f"-DPython_EXECUTABLE={sys.executable}", "-DDESALI_CUDA_ARCHITECTURES=native"]
    if session.run("configure", _cmake(), "-S", ".", "-B", folder, *options):
        session.run("build", _cmake(), "--build", folder, "--parallel", str(os.cpu_count() or 1))


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
    if not session.run("driver configure", _cmake(), "-S", ".", "-B", folder, *options):
        return
    if not session.run("driver build", _cmake(), "--build", folder, "--parallel", str(os.cpu_count() or 1)):
        return
    reason = session.reason_against_a_gpu()
    if reason is not None:
        session.note("driver", status=f"not run, torch can use no GPU: {reason}")
    else:
        session.run("driver", str(_driver()), "60")


def sanitizer(session: Session) -> None:
    program = _program("compute-sanitizer")
    if program is None or not _driver().is_file():
        missing = "compute-sanitizer is not on the PATH" if program is None else "the driver was not built"
        session.note("sanitizer", skipped=f"skipped: {missing}")
        return
    for tool in TOOLS:
        command = (program, "--tool", tool, "--error-exitcode", "9", str(_driver()), "4")
        session.run(f"sanitizer {tool}", *command)


def kernels(session: Session) -> None:
    session.run("kernels", sys.executable, "-m", "benchmarks.gpu_kernels", str(session.folder / "kernels.json"))


def graphs(session: Session) -> None:
    """Equality, times and memory of captured sweeps."""
    session.run("graphs", sys.executable, "-m", "benchmarks.gpu_graphs", str(session.folder / "graphs.json"))


def _cmake() -> str:
    return _program("cmake") or "cmake"


def bench(session: Session) -> None:
    """Every case of `desali bench --device cuda` by itself, so that one that fails or is slow costs no other."""
    code = "import sys; from benchmarks import runner, stored; from pathlib import Path; "
    code += "stored.save(Path(sys.argv[2]), runner.run([sys.argv[1]], sys.argv[3], 'cuda', print))"
    for case in CASES:
        output = str(session.folder / f"bench-{case}.json")
        session.run(f"bench {case}", sys.executable, "-c", code, case, output, "quick" if session.quick else "full")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the results go")
    parser.add_argument("--steps", default=",".join(STEPS), help=f"which of {', '.join(STEPS)}; default: all")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter measurements in the step bench")
    arguments = parser.parse_args()
    wanted = arguments.steps.split(",")
    unknown = sorted(set(wanted) - set(STEPS))
    if unknown:
        parser.error(f"--steps has {', '.join(unknown)}, expected some of {', '.join(STEPS)}")
    session = Session(arguments.folder.resolve(), arguments.quick)
    for name in STEPS:
        if name in wanted:
            reason = session.reason_against_a_gpu() if name in ON_A_GPU else None
            if reason is not None:
                session.note(name, status=f"not run, torch can use no GPU: {reason}")
                continue
            globals()[name](session)
    failed = [step["step"] for step in session.steps if step.get("status", 0) != 0]
    print(f"failed: {', '.join(failed)}" if failed else "every step ended well", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
