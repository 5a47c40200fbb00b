"""What a registered kind must keep to, tried once on every capture: the module's own values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from desali.errors import LayerError
from desali.ops.memory import copied_as_it_lies
from desali.reversal.graph.network import Network
from desali.reversal.graph.run import run
from desali.reversal.graph.structure import tensors
from desali.reversal.layers import registry
from desali.reversal.layers.base import Node, Recorder

if TYPE_CHECKING:
    from torch import Tensor, nn


def check_kinds(network: Network, model: nn.Module, twin: nn.Module, images: Tensor) -> None:
    """Try what users' kinds record, and look for modules that they claim and that left no layer.

    Args:
        model: the captured module.
        twin: a clone of it that may be altered.

    Raises:
        LayerError: `record` gives another value than the layer's own, or writes where it may not, or keeps what is not
            by image; or a claimed module returns its input itself.
    """
    if registry.claims_modules():
        _check_claims(network, twin, images)
    theirs = [
        node
        for node in network.nodes
        if node.operation is not None
        and node.operation.decides()
        and isinstance(node.operation, registry.registered_kinds())
    ]
    if theirs:
        _check_records(network, model, images, theirs)


def _check_records(network: Network, model: nn.Module, images: Tensor, theirs: list[Node]) -> None:
    import torch

    wanted = {index for node in theirs for index in (node.index, node.inputs[0])}
    found: dict[int, Tensor] = {}

    def observe(node: Node, value: Tensor) -> None:
        if node.index in wanted:
            found[node.index] = copied_as_it_lies(value)

    run(network, tensors(model), images, None, observe)
    recorder = Recorder(network.nodes, "auto")
    for node in theirs:
        assert node.operation is not None
        x, own = found[node.inputs[0]], found[node.index]
        given = copied_as_it_lies(x)
        with torch.no_grad():
            answer: Any = node.operation.record(recorder, node, given, False)
        words = f"layer {node.name!r}: {node.operation.label}.record"
        if not isinstance(answer, tuple) or len(answer) != 2:
            raise LayerError(f"{words} must return a pair, the value or None and what to keep or None, got {answer!r}")
        value, kept = answer
        if not _equal(given, x):
            raise LayerError(f"{words} writes into x although writable is False; write into x.clone()")
        if value is not None and not (isinstance(value, torch.Tensor) and _equal(value, own)):
            raise LayerError(
                f"{words} gives another value than the module computes ({_by(value, own)}); return None in its place "
                "to leave the value to the layer's own call"
            )
        if kept is not None and not (isinstance(kept, torch.Tensor) and kept.shape[:1] == x.shape[:1]):
            got = f"shape {list(kept.shape)}" if isinstance(kept, torch.Tensor) else repr(kept)
            raise LayerError(f"{words} must keep one tensor whose dimension 0 is the {len(x)} images, got {got}")


def _check_claims(network: Network, twin: nn.Module, images: Tensor) -> None:
    import torch

    claimed = {
        path: kind
        for path, module in twin.named_modules(remove_duplicate=False)
        if path and (kind := registry.kind_of_module(type(module))) is not None
    }
    gave_back: list[str] = []

    def watching(path: str) -> Any:
        def watch(module: Any, given: tuple[Any, ...], value: Any) -> None:
            if given and value is given[0]:
                gave_back.append(path)

        return watch

    for path in claimed:
        twin.get_submodule(path).register_forward_hook(watching(path))
    with torch.no_grad():
        twin(copied_as_it_lies(images))
    layers = {node.module for node in network.nodes}
    for path in gave_back:
        inside = any(layer == path or layer.startswith(f"{path}.") for layer in layers)
        if not inside and not any(above in claimed and above in layers for above in _above(path)):
            raise LayerError(
                f"module {path!r} ({type(twin.get_submodule(path)).__name__}), which {claimed[path].__name__} claims "
                "as one layer, returns its input itself, so that no layer is there for the rule to act on: return "
                "x.clone() in its forward, or do not claim its class"
            )


def _above(path: str) -> Iterator[str]:
    while "." in path:
        path = path.rpartition(".")[0]
        yield path


def _equal(first: Tensor, second: Tensor) -> bool:
    if first.shape != second.shape or first.dtype != second.dtype:
        return False
    return bool(((first == second) | (first.isnan() & second.isnan())).all())


def _by(value: Any, own: Tensor) -> str:
    import torch

    if not isinstance(value, torch.Tensor):
        return f"a {type(value).__name__}"
    if value.shape != own.shape or value.dtype != own.dtype:
        return f"{value.dtype} {list(value.shape)} instead of {own.dtype} {list(own.shape)}"
    return f"they differ by {(value - own).abs().max().item():.3g}"
