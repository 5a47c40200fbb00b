"""The page on layers of one's own: its blocks run in order, in one namespace, and compute what the page says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from desali.reversal.layers import registry, unregister_layer

PAGE = Path(__file__).parents[2] / "docs" / "layers.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.fixture
def space() -> Iterator[dict[str, Any]]:
    before = registry.registered_kinds()
    try:
        yield {"__name__": __name__}
    finally:
        for kind in registry.registered_kinds():
            if kind not in before:
                unregister_layer(kind)


def test_the_page_keeps_its_word(space: dict[str, Any]) -> None:
    def run(word: str) -> None:
        (block,) = [block for block in BLOCKS if word in block]
        exec(compile(block, str(PAGE), "exec", dont_inherit=True), space)

    assert len(BLOCKS) == 5
    run("class Blur(nn.Module)")
    unknown = space["unknown"]
    run("unknown.receptive_field")
    assert unknown.receptive_field("4", (4, 4)) == (-1, -1, 14, 14)
    run("class Smoothing(Adjoint)")
    recording = space["recording"]
    kinds = [[node.operation.label for node in each.network.nodes if node.operation] for each in (unknown, recording)]
    assert kinds[0][3:6] == ["reshape", "conv2d", "reshape"]
    assert kinds[1][3] == "Smoothing"
    assert recording.receptive_field("2", (4, 4)) == (2, 2, 5, 5)
    assert space["alone"].receptive_field("0", (4, 4)) == (3, 3, 3, 3)
    assert torch.equal(recording.output, unknown.output)
    seeds = space["desali"].Seed.top(3)
    for method in ("desalinet", "saliency"):
        got, expected = (each.reconstruct("4", seeds, method) for each in (recording, unknown))
        assert torch.allclose(got, expected, rtol=1e-5, atol=1e-7)
    run("class Leaky(WholeMaps)")
    leaky, images = space["leaky"], space["images"].clone().requires_grad_()
    (expected,) = torch.autograd.grad(leaky[:3](images)[:, 0, 4, 4].sum(), images)
    assert torch.allclose(space["gradient"][:, 0], expected, rtol=1e-5, atol=1e-7)
    assert not torch.equal(space["maps"], space["gradient"])
    run("unregister_layer(Smoothing)")
    assert space["desali"].record(space["model"], space["images"]).network is unknown.network
