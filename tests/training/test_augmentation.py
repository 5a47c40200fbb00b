"""Flips and rotations, shifts, and noise in Hounsfield units."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from desali.data.preprocess import Preprocessing
from desali.errors import DataError, DesaliError
from desali.training.augmentation import Augmentation, augmentation_of
from desali.training.stage import Stage


def apply(images: Tensor, augmentation: Augmentation, seed: int = 0) -> Tensor:
    draw = augmentation.draw(len(images), torch.Generator().manual_seed(seed))
    return augmentation.apply(images, draw)


def test_augmentation_gives_exactly_the_symmetries() -> None:
    picture = torch.arange(9.0).reshape(1, 1, 3, 3)
    turned = [torch.rot90(picture, k, (-2, -1)) for k in range(4)]
    symmetries = {tuple(one.flatten().tolist()) for one in [*turned, *(one.flip(-1) for one in turned)]}
    expected = {"none": 1, "mirror": 2, "dihedral": 8}
    for kind, count in expected.items():
        images = apply(picture.expand(400, -1, -1, -1), Augmentation(kind))
        seen = [tuple(one.flatten().tolist()) for one in images]
        assert set(seen) <= symmetries
        assert len(set(seen)) == count
        assert min(seen.count(one) for one in set(seen)) > 400 / count * 0.6
    mirrored = tuple(picture.flip(-1).flatten().tolist())
    assert mirrored in {
        tuple(i.flatten().tolist()) for i in apply(picture.expand(20, -1, -1, -1), Augmentation("mirror"))
    }


def test_shifts_are_all_there_and_repeat_the_edge() -> None:
    picture = torch.arange(30.0).reshape(1, 1, 5, 6)
    padded = np.pad(picture[0, 0].numpy(), 2, mode="edge")
    windows = {
        (dy, dx): padded[2 - dy : 7 - dy, 2 - dx : 8 - dx].tobytes() for dy in range(-2, 3) for dx in range(-2, 3)
    }
    assert len(set(windows.values())) == 25
    images = apply(picture.expand(600, 3, -1, -1), Augmentation(shift=2))
    assert images.shape == (600, 3, 5, 6)
    assert torch.equal(images[:, 0], images[:, 2])
    assert {one[0].numpy().tobytes() for one in images.contiguous()} == set(windows.values())


@pytest.mark.parametrize(
    "extra", [{}, {"scale": 255.0, "mean": (104.0, 117.0, 123.0)}, {"mean": (0.4, 0.5, 0.6), "std": (0.2, 0.3, 0.4)}]
)
def test_noise_has_its_deviation_in_hu_and_stays_within_the_window(extra: dict[str, Any]) -> None:
    preprocessing = Preprocessing(64, window=(-600.0, 1500.0), **extra)
    stage = Stage("target", noise_hu=30.0, augmentation="none", shift=0, gain=0, offset=0)
    augmentation = augmentation_of(stage, preprocessing, "hu")
    hu = np.full((8, 64, 64), -600, np.int16)
    hu[0], hu[1] = -1350, 150  # the ends of the window
    plain = preprocessing.apply_batch(hu, "hu")
    noisy = apply(plain, augmentation)
    shades = preprocessing.apply_batch(np.stack([np.full((64, 64), v) for v in (-600, -599)]), "hu").mean((2, 3))
    per_hu = (shades[1] - shades[0])[None, :, None, None]
    change = (noisy - plain) / per_hu
    assert torch.allclose(change[2:, 0], change[2:, 1], rtol=1e-2, atol=1e-1)  # grey stays grey
    assert float(change[2:].std()) == pytest.approx(30, rel=0.02)
    assert float(change[2:].mean()) == pytest.approx(0, abs=0.6)
    assert float(change[0].min()) == pytest.approx(0, abs=1e-3)
    assert float(change[1].max()) == pytest.approx(0, abs=1e-3)
    assert float(change[0].max()) > 60
    assert not torch.equal(noisy[2], noisy[3])


@pytest.mark.parametrize("extra", [{}, {"mean": (0.5,) * 3, "std": (0.25,) * 3}])
def test_gain_and_offset_change_contrast_and_brightness_within_the_range(extra: dict[str, Any]) -> None:
    preprocessing = Preprocessing(8, **extra)
    stage = Stage("natural", augmentation="none", shift=0, gain=0.5, offset=0.1)
    augmentation = augmentation_of(stage, preprocessing, "uint8")
    shades = np.array([[0, 102, 127, 153, 255]], np.uint8).repeat(8, 0)[:, [0, 1, 1, 2, 2, 3, 3, 4]]
    plain = preprocessing.apply_batch(np.repeat(shades[None], 4000, 0), "uint8")
    changed = apply(plain, augmentation)
    span = augmentation.high[0] - augmentation.low[0]
    contrast = (changed[:, 0, 0, 5] - changed[:, 0, 0, 1]) / (plain[0, 0, 0, 5] - plain[0, 0, 0, 1])
    assert float(contrast.min()) == pytest.approx(1 / 1.5, rel=0.01)
    assert float(contrast.max()) == pytest.approx(1.5, rel=0.01)
    assert float(contrast.log().mean()) == pytest.approx(0, abs=0.02)
    moved = (changed[:, 0, 0, 3] - plain[0, 0, 0, 3]) / span
    assert float(moved.min()) == pytest.approx(-0.1, abs=0.003)
    assert float(moved.max()) == pytest.approx(0.1, abs=0.003)
    assert float(changed.min()) >= augmentation.low[0]
    assert float(changed.max()) <= augmentation.high[0]
    without = augmentation_of(stage, None, "uint8")
    assert (without.gain, without.offset) == (0, 0)


def test_a_part_of_a_batch_is_changed_as_in_the_whole() -> None:
    images = torch.rand(9, 3, 8, 8)
    augmentation = Augmentation("dihedral", 2, (0.1, 0.1, 0.1), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), 0.2, 0.1)
    draw = augmentation.draw(9, torch.Generator().manual_seed(3))
    whole = augmentation.apply(images, draw)
    assert torch.equal(augmentation.apply(images[4:7], draw, slice(4, 7)), whole[4:7])


def test_impossible_augmentation_is_refused() -> None:
    preprocessing = Preprocessing(16)
    stage = Stage("natural", noise_hu=5.0)
    with pytest.raises(
        DataError, match=r"photos: noise_hu 5 needs images in Hounsfield units.*leave it out.*'natural'"
    ):
        augmentation_of(stage, preprocessing, "uint8", "photos")
    with pytest.raises(DesaliError, match="needs the preprocessing"):
        augmentation_of(stage, None, "hu")
    with pytest.raises(DataError, match="shift must be less than the input's 16 pixels, got 16"):
        augmentation_of(Stage("target", shift=16), preprocessing, "uint8")
