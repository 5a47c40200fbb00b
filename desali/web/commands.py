"""The command line that makes the figure of a state: of `visualize` or `compare` where they can, else of `explore`."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from desali.figures.options import FigureOptions
from desali.models.modules import equal_weights
from desali.output.options import options_of
from desali.web.asked import State
from desali.web.networks import Networks
from desali.web.seen import Seen
from desali.web.shelf import Entry

FIGURE = "figure.png"


@dataclass(frozen=True)
class Origin:
    """What the command line named, as arguments.

    Attributes:
        runs: the folder of trained models.
        networks: how networks by name are loaded.
        explore: of `desali explore` alone: models, lineages, images, and what is shown.
    """

    runs: Sequence[str] = ()
    networks: Sequence[str] = ()
    explore: Sequence[str] = ()


def given_options(options: Any, leave_out: Sequence[str] = ()) -> list[str]:
    """The options of a dataclass that differ from their defaults, as arguments."""
    found = []
    for name, one in options_of(type(options)).items():
        value = getattr(options, name)
        if name in leave_out or value == one.default:
            continue
        if one.kind is bool:
            found.append(one.flags[0] if value else one.off)
        else:
            values = value if isinstance(value, tuple) else (value,)
            found.append(f"{one.flags[0]}={','.join(map(str, values))}")
    return found


def command(state: State, networks: Networks, entry: Entry, seen: Sequence[Seen], origin: Origin | None) -> str:
    """The line; "" where there is none, for networks that were given as modules.

    Args:
        seen: of the models that are shown and that have no error.
        origin: None: no command line named the networks.
    """
    if origin is None or not seen or not all(networks.specs[one.index] for one in seen):
        return ""
    plain = _drawn(state, networks, entry, seen, origin)
    if plain:
        return shlex.join(plain)
    if entry.id.startswith("u"):
        return ""
    shown = ["--state", str(state), "-o", FIGURE]
    return shlex.join(["desali", "explore", *origin.runs, *origin.networks, *shown, *origin.explore])


def _drawn(state: State, networks: Networks, entry: Entry, seen: Sequence[Seen], origin: Origin) -> list[str]:
    """A line of `visualize` or `compare`; empty where they cannot draw it."""
    source = _source(state, seen)
    if entry.path is None or not source or (state.partner and len({one.channel for one in seen}) > 1):
        return []
    many = len(seen) > 1
    if many and (len({networks.groups[one.index] for one in seen}) > 1 or _equal(networks, seen)):
        return []
    specs = [networks.specs[one.index] for one in seen]
    if many and any("," in spec for spec in specs):
        return []
    found = ["desali", *(["compare", "--models", ",".join(specs)] if many else ["visualize", "--model", specs[0]])]
    found += [*origin.runs, *origin.networks]
    if networks.random_seed != FigureOptions.seed:
        found += ["--seed", str(networks.random_seed)]
    found.append(f"--roi={entry.path}")
    if state.source != "contrast":
        found += ["--layers", seen[0].layer, "--no-contrast"]
    found += ["--from", source, "--method", state.method]
    if entry.hu and state.window is not None:
        found.append("--window=" + ",".join(f"{one:g}" for one in state.window))
    if many:
        found.append("--no-follow")
    return [*found, "-o", FIGURE]


def _source(state: State, seen: Sequence[Seen]) -> str:
    """What is projected, as `--from` names it; "" where it has no word for it."""
    first = seen[0]
    if state.source == "layer":
        return "layer"
    if state.source == "top":
        return f"top:{state.k}" if len(seen) == 1 else ""
    if state.source == "contrast":
        alike = len({one.seed for one in seen}) == 1
        return f"contrast:{first.seed.channel_index}" if state.b is None and alike else ""
    if state.source == "channel":
        return f"channel:{first.channel}"
    neurons = {one.neuron for one in seen}
    return f"neuron:{','.join(map(str, first.neuron or ()))}" if len(neurons) == 1 and first.neuron else ""


def _equal(networks: Networks, seen: Sequence[Seen]) -> bool:
    """Whether two of them hold the same weights, which `compare` refuses."""
    models = [networks.shown[one.index].model for one in seen]
    return any(equal_weights(one, other) for k, one in enumerate(models) for other in models[k + 1 :])
