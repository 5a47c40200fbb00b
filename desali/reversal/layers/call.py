"""A call of an operator as capture found it, and the references that stand in its arguments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Ref:
    """Stands in a node's arguments for the value of another node."""

    index: int


@dataclass(frozen=True)
class Parameter:
    """Stands in a node's arguments for a parameter or buffer of the model, by its qualified name."""

    name: str


@dataclass(frozen=True)
class Constant:
    """Stands in a node's arguments for a tensor that the model's code made during capture."""

    name: str


@dataclass(frozen=True)
class Call:
    """A call that a layer is to be recognised from.

    Attributes:
        name: plain name of the operator ("relu"; "library::name" where it is not one of ATen's), or of the class of a
            module that a kind claims as a whole.
        args, kwargs: its arguments; `Ref`, `Parameter` and `Constant` stand for tensors.
        shapes: shape without the batch dimension of every tensor that it reads and that depends on the image, by
            node index.
        shape: shape of its value without the batch dimension.
        weight_shape: shape of its second argument, if that is a parameter.
        batched: dimension 0 of every such input and of the value is the batch.
        module: the module, for a kind that claims modules; read settings from it, not tensors: the same capture serves
            models with other weights.
        path: the module's qualified name; its parameters are called `path.name`.
    """

    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    shapes: dict[int, tuple[int, ...]]
    shape: tuple[int, ...]
    weight_shape: tuple[int, ...] | None = None
    batched: bool = True
    module: nn.Module | None = None
    path: str = ""

    def get(self, position: int, name: str, default: Any = None) -> Any:
        """The argument at a position or of a name."""
        return self.args[position] if len(self.args) > position else self.kwargs.get(name, default)

    def image_input(self, position: int) -> int | None:
        """Index of the image-dependent tensor at a position."""
        item = self.args[position] if len(self.args) > position else None
        return item.index if isinstance(item, Ref) and item.index in self.shapes else None

    @property
    def before(self) -> tuple[int, ...] | None:
        """Shape of the first argument, if that is the one image-dependent tensor and images stay apart; else None."""
        if not self.batched or len(self.shapes) != 1:
            return None
        source = self.image_input(0)
        return None if source is None else self.shapes[source]

    @property
    def aligned(self) -> bool:
        """Whether images stay apart and all shapes have one rank, so that broadcasting leaves the batch where it is."""
        return self.batched and all(len(shape) == len(self.shape) for shape in self.shapes.values())


def name_of(call: Callable[..., Any]) -> str:
    """Plain name of what a node calls, in-place marker removed: "relu" for aten.relu_.default; "mine::blur"."""
    name: str = getattr(call, "__name__", str(call)).split(".")[0]
    name = name[:-1] if name.endswith("_") and not name.endswith("__") else name
    library = getattr(call, "namespace", "aten")
    return name if library == "aten" else f"{library}::{name}"


def per_dimension(value: Any, dims: int, default: int) -> tuple[int, ...]:
    """One integer per spatial dimension, from an integer, a list of one or of all, or nothing."""
    if value is None or (isinstance(value, (list, tuple)) and not value):
        return (default,) * dims
    items = [int(value)] if isinstance(value, int) else [int(item) for item in value]
    return tuple(items * dims) if len(items) == 1 else tuple(items)
