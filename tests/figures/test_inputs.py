"""What a figure shows of an image is what the network gets, and what the network gets is what it was trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import desali
from desali.data import read_images
from desali.data.imageset import ImageSet
from desali.data.preprocess import Preprocessing
from desali.errors import ImageError
from desali.figures.inputs import LUMA, prepare, to_image
from desali.models.checkpoint import LoadedModel
from tests.figures.networks import further, plain

RULE = Preprocessing(32, mean=(0.5, 0.4, 0.3), std=(0.2, 0.25, 0.3), channel_order="bgr")


def photograph(height: int = 50, width: int = 80) -> Any:
    y, x = np.mgrid[:height, :width] / 60
    planes = [np.sin(9 * x + k) * np.cos(7 * y - k) for k in range(3)]
    return np.rint(127.5 + 120 * np.stack(planes, -1)).astype(np.uint8)


@pytest.mark.parametrize("shape", [(50, 80), (80, 50), (20, 24)])
def test_a_figure_of_a_photograph_shows_what_training_read(tmp_path: Path, shape: tuple[int, int]) -> None:
    for label in ("a", "b"):
        (tmp_path / label).mkdir()
        Image.fromarray(photograph(*shape)).save(tmp_path / label / "one.png")
    trained = read_images(f"folder:{tmp_path}", size=32)
    roi = desali.read_image(tmp_path / "a" / "one.png")
    input = prepare(roi, RULE)
    assert torch.equal(input.tensor, RULE.apply_batch(trained.images, trained.unit)[0])
    np.testing.assert_allclose(input.picture, trained.images[0] / 255, atol=1e-6)


def test_a_figure_says_what_was_done_for_each_size() -> None:
    models = {"one": plain(), "other": further(plain(), ["0"])}
    rules = {"one": Preprocessing(32), "other": Preprocessing(24)}
    image = photograph(32, 32)
    figure = desali.compare(models, image, layers=["1", "4"], preprocessing=rules, contrast=False, random_networks=0)
    assert (
        "other: The image of 32 x 32 pixels was shrunk to 24 x 24; a box would keep its detail."
        in figure.to_dict()["note"]
    )
    both = desali.compare(
        models, image, layers=["1"], preprocessing=Preprocessing(40), contrast=False, random_networks=0
    )
    assert both.to_dict()["note"].startswith("The image of 32 x 32 pixels was enlarged to 40 x 40.")


def test_a_rectangle_in_hu_stands_in_air() -> None:
    hu = np.full((20, 40), -600, np.int16)
    roi = to_image(hu)
    assert not isinstance(roi, torch.Tensor)
    shown = prepare(roi, Preprocessing(40, channels=1, window=(-600, 1500))).picture
    np.testing.assert_allclose(shown[10:30], 0.5, atol=1e-6)
    np.testing.assert_allclose(shown[:10], (-1024 + 1350) / 1500, atol=1e-6)


GREY = np.rint(127.5 + 100 * np.sin(np.arange(32)[:, None] / 3) * np.cos(np.arange(32) / 4)).astype(np.uint8)
AS_RGB = np.repeat(GREY[..., None], 3, axis=-1)


def reconstruction_is_grey(figure: Any) -> list[bool]:
    """Of each reconstruction that is drawn, whether it is grey."""
    cells = [cell for row in figure.grid.panels for cell in row if getattr(cell, "kind", "") == "reconstruction"]
    assert cells
    return [np.ndim(cell.image) == 2 or bool((cell.image[..., :1] == cell.image).all()) for cell in cells]


def test_grey_that_is_stored_in_colour_has_grey_maps_unless_asked_otherwise(tmp_path: Path) -> None:
    Image.fromarray(AS_RGB).save(tmp_path / "pacs.jpg", quality=95)
    models = {"one": plain(), "other": further(plain(), ["0"])}
    few = {"layers": ["1", "4"], "contrast": False, "random_networks": 1}
    for image in (AS_RGB, AS_RGB / 255, Image.fromarray(AS_RGB), desali.read_image(tmp_path / "pacs.jpg")):
        figure = desali.compare(models, image, **few)
        assert all(reconstruction_is_grey(figure))
        assert "taken as grey" in figure.to_dict()["note"]
    apart = desali.compare(models, AS_RGB, colour=True, **few)
    assert not any(reconstruction_is_grey(apart))
    assert apart.to_dict()["colour"] is True
    kept = desali.read_image(tmp_path / "pacs.jpg", colour=True)
    assert not any(reconstruction_is_grey(desali.compare(models, kept, colour=True, **few)))


def test_a_network_of_one_channel_takes_grey_that_is_stored_in_colour() -> None:
    models = {"one": plain(channels=1), "other": further(plain(channels=1), ["0"])}
    few = {"layers": ["1"], "contrast": False, "random_networks": 0}
    figure = desali.compare(models, AS_RGB, **few)
    same = desali.compare(models, GREY, **few)
    assert figure.to_dict()["rows"] == same.to_dict()["rows"]
    with pytest.raises(ImageError, match="does not fit a network of 1 input channels"):
        desali.compare(models, AS_RGB, colour=True, **few)


def test_a_normalised_tensor_of_grey_is_grey() -> None:
    rule = Preprocessing(32, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    tensor = rule.apply(GREY, "uint8")
    assert not prepare(tensor, rule).colour
    assert prepare(tensor, rule, colour=True).colour
    recording = desali.record(plain(), tensor[None])
    assert all(reconstruction_is_grey(desali.show(recording, ["1"], preprocessing=rule)))
    assert not any(reconstruction_is_grey(desali.show(recording, ["1"], preprocessing=rule, colour=True)))


def test_transparency_is_said_on_the_figure(tmp_path: Path) -> None:
    four = np.dstack([photograph(32, 32), np.full((32, 32), 200, np.uint8)])
    Image.fromarray(four).save(tmp_path / "a.png")
    models = {"one": plain(), "other": further(plain(), ["0"])}
    roi = desali.read_image(tmp_path / "a.png")
    figure = desali.compare(models, roi, layers=["1"], contrast=False, random_networks=0)
    assert "Transparent pixels were laid on white." in figure.to_dict()["note"]


def test_a_network_of_one_channel_is_shown_the_luma_that_it_gets() -> None:
    rule = Preprocessing(32, channels=1, mean=(0.5,), std=(0.25,))
    models = {"one": plain(channels=1), "other": further(plain(channels=1), ["0"])}
    image = photograph(32, 32)
    figure = desali.compare(models, image, layers=["1"], preprocessing=rule, random_networks=0)
    assert LUMA in figure.to_dict()["note"]
    assert all(reconstruction_is_grey(figure))
    shown = prepare(to_image(image), rule)
    np.testing.assert_allclose(shown.picture, shown.tensor[0] * 0.25 + 0.5, atol=1e-6)
    n = 12
    pixels = np.stack([photograph(32, 32) ^ np.uint8(k) for k in range(n)])
    patients = np.array([str(k) for k in range(n)])
    images = ImageSet("x", pixels, np.zeros(n, np.int64), patients, ("a",), "uint8", "photographs", {})
    card = {"architecture": "x", "origin": "y", "classes": ["a", "b", "c", "d"], "preprocessing": rule.to_dict()}
    loaded = LoadedModel(plain(channels=1), card, None)
    sheet = desali.channels(loaded, None, images, "1", channels=[0, 1], random_networks=1)
    assert LUMA in sheet.to_dict()["note"]
