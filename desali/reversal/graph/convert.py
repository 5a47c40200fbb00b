"""Turn an exported program into a Network."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

from desali.errors import UnsupportedLayerError
from desali.reversal.graph import names
from desali.reversal.graph.composite import Declined, Gathering, Gatherings, Use
from desali.reversal.graph.errors import CaptureError
from desali.reversal.graph.facts import Facts
from desali.reversal.graph.inplace import Aliases, functional
from desali.reversal.graph.network import Network, parameter
from desali.reversal.layers import patterns, registry
from desali.reversal.layers.arranging import Identity, Slice
from desali.reversal.layers.base import Layer, Node
from desali.reversal.layers.call import Call, Constant, Parameter, Ref, name_of
from desali.reversal.layers.ends import Decision, Image
from desali.reversal.layers.norms import LocalResponseNorm

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.export import ExportedProgram
    from torch.fx import Node as FxNode

_PIECES = {"chunk": 2, "split": 2, "split_with_sizes": 2, "tensor_split": 2}


def input_of(program: ExportedProgram) -> FxNode:
    """The node of the one tensor that the program takes.

    Raises:
        CaptureError: it takes none or several.
    """
    users = set(program.graph_signature.user_inputs)
    found = [node for node in program.graph.nodes if node.op == "placeholder" and node.name in users]
    if len(found) != 1:
        raise CaptureError(f"the module must take one tensor, it takes {len(found)}")
    node: FxNode = found[0]
    return node


def output_of(program: ExportedProgram) -> Tensor:
    """The value, without numbers in it, of the one tensor that the program gives.

    Raises:
        CaptureError: it gives none or several.
    """
    import torch

    results: Any = next(node for node in program.graph.nodes if node.op == "output").args[0]
    kept = list(results)[-len(program.graph_signature.user_outputs) :]
    value = getattr(kept[0], "meta", {}).get("val") if len(kept) == 1 else None
    if not isinstance(value, torch.Tensor):
        raise CaptureError(f"the module must return one tensor, it returns {len(kept)}")
    return value


Norms = dict["FxNode", tuple[LocalResponseNorm, "FxNode", list["FxNode"]]]
"""Local response normalisations by their last call: what they are, their input, the other calls."""


def norms_in(program: ExportedProgram) -> Norms:
    """The local response normalisations that a program writes out."""
    found = {node: patterns.local_response_norm(node) for node in program.graph.nodes if node.op == "call_function"}
    return {node: match for node, match in found.items() if match is not None}


def convert(model: nn.Module, program: ExportedProgram, norms: Norms) -> Network:
    """The Network of an exported program.

    Args:
        model: the module whose parameters and buffers the Network names.
        norms: the local response normalisations that become one layer; others' steps stay layers of their own.

    Raises:
        CaptureError, UnsupportedLayerError: see the message.
    """
    declined: set[Use] = set()
    while True:
        try:
            return _Converter(model, program, norms, declined).convert()
        except Declined as decline:
            declined.add(decline.use)


class _Converter:
    def __init__(self, model: nn.Module, program: ExportedProgram, norms: Norms, declined: set[Use]) -> None:
        self.model = model
        self.program = program
        signature = program.graph_signature
        self.parameters = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
        self.lifted = signature.inputs_to_lifted_tensor_constants
        self.calls = [node for node in program.graph.nodes if node.op == "call_function"]
        self.image = input_of(program)
        self.aliases = Aliases(list(program.graph.nodes))
        self.nodes: list[Node] = []
        self.constants: dict[str, Tensor] = {}
        self.index: dict[FxNode, int] = {}
        self.leaf: dict[FxNode, Parameter | Constant] = {}
        self.norms = norms
        self.swallowed = {inner for _, _, steps in norms.values() for inner in steps}
        self.facts = Facts(self.image, self.calls)
        self.modules = Gatherings(model, declined)
        self.values: dict[int, FxNode] = {}
        self.reader: Gathering | None = None

    def convert(self) -> Network:
        apart = [node for node in self.calls if node not in self.swallowed and self.modules.of(node) is None]
        layers = [node for node in apart if self.facts.is_map(node) and self.facts.has_batch(node)]
        labels = names.assign(self.model, layers, dict.fromkeys(self.norms, "local_response_norm"))
        for node in self.program.graph.nodes:
            if node.op == "placeholder":
                self._placeholder(node)
            elif node.op == "output":
                return self._finish(node)
            elif node.op == "call_function" and node not in self.swallowed:
                self._call(node, labels.get(node, ""))
        raise CaptureError("the exported program has no output")

    def _placeholder(self, node: FxNode) -> None:
        if node is self.image:
            self.index[node] = 0
            shape = tuple(map(int, node.meta["val"].shape[1:]))
            self.nodes.append(Node(0, "", "", Image(), operator.pos, (), {}, (), shape))
        elif node.name in self.parameters:
            self.leaf[node] = Parameter(self.parameters[node.name])
        elif node.name in self.lifted:
            name = self.lifted[node.name]
            self.constants[name] = self.program.constants[name]
            self.leaf[node] = Constant(name)

    def _translate(self, value: Any) -> Any:
        import torch

        if isinstance(value, torch.fx.Node):
            value = self.aliases.current(value)
            if value in self.leaf:
                return self.leaf[value]
            if value not in self.index:
                raise CaptureError(f"the module uses {value.name!r} in a way that cannot be captured")
            return Ref(self._outside(self.index[value]))
        if isinstance(value, (list, tuple)):
            return type(value)(self._translate(item) for item in value)
        return value

    def _outside(self, index: int) -> int:
        """The index of a value for the present reader: inside a module that is one layer, or the layer's."""
        if index >= 0 or self.modules.owner(index) is self.reader:
            return index
        use, value = self.modules.owner(index), self.values[index]
        if use.result == Ref(index):
            assert use.node is not None
            return use.node
        if not (self.facts.is_map(value) and self.facts.has_batch(value)):
            raise UnsupportedLayerError(
                f"module {use.use[0]!r}, which {use.kind.__name__} claims as one layer, gives a value that is no float "
                "tensor with the batch first; register a kind for its operators instead, by names"
            )
        shape = tuple(map(int, value.meta["val"].shape[1:]))
        self.nodes.append(use.layer(Ref(index), len(self.nodes), self.nodes, shape))
        return len(self.nodes) - 1

    def _arguments(self, node: FxNode) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return self._translate(node.args), {key: self._translate(value) for key, value in node.kwargs.items()}

    def _call(self, node: FxNode, name: str) -> None:
        import torch

        value = node.meta.get("val")
        self.reader = self.modules.of(node)
        if node in self.norms:
            self._norm(node, name)
        elif node.target is operator.getitem and isinstance(node.args[0], torch.fx.Node):
            self._getitem(node, name)
        elif not isinstance(value, (tuple, list)):
            call = functional(node)
            args, kwargs = self._arguments(node)
            self._append(node, name, None, call, args, kwargs)
            if call is not node.target:
                self.aliases.written(node)

    def _norm(self, node: FxNode, name: str) -> None:
        norm, source, _ = self.norms[node]
        self._append(node, name, None, *norm.as_call(self._translate(source)))

    def _getitem(self, node: FxNode, name: str) -> None:
        """One of the values of a call: of a split, or of a pooling that also gives indices."""
        import torch

        producer: Any = node.args[0]
        item: Any = node.args[1]
        if not name and not node.users:
            return
        call = functional(producer)
        args, kwargs = self._arguments(producer)
        producer_kind = names.kind_of(producer)
        if producer_kind == "max_pool2d_with_indices" and item == 0:
            self._append(node, name, None, torch.ops.aten.max_pool2d.default, args, kwargs)
            return

        def pick(*values: Any, **options: Any) -> Any:
            return call(*values, **options)[item]

        pick.__name__ = name_of(call)
        self._append(node, name, self._piece(node, producer, item), pick, args, kwargs)

    def _piece(self, node: FxNode, producer: FxNode, item: int) -> Layer | None:
        """A piece of a split along a dimension that is not the batch."""
        position = _PIECES.get(names.kind_of(producer))
        source: Any = producer.args[0] if producer.args else None
        if position is None or not self.facts.batched(node, [source]):
            return None
        dim = producer.args[position] if len(producer.args) > position else producer.kwargs.get("dim", 0)
        pieces = producer.meta["val"]
        if not isinstance(dim, int):
            return None
        dim %= pieces[0].dim()
        if dim == 0:
            return None
        if len(pieces) == 1:
            return Identity()
        return Slice(dim - 1, sum(int(piece.shape[dim]) for piece in pieces[:item]))

    def _append(
        self, node: FxNode, name: str, operation: Layer | None, call: Any, args: Any, kwargs: dict[str, Any]
    ) -> None:
        if self.reader is not None and self.reader.takes(node in self.facts.moving, [*args, *kwargs.values()]):
            self.index[node] = self.modules.add(self.reader, call, tuple(args), kwargs)
            self.values[self.index[node]] = node
            return
        inputs = self._inputs([*args, *kwargs.values()])
        value = node.meta.get("val")
        shape: tuple[int, ...] = ()
        batched = True
        if node in self.facts.moving:
            if self.facts.is_map(node):
                assert value is not None
                shape = tuple(map(int, value.shape[1:])) if self.facts.has_batch(node) else ()
                batched = self.facts.has_batch(node)
                batches = self.facts.batched(node, node.all_input_nodes if node not in self.norms else [])
                if operation is None:
                    operation, inputs = self._recognise(call, args, kwargs, inputs, shape, batches, batched)
            else:
                operation = Decision()
        index = len(self.nodes)
        self.index[node] = index
        module = names.module_of(node)[0]
        self.nodes.append(Node(index, name, module, operation, call, tuple(args), kwargs, inputs, shape, batched))

    def _recognise(
        self,
        call: Any,
        args: Any,
        kwargs: dict[str, Any],
        inputs: tuple[int, ...],
        shape: tuple[int, ...],
        batches: bool,
        batched: bool,
    ) -> tuple[Layer, tuple[int, ...]]:
        """The layer of a call and its inputs.

        Args:
            batches: dimension 0 of the value and of the inputs is the batch.
            batched: that of the value is.
        """
        weight = args[1] if len(args) > 1 and isinstance(args[1], Parameter) else None
        found = Call(
            name_of(call),
            args,
            kwargs,
            {index: self.nodes[index].shape for index in inputs},
            shape,
            None if weight is None else tuple(parameter(self.model, weight.name).shape),
            batches,
        )
        layer = registry.recognise_by_users(found)
        if layer is None and batched and not kwargs:
            several = patterns.written_out(self.nodes, self.constants, found.name, tuple(args), shape)
            if several is not None:
                return several[0], (several[1],) if several[0].masked else inputs
        return registry.recognise(found) if layer is None else layer, inputs

    def _inputs(self, values: list[Any]) -> tuple[int, ...]:
        found: list[int] = []
        for value in values:
            if isinstance(value, Ref) and self.nodes[value.index].operation is not None and value.index not in found:
                found.append(value.index)
            elif isinstance(value, (list, tuple)):
                found.extend(index for index in self._inputs(list(value)) if index not in found)
        return tuple(found)

    def _finish(self, node: FxNode) -> Network:
        value = output_of(self.program)
        results: Any = node.args[0]
        kept: Any = list(results)[-1]
        self.reader = None
        output = self.index.get(self.aliases.current(kept))
        output = None if output is None else self._outside(output)
        if not output or self.nodes[output].operation is None:
            raise CaptureError("the module must return a tensor that depends on its input")
        single = str(self.image.meta["val"].shape[0]) == "1"
        if value.dim() == 0 and single:  # one image, whose dimension was squeezed away
            output = self._with_images(output, self.aliases.current(kept))
        elif not self.nodes[output].batched:
            raise CaptureError(
                f"the module's output {list(map(str, value.shape))} has no dimension 0 of images: it must hold a value "
                "or values for each image"
            )
        # what the forward computes after its output is never run: no layer of the network
        return Network(tuple(self.nodes[: output + 1]), output, self.constants)

    def _with_images(self, source: int, single: FxNode) -> int:
        """A node that gives a single number as that of the one image, [1], under the name that several images give."""
        import torch

        module = names.module_of(single)[0]
        name = f"{module}.{names.kind_of(single)}_fn".lstrip(".")
        while any(node.name == name for node in self.nodes):
            name += ":1"

        call = torch.ops.aten.reshape.default
        args = (Ref(source), [1])
        shapes: dict[int, tuple[int, ...]] = {source: ()}
        operation = registry.recognise(Call(name_of(call), args, {}, shapes, (), None, False))
        index = len(self.nodes)
        self.nodes.append(Node(index, name, module, operation, call, args, {}, (source,), (), True))
        return index
