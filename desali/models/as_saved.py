"""Weights as people have them: wrapped in a training's checkpoint, under a wrapper's prefix, without batch counters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from desali.errors import WeightsError

if TYPE_CHECKING:
    from torch import Tensor

WRAPPERS = ("state_dict", "model_state_dict", "model_state", "model", "net", "network", "weights", "params")
AVERAGED = ("state_dict_ema", "model_ema", "ema_state_dict", "ema")
"""Averages of the weights over the training; taken only where nothing else is there."""
COUNTER = "num_batches_tracked"
NAMED = 3


@dataclass
class Notes:
    """What was done to make a file's tensors fit, in words for a model's record.

    Attributes:
        said: one phrase each, e.g. "under 'state_dict'", "without the prefix 'module.'".
        missing: names that kept random weights.
    """

    said: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def unwrapped(path: Path, content: object, notes: Notes) -> dict[str, Tensor]:
    """The state dict in what `torch.load` read: the content itself, or what stands under a known name in it.

    Raises:
        WeightsError: there is none.
    """
    import torch

    def tensors(found: object) -> bool:
        return isinstance(found, Mapping) and any(isinstance(value, torch.Tensor) for value in found.values())

    found = content
    for _ in range(3):
        if not isinstance(found, Mapping):
            break
        inside = [key for key in WRAPPERS if isinstance(found.get(key), Mapping) and found[key]]
        if len(inside) > 1:
            raise WeightsError(f"{path}: holds weights under {_list(inside)}; save the state dict that you mean alone")
        inner = next((key for key in (*inside, *AVERAGED) if isinstance(found.get(key), Mapping)), None)
        if inner is None:
            break
        notes.said.append(f"under {inner!r}")
        found = found[inner]
    if not tensors(found) or not isinstance(found, Mapping):
        raise WeightsError(f"{path}: expected a state dict of tensors, got {contents(found)}; save model.state_dict()")
    odd = [str(name) for name, value in found.items() if not isinstance(value, torch.Tensor)]
    if odd:
        if found is content and len(odd) * 2 > len(found):
            raise WeightsError(
                f"{path}: expected a state dict of tensors, got {contents(found)}; save model.state_dict()"
            )
        notes.said.append(f"without {_list(odd)}, which is no tensor")
    return {str(name): value for name, value in found.items() if isinstance(value, torch.Tensor)}


def fitted(path: Path, state: Mapping[str, Tensor], expected: Mapping[str, Tensor], notes: Notes) -> dict[str, Tensor]:
    """The tensors under the names that a network expects.

    One prefix that most of them share (`module.`, `_orig_mod.`, `model.`, `backbone.`, ...) is taken off, and tensors
    of other modules (a loss, a metric) are left out; counters of batches that the file lacks are the network's own.

    Raises:
        WeightsError: two prefixes fit equally, so that the file holds two such networks.
    """
    prefix = _prefix(path, state, expected)
    if prefix:
        others = [name for name in state if not name.startswith(prefix)]
        if others:
            notes.said.append(f"without {_list(others)} outside of {prefix!r}")
        state = {name[len(prefix) :]: value for name, value in state.items() if name.startswith(prefix)}
        notes.said.append(f"without the prefix {prefix!r}")
    counters = [name for name in expected if name.rpartition(".")[2] == COUNTER]
    absent = {name: expected[name] for name in counters if name not in state}
    if absent:
        notes.said.append(f"without {len(absent)} counters of batches, which decide nothing")
    surplus = [name for name in state if name.rpartition(".")[2] == COUNTER and name not in expected]
    return {**{name: value for name, value in state.items() if name not in surplus}, **absent}


def completed(
    path: Path, state: Mapping[str, Tensor], model: Mapping[str, Tensor], network: str, allow: bool, notes: Notes
) -> dict[str, Tensor]:
    """The tensors with a network's own random ones where the file has none for its classifier, if that is allowed.

    Raises:
        WeightsError: they are missing, and it is not allowed. Anything else that differs is the caller's to refuse.
    """
    missing = [name for name in model if name not in state]
    surplus = [name for name in state if name not in model]
    fewer = len(missing) * 2 < len(model) and len(surplus) * 2 < len(state)
    alike = all(state[name].shape == tensor.shape for name, tensor in model.items() if name in state)
    if not fewer or not alike or not (missing or surplus):
        return dict(state)
    if not allow:
        what = [f"without {_list(missing)}"] * bool(missing) + [f"with {_list(surplus)} beside"] * bool(surplus)
        raise WeightsError(
            f"{path}: weights of {network} {' and '.join(what)} (a classifier taken off or put on?); pass "
            "allow_missing=True to leave out what is beside and to draw what is missing at random"
        )
    if missing:
        notes.missing += missing
        notes.said.append(f"{_list(missing)} drawn at random")
    if surplus:
        notes.said.append(f"without {_list(surplus)}")
    return {name: state.get(name, value) for name, value in model.items()}


def _prefix(path: Path, state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> str:
    """The prefix under which the most of the expected names stand; averages over the training only without others."""
    found: Counter[str] = Counter()
    ends = {name.rpartition(".")[2] for name in expected} | {name for name in expected if "." not in name}
    for name in state:
        if name.rpartition(".")[2] not in ends:
            continue
        parts = name.split(".")
        for depth in range(len(parts)):
            if ".".join(parts[depth:]) in expected:
                found["".join(part + "." for part in parts[:depth])] += 1
    best = max(found.values(), default=0)
    equal = [prefix for prefix, count in found.items() if count == best]
    if "" in equal or not equal:
        return ""
    plain = [prefix for prefix in equal if not any(part in AVERAGED for part in prefix.split("."))] or equal
    if len(plain) > 1:
        raise WeightsError(
            f"{path}: holds {len(plain)} networks that fit, under {_list(plain)}; save the one that you mean alone"
        )
    return plain[0]


def contents(found: object) -> str:
    """What a file holds, for a message."""
    if not isinstance(found, Mapping):
        return type(found).__name__
    keys = [str(key) for key in found]
    return f"a dict of {', '.join(keys[:4])}" if keys else "an empty dict"


def _list(names: Iterable[Any]) -> str:
    listed = [repr(str(name)) for name in names]
    return ", ".join(listed[:NAMED]) + (f" and {len(listed) - NAMED} more" if len(listed) > NAMED else "")
