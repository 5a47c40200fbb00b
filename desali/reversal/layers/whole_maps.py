"""A base class with less to write: a rule that is one function of whole maps."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from desali.errors import UnsupportedLayerError
from desali.reversal.layers.base import Arrivals, Context, Layer, Node
from desali.reversal.methods import Method
from desali.reversal.signals import Signal, whole

if TYPE_CHECKING:
    from torch import Tensor


class WholeMaps(Layer):
    """A kind of one input whose rule is one function of whole maps; `backward` takes the place of `reverse`.

    Where a sweep walks on windows of a map, they are made whole before the rule and stay so below: same result.
    """

    @abstractmethod
    def backward(
        self,
        signal: Tensor,  # [N, K, C, *S]
        x: Tensor,  # [N, C, *S]
        method: Method,
    ) -> Tensor:
        """Carry a signal back.

        Args:
            signal: K seeds on the layer's value.
            x: the recorded input; zeros if `needs_inputs` says that none is needed.
            method: its bits: `relu_mask`, `switches`, `relu_backward`, `lrn`, `overlap`.

        Returns:
            The signal on the input, [N, K, *shape of the input].
        """

    def reverse(self, context: Context, node: Node, signal: Signal) -> Arrivals:
        source, *others = context.sources(node)
        if others:
            raise UnsupportedLayerError(
                f"layer {node.name!r}: {self.label} is written for one input and has {1 + len(others)}; derive it from "
                "desali.reversal.layers.Layer"
            )
        full = whole(signal, node.shape[1:]).tensor
        rule = context.rule(node)
        x = context.inputs(node)[source]
        # copies, since a rule may write: the signal may go to other layers too, and x may be the caller's image
        back = self.backward(full.clone(), x.clone() if self.needs_inputs(rule) else x, rule)
        wanted = (*full.shape[:2], *context.shape(source))
        if tuple(back.shape) != wanted or back.dtype != full.dtype:
            raise UnsupportedLayerError(
                f"layer {node.name!r}: {self.label}.backward must return {full.dtype} of shape {list(wanted)}, got "
                f"{back.dtype} {list(back.shape)}"
            )
        return {source: Signal(back)}
