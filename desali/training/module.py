"""The LightningModule of one stage: loss, optimiser, and metrics on the held-out patients."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import lightning
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torchmetrics.functional.classification import multiclass_confusion_matrix

from desali.errors import DesaliError
from desali.models.logits import logits_of
from desali.training.augmentation import Augmentation
from desali.training.batches import Batch, Clock, HeldBatches, TrainingBatches
from desali.training.blocks import Blocks
from desali.training.inputs import Inputs
from desali.training.schedule import learning_rate, unfrozen_depth
from desali.training.seeding import derive
from desali.training.stage import Stage
from desali.training.state import Row


class StageModule(lightning.LightningModule):
    """Trains `model` on one stage; `first_epoch` epochs are already done.

    Every epoch seeds torch's generator, the batches and the augmentation from (seed, domain, epoch), so that an epoch
    does not depend on how many went before it in this process. With several processes each trains on its share of every
    batch; metrics are those of all of them. A batch holds at least `least` images, a chunk of the held-out `needed`.
    """

    def __init__(
        self,
        model: nn.Module,
        stage: Stage,
        training: Inputs,
        held: Inputs | None,
        seed: int,
        first_epoch: int,
        title: str,
        augmentation: Augmentation,
        blocks: Blocks,
        least: int = 1,
        needed: int = 1,
    ) -> None:
        super().__init__()
        self.model, self.stage, self.seed, self.title = model, stage, seed, title
        self.training_inputs, self.held_inputs = training, held
        self.first_epoch, self.augmentation, self.blocks = first_epoch, augmentation, blocks
        self.least, self.needed = least, needed
        self.row: Row = {}
        self.clock = Clock()
        self._losses: list[Tensor] = []
        self._logits: dict[int, Tensor] = {}

    @property
    def epoch(self) -> int:
        """Number of the epoch in training, from 1, over all sittings."""
        return self.first_epoch + int(self.current_epoch) + 1

    def configure_optimizers(self) -> torch.optim.Optimizer:
        stage = self.stage
        groups: list[dict[str, Any]]
        named = [(name, parameter) for name, parameter in self.model.named_parameters() if parameter.requires_grad]
        if stage.layer_decay == 1:
            groups = [{"params": [parameter for _, parameter in named]}]
        else:
            depths = sorted({self.blocks.depth(name) for name, _ in named})
            groups = [
                {"params": [parameter for name, parameter in named if self.blocks.depth(name) == depth], "depth": depth}
                for depth in depths
            ]
        if stage.optimizer == "sgd":
            return torch.optim.SGD(groups, stage.learning_rate, stage.momentum, weight_decay=stage.weight_decay)
        betas = (stage.momentum, 0.999)
        return torch.optim.AdamW(groups, stage.learning_rate, betas, weight_decay=stage.weight_decay)

    def train_dataloader(self) -> Iterable[Batch]:
        stage = self.stage
        seeds = (self._derive("batches"), self._derive("augmentation"))
        rank, world = self.trainer.global_rank, self.trainer.world_size
        inputs, clock = self.training_inputs, self.clock
        return TrainingBatches(
            inputs, stage.batch_size, stage.balance, seeds, self.augmentation, rank, world, clock, self.least
        )

    def val_dataloader(self) -> Iterable[Any]:
        if self.held_inputs is None:
            return []
        return HeldBatches(self.held_inputs, self.trainer.global_rank, self.trainer.world_size, self.clock, self.needed)

    def on_train_epoch_start(self) -> None:
        epoch, rank = self.epoch, self.trainer.global_rank
        torch.manual_seed(self._derive("dropout", *([rank] if rank else [])))
        self.blocks.freeze(self.model, unfrozen_depth(self.stage, epoch))
        rate = learning_rate(self.stage, epoch)
        for group in self.optimizers().param_groups:  # type: ignore[union-attr]
            group["lr"] = rate * self.stage.layer_decay ** group.get("depth", 0)
        self._losses.clear()
        self._logits.clear()
        self.row = {"epoch": epoch, "learning_rate": rate}

    def training_step(self, batch: Batch, step: int) -> Tensor:
        images, labels, factor = batch
        loss = cross_entropy(
            logits_of(self.model(images), len(labels)), labels, label_smoothing=self.stage.label_smoothing
        )
        worst = loss.detach()
        if self.trainer.world_size > 1:
            worst = worst.isfinite().logical_not().float()
            torch.distributed.all_reduce(worst, torch.distributed.ReduceOp.MAX)  # so that all processes stop
            worst = torch.where(worst.bool(), torch.nan, loss.detach())
        if not bool(torch.isfinite(worst)):
            raise DesaliError(
                f"stage {self.title}: the loss became {worst.item()} at step {step + 1} of epoch {self.epoch}; "
                f"the state after epoch {self.epoch - 1} is kept, lower the learning rate "
                f"(now {self.stage.learning_rate:g})"
            )
        if factor != 1:
            loss = loss * factor
        self._losses.append(loss.detach())
        return loss

    def validation_step(self, batch: tuple[Tensor, int], step: int) -> None:
        images, number = batch
        self._logits[number] = logits_of(self.model(images), len(images)).detach().float().cpu()

    def finish_epoch(self) -> Row:
        """The metrics of the epoch just trained: training loss and, with held-out patients, loss and balanced accuracy.

        Both metrics on the held-out patients are macro averages over the classes that occur there. Every process gets
        the same metrics.
        """
        losses = torch.stack(self._losses)
        parts: Sequence[dict[int, Tensor]] = [self._logits]
        if self.trainer.world_size > 1:
            torch.distributed.all_reduce(losses)
            losses = losses / self.trainer.world_size
            parts = [{} for _ in range(self.trainer.world_size)]
            torch.distributed.all_gather_object(parts, self._logits)
        self.row["training_loss"] = float(losses.mean())
        if self.held_inputs is not None:
            chunks = {number: part for some in parts for number, part in some.items()}
            logits, labels = torch.cat([chunks[number] for number in sorted(chunks)]), self.held_inputs.labels
            classes = logits.shape[1]
            present = torch.bincount(labels, minlength=classes)
            losses = torch.zeros(classes, dtype=torch.float64)
            losses.index_add_(0, labels, cross_entropy(logits, labels, reduction="none").double())
            hits = multiclass_confusion_matrix(logits.argmax(1), labels, classes).diagonal()
            here = present > 0
            self.row["held_out_loss"] = float((losses[here] / present[here]).mean())
            self.row["held_out_balanced_accuracy"] = float((hits[here] / present[here]).double().mean())
        return self.row

    def _derive(self, what: str, *more: int) -> int:
        return derive(self.seed, self.stage.domain, what, self.epoch, *more)
