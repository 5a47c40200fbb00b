"""The registered operators: schema, fake implementations with the real strides, torch.compile."""

from __future__ import annotations

import pytest
import torch

from desali import ops
from tests.ops.cases import normal

NAMESPACE = ops.register()


def arguments(name: str) -> tuple[object, ...]:
    x = normal(0, 2, 12, 9, 9)
    _, mask = NAMESPACE.relu_with_mask(x)
    window = ([3, 3], [2, 2], [1, 1], [1, 1])
    pooled, switches = NAMESPACE.max_pool_with_switches(x, *window, after_relu=True)
    signal = normal(1, 2, 3, *pooled.shape[1:])
    if name == "relu_with_mask":
        return (x, 6.0)
    if name == "inverse_relu":
        return (normal(2, 2, 3, 12, 9, 9), mask, [9, 9])
    if name == "max_pool_with_switches":
        return (x, *window)
    if name == "max_unpool":
        return (signal, switches, [9, 9], *window, True, "sum", mask)
    return (signal, normal(3, 12, 4, 3, 3), [9, 9], [2, 2], [1, 1], [1, 1])


NAMES = ["relu_with_mask", "inverse_relu", "max_pool_with_switches", "max_unpool", "conv_transpose"]


@pytest.mark.parametrize("name", NAMES)
def test_opcheck(name: str) -> None:
    torch.library.opcheck(getattr(NAMESPACE, name).default, arguments(name))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("backend", ["torch", "auto"])
def test_fake_strides_are_the_real_ones(name: str, backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESALI_BACKEND", backend)
    given = arguments(name)
    real = getattr(NAMESPACE, name)(*given)
    with torch._subclasses.FakeTensorMode(allow_non_fake_inputs=True) as mode:
        fake = getattr(NAMESPACE, name)(
            *[mode.from_tensor(item) if isinstance(item, torch.Tensor) else item for item in given]
        )
    real, fake = (value if isinstance(value, (tuple, list)) else (value,) for value in (real, fake))
    for one, other in zip(real, fake, strict=True):
        assert (one.shape, one.stride(), one.dtype) == (other.shape, other.stride(), other.dtype)


def test_inputs_that_require_grad_are_refused() -> None:
    with pytest.raises(RuntimeError, match="no backward"):
        NAMESPACE.relu_with_mask(torch.zeros(1, 2, 3, 3, requires_grad=True))
    with torch.no_grad():
        y, _ = NAMESPACE.relu_with_mask(torch.zeros(1, 2, 3, 3, requires_grad=True))
    assert not y.requires_grad


def backwards(signal: torch.Tensor, weight: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """A rectifier and a pooling there and back, behind a convolution."""
    window = ([2, 2], [2, 2], [0, 0], [1, 1])
    y, mask = NAMESPACE.relu_with_mask(x * 2)
    _, switches = NAMESPACE.max_pool_with_switches(y, *window)
    up = NAMESPACE.conv_transpose(signal, weight, [5, 5], [1, 1], [0, 0], [1, 1])
    down = NAMESPACE.max_unpool(up, switches, [10, 10], *window)
    out: torch.Tensor = NAMESPACE.inverse_relu(down + 1, mask, [10, 10])
    return out


@pytest.mark.parametrize("n", [1, 3])
def test_compiled_code_can_call_the_ops_in_one_graph(n: int) -> None:
    compiled = torch.compile(backwards, backend="aot_eager", fullgraph=True)
    given = normal(1, n, 2, 6, 3, 3), normal(2, 6, 8, 3, 3), normal(3, n, 8, 10, 10)
    with torch.no_grad():
        got, expected = compiled(*given), backwards(*given)
    assert torch.equal(got, expected)
    assert expected.count_nonzero() > 0
    x, signal, weight = given[2], given[0], given[1]
    y, mask = ops.relu_with_mask(x * 2)
    _, switches = ops.max_pool_with_switches(y, 2)
    up = ops.conv_transpose(signal, weight, map_size=5)
    down = ops.max_unpool(up, switches, map_size=10, kernel=2)
    assert torch.equal(expected, ops.inverse_relu(down + 1, mask, map_size=(10, 10)))


def test_an_export_keeps_the_ops_as_nodes() -> None:
    class Rectify(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y: torch.Tensor = NAMESPACE.relu_with_mask(x)[0]
            return y

    program = torch.export.export(Rectify(), (normal(0, 2, 3, 4, 4),))
    assert [node for node in program.graph.nodes if node.target is NAMESPACE.relu_with_mask.default]
    x = normal(1, 2, 3, 4, 4)
    assert torch.equal(program.module()(x), x.clamp(min=0))
