"""What lineage refuses, each with one clear line; and what it takes besides tensors."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import desali
from desali.data.imageset import ImageSet
from desali.data.preprocess import Preprocessing
from desali.models.checkpoint import LoadedModel
from tests.comparison.related import Plain, Residual, made, pictures, plain, shaken

IMAGES = pictures(8)
BEFORE, AFTER = plain(), shaken(plain(), 0.1)


def spoiled(value: float) -> nn.Module:
    model = copy.deepcopy(BEFORE)
    with torch.no_grad():
        model.convolutions[2].weight[0, 0, 0, 0] = value
    return model


def closed() -> nn.Module:
    model = copy.deepcopy(BEFORE)
    with torch.no_grad():
        for convolution in model.convolutions:
            convolution.weight.zero_()
            convolution.bias.fill_(-1)
    return model


def half_trained() -> nn.Module:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU()).eval()
    model[1].train()
    return model


def loaded(model: nn.Module, **fields: Any) -> LoadedModel:
    rule = Preprocessing(24, **fields)
    return LoadedModel(model, {"classes": [], "preprocessing": rule.to_dict(), "architecture": "plain"}, None)


def image_set(n: int = 8) -> ImageSet:
    pixels = np.random.default_rng(0).integers(0, 256, (n, 24, 24, 3), np.uint8)
    groups = np.array([f"patient {k % 4}" for k in range(n)])
    return ImageSet("few", pixels, np.arange(n) % 2, groups, ("a", "b"), "uint8", "made up", {})


def nan_image() -> torch.Tensor:
    images = IMAGES.clone()
    images[5, 0, 3, 3] = math.nan
    return images


REFUSED: dict[str, tuple[tuple[Any, ...], dict[str, Any], str]] = {
    "the same object": ((BEFORE, BEFORE, IMAGES), {}, "before and after are the same object"),
    "a replicate that is the network after": (
        (BEFORE, AFTER, IMAGES), {"replicates": [AFTER]}, "after and replicate 1 are the same object",
    ),
    "another architecture": ((BEFORE, made(Residual), IMAGES), {}, "two architectures: where before has features.1"),
    "other widths": (
        (BEFORE, Plain((48, 64, 60, 80, 96)).eval(), IMAGES), {}, "where before has features.6 with 64 channels",
    ),
    "another width at the end": (
        (BEFORE, Plain((48, 64, 64, 80, 90)).eval(), IMAGES), {}, "features.11 with 96 channels, after has",
    ),
    "other input channels": (
        (BEFORE, Plain(channels=1).eval(), IMAGES), {}, "after takes images of 1 channels, and these have 3",
    ),
    "few images": ((BEFORE, AFTER, IMAGES[:3]), {}, "3 images are too few"),
    "no images": ((BEFORE, AFTER, IMAGES[:0]), {}, "0 images are too few"),
    "an array": ((BEFORE, AFTER, IMAGES.numpy()), {}, "images must be a float tensor"),
    "bytes": ((BEFORE, AFTER, IMAGES.byte()), {}, "images must be a float tensor"),
    "NaN in an image": ((BEFORE, AFTER, nan_image()), {}, "image 5 holds NaN or infinity"),
    "NaN in a network": ((BEFORE, spoiled(math.nan), IMAGES), {}, "after computes NaN or infinity at 'features.6'"),
    "infinity in a network": ((spoiled(math.inf), AFTER, IMAGES), {}, "before computes NaN or infinity at"),
    "a closed network": ((BEFORE, closed(), IMAGES), {}, "after: no ReLU opens on any of these images"),
    "no ReLU": (
        (nn.Sequential(nn.Conv2d(3, 4, 1)).eval(), nn.Sequential(nn.Conv2d(3, 4, 1)).eval(), IMAGES), {},
        "before has no ReLU",
    ),
    "training mode": ((BEFORE, Plain().train(), IMAGES), {}, "after is in training mode"),
    "a module in training mode": (
        (half_trained(), AFTER, IMAGES), {}, "before, module '1', is in training mode",
    ),
    "no network": (("before.pth", AFTER, IMAGES), {}, "before must be a torch.nn.Module or what desali.load returns"),
    "too few groups": ((BEFORE, AFTER, IMAGES, ["a"]), {}, "groups must hold one entry for each of the 8"),
    "too few labels": ((BEFORE, AFTER, IMAGES), {"labels": [1, 2]}, "labels must hold one entry for each of the 8"),
    "an unknown layer": ((BEFORE, AFTER, IMAGES), {"layers": ["features.99"]}, "unknown layer 'features.99'"),
    "a layer as a word": ((BEFORE, AFTER, IMAGES), {"layers": "features.1"}, "layers must be a list"),
    "no layers": ((BEFORE, AFTER, IMAGES), {"layers": []}, "layers must be a list of at least one name"),
    "a negative number": ((BEFORE, AFTER, IMAGES), {"random_networks": -1}, "random_networks must be a whole number"),
    "a fraction": ((BEFORE, AFTER, IMAGES), {"random_networks": 1.5}, "random_networks must be a whole number"),
    "a negative seed": ((BEFORE, AFTER, IMAGES), {"seed": -1}, "seed must be a whole number"),
    "one replicate bare": ((BEFORE, AFTER, IMAGES), {"replicates": AFTER}, "replicates must be a list"),
    "a device that is not there": ((BEFORE, AFTER, IMAGES), {"device": "tpu"}, "unknown device 'tpu'"),
    "another number type": ((BEFORE, copy.deepcopy(AFTER).double(), IMAGES), {}, "before is in float32 and after in"),
    "plain modules and an image set": ((BEFORE, AFTER, image_set()), {}, "a plain module has none"),
    "two kinds of preprocessing": (
        (loaded(BEFORE), loaded(AFTER, scale=255.0), image_set()), {}, r"\(scale is 1.0 and 255.0\)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refused_with_one_line(case: str) -> None:
    args, options, message = REFUSED[case]
    with pytest.raises(desali.DesaliError, match=message) as caught:
        desali.lineage(*args, **options)
    assert "\n" not in str(caught.value)


def test_a_network_that_nothing_draws_anew() -> None:
    class Own(nn.Module):
        def __init__(self, seed: int) -> None:
            super().__init__()
            self.kernel = nn.Parameter(torch.randn(16, 3, 3, 3, generator=torch.Generator().manual_seed(seed)))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.relu(nn.functional.conv2d(x, self.kernel)).mean((2, 3))

    with pytest.raises(desali.DesaliError, match="random_networks=0"):
        desali.lineage(Own(0).eval(), Own(1).eval(), IMAGES)
    change = desali.lineage(Own(0).eval(), Own(1).eval(), IMAGES, random_networks=0)
    assert change.strangers
    assert any("No random networks" in note for note in change.notes)


def test_image_sets_are_prepared_once_by_the_models_own_rule() -> None:
    images = image_set()
    change = desali.lineage(loaded(BEFORE), loaded(AFTER), images, random_networks=0)
    tensor = Preprocessing(24).apply_batch(images.images, "uint8")
    plainly = desali.lineage(BEFORE, AFTER, tensor, images.patients.tolist(), random_networks=0)
    for layer, other in zip(change, plainly, strict=True):
        np.testing.assert_allclose(layer.correlation, other.correlation, atol=1e-12)
        assert layer.state.tolist() == other.state.tolist()
        assert layer.interval == pytest.approx(other.interval)
    assert change.record["images"]["patients"] == 4
    assert change.record["images"]["classes"] == {"a": 4, "b": 4}
    assert change.record["images"]["preprocessing"]["size"] == 24
    one_plain = desali.lineage(loaded(BEFORE), AFTER, images, random_networks=0)
    assert [layer.traceable for layer in one_plain] == [layer.traceable for layer in change]


def test_images_that_a_network_was_trained_on_are_named() -> None:
    images = image_set()
    card = {**loaded(AFTER).card, "data": {"fingerprint": images.fingerprint, "name": "few", "patient_names": []}}
    change = desali.lineage(loaded(BEFORE), LoadedModel(AFTER, card, None), images, random_networks=0)
    assert any("after was trained on these very images" in note for note in change.notes)
    card["data"] = {"fingerprint": "other", "name": "few", "patient_names": ["patient 1"]}
    change = desali.lineage(loaded(BEFORE), LoadedModel(AFTER, card, None), images, random_networks=0)
    assert any("after was trained on some of these patients" in note for note in change.notes)
    same = replace(images, name="others")
    change = desali.lineage(loaded(BEFORE), LoadedModel(AFTER, card, None), same, random_networks=0)
    assert not any("trained on" in note for note in change.notes)


def test_one_class_and_repeated_images_are_said() -> None:
    twice = torch.cat([IMAGES[:4], IMAGES[:4]])
    change = desali.lineage(BEFORE, AFTER, twice, labels=["emphysema"] * 8, random_networks=1)
    text = str(change)
    assert "All images are of one class (emphysema)" in text
    assert "4 of the 8 images occur more than once" in text
    assert "1 random network is too few" in text


def test_a_balanced_probe_set_takes_turns_among_patients() -> None:
    from desali.comparison.probe_set import draw

    n = 60
    pixels = np.zeros((n, 2, 2), np.uint8)
    labels = np.array([0] * 40 + [1] * 20)
    groups = np.array(["big"] * 34 + [f"small {k}" for k in range(6)] + ["big"] * 14 + [f"small {k}" for k in range(6)])
    images = ImageSet("unequal", pixels, labels, groups, ("a", "b"), "uint8", "made up", {})
    chosen = draw(images, 10, seed=1)
    assert np.bincount(chosen.labels).tolist() == [10, 10]
    for label in (0, 1):
        own = chosen.patients[chosen.labels == label]
        assert set(own) == {"big", *(f"small {k}" for k in range(6))}
        assert (own == "big").sum() == 4
    assert (draw(images, 10, seed=1).patients == chosen.patients).all()
    assert len(draw(images, 100)) == n


def test_classifiers_of_other_sizes() -> None:
    torch.manual_seed(0)
    parent = nn.Sequential(
        nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 10, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1)
    ).eval()
    child = copy.deepcopy(parent)
    child[2] = nn.Conv2d(16, 4, 1).eval()
    change = desali.lineage(parent, child, IMAGES)
    assert change.layers == ["1"]
    assert change["1"].equal
    assert any("classifiers differ: 3" in note for note in change.notes)
