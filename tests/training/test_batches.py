"""Class-balanced batches, shares of several processes, images prepared in the background."""

from __future__ import annotations

import functools
import pickle
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from desali.data.imageset import ImageSet
from desali.data.preprocess import Preprocessing
from desali.training.augmentation import Augmentation
from desali.training.batches import Clock, HeldBatches, TrainingBatches, prefetched
from desali.training.inputs import LazyInputs, PreparedInputs


def batches(inputs: PreparedInputs, size: int, balance: bool, seed: int, **options: Any) -> TrainingBatches:
    return TrainingBatches(inputs, size, balance, (seed, 0), options.pop("augmentation", Augmentation()), **options)


def test_balanced_batches_even_out_the_classes() -> None:
    inputs = PreparedInputs(torch.arange(1000.0).reshape(-1, 1, 1, 1), torch.tensor([0] * 900 + [2] * 100))
    drawn = list(batches(inputs, 64, balance=True, seed=3))
    assert [len(labels) for _, labels, _ in drawn] == [64] * 15 + [40]
    together = torch.cat([labels for _, labels, _ in drawn])
    assert 0.45 < (together == 2).float().mean() < 0.55
    for pictures, labels, factor in drawn:
        assert torch.equal((pictures.flatten() >= 900).long() * 2, labels)
        assert factor == 1


def test_batches_repeat_by_seed_and_cover_everything_without_balance() -> None:
    inputs = PreparedInputs(torch.arange(50.0).reshape(-1, 1, 1, 1), torch.zeros(50, dtype=torch.long))
    orders = [torch.cat([batch[0].flatten() for batch in batches(inputs, 8, False, seed)]) for seed in (1, 1, 2)]
    assert torch.equal(orders[0], orders[1])
    assert not torch.equal(orders[0], orders[2])
    assert torch.equal(orders[0].sort().values, torch.arange(50.0))


@given(st.integers(1, 30), st.integers(1, 9), st.integers(1, 4), st.booleans())
@settings(max_examples=30)
def test_processes_share_every_batch(count: int, size: int, world: int, balance: bool) -> None:
    inputs = PreparedInputs(torch.rand(count, 2, 4, 4), torch.arange(count) % 3)
    options = {"augmentation": Augmentation("dihedral", 1, (0.1, 0.2), (0.0, 0.0), (1.0, 1.0))}
    whole = list(batches(inputs, size, balance, 5, **options))
    shares = [list(batches(inputs, size, balance, 5, rank=rank, world=world, **options)) for rank in range(world)]
    assert {len(share) for share in shares} == {len(whole)}
    for batch, *parts in zip(whole, *shares, strict=True):
        real = [part for part in parts if part[2]]
        assert torch.equal(torch.cat([part[0] for part in real]), batch[0])
        assert torch.equal(torch.cat([part[1] for part in real]), batch[1])
        mean = sum(float(part[0].mean()) * part[2] for part in parts) / world
        assert abs(mean - float(batch[0].mean())) < 1e-5
    held = [{number: part for part, number in HeldBatches(inputs, rank, world)} for rank in range(world)]
    chunks = {number: part for some in held for number, part in some.items()}
    assert torch.equal(torch.cat([chunks[number] for number in sorted(chunks)]), inputs.images(range(count)))
    assert all(held)


def test_an_error_in_a_thread_comes_out_in_order_and_ends_the_threads() -> None:
    def job(number: int) -> int:
        if number == 3:
            raise ValueError("three")
        return number

    seen: list[int] = []
    results = prefetched((functools.partial(job, number) for number in range(9)), Clock())
    with pytest.raises(ValueError, match="three"):
        seen.extend(results)
    assert seen == [0, 1, 2]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("input")]


def test_waiting_is_measured() -> None:
    clock = Clock()
    list(prefetched([lambda: time.sleep(0.02)], clock))
    assert 0.015 < clock.waited < 10
    assert clock.reset() > 0
    assert clock.waited == 0


@pytest.mark.parametrize(("unit", "size", "mapped"), [("hu", 16, True), ("uint8", 16, False), ("uint8", 24, True)])
def test_lazy_inputs_are_bitwise_those_prepared_before(tmp_path: Path, unit: Any, size: int, mapped: bool) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(-1000, 400, (20, 16, 16)).astype(np.int16)
    if unit == "uint8":
        pixels = rng.integers(0, 256, (20, 16, 16, 3)).astype(np.uint8)
    if mapped:
        np.save(tmp_path / "pixels.npy", pixels)
        pixels = np.load(tmp_path / "pixels.npy", mmap_mode="r")
    labels = np.arange(20, dtype=np.int64) % 2
    data = ImageSet("t", pixels, labels, labels.astype(str), ("a", "b"), unit, "random", {})
    preprocessing = Preprocessing(size, mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))
    whole = preprocessing.apply_batch(data.images, unit)
    index = np.flatnonzero(np.arange(20) % 3 > 0)
    lazy = LazyInputs(data, preprocessing, index)
    prepared = PreparedInputs(whole, torch.from_numpy(labels), torch.from_numpy(index))
    sent = pickle.dumps(lazy)
    for inputs in (lazy, prepared, pickle.loads(sent)):
        assert torch.equal(inputs.labels, torch.from_numpy(labels[index]))
        assert torch.equal(inputs.images([3, 0, 3]), whole[index[[3, 0, 3]]])
    assert (len(sent) < pixels.nbytes) == mapped
    part = ImageSet("t", data.images[5:], labels[5:], data.patients[5:], ("a", "b"), unit, "random", {})
    again = pickle.loads(pickle.dumps(LazyInputs(part, preprocessing, np.arange(3))))
    assert torch.equal(again.images([0, 1, 2]), whole[5:8])
