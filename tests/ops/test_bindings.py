"""The core's own functions take names only: a swapped, missing or unknown argument cannot pass."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from desali.ops import core, native
from tests.ops.cases import normal


@pytest.fixture
def module() -> Any:
    found, reason = core()
    if found is None:
        pytest.skip(str(reason))
    return found


def test_the_order_of_names_does_not_matter(module: Any) -> None:
    for order in (1, -1):
        x = normal(0, 2, 3, 5, 5)
        y, mask = torch.zeros_like(x), torch.zeros(2, 5, 5, 1, dtype=torch.uint8)
        given = {
            "place": native.place(x), "dtype": 0, "x": x.data_ptr(), "y": y.data_ptr(), "mask": mask.data_ptr(),
            "channels_last": False, "upper": math.nan, "n": 2, "c": 3, "s": 25,
        }  # fmt: skip
        for _ in range(200):  # each call by ** brings a tuple of names of its own
            module.relu_with_mask(**dict(list(given.items())[::order]))
        assert torch.equal(y, x.clamp(min=0))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n": None}, r"count_nonzeros\(\) has no argument 'n'"),
        ({"pixels": ...}, r"count_nonzeros\(\) needs the argument 'pixels'"),
        ({"pixels": 2.5}, r"count_nonzeros\(\): pixels: .*float"),
        ({"pixels": 2**63}, r"count_nonzeros\(\): pixels: .*"),
        ({"signal": "x"}, r"count_nonzeros\(\): signal: .*"),
    ],
)
def test_what_does_not_fit_is_named(module: Any, change: dict[str, Any], message: str) -> None:
    signal, counts = torch.ones(4, 8), torch.zeros(4, dtype=torch.int32)
    given: dict[str, Any] = {
        "dtype": 0, "signal": signal.data_ptr(), "counts": counts.data_ptr(), "pixels": 4, "channels": 8,
    }  # fmt: skip
    assert module.count_nonzeros(**given) == 32
    wrong = {name: value for name, value in {**given, **change}.items() if value is not ...}
    with pytest.raises(TypeError, match=message):
        module.count_nonzeros(**wrong)
    with pytest.raises(TypeError, match="keyword arguments only"):
        module.count_nonzeros(*given.values())


@pytest.mark.parametrize("size", [(3,), (3, 3, 3), 9, [3, 3]])
def test_a_size_is_a_pair(module: Any, size: Any) -> None:
    with pytest.raises(TypeError, match=r"max_pool\(\): size: expected a tuple of 2"):
        module.max_pool(
            place=(-1, 0), dtype=0, x=0, y=0, switches=0, switch_bytes=1, channels_last=False, after_relu=False,
            n=0, c=0, size=size, pooled=(0, 0), y_axis=native.Axis(1, 1, 0, 1), x_axis=native.Axis(1, 1, 0, 1),
        )  # fmt: skip


def test_no_function_of_tensors_takes_positions(module: Any) -> None:
    for name in ("relu_with_mask", "inverse_relu", "max_pool", "max_unpool", "count_nonzeros", "pack_weight",
                 "lists_cells", "conv_transpose", "conv_transpose_cuda", "fingerprint", "fingerprints",
                 "sparse_scratch_bytes", "large_pages"):  # fmt: skip
        with pytest.raises(TypeError):
            getattr(module, name)(*[0] * 4)
