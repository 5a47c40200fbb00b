"""Questions about a module that is the user's own; none of them changes it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from desali.errors import DesaliError

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


def tensors_of(module: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by qualified name."""
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def one_device(module: nn.Module, name: str = "the model") -> torch.device:
    """Where all parameters and buffers lie; the CPU if there are none.

    Args:
        name: what to call the module in a message.

    Raises:
        DesaliError: on several devices, or on the meta device, where nothing has a value.
    """
    import torch

    found = sorted({str(tensor.device) for tensor in tensors_of(module).values()})
    if len(found) > 1:
        raise DesaliError(f"{name} is spread over {', '.join(found)}: move it to one device")
    if found == ["meta"]:
        raise DesaliError(f"{name} is on the meta device, where nothing has a value: load its weights first")
    return torch.device(found[0]) if found else torch.device("cpu")


def training_part(module: nn.Module) -> str | None:
    """The name of the first module in training mode ("" for the whole); None where all are in evaluation mode."""
    return next((name for name, part in module.named_modules() if part.training), None)


def input_channels(module: nn.Module) -> int | None:
    """Channels that the first convolution takes, in the order of registration; None where there is none."""
    from torch import nn

    return next((part.in_channels for part in module.modules() if isinstance(part, nn.Conv2d)), None)


def kind_of(module: nn.Module) -> tuple[Any, ...]:
    """What two modules share that are built alike: places and types of all modules; no sizes, no weights."""
    return tuple((name, type(part)) for name, part in module.named_modules())


def shapes_of(module: nn.Module) -> tuple[Any, ...]:
    """Shapes of all parameters but those of the last module that has some: the classifier's classes may differ."""
    own = [
        (name, [tuple(parameter.shape) for parameter in part.parameters(recurse=False)])
        for name, part in module.named_modules()
    ]
    own = [(name, shapes) for name, shapes in own if shapes]
    return tuple((name, *shapes) for name, shapes in own[:-1])


def equal_weights(first: nn.Module, second: nn.Module) -> bool:
    """Whether two modules are built alike and hold the same bits in every parameter and floating-point buffer."""
    if first is second:
        return True
    import torch

    if kind_of(first) != kind_of(second):
        return False
    one, other = (
        {name: tensor for name, tensor in tensors_of(module).items() if tensor.is_floating_point()}
        for module in (first, second)
    )
    return one.keys() == other.keys() and all(
        tensor.shape == other[name].shape
        and tensor.dtype == other[name].dtype
        and torch.equal(tensor.detach(), other[name].detach().to(tensor.device))
        for name, tensor in one.items()
    )


def fingerprint(module: nn.Module) -> str:
    """SHA-256 over names, types, shapes and values of all parameters and buffers."""
    digest = hashlib.sha256()
    for name, tensor in tensors_of(module).items():
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        digest.update(raw_bytes(tensor))
    return digest.hexdigest()


def raw_bytes(tensor: Tensor) -> bytes:
    """The bytes of a tensor's values in row-major order."""
    import torch

    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return bytes(flat.view(torch.uint8).numpy().data)
