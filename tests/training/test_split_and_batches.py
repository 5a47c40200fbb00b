"""Held-out groups, class-balanced batches, augmentation."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from desali.training.batches import Batches, augment
from desali.training.split import hold_out


@given(st.integers(0, 2**40), st.integers(2, 12), st.integers(2, 4), st.sampled_from([4, 9, 23, 80]))
@settings(max_examples=40)
def test_groups_are_held_out_whole_and_no_class_is_lost(seed: int, groups: int, classes: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    names = np.array([f"P{k}" for k in rng.integers(0, groups, count)])
    labels = rng.integers(0, classes, count)
    held = hold_out(labels, names, 0.2, seed)
    if held is None:
        return
    assert not set(names[held]) & set(names[~held])
    assert set(labels[~held]) == set(labels)
    assert 0 < held.mean() < 1


def test_share_and_classes_are_kept_where_groups_allow_it() -> None:
    labels = np.tile(np.arange(3), 40)
    groups = np.repeat([f"P{k}" for k in range(20)], 6)
    held = hold_out(labels, groups, 0.2, seed=1)
    assert held is not None
    assert held.mean() == 0.2
    assert set(labels[held]) == {0, 1, 2}
    again = hold_out(labels, groups, 0.2, seed=1)
    assert again is not None
    assert (held == again).all()


def test_nothing_is_held_out_if_every_class_is_one_group() -> None:
    labels = np.repeat([0, 1, 2], 10)
    assert hold_out(labels, np.array([f"P{k}" for k in labels]), 0.2, 0) is None
    assert hold_out(labels, np.array([f"P{k % 5}" for k in range(30)]), 0.0, 0) is None


def test_balanced_batches_even_out_the_classes() -> None:
    labels = torch.tensor([0] * 900 + [2] * 100)
    images = torch.arange(1000.0).reshape(-1, 1, 1, 1)
    drawn = list(Batches(images, labels, 64, balance=True, seed=3))
    assert [len(part) for _, part in drawn] == [64] * 15 + [40]
    together = torch.cat([part for _, part in drawn])
    assert 0.45 < (together == 2).float().mean() < 0.55
    for pictures, part in drawn:
        assert torch.equal((pictures.flatten() >= 900).long() * 2, part)


def test_batches_repeat_by_seed_and_cover_everything_without_balance() -> None:
    images, labels = torch.arange(50.0).reshape(-1, 1, 1, 1), torch.zeros(50, dtype=torch.long)
    orders = [torch.cat([b[0].flatten() for b in Batches(images, labels, 8, False, seed)]) for seed in (1, 1, 2)]
    assert torch.equal(orders[0], orders[1])
    assert not torch.equal(orders[0], orders[2])
    assert torch.equal(orders[0].sort().values, torch.arange(50.0))


def test_augmentation_gives_exactly_the_symmetries() -> None:
    picture = torch.arange(9.0).reshape(1, 1, 3, 3)
    turned = [torch.rot90(picture, k, (-2, -1)) for k in range(4)]
    symmetries = {tuple(one.flatten().tolist()) for one in [*turned, *(one.flip(-1) for one in turned)]}
    expected = {"none": 1, "mirror": 2, "dihedral": 8}
    for kind, count in expected.items():
        images = augment(picture.expand(400, -1, -1, -1), kind, torch.Generator().manual_seed(0))
        seen = [tuple(one.flatten().tolist()) for one in images]
        assert set(seen) <= symmetries
        assert len(set(seen)) == count
        assert min(seen.count(one) for one in set(seen)) > 400 / count * 0.6
    mirrored = tuple(picture.flip(-1).flatten().tolist())
    assert mirrored in {
        tuple(i.flatten().tolist())
        for i in augment(picture.expand(20, -1, -1, -1), "mirror", torch.Generator().manual_seed(0))
    }
