from __future__ import annotations

import json
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from desali.data.preprocess import Preprocessing, apply_window, check_window
from desali.errors import DataError, DesaliError, ImageError, UnknownNameError

Array = npt.NDArray[Any]
RNG = np.random.default_rng(0)
SQUEEZENET = Preprocessing(227, scale=255.0, mean=(104.0, 117.0, 123.0), channel_order="bgr")


@settings(max_examples=25)
@given(
    hnp.arrays(np.int16, st.tuples(st.integers(1, 3), st.integers(1, 40), st.integers(1, 40))),
    st.sampled_from([1, 7, 32, 45]),
    st.sampled_from(["bicubic", "bilinear"]),
)
def test_one_image_gives_bitwise_what_a_batch_gives(images: Array, size: int, resize: str) -> None:
    preprocessing = Preprocessing(size, resize=resize)
    batch = preprocessing.apply_batch(images, "hu")
    assert batch.shape == (len(images), 3, size, size)
    assert batch.dtype == torch.float32
    assert batch.is_contiguous()
    assert batch.min() >= 0
    assert batch.max() <= 1
    for image, row in zip(images, batch, strict=True):
        assert torch.equal(preprocessing.apply(image, "hu"), row)


@pytest.mark.parametrize("shape", [(5, 32, 32), (5, 61, 92, 3), (5, 300, 260, 3), (2, 227, 227)])
def test_real_sizes_are_bitwise_equal_too(shape: tuple[int, ...]) -> None:
    images = RNG.integers(0, 256, shape, dtype=np.uint8)
    batch = SQUEEZENET.apply_batch(images, "uint8")
    assert all(torch.equal(SQUEEZENET.apply(image, "uint8"), row) for image, row in zip(images, batch, strict=True))


def test_the_window_maps_its_ends_to_0_and_1() -> None:
    hu = np.array([[-2000, -1350, -600, 150, 3000]], np.float32)
    np.testing.assert_array_equal(apply_window(hu, (-600, 1500)), [[0, 0, 0.5, 1, 1]])
    out = Preprocessing(3, channels=1, window=(0, 2)).apply(np.array([[-9, -1, 0], [1, 9, 0.5], [0, 0, 0]]), "hu")
    np.testing.assert_array_equal(out[0], [[0, 0, 0.5], [1, 1, 0.75], [0.5, 0.5, 0.5]])


def test_hu_and_its_8_bit_rendering_agree_to_half_a_grey_level(lung_patch: Array) -> None:
    preprocessing = Preprocessing(227)
    grey = np.rint(255 * apply_window(lung_patch, (-600, 1500))).astype(np.uint8)
    a, b = preprocessing.apply(lung_patch, "hu"), preprocessing.apply(grey, "uint8")
    assert (a - b).abs().max() < 1.5 / 255
    assert a.std() > 0.02


def test_grey_is_copied_to_every_channel() -> None:
    out = Preprocessing(40, channels=5).apply(RNG.integers(0, 256, (32, 32), dtype=np.uint8), "uint8")
    assert all(torch.equal(out[0], channel) for channel in out)


def test_colour_is_used_as_it_is_and_bgr_turns_it() -> None:
    image = RNG.integers(0, 256, (9, 9, 3), dtype=np.uint8)
    rgb = Preprocessing(9).apply(image, "uint8")
    np.testing.assert_array_equal(rgb.numpy(), np.moveaxis(image.astype(np.float32) / 255, -1, 0))
    assert torch.equal(Preprocessing(9, channel_order="bgr").apply(image, "uint8"), rgb.flip(0))


def test_squeezenet_gets_bgr_bytes_minus_the_means() -> None:
    image = RNG.integers(0, 256, (227, 227, 3), dtype=np.uint8)
    expected = np.moveaxis(image[..., ::-1].astype(np.float64) - (104, 117, 123), -1, 0)
    np.testing.assert_allclose(SQUEEZENET.apply(image, "uint8").numpy(), expected, atol=1e-4)


def test_mean_and_std_are_per_channel_in_the_network_s_order() -> None:
    image = np.full((4, 4, 3), (255, 0, 51), np.uint8)
    out = Preprocessing(4, mean=(0.1, 0.2, 0.5), std=(1, 2, 0.5)).apply(image, "uint8")
    np.testing.assert_allclose(out[:, 0, 0], [0.9, -0.1, -0.6], rtol=1e-6)


def test_shrinking_is_antialiased_as_pillow_does_it() -> None:
    image = RNG.random((96, 96)).astype(np.float32) * 0.5 + 0.25
    hu = image * 1500 - 1350
    ours = Preprocessing(32, channels=1).apply(hu, "hu")[0].numpy()
    pillow = np.asarray(Image.fromarray(image).resize((32, 32), Image.Resampling.BICUBIC))
    np.testing.assert_allclose(ours, np.clip(pillow, 0, 1), atol=2e-6)


def keys_cubic(t: npt.NDArray[np.float64], a: float = -0.75) -> npt.NDArray[np.float64]:
    """Keys 1981, the cubic convolution kernel."""
    t = np.abs(t)
    near = (a + 2) * t**3 - (a + 3) * t**2 + 1
    far = a * t**3 - 5 * a * t**2 + 8 * a * t - 4 * a
    return np.where(t <= 1, near, np.where(t < 2, far, 0))


def test_growing_is_keys_cubic_convolution() -> None:
    image = RNG.random((8, 8)) * 0.2 + 0.4
    centres = (np.arange(27) + 0.5) * 8 / 27 - 0.5
    taps = np.floor(centres)[:, None] + np.arange(-1, 3)
    weights = np.zeros((27, 8))
    np.add.at(weights, (np.arange(27)[:, None], np.clip(taps, 0, 7).astype(int)), keys_cubic(centres[:, None] - taps))
    ours = Preprocessing(27, channels=1, window=(0.5, 1)).apply(image, "hu")[0].numpy()
    np.testing.assert_allclose(ours, weights @ image @ weights.T, atol=1e-5)


def test_overshoot_is_clamped() -> None:
    board = (np.indices((8, 8)).sum(0) % 2 * 255).astype(np.uint8)
    out = Preprocessing(37).apply(board, "uint8")
    assert (out.min(), out.max()) == (0, 1)


def test_an_image_of_the_right_size_is_not_resampled() -> None:
    image = RNG.integers(0, 256, (16, 16), dtype=np.uint8)
    np.testing.assert_array_equal(Preprocessing(16).apply(image, "uint8")[0].numpy(), image.astype(np.float32) / 255)


def test_the_input_is_not_changed() -> None:
    image = RNG.integers(-1000, 500, (16, 16)).astype(np.float32)
    before = image.copy()
    Preprocessing(16, mean=(1, 1, 1)).apply(image, "hu").add_(7)
    np.testing.assert_array_equal(image, before)


def test_an_empty_batch_stays_empty() -> None:
    assert Preprocessing(8).apply_batch(np.zeros((0, 4, 4), np.uint8), "uint8").shape == (0, 3, 8, 8)


@pytest.mark.parametrize("preprocessing", [SQUEEZENET, Preprocessing(32, 1, (40, 400), "bilinear", std=(2,))])
def test_it_survives_json(preprocessing: Preprocessing) -> None:
    again = Preprocessing.from_dict(json.loads(json.dumps(preprocessing.to_dict())))
    assert again == preprocessing
    assert hash(again) == hash(preprocessing)


@pytest.mark.parametrize(
    ("fields", "error", "match"),
    [
        ({"window": (-600, 0)}, ImageError, "window=-600,0 "),
        ({"window": (0, -5)}, ImageError, "width above 0"),
        ({"window": (float("nan"), 5)}, ImageError, "finite"),
        ({"size": 0}, DataError, "size"),
        ({"channels": 0}, DataError, "channels"),
        ({"scale": 0}, DataError, "scale"),
        ({"mean": (1.0,)}, DataError, "3 finite"),
        ({"std": (1, 1, 0)}, DataError, "std"),
        ({"resize": "bicubc"}, UnknownNameError, "bicubic"),
        ({"channel_order": "grb"}, UnknownNameError, "rgb"),
        ({"sice": 3}, DataError, "sice"),
    ],
)
def test_bad_fields_are_named(fields: dict[str, Any], error: type[DesaliError], match: str) -> None:
    with pytest.raises(error, match=match) as caught:
        Preprocessing.from_dict({"size": 32, **fields})
    assert "\n" not in str(caught.value)


def test_size_is_needed() -> None:
    with pytest.raises(DataError, match="size"):
        Preprocessing.from_dict({})


@pytest.mark.parametrize(
    ("images", "unit", "match"),
    [
        (np.zeros((4, 4), np.uint8), "uint8", r"\[n, h, w\]"),
        (np.zeros((1, 0, 4), np.uint8), "uint8", "h, w >= 1"),
        (np.zeros((1, 4, 4, 4), np.uint8), "uint8", r"\[n, h, w, 3\]"),
        (np.zeros((1, 4, 4), np.int16), "uint8", "uint8"),
        (np.zeros((1, 4, 4, 3), np.int16), "hu", "grey"),
        (np.full((1, 4, 4), np.nan), "hu", "finite"),
        (np.zeros((1, 4, 4)), "HU", "'HU'"),
    ],
)
def test_images_that_do_not_fit_their_unit_are_refused(images: Array, unit: Any, match: str) -> None:
    with pytest.raises(DesaliError, match=match):
        Preprocessing(8).apply_batch(images, unit)


def test_colour_becomes_its_luma_for_a_grey_network() -> None:
    colour = RNG.integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)
    expected = colour.astype(np.float64) @ [0.299, 0.587, 0.114] / 255
    assert np.allclose(Preprocessing(8, channels=1).apply_batch(colour, "uint8")[:, 0].numpy(), expected, atol=1e-6)


def test_colour_does_not_fit_a_network_of_two_channels() -> None:
    with pytest.raises(ImageError, match="2 input channels"):
        Preprocessing(8, channels=2).apply(np.zeros((4, 4, 3), np.uint8), "uint8")


def test_check_window_returns_floats() -> None:
    assert check_window((-600, 1500)) == (-600.0, 1500.0)


@pytest.mark.parametrize("shape", [(500, 375), (375, 501), (333, 999), (480, 480), (257, 256), (224, 224)])
def test_resize_before_the_crop_is_what_published_weights_were_trained_on(shape: tuple[int, int]) -> None:
    coarse = RNG.integers(0, 256, (shape[0] // 8 + 1, shape[1] // 8 + 1, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize(shape[::-1])
    height, width = shape
    to = (256, int(256 * width / height)) if height <= width else (int(256 * height / width), 256)
    top, left = (round((side - 224) / 2.0) for side in to)
    whole = image.resize(to[::-1], Image.Resampling.BILINEAR)
    expected = np.moveaxis(np.asarray(whole.crop((left, top, left + 224, top + 224)), np.float32) / 255, -1, 0)
    rule = Preprocessing(224, resize="bilinear", resize_to=256)
    difference = np.abs(rule.apply(np.asarray(image), "uint8").numpy() - expected).max()
    assert difference <= (0 if min(shape) >= 256 else 1.01 / 255)
    cut = f"cut to the centre 224 x 224{'; a box would keep its detail' if min(shape) > 256 else ''}."
    assert rule.words(shape, "uint8").endswith(cut)
    assert torch.equal(rule.apply_batch(np.asarray(image)[None], "uint8")[0], rule.apply(np.asarray(image), "uint8"))
    assert Preprocessing.from_dict(rule.to_dict()) == rule


def test_resize_before_the_crop_leaves_hu_whole_and_cards_as_they_are() -> None:
    hu = RNG.integers(-1000, 200, (224, 224), dtype=np.int16)
    rule = Preprocessing(224, resize_to=256)
    assert torch.equal(rule.apply(hu, "hu"), Preprocessing(224).apply(hu, "hu"))
    assert rule.words((224, 224), "hu") == ""
    assert rule.seen.resize_to == 256
    grey = RNG.random((300, 280), dtype=np.float32)
    assert rule.apply(grey, "unit").shape == (3, 224, 224)
    assert rule.words((224, 224), "uint8") == (
        "The image of 224 x 224 pixels was enlarged to 256 x 256, then cut to the centre 224 x 224."
    )
    assert "resize_to" not in Preprocessing(224).to_dict()
    assert Preprocessing(224, resize_to=224) == Preprocessing(224)
    for wrong in (200, 256.0, True, "256"):
        with pytest.raises(DataError, match="resize_to must be a whole number of at least size=224"):
            Preprocessing(224, resize_to=wrong)  # type: ignore[arg-type]


@settings(max_examples=40)
@given(
    st.integers(20, 120), st.integers(20, 120), st.sampled_from([24, 32, 48]), st.sampled_from([None, 64]),
    st.sampled_from(["hu", "uint8"]),
)  # fmt: skip
def test_the_frame_is_the_part_of_the_image_that_becomes_the_input(
    height: int, width: int, size: int, resize_to: int | None, unit: Any
) -> None:
    rule = Preprocessing(size, 1, (512.0, 1024.0), "bilinear", resize_to=resize_to)
    top, left, tall, wide = rule.frame((height, width), unit)
    scale = 8 if unit == "hu" else 2  # so that values stay inside the window, or in a byte
    for axis, first, long in ((0, top, tall), (1, left, wide)):
        ramp = np.arange((height, width)[axis])
        pixels = np.broadcast_to(ramp[:, None] if axis == 0 else ramp, (height, width)) * scale
        made = rule.apply(pixels.astype(np.int16 if unit == "hu" else np.uint8), unit)[0].numpy()
        line = made.mean(1) if axis == 0 else made.mean(0)
        middle = size // 2
        seen = (made[:, middle] if axis == 0 else made[middle])[middle] * (1024 if unit == "hu" else 255) / scale
        expected = first + (middle + 0.5) * long / size - 0.5
        if 2 < expected < len(ramp) - 3:
            assert seen == pytest.approx(expected, abs=1.0), (axis, line)
