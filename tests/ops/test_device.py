"""What a word for a device means, with and without CUDA devices that can be used."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from desali.errors import DesaliError, UnknownNameError
from desali.ops import device
from desali.ops.device import gpu_visible, on_gpu, on_host, resolve

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


class _Usable:
    def add_(self, _: int) -> _Usable:
        return self

    def item(self) -> float:
        return 2.0


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two devices of which the second computes nothing."""

    def ones(_: int, device: str) -> _Usable:
        if device == "cuda:1":
            raise RuntimeError("CUDA error: no kernel image is available for execution on the device\nmore")
        return _Usable()

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch, "ones", ones)


@pytest.mark.parametrize("word", ["cpu", torch.device("cpu")])
def test_the_cpu_is_always_there(word: str | torch.device) -> None:
    assert resolve(word) == torch.device("cpu")


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize("word", ["cuda", "cuda:0", "cuda:7", torch.device("cuda", 1)])
def test_a_device_that_is_not_there_is_one_line_with_the_way_out(word: str | torch.device) -> None:
    with pytest.raises(DesaliError, match=r"^device '.*': no CUDA device is visible.*; use cpu or auto$") as told:
        resolve(word)
    assert repr(str(word)) in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.usefixtures("no_gpu")
def test_auto_is_the_cpu_where_no_gpu_is() -> None:
    assert resolve("auto") == torch.device("cpu")


@pytest.mark.usefixtures("two_gpus")
def test_gpus_come_with_their_index() -> None:
    for word in ("auto", "cuda", "cuda:0", torch.device("cuda"), torch.device("cuda:0")):
        assert resolve(word) == torch.device("cuda", 0)


@pytest.mark.usefixtures("two_gpus")
def test_a_gpu_beyond_the_last_and_one_that_computes_nothing() -> None:
    with pytest.raises(DesaliError, match=r"device 'cuda:2': the CUDA devices are cuda:0 to cuda:1; use"):
        resolve("cuda:2")
    with pytest.raises(
        DesaliError, match=r"device 'cuda:1': .* \(CUDA error: no kernel image is available .*device\); use"
    ):
        resolve("cuda:1")


@pytest.mark.parametrize(
    "word", ["gpu", "CUDA", "cuda:", "cuda:-1", "cuda:x", "cpu:1", "", "mps", torch.device("meta")]
)
def test_other_words_are_refused(word: str | torch.device) -> None:
    with pytest.raises(UnknownNameError, match=r"unknown device .*choose from cpu, cuda, cuda:N, auto"):
        resolve(word)


def test_where_a_tensor_lies() -> None:
    assert on_host(torch.zeros(1).device)
    assert not on_gpu(torch.zeros(1).device)
    assert on_gpu(torch.device("cuda", 3))
    assert not on_host(torch.device("cuda"))
    assert gpu_visible() == torch.cuda.is_available()


def test_the_words_need_no_torch() -> None:
    code = "import sys, desali.ops.device; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_no_other_file_asks_by_itself() -> None:
    """`.is_cuda`, `.type == "cuda"` and `cuda.is_available` stand in one file only."""
    found = []
    for path in [*(ROOT / "desali").rglob("*.py"), *(ROOT / "cli").rglob("*.py")]:
        if path.samefile(device.__file__):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            asks = isinstance(node, ast.Attribute) and node.attr in ("is_cuda", "is_available", "device_count")
            compared = isinstance(node, ast.Compare) and ast.unparse(node.left).endswith("device.type")
            if (asks and "Registry" not in ast.unparse(node)) or compared:
                found.append(f"{path.name}:{node.lineno}: {ast.unparse(node)}")
    assert not found
