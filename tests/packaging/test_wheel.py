"""The wheel of `make wheel` in an empty environment without a compiler: `make wheel-test`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="session")
def wheel() -> Path:
    """The file to install."""
    named = os.environ.get("DESALI_WHEEL")
    if not named:
        pytest.skip("NO WHEEL: `make wheel-test` builds one and runs this. This test has checked NOTHING.")
    path = Path(named)
    assert path.is_file(), f"DESALI_WHEEL names no file: {path}"
    return path


@pytest.fixture(scope="session")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Programs of a new environment: the wheel, and what it requires by reference to this environment's packages."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True)
    programs = folder / "bin"
    packages = next((folder / "lib").glob("python3.*")) / "site-packages"
    # paths alone: the editable install of this environment is not followed
    known = [entry for entry in sys.path if Path(entry).name == "site-packages"]
    (packages / "requirements.pth").write_text("\n".join(known), encoding="utf-8")
    command = [programs / "python", "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(command, check=True, env=_bare(programs))
    return programs


def _bare(programs: Path) -> dict[str, str]:
    """Variables of a machine that has Python and nothing else: no compiler, no OpenMP runtime by a search path."""
    return {"PATH": str(programs), "HOME": str(programs.parent), "LANG": "C.UTF-8", "MPLBACKEND": "Agg"}


def _run(programs: Path, *command: str, folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, env=_bare(programs), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_environment_has_no_compiler(environment: Path) -> None:
    assert not [name for name in ("cc", "c++", "gcc", "g++", "clang", "nvcc", "cmake") if (environment / name).exists()]


def test_the_core_of_the_wheel_is_used(environment: Path, tmp_path: Path) -> None:
    facts = json.loads(_run(environment, str(environment / "desali"), "info", "--json", folder=tmp_path))
    assert facts["core"]["native"] is True, facts["core"]["reason"]
    assert facts["core"]["threading"] == "openmp"
    where = _run(
        environment, str(environment / "python"), "-c", "import desali; print(desali.__file__)", folder=tmp_path
    )
    assert Path(where.strip()).is_relative_to(environment.parent)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_wheel_shares_torchs_openmp_runtime(environment: Path, tmp_path: Path) -> None:
    program = (
        "import desali.ops; assert desali.ops.describe()['native']\n"
        "lines = open('/proc/self/maps').read().split('\\n')\n"
        "print('\\n'.join(sorted({line.split()[-1] for line in lines if 'omp.so' in line or 'omp-' in line})))"
    )
    loaded = _run(environment, str(environment / "python"), "-c", program, folder=tmp_path).split()
    assert len(loaded) == 1, loaded
    assert "torch" in loaded[0]


def test_a_figure_is_drawn(environment: Path, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "image.png")
    command = ["visualize", "--model", "squeezenet1_0", "--weights", "random", "--roi", "image.png", "-o", "figure.png"]
    _run(environment, str(environment / "desali"), *command, folder=tmp_path)
    with Image.open(tmp_path / "figure.png") as picture:
        assert np.asarray(picture.convert("L")).std() > 10
    assert json.loads((tmp_path / "figure.json").read_text(encoding="utf-8"))["models"]
