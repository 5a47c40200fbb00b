"""The short cut for plain chains agrees with the export, and leaves alone what is not a plain chain."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import Tensor, nn

from desali.models.registry import ARCHITECTURES
from desali.reversal.graph import capture as capturing
from desali.reversal.graph.chain import chain
from tests.networks import chain as small_chain
from tests.networks import images


def _models() -> list[tuple[nn.Module, Tensor]]:
    entry = ARCHITECTURES["caffenet-small"]
    sequential = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.ReLU(True), nn.Flatten(), nn.Linear(4 * 9, 2)).eval()
    reused = _Reads("nothing").eval()
    vgg = ARCHITECTURES["vgg-small"]
    pooled = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.BatchNorm2d(4, affine=False),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.AvgPool2d(2, 1, 0, divisor_override=3),
        nn.AdaptiveAvgPool2d((1, 1)),
        nn.Flatten(),
        nn.Linear(4, 2),
    ).eval()
    return [
        (small_chain(), images(2)),
        (small_chain(inplace=True), images(1)),
        (entry.build(7, 3).eval(), torch.rand(2, 3, 64, 64)),
        (sequential, torch.rand(3, 3, 5, 5)),
        (reused, torch.rand(2, 3, 8, 8)),
        (vgg.build(7, 1).eval(), torch.rand(2, 1, 64, 64)),
        (pooled, torch.rand(2, 3, 8, 8)),
    ]


@pytest.mark.parametrize("case", range(7))
def test_the_short_cut_gives_the_network_of_the_export(case: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = _models()[case]
    plain = chain(capturing.clone(model), x)
    assert plain is not None
    monkeypatch.setattr(capturing, "chain", lambda clone, images: None)
    exported = capturing.capture(model, x)
    exported_nodes = [node for node in exported.nodes if node.operation is not None]
    assert [node.name for node in plain.nodes] == [node.name for node in exported_nodes]
    assert [node.operation for node in plain.nodes] == [node.operation for node in exported_nodes]
    assert [node.shape for node in plain.nodes] == [node.shape for node in exported_nodes]
    assert [node.module for node in plain.nodes] == [node.module for node in exported_nodes]


class _Reads(nn.Module):
    """A chain whose forward looks at a value or a size between its layers."""

    def __init__(self, what: str) -> None:
        super().__init__()
        self.what = what
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        if self.what == "value" and bool(y.sum() > 0):
            y = self.conv(y)
        if self.what == "size" and y.shape[0] > 1:
            y = self.conv(y)
        if self.what == "add":
            y = y + 1
        y = self.relu(self.conv(self.relu(y)))
        return self.relu(self.conv(x)) if self.what == "branch" else y


@pytest.mark.parametrize("what", ["value", "size", "add", "branch"])
def test_what_is_not_a_plain_chain_is_left_to_the_export(what: str) -> None:
    assert chain(capturing.clone(_Reads(what).eval()), torch.rand(2, 3, 8, 8)) is None


def test_a_module_with_two_names_is_left_to_the_export() -> None:
    shared = nn.ReLU()
    model = nn.Sequential(nn.Conv2d(3, 4, 3), shared, nn.Conv2d(4, 4, 3), shared).eval()
    assert chain(capturing.clone(model), torch.rand(2, 3, 9, 9)) is None


def test_a_hook_is_left_to_the_export() -> None:
    model = small_chain()
    model.features[0].register_forward_hook(lambda module, args, output: output * 2)
    assert chain(capturing.clone(model), images(2)) is None


def test_a_plain_chain_needs_no_export() -> None:
    code = (
        "import sys, torch, desali\nfrom tests.networks import chain, images\n"
        "desali.record(chain(), images(2)).reconstruct('features.5', desali.Seed.layer())\n"
        "print('torch._dynamo' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "False"
