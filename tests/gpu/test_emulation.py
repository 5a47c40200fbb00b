"""The CUDA kernels compiled for the host and run by emulated threads.

This is not a GPU run: it checks indices, layouts, barriers and arithmetic, not speed, memory ordering or what the
device's compiler makes of the sources.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import desali
from benchmarks import gpu_kernels
from desali.ops import backend, convolution, cuda_convolution, native, pooling, relu, unpooling
from desali.reversal import reconstruction, replay, signals
from desali.reversal.replay import Replays
from tests.gpu.properties import PROPERTIES
from tests.networks import chain, difference, images
from tests.ops.cases import SETTINGS
from tests.tape import Tape, TapedCore

ROOT = Path(__file__).resolve().parents[2]
COMPILER = os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++")

pytestmark = pytest.mark.skipif(
    COMPILER is None or shutil.which("cmake") is None, reason="needs a C++ compiler and cmake to build the emulation"
)


def build(folder: Path, sanitize: bool, *targets: str) -> Path:
    generator = ["-G", "Ninja"] if shutil.which("ninja") else []
    switches = ["-DDESALI_CUDA_EMULATION=ON", f"-DDESALI_EMULATION_SANITIZE={'ON' if sanitize else 'OFF'}"]
    configure = ["cmake", "-S", str(ROOT), "-B", str(folder), *generator, *switches]
    configure += [f"-DCMAKE_CXX_COMPILER={COMPILER}", f"-DPython_EXECUTABLE={sys.executable}"]
    for command in (configure, ["cmake", "--build", str(folder), "--parallel", "2", "--target", *targets]):
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return folder / "csrc" / "tests" / "cuda_emulation"


def test_kernels_against_plain_loops_under_sanitizers(tmp_path: Path) -> None:
    driver = build(tmp_path, True, "desali_cuda_emulation") / "desali_cuda_emulation"
    done = subprocess.run([str(driver), "6"], capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    for op in ("relu", "max_pool", "max_unpool", "conv_transpose"):
        (line,) = (line for line in done.stdout.splitlines() if line.startswith(f"{op}:"))
        assert int(line.split()[1]) >= 40, line
        assert line.endswith(" 0 failures")


@pytest.fixture(scope="module")
def emulated_core(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """The Python module with the emulated kernels as its CUDA side."""
    if importlib.util.find_spec("pybind11") is None:
        pytest.skip("needs pybind11 to build the module")
    folder = build(tmp_path_factory.mktemp("core"), False, "_core")
    (file,) = folder.glob("_core*.so")
    specification = importlib.util.spec_from_file_location("_core", file)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture
def emulated(emulated_core: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """CPU tensors take the way of CUDA tensors, into the emulated kernels."""
    for module in (backend, relu, pooling, unpooling, convolution, cuda_convolution):
        monkeypatch.setattr(module, "core", lambda: (emulated_core, None))
    for module in (relu, convolution):
        monkeypatch.setattr(module, "on_gpu", lambda _: True)
    monkeypatch.setattr(native, "place", lambda _: (0, 0))
    names = native._NAMES
    monkeypatch.setattr(
        native, "reason_against", lambda op, tensor, dims: backend.can_run(op, "cuda", names[tensor.dtype], dims)
    )
    backend._can_run.cache_clear()
    yield
    backend._can_run.cache_clear()


@pytest.mark.parametrize("check", PROPERTIES, ids=lambda check: check.__name__)
@settings(SETTINGS, max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_dispatch_with_emulated_kernels(
    emulated: None, check: Callable[[st.DataObject, str], None], data: st.DataObject
) -> None:
    check(data, "cpu")


@pytest.mark.parametrize("walk", [False, True], ids=["dense", "non-zeros"])
def test_a_sweep_of_emulated_kernels_replays_from_a_tape(
    emulated: None, emulated_core: ModuleType, monkeypatch: pytest.MonkeyPatch, walk: bool
) -> None:
    taped = TapedCore(emulated_core)
    for module in (relu, pooling, unpooling, convolution, cuda_convolution):
        monkeypatch.setattr(module, "core", lambda: (taped, None))
    monkeypatch.setattr(replay, "on_gpu", lambda device: True)
    monkeypatch.setattr(signals, "on_host", lambda device: False)
    monkeypatch.setattr(reconstruction, "_native", lambda images, backend: True)
    monkeypatch.setattr(cuda_convolution, "WALK_NONZEROS", walk)
    monkeypatch.setattr(reconstruction, "REPLAYS", Replays(Tape, 1 << 30))
    model, layers = chain(), ["features.8", "features.1"]
    for turn in range(3):
        seeds = [desali.Seed.neuron(turn, 1, turn), desali.Seed.neuron(5, turn, 0)]
        x = images(1, seed=turn)
        recording = desali.record(model, x)
        got = recording.reconstruct(layers, seeds, cuda_graph=True)
        wanted = recording.reconstruct(layers, seeds, cuda_graph=False)
        oracle = desali.record(model, x, backend="torch").reconstruct(layers, seeds, backend="torch", cuda_graph=False)
        for layer in layers:
            assert torch.equal(got[layer], wanted[layer])
            assert difference(got[layer], oracle[layer]) < (1e-5 if walk else 2e-3)  # the tiles round to TF32
    assert len(reconstruction.REPLAYS) == 1


@pytest.mark.parametrize("region", [False, True], ids=["maps", "regions"])
def test_the_crossover_is_measured(emulated: None, monkeypatch: pytest.MonkeyPatch, region: bool) -> None:
    monkeypatch.setattr(gpu_kernels, "DEVICE", "cpu")
    monkeypatch.setattr(gpu_kernels, "SEEDS", 3)
    monkeypatch.setattr(gpu_kernels, "LAYERS", {"small": (8, 3, 9, 5, 2, 1)})
    steps = iter(range(100, 0, -1))  # every way seems quicker than the one before

    def once(run: Callable[[], object]) -> dict[str, float]:
        run()
        return {"median": float(next(steps))}

    monkeypatch.setattr(gpu_kernels, "milliseconds", once)
    found = gpu_kernels.crossover("small", region)
    assert set(found["ways"]) == {"library", "tiles", "cells"}
    assert [part["density"] for part in found["sparse"]] == [1.0, 0.5, 0.15, 0.04, 0.01]
    assert all(part["error"] < 2e-3 for part in (*found["ways"].values(), *found["sparse"]))
    assert found["best dense way"] == "cells"
    assert found["crossover"] == 1.0
