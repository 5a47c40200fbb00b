"""What a channel contributes to telling the classes apart: its activation times the gradient of the class contrast.

The contrast of an image is the output of its own class minus the mean of all others. In a network of ReLUs the products
of a layer add up to the contrast but for biases (Shrikumar et al. 2016, "gradient times input", here at a layer).
Rescaling a channel, and the next layer by the inverse, changes no product.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from desali.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

    from desali.reversal.graph.network import Network

Integers = npt.NDArray[np.int64]


def classes_of(labels: Sequence[str] | None, names: Sequence[str], outputs: int) -> Integers:
    """The output [N] that stands for each image's class.

    Args:
        labels: of the images, in words.
        names: of the network's classes, in the order of its outputs; none if they are not known.
        outputs: K.

    Raises:
        DataError: no labels, only one class, or labels that are not among the classes.
    """
    if labels is None:
        raise DataError("relevance needs the class of each image: give labels=, or rank by activation")
    found = sorted(set(labels))
    if len(found) < 2:
        raise DataError(
            f"all images are of one class ({found[0]}), and relevance is what tells classes apart: give images of "
            "several, or rank by activation"
        )
    if outputs < 2:
        raise DataError("the network has one output, and relevance contrasts several: rank by activation")
    numbered = {str(k): k for k in range(outputs)}
    places = {name: k for k, name in enumerate(names)} if len(names) == outputs else numbered
    if set(found) <= set(numbered) and not set(found) <= set(places):
        places = numbered
    unknown = [label for label in found if label not in places]
    if unknown:
        known = ", ".join(names) if len(names) == outputs else f"0 to {outputs - 1}"
        raise DataError(
            f"the label {unknown[0]!r} is no class of the network ({known}): give labels= by class, or rank "
            "by activation"
        )
    return np.array([places[label] for label in labels], np.int64)


def relevance(network: Network, tensors: Mapping[str, Tensor], images: Tensor, index: int, classes: Integers) -> Tensor:
    """Activation times gradient of the class contrast at every neuron of a node, [N, C, *spatial].

    Args:
        tensors: parameters and buffers by name.
        index: of the node.
        classes: the output of each image's class [N].
    """
    import torch

    from desali.reversal.graph.run import arguments

    own = {name: tensor.detach() for name, tensor in tensors.items()}
    values: list[Any] = [None] * len(network.nodes)
    values[0] = images.detach()
    leaf = values[0]
    for step in network.program[: network.output]:
        number = step.node.index
        with torch.set_grad_enabled(number > index):
            args, kwargs = arguments(network, own.__getitem__, step.node, values)
            value = step.node.call(*args, **kwargs)
        if number == index:
            leaf = value.detach().requires_grad_()
            value = leaf
        values[number] = value
        for dead in step.dead:
            values[dead] = None
    output = values[network.output]
    outputs = output.shape[1]
    weight = torch.full_like(output, -1 / (outputs - 1))
    weight[torch.arange(len(output)), torch.from_numpy(classes).to(output.device)] = 1.0
    with torch.enable_grad():
        contrast = (output * weight).sum()
    (gradient,) = torch.autograd.grad(contrast, leaf)
    found: Tensor = leaf.detach() * gradient
    return found
