"""A batch of one image and batch norm: over counts, batch sizes, classes and processes; squeezed outputs."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from desali.errors import DesaliError
from desali.models import architecture
from desali.models.logits import logits_of
from desali.training.batches import HeldBatches, TrainingBatches, bounds
from desali.training.fit import Fitted, fit_stage
from desali.training.inputs import PreparedInputs
from desali.training.single import images_needed
from desali.training.stage import Stage

SMALL = architecture("caffenet-small")


class Pointwise(nn.Module):
    """Batch norm over a map of one pixel, and an output that is squeezed too far for one image."""

    def __init__(self, classes: int, norm: bool = True, track: bool = True) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 4, 8), nn.BatchNorm2d(4, track_running_stats=track) if norm else nn.Identity(), nn.ReLU()
        )
        self.classifier = nn.Conv2d(4, classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        scores: Tensor = self.classifier(self.features(images)).squeeze()
        return scores


def fit(folder: Path, count: int, held: int, batch: int, classes: int, devices: int = 1, **options: Any) -> Fitted:
    torch.manual_seed(0)
    data, labels = torch.rand(count + held, 1, 8, 8), torch.arange(count + held) % classes
    stage = Stage("target", epochs=2, batch_size=batch, augmentation="none", shift=0, balance=False)
    model = options.pop("model", None) or Pointwise(classes)
    parts = [(data[:count], labels[:count]), (data[count:], labels[count:])]
    return fit_stage(
        model, SMALL, stage, parts[0], parts[1], key="k", folder=folder, seed=0, title="target", device="cpu",
        devices=devices,
    )  # fmt: skip


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize(("count", "batch"), [(9, 4), (5, 2), (4, 3), (2, 8), (7, 6)])
def test_a_rest_of_one_image_trains(tmp_path: Path, count: int, batch: int, classes: int) -> None:
    fitted = fit(tmp_path, count, 1, batch, classes)
    assert len(fitted.history) == 2
    assert all(torch.isfinite(value).all() for value in fitted.weights.values())


def test_two_processes_get_two_images_each(tmp_path: Path) -> None:
    """Nine images in batches of four leave one for two processes; three held-out images leave one of two chunks."""
    assert len(fit(tmp_path, 9, 3, 4, 2, devices=2).history) == 2


def test_what_cannot_train_on_single_images_is_refused_before_training(tmp_path: Path) -> None:
    with pytest.raises(DesaliError, match=r"batch norm cannot train on one image alone, a step needs 2, but the batch"):
        fit(tmp_path, 6, 2, 1, 2)
    with pytest.raises(DesaliError, match=r"each of 2 processes needs 2, but the batch size is 3; use --batch-size 4"):
        fit(tmp_path, 6, 2, 3, 2, devices=2)
    with pytest.raises(DesaliError, match=r"but only 1 image is trained on; give more images, or hold out fewer with"):
        fit(tmp_path, 1, 2, 4, 2)
    with pytest.raises(DesaliError, match="cannot be trained on images of 1 x 8 x 8"):
        fit(tmp_path, 6, 2, 4, 2, model=nn.Sequential(nn.Conv2d(1, 4, 8), nn.InstanceNorm2d(4)))
    assert not list(tmp_path.iterdir())


def test_other_networks_keep_their_batches() -> None:
    """Where one image is enough nothing changes, so that weights repeat."""
    stage, images = Stage("target"), torch.rand(1, 1, 8, 8)
    from desali.training.blocks import Blocks

    def needed(model: nn.Module, stage: Stage = stage, size: int = 8) -> int:
        before = {name: value.clone() for name, value in model.state_dict().items()}
        state = torch.get_rng_state()
        found = images_needed(model, torch.rand(1, 1, size, size), stage, Blocks(model, SMALL))
        assert torch.equal(state, torch.get_rng_state()) or size != 8
        assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
        return found

    torch.manual_seed(1)
    state = torch.get_rng_state()
    assert images_needed(Pointwise(2), images, stage, Blocks(Pointwise(2), SMALL)) == 2
    assert not torch.equal(state, torch.get_rng_state())  # the networks were drawn, nothing else
    assert needed(Pointwise(2), size=10) == 1
    assert needed(Pointwise(2, norm=False), size=9) == 1
    assert needed(Pointwise(2, track=False), size=12) == 1
    frozen = Stage("target", mode="feature_extraction")
    model = Pointwise(2)
    assert images_needed(model, images, frozen, Blocks(model, SMALL)) == 1  # its batch norm stays as it is
    tracked = Pointwise(2, track=False)
    assert images_needed(tracked, images, frozen, Blocks(tracked, SMALL)) == 2  # which has no statistics to keep


@given(st.integers(1, 60), st.integers(2, 9), st.integers(1, 4))
@settings(max_examples=60)
def test_no_batch_and_no_chunk_is_too_small(count: int, size: int, world: int) -> None:
    least = min(2 * world, size)
    found = bounds(count, size, least)
    assert found[0][0] == 0
    assert found[-1][1] == count
    assert all(one[1] == other[0] for one, other in itertools.pairwise(found))
    if count >= least:
        assert min(stop - start for start, stop in found) >= least
    inputs = PreparedInputs(torch.rand(count, 1, 2, 2), torch.arange(count) % 2)
    drawn = TrainingBatches(inputs, size, False, (0, 0), _plain(), least=least)
    assert len(drawn) == len(list(drawn)) == len(found)
    for rank in range(world):
        for part, _ in HeldBatches(inputs, rank, world, least=2):
            assert len(part) >= min(2, count)


def _plain() -> Any:
    from desali.training.augmentation import Augmentation

    return Augmentation()


def test_scores_have_a_row_for_every_image() -> None:
    rows = torch.rand(2, 3)
    assert torch.equal(logits_of(rows, 2), rows)
    assert torch.equal(logits_of((rows, rows + 1), 2), rows)
    assert torch.equal(logits_of(rows[..., None, None], 2), rows)
    assert torch.equal(logits_of(rows[0], 1), rows[:1])
    for wrong, count in ((rows[0], 3), (rows, 3), (torch.rand(2, 3, 4, 4), 2), ({"out": rows}, 2)):
        with pytest.raises(DesaliError, match=r"expected scores of shape \[\d, classes\]; .* write flatten\(1\)"):
            logits_of(wrong, count)
