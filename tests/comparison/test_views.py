"""Looking at one image: activations, maps and receptive fields belong together."""

from __future__ import annotations

import pytest
import torch

from desali import METHODS, Seed, record
from desali.comparison.views import looks
from desali.reversal.graph.share import adopt
from tests.networks import chain, images

LAYERS = ["features.1", "features.5", "classifier.3"]


def test_a_look_holds_what_the_recording_gives() -> None:
    model, image = chain(), images(1)[0]
    recording = record(model, image[None])
    kept = record(model, image[None], keep="activations")
    (seen,) = looks(kept, LAYERS[:2], Seed.channel(2), METHODS["saliency"])
    for view in seen.views:
        assert torch.equal(view.activation, recording.activation(view.layer)[0])
        assert torch.equal(view.maps, recording.reconstruct(view.layer, Seed.channel(2), "saliency")[0])
        assert view.fields == (None,)
    assert seen.probabilities is not None
    assert seen.probabilities.sum().item() == pytest.approx(1, abs=1e-5)


def test_single_neurons_carry_the_field_that_holds_their_map() -> None:
    (seen,) = looks(record(chain(), images(1)), LAYERS[:2], Seed.top(3), "desalinet")
    for view in seen.views:
        assert len(view.fields) == 3
        for map, field in zip(view.maps, view.fields, strict=True):
            assert field is not None
            top, left, height, width = field
            outside = map.clone()
            outside[:, max(top, 0) : top + height, max(left, 0) : left + width] = 0
            assert map.abs().max() > 0
            assert outside.abs().max() == 0


def test_models_of_one_structure_share_a_capture_but_not_their_weights() -> None:
    first, second = chain(seed=0), chain(seed=5)
    expected = record(chain(seed=5), images(2)).reconstruct("features.8", Seed.layer())
    record(first, images(2)).reconstruct("features.8", Seed.layer())
    adopt(second, first)
    assert torch.equal(record(second, images(2)).reconstruct("features.8", Seed.layer()), expected)
