"""Capture any module as a Network, by exporting a structural clone of it that shares its parameters."""

from __future__ import annotations

import copy
import operator
import threading
import warnings
import weakref
from typing import TYPE_CHECKING, Any

from desali.errors import DesaliError, UnsupportedLayerError
from desali.graph import lrn, names
from desali.graph.classify import classify
from desali.graph.network import Constant, Network, Node, Parameter, Ref
from desali.graph.operations import Image, Operation
from desali.graph.run import run

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.export import ExportedProgram
    from torch.fx import Node as FxNode

_LOCK = threading.Lock()
_CACHE: weakref.WeakKeyDictionary[nn.Module, dict[Any, Network]] = weakref.WeakKeyDictionary()
_VIEWS = {
    "view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze", "permute", "transpose", "t", "slice", "select", "narrow",
    "expand", "getitem", "chunk", "split", "split_with_sizes", "detach", "alias", "contiguous", "dropout", "feature_dropout",
}  # fmt: skip


class CaptureError(DesaliError):
    """The module could not be captured, or what was captured does not compute what the module computes."""


def _structure(model: nn.Module) -> tuple[Any, ...]:
    """What a capture depends on besides the input: modules, their settings, parameters and hooks."""
    parts: list[Any] = []
    for name, module in model.named_modules():
        parts.append(
            (
                name,
                id(type(module)),
                module.extra_repr(),
                tuple(module._forward_hooks),
                tuple(module._forward_pre_hooks),
            )
        )
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        parts.append((name, tuple(tensor.shape), tensor.dtype, tensor.device))
    return tuple(parts)


def capture(model: nn.Module, images: Tensor) -> Network:
    """The network of a module for images of this size; captured once and kept while the module lives.

    Args:
        model: a module in evaluation mode that takes one tensor and returns one.
        images: [N, C, *spatial].

    Raises:
        CaptureError: training mode, an export that fails, or an output that differs from the module's own.
        UnsupportedLayerError: an operation writes in place through a view.
    """
    training = [name or "the model itself" for name, module in model.named_modules() if module.training]
    if training:
        raise CaptureError(
            f"the model is in training mode ({training[0]}): call model.eval() first; desali does not switch it silently"
        )
    key = (tuple(images.shape[1:]), images.dtype, images.device, _structure(model))
    with _LOCK:
        known = _CACHE.setdefault(model, {})
        found = known.get((*key, None)) or known.get((*key, images.shape[0]))
        if found is None:
            network, fixed = _capture(model, images)
            _check(network, model, images)
            known[(*key, images.shape[0] if fixed else None)] = network
            found = network
    return found


def _clone(model: nn.Module) -> nn.Module:
    """The same modules again, sharing every parameter and buffer: tracing does not touch the original."""
    shared = {id(tensor): tensor for tensor in [*model.parameters(), *model.buffers()]}
    return copy.deepcopy(model, shared)  # type: ignore[arg-type]


def _capture(model: nn.Module, images: Tensor) -> tuple[Network, bool]:
    program, fixed = _export(model, images)
    return _convert(model, program), fixed


def _export(model: nn.Module, images: Tensor) -> tuple[ExportedProgram, bool]:
    """Export with a free batch size where the module allows it; says whether the batch size is fixed."""
    import torch
    from torch.export import Dim, export

    example = torch.zeros((2, *images.shape[1:]), dtype=images.dtype, device=images.device)
    clone = _clone(model)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        try:
            program = export(clone, (example,), dynamic_shapes=({0: Dim.AUTO},), strict=False)
            if not isinstance(_placeholder(program).meta["val"].shape[0], int):
                return program, False
            example = torch.zeros_like(images)
            return export(clone, (example,), strict=False), True
        except Exception as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise CaptureError(
                f"{type(model).__name__} cannot be captured for images of shape {list(images.shape)}: {reason}"
            ) from error


def _placeholder(program: ExportedProgram) -> FxNode:
    users = set(program.graph_signature.user_inputs)
    found = [node for node in program.graph.nodes if node.op == "placeholder" and node.name in users]
    if len(found) != 1:
        raise CaptureError(f"the module must take one tensor, it takes {len(found)}")
    return found[0]


def _functional(node: FxNode) -> Any:
    """The call without its side effect: aten.relu for aten.relu_."""
    import torch

    target: Any = node.target
    if not isinstance(target, torch._ops.OpOverload) or not target._schema.is_mutable:
        return target
    name, overload = target._schema.name.split("::")[1], target._overloadname
    packet = getattr(torch.ops.aten, name[:-1], None) if name.endswith("_") else None
    if packet is None or overload not in packet.overloads():
        raise UnsupportedLayerError(
            f"module {names.module_of(node)[0]!r}: {name} writes in place and has no counterpart without side effects; rewrite it"
        )
    return getattr(packet, overload)


class _Converter:
    """Turns the nodes of an exported program into the nodes of a Network."""

    def __init__(self, model: nn.Module, program: ExportedProgram) -> None:
        self.model = model
        self.program = program
        signature = program.graph_signature
        self.parameters = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
        self.lifted = signature.inputs_to_lifted_tensor_constants
        self.nodes: list[Node] = []
        self.constants: dict[str, Tensor] = {}
        self.index: dict[FxNode, int] = {}
        self.leaf: dict[FxNode, Parameter | Constant] = {}
        self.swallowed: set[FxNode] = set()
        self.norms: dict[FxNode, tuple[Operation, FxNode]] = {}
        self.alias: dict[FxNode, FxNode] = {}

    def convert(self) -> Network:
        calls = [node for node in self.program.graph.nodes if node.op == "call_function"]
        for node in calls:
            match = lrn.match(node)
            if match is not None:
                self.norms[node] = (match[0], match[1])
                self.swallowed.update(match[2])
        tensors = [node for node in calls if self._is_layer(node)]
        labels = names.assign(self.model, tensors, dict.fromkeys(self.norms, "local_response_norm"))
        for node in self.program.graph.nodes:
            if node.op == "placeholder":
                self._placeholder(node)
            elif node.op == "call_function" and node not in self.swallowed:
                self._call(node, labels.get(node, ""))
            elif node.op == "output":
                return self._finish(node)
        raise CaptureError("the exported program has no output")

    def _is_layer(self, node: FxNode) -> bool:
        import torch

        return node not in self.swallowed and isinstance(node.meta.get("val"), torch.Tensor)

    def _placeholder(self, node: FxNode) -> None:
        if node.name in self.parameters:
            self.leaf[node] = Parameter(self.parameters[node.name])
        elif node.name in self.lifted:
            name = self.lifted[node.name]
            self.constants[name] = self.program.constants[name]
            self.leaf[node] = Constant(name)
        else:
            _placeholder(self.program)
            self.index[node] = 0
            self.nodes.append(
                Node(0, "", "", Image(), operator.pos, (), {}, (), tuple(map(int, node.meta["val"].shape[1:])))
            )

    def _current(self, node: FxNode) -> FxNode:
        while node in self.alias:
            node = self.alias[node]
        return node

    def _translate(self, value: Any) -> Any:
        import torch

        if isinstance(value, torch.fx.Node):
            value = self._current(value)
            if value in self.leaf:
                return self.leaf[value]
            return Ref(self.index[value])
        if isinstance(value, (list, tuple)):
            return type(value)(self._translate(item) for item in value)
        return value

    def _call(self, node: FxNode, name: str) -> None:
        if name == "":
            if isinstance(node.meta.get("val"), (tuple, list)):
                return
            self._append(node, "", None, node.target, self._translate(node.args), self._translate_dict(node.kwargs))
            return
        if node in self.norms:
            self._norm(node, name)
            return
        if node.target is operator.getitem:
            self._getitem(node, name)
            return
        call = _functional(node)
        self._append(node, name, "classify", call, self._translate(node.args), self._translate_dict(node.kwargs))
        if call is not node.target:
            self._mutated(node)

    def _translate_dict(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        return {key: self._translate(value) for key, value in kwargs.items()}

    def _norm(self, node: FxNode, name: str) -> None:
        from torch.nn.functional import local_response_norm

        operation, source = self.norms[node]
        settings = {key: getattr(operation, key) for key in ("size", "alpha", "beta", "k")}
        self._append(node, name, operation, local_response_norm, (self._translate(source),), settings)

    def _getitem(self, node: FxNode, name: str) -> None:
        producer: Any = node.args[0]
        item: Any = node.args[1]
        call = _functional(producer)
        args, kwargs = self._translate(producer.args), self._translate_dict(producer.kwargs)
        if names.kind_of(producer) == "max_pool2d_with_indices" and item == 0:
            import torch

            self._append(node, name, "classify", torch.ops.aten.max_pool2d.default, args, kwargs)
            return

        def pick(*values: Any, **options: Any) -> Any:
            return call(*values, **options)[item]

        pick.__name__ = names.kind_of(producer)
        self._append(node, name, "classify", pick, args, kwargs)

    def _append(
        self, node: FxNode, name: str, operation: Operation | str | None, call: Any, args: Any, kwargs: dict[str, Any]
    ) -> None:
        inputs = self._inputs([*args, *kwargs.values()])
        value = node.meta.get("val")
        shape = tuple(int(size) for size in value.shape[1:]) if name and value is not None else ()
        resolved: Operation | None
        if operation == "classify":
            weight = self._leaf_shape(args[1]) if len(args) > 1 else None
            sources = [self.nodes[index] for index in inputs]
            resolved = classify(
                call, args, kwargs, [source.shape for source in sources], shape, weight, self._batched(node)
            )
        else:
            resolved = operation  # type: ignore[assignment]
        index = len(self.nodes)
        self.index[node] = index
        self.nodes.append(
            Node(index, name, names.module_of(node)[0], resolved, call, tuple(args), kwargs, inputs, shape)
        )

    def _inputs(self, values: list[Any]) -> tuple[int, ...]:
        found: list[int] = []
        for value in values:
            if isinstance(value, Ref) and self.nodes[value.index].operation is not None and value.index not in found:
                found.append(value.index)
            elif isinstance(value, (list, tuple)):
                found.extend(index for index in self._inputs(list(value)) if index not in found)
        return tuple(found)

    def _leaf_shape(self, item: Any) -> tuple[int, ...] | None:
        from desali.graph.network import parameter

        return tuple(parameter(self.model, item.name).shape) if isinstance(item, Parameter) else None

    def _batched(self, node: FxNode) -> bool:
        """Whether dimension 0 of the value and of each tensor read is the batch."""
        import torch

        batch = _placeholder(self.program).meta["val"].shape[0]
        sources = [source for source in node.all_input_nodes if source not in self.leaf]
        if node.target is operator.getitem:
            sources = [source for inner in sources for source in inner.all_input_nodes if source not in self.leaf]
        values = [node.meta.get("val"), *(source.meta.get("val") for source in sources)]
        tensors = [value for value in values if isinstance(value, torch.Tensor)]
        return all(value.dim() > 0 and str(value.shape[0]) == str(batch) for value in tensors)

    def _mutated(self, node: FxNode) -> None:
        """Later readers of the tensor written in place read the new value; a live view of it cannot be followed."""
        target: Any = self._current(node.args[0])  # type: ignore[arg-type]
        base = _base(target)
        later = False
        for other in self.program.graph.nodes:
            if other is node:
                later = True
            elif later and other.op in ("call_function", "output"):
                for source in other.all_input_nodes:
                    current = self._current(source)
                    if current is not target and current is not node and current.op == "call_function":
                        shares = _base(current) is base and current in self.index
                        if shares and not _derives(current, node):
                            raise UnsupportedLayerError(
                                f"module {names.module_of(node)[0]!r}: {names.kind_of(node)} writes in place into a tensor that "
                                f"is read again through a view; use its form without side effects (inplace=False)"
                            )
        if target is not node:
            self.alias[target] = node

    def _finish(self, node: FxNode) -> Network:
        results = node.args[0]
        if not isinstance(results, (tuple, list)):
            results = (results,)
        kept: list[Any] = list(results)[-len(self.program.graph_signature.user_outputs) :]
        if len(kept) != 1 or kept[0] is None:
            raise CaptureError(
                f"the module must return one tensor, it returns {len(kept)}; wrap it to return the one to study"
            )
        return Network(tuple(self.nodes), self.index[self._current(kept[0])], self.constants)


def _base(node: FxNode) -> FxNode:
    while node.op == "call_function" and names.kind_of(node) in _VIEWS and node.all_input_nodes:
        node = node.all_input_nodes[0]
    return node


def _derives(node: FxNode, ancestor: FxNode) -> bool:
    while (
        node is not ancestor and node.op == "call_function" and names.kind_of(node) in _VIEWS and node.all_input_nodes
    ):
        node = node.all_input_nodes[0]
    return node is ancestor


def _convert(model: nn.Module, program: ExportedProgram) -> Network:
    return _Converter(model, program).convert()


def _check(network: Network, model: nn.Module, images: Tensor) -> None:
    import torch

    with torch.no_grad():
        expected = model(images.detach().clone())
        output, _ = run(network, model, images)
    if not torch.equal(output, expected) and not torch.equal(output.nan_to_num(), expected.nan_to_num()):
        worst = (output - expected).abs().max().item()
        raise CaptureError(
            f"the captured {type(model).__name__} differs from the module's own output by {worst:.3g}; "
            "it depends on something that capture cannot see (random numbers, Python state)"
        )
