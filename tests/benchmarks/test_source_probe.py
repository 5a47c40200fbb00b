"""The probe of source stages: descriptors of frozen layers, and random networks that are whole."""

from __future__ import annotations

import numpy as np
import torch

from benchmarks.source_probe import LAYERS, descriptors, probed, random_network
from desali.comparison.probe import task


def test_a_layer_is_described_by_means_and_maxima_and_random_networks_differ() -> None:
    images = torch.randn(40, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    images[::2] *= 0.3
    first, again, other = random_network(0, images), random_network(0, images), random_network(1, images)
    found = descriptors(first, images)
    assert [found[name].shape for name in LAYERS] == [(40, 128), (40, 192), (40, 256)]
    middle = first.features[:11](images).detach().double().numpy()  # to relu3
    assert np.allclose(found["features.relu3"][:, :64], middle.mean((2, 3)), atol=1e-5)
    assert np.allclose(found["features.relu3"][:, 64:], middle.max((2, 3)), atol=1e-5)
    assert all(np.array_equal(found[name], descriptors(again, images)[name]) for name in LAYERS)
    assert not np.allclose(found["features.relu6"], descriptors(other, images)["features.relu6"])
    patients = np.arange(40) // 4
    asked = task(np.arange(40) % 2, patients, patients)
    assert asked is not None
    for value, left_out in probed(first, images, asked).values():
        assert value > 0.8  # the contrast tells
        assert len(left_out) == 10
