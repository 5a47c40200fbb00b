"""The strongest images of a channel, found while they stream by: as if all were sorted at once."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from desali.comparison.strongest import Ranking


def expected(values: np.ndarray, patients: list[str], count: int) -> list[list[int]]:
    """Images of each channel, strongest first, by sorting all of them."""
    found = []
    for column in values.T:
        order = [int(k) for k in np.argsort(-column, kind="stable") if column[k] > 0]
        firsts, others, seen = [], [], set()
        for k in order:
            (others if patients[k] in seen else firsts).append(k)
            seen.add(patients[k])
        taken = (firsts + others)[:count]
        found.append(sorted(taken, key=lambda k: -values[k, len(found)]))
    return found


@given(
    st.integers(0, 2**32 - 1), st.lists(st.integers(1, 12), min_size=1, max_size=12), st.integers(1, 7),
    st.sampled_from([1, 3, 9]),
)  # fmt: skip
def test_as_if_all_were_sorted(seed: int, sizes: list[int], batch: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    patients = [f"P{p}" for p, size in enumerate(sizes) for _ in range(size)]
    n = len(patients)
    values = rng.permutation(5 * n).reshape(n, 5) - 2.0 * n  # no ties, some channels answer to few
    positions = rng.integers(0, 99, (n, 5))
    ranking = Ranking(5, torch.device("cpu"), count)
    for start in range(0, n, batch):
        part = slice(start, start + batch)
        ranking.add(
            torch.from_numpy(values[part]), torch.from_numpy(positions[part]), np.arange(n)[part],
            np.array(patients)[part],
        )  # fmt: skip
    found = ranking.found()
    for c, images in enumerate(expected(values, patients, count)):
        assert [image for _, image, _ in found.of(c)] == images
        assert [value for value, _, _ in found.of(c)] == [values[image, c] for image in images]
        assert [at for _, _, at in found.of(c)] == [positions[image, c] for image in images]


def test_what_is_kept_does_not_grow() -> None:
    ranking = Ranking(4, torch.device("cpu"))

    def held() -> int:
        return sum(part.numel() for table in (ranking._firsts, ranking._others, ranking._own) for part in table)

    sizes = []
    for k in range(40):
        patients = np.array([f"P{k}-{j // 2}" for j in range(50)])
        ranking.add(torch.rand(50, 4), torch.zeros(50, 4, dtype=torch.int64), np.arange(50 * k, 50 * k + 50), patients)
        sizes.append(held())
    assert len(set(sizes)) == 1
    assert (ranking.found().image >= 0).all()


def test_closed_channels_have_none() -> None:
    ranking = Ranking(2, torch.device("cpu"))
    value = torch.tensor([[-1.0, 0.0], [-2.0, 3.0]])
    ranking.add(value, torch.zeros(2, 2, dtype=torch.int64), np.array([0, 1]), np.array(["A", "B"]))
    found = ranking.found()
    assert found.of(0) == []
    assert found.of(1) == [(3.0, 1, 0)]
    assert found.value[1, 1] == pytest.approx(-np.inf)
