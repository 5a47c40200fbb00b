"""Capture any module as a Network, by exporting a structural clone of it that shares its parameters."""

from __future__ import annotations

import copy
import inspect
import threading
import warnings
import weakref
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from desali.errors import DesaliError
from desali.reversal.graph.chain import chain
from desali.reversal.graph.convert import convert, input_of, norms_in
from desali.reversal.graph.errors import CaptureError as CaptureError
from desali.reversal.graph.kinds import check_kinds
from desali.reversal.graph.network import Network
from desali.reversal.graph.quiet import plain_attention, quiet, same_random_numbers, silent_export
from desali.reversal.graph.run import run
from desali.reversal.graph.state import State
from desali.reversal.graph.structure import tensors
from desali.reversal.layers.registry import registered_kinds

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.export import ExportedProgram

LOCK = threading.Lock()  # exporting is not thread-safe


@dataclass
class Captured:
    """A network, whether it holds for one batch size only, and whether it was checked for one image and for several."""

    network: Network
    fixed: bool
    checked: set[bool] = field(default_factory=set)


KEPT = 16
"""Captures kept for one model (sizes of image, dtypes, hooks); each holds packed weights, so the oldest use goes."""

CACHE: weakref.WeakKeyDictionary[nn.Module, dict[Any, Captured]] = weakref.WeakKeyDictionary()


def capture(model: nn.Module, images: Tensor, state: State | None = None) -> Network:
    """The network of a module for images of this size; captured once and kept while the module lives.

    The module's hooks belong to it: they are called during the capture as in any forward pass, and what they compute
    is captured.

    Args:
        model: a module in evaluation mode that takes one tensor and returns one.
        images: [N, C, *spatial].
        state: a walk over the model made just now; None: it is made here.

    Raises:
        CaptureError: training mode, an export that fails, or an output that differs from the module's own.
        UnsupportedLayerError: an operation that cannot be reversed.
        LayerError: a registered kind does not keep to the module's values, see `kinds`.
    """
    structure = (state or State(model)).structure
    key = (images.shape[1:], images.dtype, images.device, structure, registered_kinds())
    size = images.shape[0]
    with LOCK:
        known = CACHE.setdefault(model, {})
        found = known.get(_entry(key, True, size)) or known.get(_entry(key, False, size))
        if found is None:
            _refuse_training(model)
            _refuse_several_inputs(model)
            found = _capture(model, images)
        known.pop(_entry(key, found.fixed, size), None)
        known[_entry(key, found.fixed, size)] = found  # the last used comes last
        if (size == 1) not in found.checked:
            difference = _difference(found.network, model, images)
            if difference is not None and not found.fixed:
                found = known[_entry(key, True, size)] = _capture(model, images, fixed=True)
                difference = _difference(found.network, model, images)
            if difference is not None:
                del known[_entry(key, found.fixed, size)]
                raise CaptureError(
                    f"the captured {type(model).__name__} differs from the module's own output by {difference}; "
                    "it depends on something that capture cannot see (random numbers, Python state)"
                )
            if registered_kinds():
                with quiet(images.device), same_random_numbers(images.device), plain_attention(model):
                    check_kinds(found.network, model, clone(model), images)
            found.checked.add(size == 1)
        while len(known) > KEPT:
            del known[next(iter(known))]
    return found.network


def _entry(key: tuple[Any, ...], fixed: bool, size: int) -> tuple[Any, ...]:
    return (*key, size if fixed else None)


def _refuse_training(model: nn.Module) -> None:
    if model.training:
        raise CaptureError("the model is in training mode: call model.eval() first; desali does not switch it silently")
    for name, module in model.named_modules():
        if module.training:
            raise CaptureError(
                f"the model's module {name!r} is in training mode: call model.eval() first; desali does not switch it "
                "silently"
            )


def _refuse_several_inputs(model: nn.Module) -> None:
    try:
        given = inspect.signature(model.forward).parameters.values()
    except (TypeError, ValueError):  # nothing is known of it: the export will see
        return
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    needed = [item.name for item in given if item.kind in positional and item.default is item.empty]
    if len(needed) > 1:
        raise CaptureError(
            f"{type(model).__name__} cannot be captured: its forward takes {len(needed)} inputs ({', '.join(needed)}), "
            "and desali records networks of one image tensor; wrap it in a module that fills in the others"
        )


def clone(model: nn.Module) -> nn.Module:
    """The same modules again, sharing every parameter: what the clone's forward does leaves the original alone."""
    shared = {id(parameter): parameter for parameter in model.parameters()}
    for module in model.modules():
        for value in vars(module).values():
            if getattr(value, "grad_fn", None) is not None:  # cannot be copied
                shared[id(value)] = value
    return copy.deepcopy(model, shared)


def _capture(model: nn.Module, images: Tensor, fixed: bool = False) -> Captured:
    with quiet(images.device), same_random_numbers(images.device), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plain = None if fixed else chain(clone(model), images)
        if plain is not None:
            return Captured(plain, False)
        try:
            program, fixed = _export(model, images, fixed)
        except DesaliError:
            raise
        except Exception as error:
            raise CaptureError(
                f"{type(model).__name__} cannot be captured for images of shape {list(images.shape)}: {_line(error)}"
            ) from error
        norms = norms_in(program)
        network = convert(model, program, norms)
        if norms and _difference(network, model, images) is not None:
            network = convert(model, program, {})
    return Captured(network, fixed)


def _line(error: Exception) -> str:
    text = " ".join(line.strip() for line in str(error).strip().splitlines()[:1])
    return text or type(error).__name__


def _export(model: nn.Module, images: Tensor, fixed: bool) -> tuple[ExportedProgram, bool]:
    """Export with a free batch size where the module allows it; says whether the batch size is fixed."""
    import torch
    from torch.export import Dim, export

    failure: Exception | None = None
    if not fixed:
        example = torch.zeros((2, *images.shape[1:]), dtype=images.dtype, device=images.device)
        try:
            with silent_export():
                program = export(clone(model), (example,), dynamic_shapes=({0: Dim.AUTO},), strict=False)
        except Exception as error:
            failure = error
        else:
            if not isinstance(input_of(program).meta["val"].shape[0], int):
                return program, False
    try:
        example = torch.zeros(images.shape, dtype=images.dtype, device=images.device)
        with silent_export():
            return export(clone(model), (example,), strict=False), True
    except Exception as error:
        raise (failure or error) from error


def _difference(network: Network, model: nn.Module, images: Tensor) -> str | None:
    """None if the network computes what the module computes, bit by bit; else by how much they differ."""
    import torch

    with quiet(images.device), same_random_numbers(images.device), plain_attention(model):
        try:
            expected = clone(model)(images.detach().clone())
            output, _ = run(network, tensors(model), images)
        except DesaliError:
            raise
        except Exception as error:
            raise CaptureError(
                f"{type(model).__name__} cannot be run on images of shape {list(images.shape)}: {_line(error)}"
            ) from error
    if isinstance(expected, (tuple, list)) and len(expected) == 1:
        expected = expected[0]
    if isinstance(expected, dict) and len(expected) == 1:
        expected = next(iter(expected.values()))
    if not isinstance(expected, torch.Tensor) or expected.shape != output.shape:
        return "more than its values"
    same = (output == expected) | (output.isnan() & expected.isnan())
    return None if bool(same.all()) else f"{(output - expected).abs().max().item():.3g}"
