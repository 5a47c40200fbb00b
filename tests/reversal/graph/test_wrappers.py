"""What torch.compile and parallel training put around a network is no part of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn

import desali
from desali import Seed
from desali.errors import DesaliError
from desali.reversal.graph.capture import CACHE, CaptureError
from tests.networks import chain, images


def compiled(model: nn.Module) -> Any:
    return torch.compile(model, backend="eager")


@pytest.fixture
def process_group(tmp_path: Path) -> Iterator[None]:
    dist.init_process_group("gloo", init_method=f"file://{tmp_path / 'group'}", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


class Holder(nn.Module):
    """A network with a wrapped part, as in `model.features = nn.DataParallel(model.features)`."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.inner = inner
        self.last = nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.inner(x).relu())


WRAPPERS: dict[str, Callable[[nn.Module], Any]] = {
    "torch.compile": compiled,
    "DataParallel": nn.DataParallel,
    "DistributedDataParallel": nn.parallel.DistributedDataParallel,
    "averaged": torch.optim.swa_utils.AveragedModel,
    "both": lambda model: compiled(nn.DataParallel(model)),
}


@pytest.mark.parametrize("name", WRAPPERS)
@pytest.mark.usefixtures("process_group")
def test_layers_have_their_plain_names(name: str) -> None:
    model, x = chain(), images(2)
    expected = desali.record(model, x)
    maps = expected.reconstruct("features.4", Seed.top(2))  # before DistributedDataParallel writes into the weights
    wrapped = WRAPPERS[name](model).eval()
    recording = desali.record(wrapped, x)
    assert recording.layers == expected.layers
    assert torch.equal(recording.output, expected.output)
    assert name == "averaged" or recording.model is model
    assert torch.equal(recording.reconstruct("features.4", Seed.top(2)), maps)


@pytest.mark.parametrize("name", WRAPPERS)
@pytest.mark.usefixtures("process_group")
def test_wrappers_inside_of_a_network(name: str) -> None:
    x = images(2)
    expected = desali.record(Holder(chain()).eval(), x)
    model = Holder(WRAPPERS[name](chain()).eval()).eval()
    recording = desali.record(model, x)
    assert recording.layers == expected.layers
    again = desali.record(model, x)
    assert again.model is recording.model, "one plain network, so that its capture is made once"
    assert len(CACHE[again.model]) == 1
    assert torch.equal(recording.reconstruct("last", Seed.logit(1)), expected.reconstruct("last", Seed.logit(1)))
    with torch.no_grad():
        model.last.weight.mul_(2)
    with pytest.raises(DesaliError, match="changed since"):
        recording.reconstruct("last", Seed.logit(1))
    later = desali.record(model, x)
    model.last = nn.Linear(5, 2).eval()
    with pytest.raises(DesaliError, match="changed since"):
        later.reconstruct("last", Seed.logit(1))


@pytest.mark.parametrize("compile", [compiled, lambda model: model.compile(backend="eager")])
def test_compiling_is_no_change(compile: Callable[[nn.Module], Any]) -> None:
    model, x = chain(), images(2)
    recording = desali.record(model, x)
    compile(model)
    recording.reconstruct("features.4", Seed.top(2))
    assert torch.equal(desali.record(model, x).output, recording.output)


def test_hooks_of_a_wrapper_are_not_left_out_silently() -> None:
    wrapped = nn.DataParallel(chain())
    wrapped.register_forward_hook(lambda module, given, value: 2 * value)
    with pytest.raises(
        CaptureError, match=r"the DataParallel around the model has hooks of its own.*inside \(\.module"
    ):
        desali.record(wrapped.eval(), images(2))


def test_wrapped_networks_are_compared_as_plain_ones() -> None:
    x = images(6)
    plain = desali.lineage(chain(), chain(seed=1), x, random_networks=0)
    wrapped = desali.lineage(nn.DataParallel(chain()).eval(), compiled(chain(seed=1)), x, random_networks=0)
    assert wrapped.layers == plain.layers
    assert [wrapped[name].traceable for name in wrapped.layers] == [plain[name].traceable for name in plain.layers]
