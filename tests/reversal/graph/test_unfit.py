"""Modules that cannot be recorded: one line with the way out for each."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Queue
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import distribute_module, init_device_mesh

import desali
from desali.reversal.graph.capture import CaptureError


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(784, 3)).eval()


def images(n: int = 2) -> Tensor:
    return torch.randn(n, 3, 16, 16, generator=torch.Generator().manual_seed(3))


def with_last(last: Callable[[nn.Linear], nn.Module]) -> nn.Module:
    model = network()
    linear = model[3]
    assert isinstance(linear, nn.Linear)
    model[3] = last(linear)
    return model.eval()


def with_weight(change: Callable[[Tensor], Tensor]) -> nn.Module:
    def last(linear: nn.Linear) -> nn.Module:
        linear.weight = nn.Parameter(change(linear.weight.detach()))
        return linear

    return with_last(last)


def holding(name: str, value: Any) -> nn.Module:
    model = network()
    setattr(model[1], name, value)
    return model


def quantised() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.ao.quantization.quantize_dynamic(network(), {nn.Linear}, torch.qint8)


def on_meta() -> nn.Module:
    with torch.device("meta"):
        return network()


UNFIT: dict[str, tuple[Callable[[], Any], str]] = {
    "script": (lambda: torch.jit.script(network()), "it is TorchScript, .* record the Python module"),
    "trace": (lambda: torch.jit.trace(network(), images()), "it is TorchScript"),
    "script inside": (lambda: with_last(lambda own: torch.jit.script(own)), "its module '3' is TorchScript"),
    "exported": (lambda: torch.export.export(network(), (images(),)).module(), "exported program; record the Python"),
    "quantised": (quantised, r"its module '3' is quantised \(Linear\); record the network in floating-point numbers"),
    "lazy": (
        lambda: nn.Sequential(nn.LazyConv2d(4, 3), nn.ReLU()).eval(),
        r"its 0\.weight has no shape yet \(lazy\); run the module once",
    ),
    "meta": (on_meta, r"its 0\.weight is on the meta device, where nothing has a value; load the weights first"),
    "partly meta": (lambda: with_last(lambda _: nn.Linear(784, 3, device="meta")), r"its 3\.weight is on the meta"),
    "sparse": (lambda: with_weight(Tensor.to_sparse), r"its 3\.weight is sparse \(sparse_coo\); make it dense"),
    "sparse rows": (
        lambda: with_weight(Tensor.to_sparse_csr),
        r"its 3\.weight is sparse \(sparse_csr\); make it dense",
    ),
    "complex": (lambda: network().to(torch.complex64), r"its 0\.weight is of complex numbers \(complex64\)"),
    "lock": (
        lambda: holding("lock", threading.Lock()),
        "attribute 'lock' of module '1' cannot be copied .*; take it off the module, or give its class a __deepcopy__",
    ),
    "queue": (lambda: holding("later", {"a": [Queue()]}), "attribute 'later' of module '1' cannot be copied"),
    "generator": (lambda: holding("numbers", (n for n in range(3))), "attribute 'numbers' of module '1' cannot be"),
    "nothing": (lambda: nn.Sequential().eval(), "must return a tensor that depends on its input"),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("kind", UNFIT)
def test_the_message_names_the_way_out(kind: str) -> None:
    make, words = UNFIT[kind]
    model = make()
    calls: list[Callable[[], Any]] = [
        lambda: desali.record(model, images()),
        lambda: desali.lineage(model, network(), images(6), random_networks=0),
    ]
    for call in calls:
        with pytest.raises(CaptureError, match=words) as error:
            call()
        assert "\n" not in str(error.value)


@pytest.fixture
def process_group(tmp_path: Path) -> Iterator[None]:
    dist.init_process_group("gloo", init_method=f"file://{tmp_path / 'group'}", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("process_group")
def test_sharded_weights_are_gathered_first() -> None:
    mesh = init_device_mesh("cpu", (1,))
    sharded = network()
    fully_shard(sharded, mesh=mesh)
    with pytest.raises(CaptureError, match=r"sharded \(FSDP\); gather them"):
        desali.record(sharded, images())
    with pytest.raises(CaptureError, match=r"its 0\.weight is distributed over several processes .*full_tensor"):
        desali.record(distribute_module(network(), mesh), images())


def test_a_lazy_network_is_recorded_once_it_has_run() -> None:
    model = nn.Sequential(nn.LazyConv2d(4, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(3)).eval()
    with torch.no_grad():
        expected = model(images())
    assert torch.equal(desali.record(model, images()).output, expected)


def test_a_lock_that_copies_leave_out_is_no_obstacle() -> None:
    class Guarded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)
            self.lock = threading.Lock()

        def __getstate__(self) -> dict[str, Any]:
            return {key: value for key, value in super().__getstate__().items() if key != "lock"}

        def forward(self, x: Tensor) -> Tensor:
            return self.conv(x).relu().mean((2, 3))

    model = Guarded().eval()
    with torch.no_grad():
        assert torch.equal(desali.record(model, images()).output, model(images()))
