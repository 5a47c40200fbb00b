"""The LightningModule of one stage: loss, optimiser, and figures on the held-out groups."""

from __future__ import annotations

import math
from collections.abc import Iterable

import lightning
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader
from torchmetrics.functional.classification import multiclass_confusion_matrix

from desali.errors import DesaliError
from desali.training.batches import Batches, augment
from desali.training.recipes import Stage
from desali.training.seeding import derive
from desali.training.state import Row

Part = tuple[Tensor, Tensor]
"""Images [n, c, h, w] and labels [n]."""


class StageModule(lightning.LightningModule):
    """Trains `model` on one stage; `first_epoch` epochs are already done.

    Every epoch seeds torch's generator, the batches and the augmentation from (seed, domain, epoch), so that an epoch
    does not depend on how many went before it in this process.
    """

    def __init__(
        self, model: nn.Module, stage: Stage, training: Part, held: Part | None, seed: int, first_epoch: int, title: str
    ) -> None:
        super().__init__()
        self.model, self.stage, self.seed, self.title = model, stage, seed, title
        self.training_part, self.held_part = training, held
        self.first_epoch = first_epoch
        self.frozen = stage.mode == "feature_extraction"
        self.row: Row = {}
        self._losses: list[Tensor] = []
        self._logits: list[Tensor] = []
        self._generator = torch.Generator()

    @property
    def epoch(self) -> int:
        """Number of the epoch in training, from 1, over all sittings."""
        return self.first_epoch + int(self.current_epoch) + 1

    def rate(self, epoch: int) -> float:
        """Learning rate of epoch `epoch` (from 1): cosine from `learning_rate` towards 0, or constant."""
        stage = self.stage
        if stage.schedule == "constant":
            return stage.learning_rate
        return stage.learning_rate * 0.5 * (1 + math.cos(math.pi * (epoch - 1) / stage.epochs))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        stage = self.stage
        trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        if stage.optimizer == "sgd":
            return torch.optim.SGD(trained, stage.learning_rate, stage.momentum, weight_decay=stage.weight_decay)
        betas = (stage.momentum, 0.999)
        return torch.optim.AdamW(trained, stage.learning_rate, betas, weight_decay=stage.weight_decay)

    def train_dataloader(self) -> Iterable[Part]:
        stage = self.stage
        seed = derive(self.seed, stage.domain, "batches", self.epoch)
        return Batches(*self.training_part, stage.batch_size, stage.balance, seed)

    def val_dataloader(self) -> Iterable[Part]:
        if self.held_part is None:
            return []
        batches = list(zip(*(torch.split(part, 256) for part in self.held_part), strict=True))
        return DataLoader(batches, batch_size=None)  # type: ignore[arg-type]

    def on_train_epoch_start(self) -> None:
        epoch = self.epoch
        torch.manual_seed(derive(self.seed, self.stage.domain, "dropout", epoch))
        self._generator.manual_seed(derive(self.seed, self.stage.domain, "augmentation", epoch))
        for group in self.optimizers().param_groups:  # type: ignore[union-attr]
            group["lr"] = self.rate(epoch)
        self._losses.clear()
        self.row = {"epoch": epoch, "learning_rate": self.rate(epoch)}

    def training_step(self, batch: Part, step: int) -> Tensor:
        images, labels = batch
        images = augment(images, self.stage.augmentation, self._generator)
        loss = cross_entropy(self.model(images), labels)
        if not bool(torch.isfinite(loss)):
            raise DesaliError(
                f"stage {self.title}: the loss became {loss.item()} at step {step + 1} of epoch {self.epoch}; "
                f"the state after epoch {self.epoch - 1} is kept, lower the learning rate "
                f"(now {self.stage.learning_rate:g})"
            )
        self._losses.append(loss.detach())
        return loss

    def on_validation_epoch_start(self) -> None:
        self._logits.clear()

    def validation_step(self, batch: Part, step: int) -> None:
        self._logits.append(self.model(batch[0]).detach().float().cpu())

    def finish_epoch(self) -> Row:
        """The figures of the epoch just trained: training loss and, with held-out groups, loss and balanced accuracy.

        Both figures on the held-out groups are macro averages over the classes that occur there.
        """
        self.row["training_loss"] = float(torch.stack(self._losses).mean())
        if self.held_part is not None:
            logits, labels = torch.cat(self._logits), self.held_part[1]
            classes = logits.shape[1]
            present = torch.bincount(labels, minlength=classes)
            losses = torch.zeros(classes, dtype=torch.float64)
            losses.index_add_(0, labels, cross_entropy(logits, labels, reduction="none").double())
            hits = multiclass_confusion_matrix(logits.argmax(1), labels, classes).diagonal()
            here = present > 0
            self.row["held_out_loss"] = float((losses[here] / present[here]).mean())
            self.row["held_out_balanced_accuracy"] = float((hits[here] / present[here]).double().mean())
        return self.row
