"""Whether a network can be trained on one image at a time: batch norm needs two values of each channel."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from desali.errors import DesaliError
from desali.training.blocks import Blocks
from desali.training.stage import Stage


def images_needed(model: nn.Module, images: Tensor, stage: Stage, blocks: Blocks) -> int:
    """The images that every step and process needs: 2 where a batch norm in training sees a map of one value, else 1.

    A copy of the network tries two images; the network and torch's generator are left as they were.

    Args:
        images: float32 [1 or more, c, h, w], of which the first is tried.

    Raises:
        DesaliError: the network cannot be trained on images of this size at all.
    """
    tried = copy.deepcopy(model)
    blocks.freeze(tried, 0 if stage.mode == "feature_extraction" else None)
    single: list[bool] = []

    def look(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if module.training or not module.track_running_stats:
            single.append(inputs[0].numel() == 2 * inputs[0].shape[1])

    for module in tried.modules():
        if isinstance(module, _BatchNorm):
            module.register_forward_pre_hook(look)
    with torch.random.fork_rng(), torch.no_grad():
        try:
            tried(images[:1].repeat(2, *(1,) * (images.dim() - 1)))
        except (RuntimeError, ValueError) as error:
            size = " x ".join(map(str, images.shape[1:]))
            raise DesaliError(
                f"the network cannot be trained on images of {size} ({' '.join(str(error).split())[:160]}); choose "
                "another --architecture or --size"
            ) from error
    return 2 if any(single) else 1


def check_enough(needed: int, count: int, batch_size: int, processes: int, title: str) -> int:
    """The fewest images that a batch may hold, so that each of the processes gets `needed` of them.

    Raises:
        DesaliError: the batches, or all the images, are fewer.
    """
    least = 1 if needed == 1 else needed * processes
    each = "a step" if processes == 1 else f"each of {processes} processes"
    why = f"stage {title}: the network's batch norm cannot train on one image alone, {each} needs {needed}"
    if batch_size < least:
        raise DesaliError(f"{why}, but the batch size is {batch_size}; use --batch-size {least} or more")
    if count < least:
        raise DesaliError(
            f"{why}, but only {count} image{'s are' if count != 1 else ' is'} trained on; give more images, or hold "
            "out fewer with --validation"
        )
    return least
