"""The state of an unfinished stage: a flipped byte is found, and the last good one is used."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from desali.training.state import TrainingState, previous_of, read_state, remove_state, write_state


def states(path: Path, epochs: int) -> None:
    for epoch in range(1, epochs + 1):
        tensor = torch.full((3, 3), float(epoch))
        write_state(TrainingState("key", epoch, {"w": tensor}, {"m": tensor}, epoch, 0.5, {"w": tensor}), path)


def test_a_state_comes_back_and_only_for_its_own_stage(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    assert read_state(path, "key") is None
    states(path, 1)
    assert not previous_of(path).exists()
    state = read_state(path, "key")
    assert state is not None
    assert state.epoch == 1
    assert torch.equal(state.model["w"], torch.ones(3, 3))
    assert torch.load(path, weights_only=True)["epoch"] == 1  # still a file of torch's
    assert read_state(path, "other") is None
    remove_state(path)
    assert not list(tmp_path.iterdir())


@settings(max_examples=60)
@given(st.floats(0, 1, exclude_max=True), st.integers(0, 7))
def test_any_flipped_bit_is_found_and_the_state_before_is_used(
    tmp_path_factory: pytest.TempPathFactory, share: float, bit: int
) -> None:
    path = tmp_path_factory.mktemp("state") / "last.ckpt"
    states(path, 3)
    data = bytearray(path.read_bytes())
    data[int(share * len(data))] ^= 1 << bit
    path.write_bytes(data)
    state = read_state(path, "key")
    assert state is not None
    assert state.epoch == 2
    assert torch.equal(state.model["w"], torch.full((3, 3), 2.0))


def test_a_truncated_or_missing_state_gives_way_to_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    states(path, 2)
    whole = path.read_bytes()
    for data in (whole[: len(whole) // 2], b"", whole + b"\0"):
        path.write_bytes(data)
        state = read_state(path, "key")
        assert state is not None
        assert state.epoch == 1
    path.unlink()  # killed between two renames
    state = read_state(path, "key")
    assert state is not None
    assert state.epoch == 1
    previous_of(path).write_bytes(b"\0")
    assert read_state(path, "key") is None
