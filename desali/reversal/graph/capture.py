"""Capture any module as a Network, by exporting a structural clone of it that shares its parameters."""

from __future__ import annotations

import inspect
import threading
import warnings
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from desali.errors import DesaliError
from desali.ops.memory import copied_as_it_lies
from desali.reversal.graph.chain import chain
from desali.reversal.graph.convert import convert, input_of, norms_in, output_of
from desali.reversal.graph.errors import CaptureError as CaptureError
from desali.reversal.graph.kinds import check_kinds
from desali.reversal.graph.network import Network
from desali.reversal.graph.outputs import Choice, Output, choose
from desali.reversal.graph.quiet import plain_attention, quiet, same_random_numbers, silent_export
from desali.reversal.graph.run import run
from desali.reversal.graph.state import State
from desali.reversal.graph.structure import tensors
from desali.reversal.graph.unfit import explained, refuse_unfit
from desali.reversal.graph.wrappers import copied, sharing, without_wrappers
from desali.reversal.layers.registry import registered_kinds

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.export import ExportedProgram

LOCK = threading.Lock()  # exporting is not thread-safe


Layout = tuple[int, ...] | None
"""Strides of images that are not contiguous; None for all that are."""


@dataclass
class Captured:
    """A network, whether it holds for one batch size or layout only, and for what it was checked.

    Attributes:
        layout: of the only images that it holds for; None: of any.
        checked: whether one image was given, and the images' layout.
    """

    network: Network
    fixed: bool
    layout: Layout = None
    checked: set[tuple[bool, Layout]] = field(default_factory=set)

    def entry(self, key: tuple[Any, ...], size: int) -> tuple[Any, ...]:
        """Where a capture is kept for images of a kind (`key`) and number."""
        return _narrow(key, size if self.fixed else None, self.layout)


def _narrow(key: tuple[Any, ...], size: int | None = None, layout: Layout = None) -> tuple[Any, ...]:
    return (*key, size, layout)


KEPT = 16
"""Captures kept for one model (sizes of image, dtypes, hooks); each holds packed weights, so the oldest use goes."""

CACHE: weakref.WeakKeyDictionary[nn.Module, dict[Any, Captured]] = weakref.WeakKeyDictionary()


def capture(model: nn.Module, images: Tensor, state: State | None = None, output: Output = None) -> Network:
    """The network of a module for images of this size; captured once and kept while the module lives.

    The module's hooks belong to it: they are called during the capture as in any forward pass, and what they compute
    is captured.

    Args:
        model: a module in evaluation mode that takes one tensor.
        images: [N, C, *spatial].
        state: a walk over the model made just now, which has no wrappers; None: it is made here.
        output: which of the module's outputs; None: the only one.

    Raises:
        CaptureError: training mode, an export that fails, or an output that differs from the module's own.
        UnsupportedLayerError: an operation that cannot be reversed.
        LayerError: a registered kind does not keep to the module's values, see `kinds`.
    """
    if state is None:
        with explained(model):
            model = without_wrappers(model)
            state = State(model)
    structure = state.structure
    key = (images.shape[1:], images.dtype, images.device, structure, registered_kinds(), output)
    size = images.shape[0]
    layout = None if images.is_contiguous() else images.stride()
    with LOCK:
        known = CACHE.setdefault(model, {})
        found = None if layout is None else known.get(_narrow(key, size, layout))
        found = found or known.get(_narrow(key, size)) or known.get(_narrow(key))
        if found is None:
            refuse_unfit(model)
            _refuse_training(model)
            _refuse_several_inputs(model)
            found = _capture(model, images, output)
        entry = found.entry(key, size)
        known.pop(entry, None)
        known[entry] = found  # the last used comes last
        if (size == 1, layout) not in found.checked:
            found = _checked(known, key, found, model, images, layout, output)
        while len(known) > KEPT:
            del known[next(iter(known))]
    return found.network


def _checked(
    known: dict[Any, Captured],
    key: tuple[Any, ...],
    found: Captured,
    model: nn.Module,
    images: Tensor,
    layout: Layout,
    output: Output,
) -> Captured:
    """The capture if it computes what the module computes, else a narrower one: for one batch size, for one layout.

    Raises:
        CaptureError: none does.
    """
    size = images.shape[0]
    difference = _difference(found.network, model, images, output)
    if difference is not None and not found.fixed:
        found = known[_narrow(key, size)] = _capture(model, images, output, fixed=True)
        difference = _difference(found.network, model, images, output)
    if difference is not None and found.layout != layout:
        found = known[_narrow(key, size, layout)] = _capture(model, images, output, fixed=True, layout=layout)
        difference = _difference(found.network, model, images, output)
    if difference is not None:
        del known[found.entry(key, size)]
        raise CaptureError(
            f"the captured {type(model).__name__} differs from the module's own output by {difference}; "
            "it depends on something that capture cannot see (random numbers, Python state)"
        )
    if registered_kinds():
        with quiet(images.device), same_random_numbers(images.device), plain_attention(model):
            check_kinds(found.network, model, clone(model), images)
    found.checked.add((size == 1, layout))
    return found


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
    if getattr(model.forward, "__name__", "") == "_forward_unimplemented":
        raise CaptureError(f"{type(model).__name__} cannot be captured: it has no forward")
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
    """The same modules again, sharing every parameter: what the clone's forward does leaves the original alone.

    Raises:
        CaptureError: it cannot be copied.
    """
    return copied(model, sharing(model))


def _capture(model: nn.Module, images: Tensor, output: Output, fixed: bool = False, layout: Layout = None) -> Captured:
    with quiet(images.device), same_random_numbers(images.device), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plain = None if fixed else chain(clone(model), images)
        if plain is not None:
            return Captured(plain, False)
        make = partial(_exported, model, images, output)
        try:
            program, fixed = _export(make, images, fixed, layout)
            if not fixed and len(images) == 1 and output_of(program).dim() == 0:  # the one image's dimension is gone
                program, fixed = _export(make, images, True, layout)
        except DesaliError:
            raise
        except Exception as error:
            raise CaptureError(
                f"{type(model).__name__} cannot be captured for images of shape {list(images.shape)}: {_line(error)}"
            ) from error
        norms = norms_in(program)
        network = convert(model, program, norms)
        if norms and _difference(network, model, images, output) is not None:
            network = convert(model, program, {})
    return Captured(network, fixed, layout)


def _line(error: Exception) -> str:
    text = " ".join(line.strip() for line in str(error).strip().splitlines()[:1])
    return text or type(error).__name__


def _exported(model: nn.Module, images: Tensor, output: Output) -> nn.Module:
    """A clone for the export, which gives the one tensor where the module gives several."""
    import torch

    twin = clone(model)
    try:
        value = clone(model)(copied_as_it_lies(images))
    except Exception:  # the export meets the same failure and explains it
        return twin
    if output is not None or not isinstance(value, torch.Tensor):
        choose(value, output, type(model).__name__)
        twin.register_forward_hook(Choice(output))
    return twin


def _export(make: Callable[[], nn.Module], images: Tensor, fixed: bool, layout: Layout) -> tuple[ExportedProgram, bool]:
    """Export with a free batch size where the module allows it; says whether the batch size is fixed."""
    import torch
    from torch.export import Dim, export

    failure: Exception | None = None
    if not fixed:
        example = torch.zeros((2, *images.shape[1:]), dtype=images.dtype, device=images.device)
        try:
            with silent_export():
                program = export(make(), (example,), dynamic_shapes=({0: Dim.AUTO},), strict=False)
        except Exception as error:
            failure = error
        else:
            if not isinstance(input_of(program).meta["val"].shape[0], int):
                return program, False
    try:
        example = torch.zeros(images.shape, dtype=images.dtype, device=images.device)
        if layout is not None:
            example = copied_as_it_lies(images)
        with silent_export():
            return export(make(), (example,), strict=False), True
    except Exception as error:
        raise (failure or error) from error


def _difference(network: Network, model: nn.Module, images: Tensor, output: Output) -> str | None:
    """None if the network computes what the module computes, bit by bit; else by how much they differ."""
    with quiet(images.device), same_random_numbers(images.device), plain_attention(model):
        own, given = _own_output(network, model, images)
        expected = choose(own, output, type(model).__name__)
        try:
            found, _ = run(network, tensors(model), given)
        except DesaliError:
            raise
        except Exception as error:
            return f"an error in it ({_line(error)})"
    if expected.dim() == 0 and len(images) == 1:
        expected = expected.reshape(1)
    if expected.shape != found.shape:
        return "more than its values"
    same = (found == expected) | (found.isnan() & expected.isnan())
    return None if bool(same.all()) else f"{(found - expected).abs().max().item():.3g}"


def _own_output(network: Network, model: nn.Module, images: Tensor) -> tuple[Any, Tensor]:
    """What the module gives for images in the same memory, which decides the last bits; and on which images.

    A module that cannot take images as they lie (it writes into what is expanded) is asked about a contiguous copy, if
    the network can take them.

    Raises:
        CaptureError: it cannot be run.
    """
    try:
        return clone(model)(copied_as_it_lies(images)), images
    except DesaliError:
        raise
    except Exception as error:
        failed = CaptureError(
            f"{type(model).__name__} cannot be run on images of shape {list(images.shape)}: {_line(error)}"
        )
        if images.is_contiguous():
            raise failed from error
        try:
            run(network, tensors(model), images)
            given = images.contiguous()
            return clone(model)(given.clone()), given
        except Exception:
            raise CaptureError(f"{failed}; they are no contiguous tensor: try images.contiguous()") from error
