"""Ways to take a step of training."""

from __future__ import annotations

from benchmarks import epoch


def test_the_ways_train_alike() -> None:
    rows = epoch.measure("caffenet-small", 2, compiling=False)
    assert [row["way"] for row in rows] == [epoch.TODAY, "contiguous, SGD", "channels-last, fused SGD"]
    for row in rows:
        assert row["q1"] <= row["median"] <= row["q3"]
        assert row["largest_loss_off"] < 1e-3
    assert rows[0]["times_faster"] == 1
