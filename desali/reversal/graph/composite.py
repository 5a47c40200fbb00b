"""Modules that a registered kind claims: all calls of one use of such a module become one layer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from desali.errors import UnsupportedLayerError
from desali.reversal.graph import names
from desali.reversal.layers import registry
from desali.reversal.layers.base import Node
from desali.reversal.layers.call import Call, Constant, Parameter, Ref, name_of

if TYPE_CHECKING:
    from torch import nn
    from torch.fx import Node as FxNode

Use = tuple[str, int]
"""A module's qualified name, and which call of it (from 0)."""


class Declined(Exception):
    """A kind does not take a use of its module: its calls stay layers of their own."""

    def __init__(self, use: Use) -> None:
        super().__init__(use)
        self.use = use


@dataclass(frozen=True)
class Step:
    """One of the calls that a module makes, or that gives it a size; the module's own values have negative indices."""

    place: Ref
    call: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class Composite:
    """The calls of a module as one function of what they read from outside.

    Args:
        module: name of its class.
        steps: in order.
        leaves: what is read from outside, in the order of the arguments.
        result: place of the step whose value is the module's.
    """

    def __init__(self, module: str, steps: tuple[Step, ...], leaves: tuple[Any, ...], result: Ref) -> None:
        self.__name__ = f"module {module}"
        self.steps, self.leaves, self.result = steps, leaves, result

    def __call__(self, *given: Any) -> Any:
        known = dict(zip(self.leaves, given, strict=True))

        def resolve(item: Any) -> Any:
            if isinstance(item, (Ref, Parameter, Constant)):
                return known[item]
            if isinstance(item, (list, tuple)):
                return type(item)(map(resolve, item))
            return item

        for step in self.steps:
            kwargs = {key: resolve(value) for key, value in step.kwargs.items()}
            known[step.place] = step.call(*map(resolve, step.args), **kwargs)
        return known[self.result]


@dataclass
class Gathering:
    """One use of a claimed module, while its calls are met.

    Attributes:
        result, node: place of the value that is read outside, and the layer's index; known once it is first read.
    """

    module: nn.Module
    kind: registry.Kind
    use: Use
    steps: dict[Ref, Step] = field(default_factory=dict)
    result: Ref | None = None
    node: int | None = None

    @property
    def name(self) -> str:
        """The layer's name."""
        path, call = self.use
        return f"{path}:{call}" if call else path

    def takes(self, moving: bool, values: list[Any]) -> bool:
        """Whether a call is part of the layer: it depends on the image, or on such a value of the module's own."""
        return moving or any(item in self.steps for item in _leaves(values))

    def layer(self, result: Ref, index: int, nodes: list[Node], shape: tuple[int, ...]) -> Node:
        """The node that stands for the module, whose value is that of a step.

        Raises:
            UnsupportedLayerError: another value of the module was read before, or it reads several.
            Declined: the kind does not take it.
        """
        name = type(self.module).__name__
        claimed = f"module {self.use[0]!r} ({name}), which {self.kind.__name__} claims as one layer,"
        if self.node is not None:
            raise UnsupportedLayerError(
                f"{claimed} gives more than one value that depends on the image; register a kind for its operators "
                "instead, by names"
            )
        steps = self._ancestors(result)
        sources = [leaf.index for leaf in _open(steps) if isinstance(leaf, Ref) and _moves(nodes, leaf.index)]
        if len(sources) != 1 or not nodes[sources[0]].batched:
            raise UnsupportedLayerError(
                f"{claimed} reads {len(sources)} tensors that depend on the image, and must read one whose dimension 0 "
                "is the batch; register a kind for its operators instead, by names"
            )
        source = sources[0]
        sizes: dict[Ref, Step] = {}
        for leaf in _open(steps):
            if isinstance(leaf, Ref) and leaf.index != source:
                sizes.update(_sizes(nodes, leaf, Ref(source)) or {})
        steps = (*sizes.values(), *steps)
        args = (Ref(source), *(leaf for leaf in _open(steps) if leaf != Ref(source)))
        call = Call(name, args, {}, {source: nodes[source].shape}, shape, module=self.module, path=self.use[0])
        layer = registry.recognise_as(self.kind, call)
        if layer is None:
            raise Declined(self.use)
        self.result, self.node = result, index
        composite = Composite(name, steps, args, result)
        return Node(index, self.name, self.use[0], layer, composite, args, {}, (source,), shape)

    def _ancestors(self, result: Ref) -> tuple[Step, ...]:
        """The steps that a value is computed by."""
        needed = {result}
        for place, step in reversed(self.steps.items()):
            if place in needed:
                needed.update(_leaves([*step.args, *step.kwargs.values()]))
        return tuple(step for place, step in self.steps.items() if place in needed)


class Gatherings:
    """All uses of claimed modules in a program.

    Args:
        declined: uses that their kinds do not take.
    """

    def __init__(self, model: nn.Module, declined: set[Use]) -> None:
        self._kinds = {}
        if registry.claims_modules():
            every = model.named_modules(remove_duplicate=False)  # a module of two names is claimed under both
            found = {path: (registry.kind_of_module(type(module)), module) for path, module in every}
            self._kinds = {path: (kind, module) for path, (kind, module) in found.items() if path and kind is not None}
        self._declined = declined
        self._uses: dict[Use, Gathering] = {}
        self._owners: dict[int, Gathering] = {}

    def of(self, node: FxNode) -> Gathering | None:
        """The use that a call belongs to; of claimed modules inside each other the outermost."""
        if not self._kinds:
            return None
        for path, call in names.stack_of(node):
            use = (path, call)
            if path in self._kinds and use not in self._declined:
                kind, module = self._kinds[path]
                return self._uses.setdefault(use, Gathering(module, kind, use))
        return None

    def add(self, use: Gathering, call: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> int:
        """Note a call of a module; returns the index that its value is known by."""
        index = -1 - len(self._owners)
        self._owners[index] = use
        use.steps[Ref(index)] = Step(Ref(index), call, args, kwargs)
        return index

    def owner(self, index: int) -> Gathering:
        """The use that a value belongs to."""
        return self._owners[index]


def _open(steps: Iterable[Step]) -> list[Any]:
    """What steps read and none of them computes, without repetition."""
    steps = list(steps)
    places = {step.place for step in steps}
    read = dict.fromkeys(leaf for step in steps for leaf in _leaves([*step.args, *step.kwargs.values()]))
    return [leaf for leaf in read if leaf not in places]


def _moves(nodes: list[Node], index: int) -> bool:
    return nodes[index].operation is not None


def _sizes(nodes: list[Node], place: Ref, source: Ref) -> dict[Ref, Step] | None:
    """The steps of a value that does not depend on the image's values, with sizes taken from the module's input.

    The module may then be computed for another number of images. None if the value must be read from outside.
    """
    node = nodes[place.index]
    args = node.args
    if name_of(node.call) == "sym_size" and args[1] == 0 and nodes[args[0].index].batched:
        args = (source, 0)  # the number of images
    found: dict[Ref, Step] = {}
    for leaf in _leaves([*args, *node.kwargs.values()]):
        if not isinstance(leaf, Ref) or leaf == source:
            continue
        above = None if _moves(nodes, leaf.index) else _sizes(nodes, leaf, source)
        if above is None:
            return None
        found.update(above)
    found[place] = Step(place, node.call, args, node.kwargs)
    return found


def _leaves(values: list[Any]) -> Iterator[Any]:
    for value in values:
        if isinstance(value, (Ref, Parameter, Constant)):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from _leaves(list(value))
