"""What each option of a stage does to the weights, held against a plain training loop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from desali.errors import DesaliError
from desali.models import architecture
from desali.models.registry import Architecture
from desali.training.augmentation import Augmentation
from desali.training.batches import draw_order
from desali.training.blocks import Blocks
from desali.training.fit import Fitted, fit_stage
from desali.training.initial import fresh_model
from desali.training.seeding import derive
from desali.training.stage import Stage
from desali.training.state import read_state
from tests.training.images import stripes

SMALL = architecture("caffenet-small")
BASE: dict[str, Any] = {
    "domain": "target", "epochs": 3, "batch_size": 16, "patience": 9, "learning_rate": 1e-3, "shift": 0,
}  # fmt: skip


@pytest.fixture(scope="module")
def training() -> tuple[Tensor, Tensor]:
    from desali.data.preprocess import Preprocessing

    data = stripes(40, seed=1, size=64)
    return Preprocessing(64).apply_batch(data.images, data.unit), torch.from_numpy(data.labels)


def fit(folder: Path, training: Any, stage: Stage, **options: Any) -> Fitted:
    model = options.pop("model", None) or fresh_model(SMALL, 3, 0, "target", None)
    return fit_stage(
        model, options.pop("architecture", SMALL), stage, training, None, key="k", folder=folder, seed=0,
        title="target", device="cpu", **options,
    )  # fmt: skip


def plain_loop(training: tuple[Tensor, Tensor], stage: Stage) -> dict[str, Tensor]:
    """The same training in plain PyTorch, written without anything of Lightning."""
    images, labels = training
    model = fresh_model(SMALL, 3, 0, "target", None).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    layers = ["conv1", "conv2", "conv3", "conv4", "conv5", "classifier"]
    depth = {n: 5 - next(i for i, layer in enumerate(layers) if layer in n) for n, _ in model.named_parameters()}
    groups = [{"params": [p for n, p in model.named_parameters() if depth[n] == d], "depth": d} for d in range(6)]
    if stage.layer_decay == 1:
        groups = [{"params": list(model.parameters()), "depth": 0}]
    if stage.optimizer == "sgd":
        optimizer: Any = torch.optim.SGD(groups, momentum=stage.momentum, weight_decay=stage.weight_decay)
    else:
        optimizer = torch.optim.AdamW(groups, betas=(stage.momentum, 0.999), weight_decay=stage.weight_decay)
    rates = {1: 1e-3, 2: 1e-3, 3: 1e-4} if stage.schedule == "step" else {1: 1e-3, 2: 0.75e-3, 3: 0.25e-3}
    model.train()
    with torch.random.fork_rng():
        for epoch in (1, 2, 3):
            torch.manual_seed(derive(0, "target", "dropout", epoch))
            generator = torch.Generator().manual_seed(derive(0, "target", "augmentation", epoch))
            for group in optimizer.param_groups:
                group["lr"] = rates[epoch] * stage.layer_decay ** group["depth"]
            for name, parameter in model.named_parameters():
                opened = stage.unfreeze_blocks * ((epoch - 1) // stage.unfreeze_every) if stage.unfreeze_every else 9
                parameter.requires_grad_(depth[name] <= opened)
            augmentation = Augmentation(stage.augmentation, stage.shift)
            for index in draw_order(labels, 16, stage.balance, derive(0, "target", "batches", epoch)):
                batch = images[index].contiguous(memory_format=torch.channels_last)
                batch = augmentation.apply(batch, augmentation.draw(len(index), generator))
                with torch.autocast("cpu", torch.bfloat16, enabled=stage.precision == "bf16"):
                    loss = cross_entropy(model(batch), labels[index], label_smoothing=stage.label_smoothing)
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_([p for group in optimizer.param_groups for p in group["params"]], stage.clip)
                optimizer.step()
    return {name: tensor.detach() for name, tensor in model.state_dict().items()}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"optimizer": "sgd", "balance": False, "augmentation": "none"},
        {"schedule": "step", "milestones": (2,), "decay": 0.1},
        {"label_smoothing": 0.2, "shift": 3},
        {"precision": "bf16"},
        {"layer_decay": 0.5},
        {"unfreeze_every": 1, "unfreeze_blocks": 2},
    ],
    ids=lambda options: "+".join(options) or "defaults",
)
def test_weights_are_bitwise_those_of_a_plain_loop(training: Any, tmp_path: Path, options: dict[str, Any]) -> None:
    stage = Stage(**{**BASE, **options})
    expected = plain_loop(training, stage)
    fitted = fit(tmp_path, training, stage)
    for name, tensor in fitted.weights.items():
        assert torch.equal(tensor, expected[name]), name
    assert tensor.dtype == torch.float32


EVERYTHING = Stage(
    **{**BASE, "shift": 2}, schedule="step", milestones=(1, 2), label_smoothing=0.1, precision="bf16", unfreeze_every=1,
    unfreeze_blocks=2, layer_decay=0.8,
)  # fmt: skip
NOISE = Augmentation("dihedral", 2, (0.02,) * 3, (0.0,) * 3, (1.0,) * 3)


class StopAt(lightning.Callback):
    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_train_batch_end(self, trainer: lightning.Trainer, *arguments: Any) -> None:
        if trainer.current_epoch + 1 == self.epoch and arguments[-1] == 1:
            raise RuntimeError("power cut")


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_all_options_together_end_the_same_after_an_interruption(training: Any, tmp_path: Path, optimizer: Any) -> None:
    stage = Stage(**{**vars(EVERYTHING), "optimizer": optimizer})
    whole = fit(tmp_path / "whole", training, stage, augmentation=NOISE)
    for epoch in (2, 3):
        with pytest.raises(RuntimeError, match="power cut"):
            fit(tmp_path / "cut", training, stage, augmentation=NOISE, callbacks=[StopAt(epoch if epoch == 2 else 2)])
        state = read_state(tmp_path / "cut" / "last.ckpt", "k")
        assert state is not None
        assert state.epoch == epoch - 1
    resumed = fit(tmp_path / "cut", training, stage, augmentation=NOISE)
    assert resumed.history == whole.history
    for name, tensor in resumed.weights.items():
        assert torch.equal(tensor, whole.weights[name]), name
    assert (tmp_path / "cut" / "history.csv").read_bytes() == (tmp_path / "whole" / "history.csv").read_bytes()


def test_the_nan_of_a_mixed_precision_step_keeps_the_good_state(training: Any, tmp_path: Path) -> None:
    class Poison(lightning.Callback):
        def on_train_batch_start(self, trainer: lightning.Trainer, module: Any, batch: Any, step: int) -> None:
            if trainer.current_epoch == 1 and step == 1:
                batch[0].fill_(float("nan"))

    stage = Stage(**BASE, precision="bf16", schedule="constant")
    with pytest.raises(DesaliError, match=r"the loss became nan at step 2 of epoch 2.*epoch 1 is kept"):
        fit(tmp_path, training, stage, callbacks=[Poison()])
    state = read_state(tmp_path / "last.ckpt", "k")
    assert state is not None
    assert state.epoch == 1
    assert all(bool(torch.isfinite(tensor).all()) for tensor in state.model.values())


def test_fp16_is_refused_on_the_cpu(training: Any, tmp_path: Path) -> None:
    with pytest.raises(DesaliError, match="fp16 needs a CUDA device; on the CPU use bf16"):
        fit(tmp_path, training, Stage(**BASE, precision="fp16"))


class Normalised(nn.Module):
    """A network with batch norm in and outside a block, and a classifier with one of its own."""

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, 2)
        self.norm = nn.BatchNorm2d(4)
        self.layers = nn.Sequential(
            nn.Sequential(nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4, affine=False), nn.ReLU()), nn.Conv2d(4, 6, 3)
        )
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Sequential(nn.BatchNorm1d(6), nn.Linear(6, classes))

    def forward(self, images: Tensor) -> Tensor:
        features = self.pool(self.layers(self.norm(self.stem(images)).relu())).flatten(1)
        logits: Tensor = self.head(features)
        return logits


NORMALISED = Architecture("normalised", lambda classes, _: Normalised(classes), 64, classifier=("head",))


def test_blocks_are_counted_from_the_classifier() -> None:
    blocks = Blocks(fresh_model(SMALL, 3, 0, "target", None), SMALL)
    assert [blocks.depth(f"features.conv{k}.weight") for k in (5, 4, 3, 2, 1)] == [1, 2, 3, 4, 5]
    assert blocks.depth("classifier.fc6.bias") == 0
    assert len(blocks) == 5
    blocks = Blocks(Normalised(), NORMALISED)
    names = ("head.0", "layers.1.weight", "layers.0.1", "layers.0.0", "norm.weight", "stem.bias")
    assert [blocks.depth(name) for name in names] == [0, 1, 2, 2, 3, 3]
    squeeze = architecture("squeezenet1_0")
    blocks = Blocks(fresh_model(squeeze, 3, 0, "target", None), squeeze)
    names = ("conv10.weight", "fire9.expand3x3.bias", "fire2.squeeze.weight", "conv1.weight")
    assert [blocks.depth(name) for name in names] == [0, 1, 8, 9]


@pytest.mark.parametrize(
    ("options", "frozen"),
    [
        ({"mode": "feature_extraction"}, ("stem", "norm", "layers.0", "layers.1")),
        ({"unfreeze_every": 2}, ("stem", "norm", "layers.0")),
        ({"unfreeze_every": 1}, ("stem", "norm")),
        ({}, ()),
    ],
)
def test_statistics_of_frozen_layers_stay_as_they_are(
    training: Any, tmp_path: Path, options: dict[str, Any], frozen: tuple[str, ...]
) -> None:
    torch.manual_seed(0)
    model = Normalised()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    fitted = fit(tmp_path, training, Stage(**BASE, **options), model=model, architecture=NORMALISED)
    for name, tensor in fitted.weights.items():
        assert torch.equal(tensor, before[name]) == name.startswith(frozen or "nothing"), name
    assert all(parameter.requires_grad for parameter in model.parameters())
