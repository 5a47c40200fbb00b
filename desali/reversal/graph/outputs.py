"""Which tensor of what a module gives is its output: the only one, or the one that is named."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from desali.errors import DesaliError
from desali.reversal.graph.errors import CaptureError

if TYPE_CHECKING:
    from torch import Tensor, nn

Output = int | str | None
"""A position or a name among a module's outputs, nested ones with dots between ("aux.logits"); None: the only one."""
LISTED = 12


def tensors_in(value: Any) -> dict[str, Tensor]:
    """The tensors in what a module gives, by position or name: of tuples, lists, mappings and dataclasses."""
    return {".".join(path): tensor for path, tensor in _walk(value, ())}


def check_output(output: object) -> None:
    """Refuse what is neither a position nor a name.

    Raises:
        DesaliError: another type.
    """
    if output is not None and (isinstance(output, bool) or not isinstance(output, (int, str)) or output == ""):
        raise DesaliError(f"output must be a position or a name, got {output!r}")


def choose(value: Any, output: Output = None, module: str = "the module") -> Tensor:
    """The tensor that is named, or the only one of floating-point numbers.

    Raises:
        CaptureError: none or several, or no such name; the message lists what is there.
    """
    import torch

    if isinstance(value, torch.Tensor) and output is None:
        return value
    there = tensors_in(value)
    if output is None:
        found = [tensor for tensor in there.values() if tensor.is_floating_point()]
        if len(found) == 1:
            return found[0]
        if not there:
            raise CaptureError(f"{module} gives {_kind(value)}; desali needs a tensor with a value for each image")
        raise CaptureError(
            f"{module} gives {len(there)} outputs: {listed(there)}; name the one to study (output=, or "
            "desali.select_output)"
        )
    if isinstance(value, torch.Tensor):
        raise CaptureError(f"{module} gives one tensor {list(value.shape)}, no output {output!r}: leave output out")
    name = str(output)
    if isinstance(value, (tuple, list)) and re.fullmatch(r"-?\d{1,9}", name):  # of a named tuple too
        place = int(name) % len(value) if -len(value) <= int(name) < len(value) else -1
        fields = getattr(value, "_fields", range(len(value)))
        name = str(fields[place]) if place >= 0 else name
    inside = [key for key in there if key == name or key.startswith(f"{name}.")]
    if len(inside) != 1:
        what = f"no output {output!r}" if not inside else f"{len(inside)} tensors in output {output!r}"
        raise CaptureError(f"{module} gives {what}, but {listed(there)}: name one of these (output=)")
    return there[inside[0]]


class Choice:
    """A forward hook that gives the chosen tensor in the place of all."""

    def __init__(self, output: Output) -> None:
        self.output = output

    def __call__(self, module: Any, given: Any, value: Any) -> Tensor:
        return choose(value, self.output, type(module).__name__)


def select_output(model: nn.Module, output: Output) -> nn.Module:
    """The same network, which gives the one tensor alone: for whatever takes a network, and has no `output=`.

    It shares every parameter and buffer with the model, whose hooks and forward are left alone.

    Args:
        model: a module that gives several tensors.
        output: which one, by position or name.

    Raises:
        DesaliError: no module, or no name. CaptureError: it cannot be copied. Whether there is such an output is seen
            when the network is run.
    """
    import torch

    from desali.reversal.graph.wrappers import copied, sharing, unwrapped

    if not isinstance(model, torch.nn.Module):
        raise DesaliError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    check_output(output)
    plain = unwrapped(model)
    twin = copied(plain, sharing(plain, buffers=True))
    twin.register_forward_hook(Choice(output))
    return twin


def listed(there: Mapping[str, Tensor]) -> str:
    """Names and shapes for a message."""
    words = [f"{name} {list(tensor.shape)}" for name, tensor in there.items()]
    return ", ".join(words[:LISTED]) + (f" and {len(words) - LISTED} more" if len(words) > LISTED else "")


def _walk(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Tensor]]:
    import torch

    inside: list[tuple[Any, Any]] = []
    if isinstance(value, torch.Tensor):
        yield path, value
    elif isinstance(value, Mapping):
        inside = list(value.items())
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        inside = [(one.name, getattr(value, one.name)) for one in dataclasses.fields(value)]
    elif isinstance(value, tuple) and hasattr(value, "_fields"):
        inside = list(zip(value._fields, value, strict=True))
    elif isinstance(value, (tuple, list)):
        inside = list(enumerate(value))
    for key, item in inside:
        yield from _walk(item, (*path, str(key)))


def _kind(value: Any) -> str:
    return "nothing" if value is None else f"a {type(value).__name__} without a tensor in it"
