"""The registered operators: schema, fake implementations with the real strides, torch.compile."""

from __future__ import annotations

import pytest
import torch

from desali.ops import library
from tests.ops.cases import normal


def arguments(name: str) -> tuple[object, ...]:
    x = normal(0, 2, 12, 9, 9)
    _, mask = library.relu_with_mask(x)
    window = ([3, 3], [2, 2], [1, 1], [1, 1])
    pooled, switches = library.max_pool_with_switches(x, *window, after_relu=True)
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
    torch.library.opcheck(getattr(torch.ops.desali, name).default, arguments(name))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("backend", ["torch", "auto"])
def test_fake_strides_are_the_real_ones(name: str, backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESALI_BACKEND", backend)
    given = arguments(name)
    real = getattr(torch.ops.desali, name)(*given)
    with torch._subclasses.FakeTensorMode(allow_non_fake_inputs=True) as mode:
        fake = getattr(torch.ops.desali, name)(
            *[mode.from_tensor(item) if isinstance(item, torch.Tensor) else item for item in given]
        )
    real, fake = (value if isinstance(value, (tuple, list)) else (value,) for value in (real, fake))
    for one, other in zip(real, fake, strict=True):
        assert (one.shape, one.stride(), one.dtype) == (other.shape, other.stride(), other.dtype)


def test_inputs_that_require_grad_are_refused() -> None:
    with pytest.raises(RuntimeError, match="no backward"):
        torch.ops.desali.relu_with_mask(torch.zeros(1, 2, 3, 3, requires_grad=True))
    with torch.no_grad():
        y, _ = torch.ops.desali.relu_with_mask(torch.zeros(1, 2, 3, 3, requires_grad=True))
    assert not y.requires_grad
