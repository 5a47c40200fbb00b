"""When the build compiles the CUDA kernels: asked for, or for a device that is visible; never for nvcc alone."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from desali.ops import backend

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
cmake_minimum_required(VERSION 3.24)
include("{root}/cmake/cuda.cmake")
if(DEFINED FAKE)
  desali_cuda_visible(wanted "${{FAKE}}")
  set(reason "")
else()
  desali_cuda_wanted("${{CHOICE}}" wanted reason)
endif()
message(STATUS "${{wanted}}|${{reason}}|")
"""


class Machine:
    """A PATH with a driver's tool of ours on it."""

    def __init__(self, folder: Path, cmake: str) -> None:
        self.folder, self.cmake = folder, cmake
        self.bin = folder / "bin"
        self.bin.mkdir()
        (folder / "choice.cmake").write_text(SCRIPT.format(root=ROOT))

    def driver(self, listed: str, status: int = 0) -> None:
        tool = self.bin / "nvidia-smi"
        tool.write_text(f"#!/bin/sh\necho '{listed}'\nexit {status}\n")
        tool.chmod(0o755)

    def run(self, *definitions: str, **environment: str) -> tuple[int, str]:
        done = subprocess.run(
            [self.cmake, *definitions, "-P", str(self.folder / "choice.cmake")],
            capture_output=True, text=True, check=False, env={"PATH": f"{self.bin}:/bin", **environment},
        )  # fmt: skip
        return done.returncode, " ".join((done.stdout + done.stderr).split())


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    cmake = shutil.which("cmake") or shutil.which("cmake", path=str(ROOT / ".venv" / "bin"))
    if cmake is None:
        pytest.skip("there is no cmake")
    return Machine(tmp_path, os.path.realpath(cmake) if cmake.endswith(".venv/bin/cmake") else cmake)


def test_a_visible_device_is_enough(machine: Machine) -> None:
    machine.driver("GPU 0: NVIDIA H100 (UUID: GPU-1)")
    assert "AUTO||" in machine.run("-DCHOICE=AUTO")[1]


@pytest.mark.parametrize(("listed", "status"), [("No devices found.", 0), ("", 0), ("GPU 0: NVIDIA", 9)])
def test_a_driver_that_lists_none(machine: Machine, listed: str, status: int) -> None:
    machine.driver(listed, status)
    assert "OFF|no CUDA device visible at build time; DESALI_CUDA=on builds them|" in machine.run("-DCHOICE=AUTO")[1]


@pytest.mark.parametrize("hidden", ["", "-1"])
def test_a_device_that_the_user_hides(machine: Machine, hidden: str) -> None:
    machine.driver("GPU 0: NVIDIA H100 (UUID: GPU-1)")
    assert "OFF|no CUDA device" in machine.run("-DCHOICE=AUTO", CUDA_VISIBLE_DEVICES=hidden)[1]
    assert "AUTO||" in machine.run("-DCHOICE=AUTO", CUDA_VISIBLE_DEVICES="0,1")[1]


def test_without_the_drivers_tool_its_files_tell(machine: Machine) -> None:
    fake = f"-DFAKE={machine.folder}"
    assert "FALSE||" in machine.run(fake)[1]
    (machine.folder / "dev").mkdir()
    (machine.folder / "dev" / "nvidiactl").touch()
    assert "FALSE||" in machine.run(fake)[1], "a driver, but no device"
    (machine.folder / "dev" / "nvidia0").touch()
    assert "TRUE||" in machine.run(fake)[1]


def test_what_is_asked_for_counts(machine: Machine) -> None:
    machine.driver("GPU 0: NVIDIA H100 (UUID: GPU-1)")
    assert "OFF|DESALI_CUDA=off at build time|" in machine.run("-DCHOICE=AUTO", DESALI_CUDA="off")[1]
    assert "OFF|DESALI_CUDA=off at build time|" in machine.run("-DCHOICE=OFF", DESALI_CUDA="on")[1]
    machine.driver("No devices found.")
    assert "ON||" in machine.run("-DCHOICE=AUTO", DESALI_CUDA="on")[1]
    assert "ON||" in machine.run("-DCHOICE=ON")[1]
    status, said = machine.run("-DCHOICE=AUTO", DESALI_CUDA="yes")
    assert status != 0
    assert "DESALI_CUDA must be on, off or auto, got 'yes'" in said


def test_asked_for_without_a_compiler_is_an_error(tmp_path: Path, machine: Machine) -> None:
    if shutil.which("g++") is None:
        pytest.skip("there is no C++ compiler")
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("g++", "c++", "gcc", "cc", "make", "ld", "as", "ar", "ranlib", "nm", "strip", "sh"):
        found = shutil.which(name)
        if found is not None:
            (tools / name).symlink_to(found)
    done = subprocess.run(
        [machine.cmake, "-S", str(ROOT), "-B", str(tmp_path / "build"), "-G", "Unix Makefiles",
         "-DCMAKE_CXX_COMPILER=g++", "-DCMAKE_CUDA_COMPILER=NOTFOUND"],
        capture_output=True, text=True, check=False, env={"PATH": f"{tools}:/bin", "DESALI_CUDA": "on"},
    )  # fmt: skip
    said = " ".join((done.stdout + done.stderr).split())
    assert done.returncode != 0
    assert "DESALI_CUDA=on, but there is no CUDA compiler: put nvcc on PATH, set CUDACXX" in said


@pytest.mark.parametrize(
    ("built", "reason", "devices", "words"),
    [
        (False, "not built (no CUDA device visible at build time; DESALI_CUDA=on builds them)", 0, None),
        (True, "no CUDA-capable device is detected", 0, "built for 80-real; no CUDA-capable device is detected"),
        (True, "", 1, "built for 80-real; 1 device"),
        (True, "", 2, "built for 80-real; 2 devices"),
    ],
)
def test_info_says_what_there_is(built: bool, reason: str, devices: int, words: str | None) -> None:
    facts = {
        "cuda_built": built, "cuda_reason": reason, "cuda_devices": devices, "cuda_architectures": "80-real",
    }  # fmt: skip
    assert backend._cuda(facts) == (words or reason)
