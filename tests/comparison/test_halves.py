"""Two halves of the patients: whole patients, even classes, and the same whatever the order of the images."""

from __future__ import annotations

from collections import Counter

import numpy as np
import torch

from desali.comparison.halves import halves
from desali.comparison.probe_set import ProbeSet, probe_set


def made(n: int = 60, each: int = 5, order: np.ndarray | None = None) -> ProbeSet:
    images = torch.randn(n, 1, 3, 3, generator=torch.Generator().manual_seed(0))
    patients = np.array([f"P{k // each}" for k in range(n)])
    labels = np.array(["abc"[k // each % 3] for k in range(n)])
    order = np.arange(n) if order is None else order
    return probe_set(images[order], patients[order].tolist(), labels[order].tolist())


def test_patients_stay_whole_and_classes_even() -> None:
    probe = made()
    for seed in range(8):
        split = halves(probe, seed)
        first, second = split.chosen_on, split.drawn_from
        assert not set(first.patients) & set(second.patients)
        assert sorted([*first.row(np.arange(len(first))), *second.row(np.arange(len(second)))]) == list(range(60))
        counts = [Counter(part.labels or ()) for part in (first, second)]
        assert all(counts[0][label] == counts[1][label] for label in "abc")
        assert split.why_whole == ""
    assert halves(probe, 0).chosen_on.fingerprint != halves(probe, 1).chosen_on.fingerprint


def test_the_order_of_the_images_changes_nothing() -> None:
    order = np.random.default_rng(1).permutation(60)
    plain, shuffled = halves(made(), 3), halves(made(order=order), 3)
    assert plain.chosen_on.fingerprint == shuffled.chosen_on.fingerprint
    assert plain.drawn_from.fingerprint == shuffled.drawn_from.fingerprint


def test_too_few_are_not_halved() -> None:
    one = halves(made(8, 8), 0)
    assert one.chosen_on is one.drawn_from
    assert one.why_whole == "one patient cannot be halved"
    few = halves(made(6, 1), 0)
    assert few.chosen_on is few.drawn_from
    assert few.why_whole == "6 images cannot be halved"


def test_a_part_reads_the_same_pixels() -> None:
    probe = made()
    part = probe.part(np.array([7, 3])).part(np.array([1]))
    assert torch.equal(part.tensor(np.array([0])), probe.tensor(np.array([3])))
    assert part.hashes == (probe.hashes[3],)
    assert part.row(np.array([0])).tolist() == [3]
