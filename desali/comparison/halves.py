"""Two halves of the patients: what is chosen on one is shown on the other, so that no choice flatters its picture."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass

import numpy as np

from desali.comparison.probe_set import LEAST, ProbeSet


@dataclass(frozen=True, eq=False)
class Halves:
    """The two parts of a set.

    Attributes:
        chosen_on: images that a choice is made on.
        drawn_from: images that are shown; the same where the set cannot be halved.
        why_whole: why the set is not halved, in words; "" if it is.
    """

    chosen_on: ProbeSet
    drawn_from: ProbeSet
    why_whole: str = ""


def halves(probe: ProbeSet, seed: int) -> Halves:
    """Deal the patients out to two halves with about as many images of every class in each.

    Each patient, in an order that follows from its name and the seed, goes where the classes come out most even. Which
    half an image is in does not depend on where it stands in the set.
    """
    counts: dict[str, Counter[str]] = {}
    for k, patient in enumerate(probe.patients.tolist()):
        counts.setdefault(patient, Counter())[probe.labels[k] if probe.labels else ""] += 1
    ahead: Counter[str] = Counter()  # by class, how many images more the first half has
    second = set()
    for patient in sorted(counts, key=lambda name: hashlib.sha256(f"{seed} {name}".encode()).hexdigest()):
        own = counts[patient]
        gain = sum(ahead[label] * count for label, count in own.items()), sum(ahead.values())
        if gain > (0, 0):
            second.add(patient)
            ahead.subtract(own)
        else:
            ahead.update(own)
    inside = np.array([patient in second for patient in probe.patients.tolist()])
    parts = np.flatnonzero(~inside), np.flatnonzero(inside)
    if min(map(len, parts)) < LEAST:
        few = f"one {probe.unit}" if len(counts) == 1 and probe.known else f"{len(probe)} images"
        return Halves(probe, probe, f"{few} cannot be halved")
    return Halves(probe.part(parts[0]), probe.part(parts[1]))
