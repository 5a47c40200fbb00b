"""Threads may share a model, also during its first capture."""

from __future__ import annotations

import threading
from typing import Any

import torch

import desali
from tests.networks import chain, images

DTYPE = torch.float64


def test_threads_can_share_a_model() -> None:
    model, x = chain(DTYPE), images(2, DTYPE)
    seed = desali.Seed.top(2)
    expected = desali.reconstruct(chain(DTYPE), x, "features.8", seed)
    with torch.no_grad():
        output = model(x)
    results: list[Any] = []

    def work(reverse: bool) -> None:
        try:
            for _ in range(3):
                if reverse:
                    results.append(torch.equal(desali.reconstruct(model, x, "features.8", seed), expected))
                else:
                    with torch.no_grad():
                        results.append(torch.equal(model(x), output))
        except Exception as error:
            results.append(error)

    threads = [threading.Thread(target=work, args=(i % 2 == 0,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 18
