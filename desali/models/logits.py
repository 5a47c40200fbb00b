"""What a classifier gives for a batch, as scores [n, classes], whatever shape the network wraps them in."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from desali.errors import DesaliError


def logits_of(output: Any, count: int) -> Tensor:
    """The scores [count, classes] in the output of a network for `count` images.

    Auxiliary outputs beside them (Inception and GoogLeNet in training) are left out. Maps of 1 x 1 are flattened, and
    the scores of one image are a row of their own also where the network squeezes them to [classes].

    Raises:
        DesaliError: any other shape.
    """
    logits = output[0] if isinstance(output, tuple) else output
    shape = list(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
    if isinstance(logits, Tensor):
        if logits.dim() == 1 and count == 1:
            return logits[None]
        if logits.dim() > 2 and len(logits) == count and all(size == 1 for size in logits.shape[2:]):
            return logits.flatten(1)
        if logits.dim() == 2 and len(logits) == count:
            return logits
    raise DesaliError(
        f"the network gives {shape} for {count} image{'s' if count > 1 else ''}, expected scores of shape "
        f"[{count}, classes]; a squeeze() without a dimension also takes a batch of one away: write flatten(1)"
    )
