"""Large pages for large results."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from desali import ops
from desali.ops.memory import LARGE

MAPS = Path("/proc/self/smaps")


def flags_at(address: int) -> list[str]:
    """The kernel's flags of the mapping that holds an address."""
    inside = False
    for line in MAPS.read_text().splitlines():
        first = line.split(maxsplit=1)[0]
        if "-" in first and not first.endswith(":"):
            low, high = (int(part, 16) for part in first.split("-"))
            inside = low <= address < high
        elif inside and first == "VmFlags:":
            return line.split()[1:]
    return []


@pytest.mark.skipif(not MAPS.exists(), reason="only Linux lists the mappings of a process")
@pytest.mark.skipif(
    not Path("/sys/kernel/mm/transparent_hugepage").exists(), reason="this kernel has no transparent huge pages"
)
def test_a_large_result_is_backed_by_large_pages() -> None:
    module, reason = ops.core()
    if module is None:
        pytest.skip(str(reason))
    tensor = torch.empty(16 * LARGE, dtype=torch.uint8)
    middle = tensor.data_ptr() + tensor.numel() // 2
    assert ops.large_pages(tensor) is tensor
    assert "hg" in flags_at(middle)


def test_values_and_small_tensors_stay() -> None:
    for count in (0, 1, LARGE // 4, LARGE):
        tensor = torch.arange(count, dtype=torch.float32)
        assert torch.equal(ops.large_pages(tensor), torch.arange(count, dtype=torch.float32))
