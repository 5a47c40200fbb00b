"""The choice of the way: the table, the tuning file; the way changes nothing but the speed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from desali import ops
from desali.ops import convolution, crossovers, native, tuning
from desali.ops.crossovers import Crossover
from tests.ops.cases import assert_near, normal

pytestmark = pytest.mark.skipif(ops.core()[0] is None, reason=str(ops.core()[1]))
ONE = native.Axis(3, 1, 1, 1)
POINTWISE = {"pointwise", "pointwise, widening", "pointwise, strided", "pointwise, large"}


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("DESALI_CACHE", str(tmp_path / "cache"))
    crossovers.current.cache_clear()
    yield crossovers.tuning_file()
    crossovers.current.cache_clear()


def test_every_level_has_a_crossover_for_every_kind() -> None:
    kinds = {one.kind for one in tuning.LAYERS}
    assert kinds == {"image", "image, strided", "channels", "channels, strided", "channels, large", *POINTWISE}
    first = {layer.kind for layer in tuning.LAYERS[: len(kinds)]}
    assert first == kinds, "a short limit measures all"
    for level in ("portable", "avx2", "avx512"):
        assert set(crossovers.TABLE[level]) == kinds
        assert all(
            0 <= one.density <= 1 and one.dense in ("dense", "torch") for one in crossovers.TABLE[level].values()
        )


def test_1_x_1_convolutions_are_kinds_of_their_own() -> None:
    one = (1, 1)
    assert crossovers.kind_of(64, 16, one, one) == "pointwise"
    assert crossovers.kind_of(16, 64, one, one) == "pointwise, widening"
    assert crossovers.kind_of(512, 1024, one, one) == "pointwise"
    assert crossovers.kind_of(512, 2048, one, one) == "pointwise, large"
    assert crossovers.kind_of(512, 512, (3, 3), one) == "channels, large"
    assert crossovers.kind_of(512, 512, (3, 3), one, groups=512) == "channels"
    assert crossovers.kind_of(256, 64, one, (2, 2)) == "pointwise, strided"
    assert crossovers.kind_of(64, 3, (3, 3), one) == "image"
    assert crossovers.kind_of(64, 3, (3, 3), (2, 2)) == "image, strided"
    assert crossovers.kind_of(64, 16, (3, 3), one) == "channels"


def test_a_single_signal_goes_to_the_library_in_its_own_memory_format(monkeypatch: pytest.MonkeyPatch) -> None:
    signal = torch.randn(1, 1, 9, 9, 8).movedim(-1, 2)
    seen: list[torch.Tensor] = []
    original = torch.nn.functional.conv_transpose2d

    def watched(x: torch.Tensor, *rest: object) -> torch.Tensor:
        seen.append(x)
        return original(x, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(torch.nn.functional, "conv_transpose2d", watched)
    with convolution.forced("torch"):
        ops.conv_transpose(signal, torch.randn(8, 16, 3, 3), map_size=(9, 9), padding=1)
    assert seen[0].stride() == (9 * 9 * 8, 1, 9 * 8, 8)


@pytest.mark.parametrize("images", [15, 16, 32])
def test_a_large_signal_is_sampled_everywhere(images: int) -> None:
    """Rows at the top of every image say nothing of the rest: what is sparse is not taken for dense."""
    signal = torch.zeros(1, images, 64, 56, 56)
    signal[:, :, :, :4] = 1
    signal *= torch.rand(signal.shape, generator=torch.Generator().manual_seed(0))
    seen: list[float] = []
    crossovers.current.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        original = convolution.choose_kernel
        patch.setattr(convolution, "choose_kernel", lambda share, *rest: seen.append(share) or original(share, *rest))
        ops.conv_transpose(signal, torch.randn(64, 8, 1, 1), map_size=(56, 56))
    assert all(share < 0.2 for share in seen)


def test_what_was_measured_here_decides(file: Path) -> None:
    def ways(density: float, channels: int = 64) -> str:
        crossovers.current.cache_clear()
        return convolution.choose_kernel(density, 32, channels, ONE, ONE, 1, torch.float32)

    file.parent.mkdir()
    for density, dense, found in ((0.0, "dense", "dense"), (0.0, "torch", "torch"), (1.0, "torch", "sparse")):
        crossover = Crossover(density, dense)
        file.write_text(json.dumps(crossovers.written({crossovers.machine(): {"channels": crossover}})))
        assert ways(0.5) == found
        assert ways(0.0) == "sparse"
    image = crossovers.TABLE[ops.describe()["simd"]]["image"]
    assert crossovers.current()["image"] == image, "the table's, where nothing was measured"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "damaged or of another version"),
        ("[]", "damaged"),
        ("[" * 100_000, "damaged"),
        ('{"format": 1, "machines": {}}', "another version"),
        ('{"format": 2, "machines": {"a": {"channels": {"density": 2, "dense": "torch"}}}}', "damaged"),
        ('{"format": 2, "machines": {"a": {"channels": {"density": true, "dense": "torch"}}}}', "damaged"),
        ('{"format": 2, "machines": {"a": {"channels": {"density": NaN, "dense": "torch"}}}}', "damaged"),
        ('{"format": 2, "machines": {"a": {"channels": {"density": 0.5, "dense": "fast"}}}}', "damaged"),
        ('{"format": 2, "machines": {"a": 3}}', "damaged"),
        ('{"format": 2, "machines": {"another": {}}}', "it was measured on other machines; run"),
    ],
)
def test_a_file_that_does_not_fit_is_ignored_with_one_line(
    file: Path, content: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file.parent.mkdir()
    file.write_text(content)
    assert crossovers.current() == crossovers.TABLE[ops.describe()["simd"]]
    crossovers.current()
    line, end = capsys.readouterr().err.split("\n")
    assert end == ""
    assert str(file) in line
    assert "is ignored" in line
    assert words in line
    assert "desali tune" in line


def test_a_folder_in_the_place_of_the_file_is_ignored(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.mkdir(parents=True)
    assert crossovers.current() == crossovers.TABLE[ops.describe()["simd"]]
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("layer", tuning.LAYERS[:5], ids=lambda layer: layer.kind)
@pytest.mark.parametrize("density", [0.05, 1.0])
def test_every_way_gives_the_same_maps(level: str, layer: tuning.Layer, density: float) -> None:
    o, i, size = 24, 3 if layer.i == 3 else 40, 6
    signal, weight = normal(0, 1, 3, o, size, size, density=density), normal(1, o, i, layer.kernel, layer.kernel)
    extent = (size - 1) * layer.stride + layer.kernel - 2 * layer.padding
    arguments = {"map_size": extent, "stride": layer.stride, "padding": layer.padding}
    wanted = ops.conv_transpose(signal, weight, **arguments, backend="torch")
    for way in ("sparse", "dense", "torch"):
        with convolution.forced(way):
            assert convolution.choose_kernel(density, o, i, ONE, ONE, 1, torch.float32) == way
            assert_near(ops.conv_transpose(signal, weight, **arguments, backend="native"), wanted)


def test_a_crossover_lies_between_the_densities_where_the_times_cross() -> None:
    layer = tuning.LAYERS[0]
    one = tuning.Measured(layer, {"dense": 4.0, "torch": 5.0}, {0.2: 1.0, 0.4: 3.0, 0.6: 5.0})
    assert one.crossover == Crossover(0.5, "dense")
    assert one.winners() == [(0.2, "sparse", 4.0), (0.4, "sparse", 4 / 3), (0.6, "dense", 1.25), (1.0, "dense", 1.25)]
    assert tuning.Measured(layer, {"dense": 9.0, "torch": 8.0}, {0.2: 1.0}).crossover == Crossover(1.0, "torch")
    assert tuning.Measured(layer, {"dense": 1.0, "torch": 8.0}, {0.2: 2.0}).crossover == Crossover(0.1, "dense")


def test_a_kind_takes_the_crossover_by_which_no_layer_loses_much() -> None:
    layer = tuning.LAYERS[0]
    walked = tuning.Measured(layer, {"dense": 4.0, "torch": 5.0}, {0.2: 1.0, 0.4: 2.0, 0.6: 3.0, 0.8: 3.9})
    multiplied = tuning.Measured(layer, {"dense": 4.0, "torch": 2.0}, {0.2: 1.0, 0.4: 2.0, 0.6: 4.0, 0.8: 6.0})
    assert walked.loss(Crossover(0.4, "dense")) == pytest.approx(4 / 3)
    assert multiplied.loss(Crossover(0.7, "torch")) == pytest.approx(2)
    assert multiplied.loss(Crossover(0.4, "torch")) == 1
    assert walked.loss(Crossover(0.4, "torch")) == pytest.approx(5 / 3)
    found = tuning.crossovers([walked, multiplied])[layer.kind]
    assert max(one.loss(found) for one in (walked, multiplied)) == pytest.approx(5 / 3)
    assert found.dense == "torch"
