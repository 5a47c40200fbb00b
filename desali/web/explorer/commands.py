"""The command line that makes the figure of a state: `explore --state`, which draws exactly what a page shows."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from desali.output.options import options_of
from desali.web.explorer.networks import Networks
from desali.web.explorer.projection import Seen
from desali.web.explorer.shelf import Entry
from desali.web.explorer.state import State

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
    """The line; "" where there is none: for networks that were given as modules, and for a dropped image.

    Args:
        seen: of the models that are shown and that have no error.
        origin: None: no command line named the networks.
    """
    if origin is None or not seen or not all(networks.specs[one.index] for one in seen) or entry.id.startswith("u"):
        return ""
    shown = ["--state", str(state), "-o", FIGURE]
    return shlex.join(["desali", "explore", *origin.runs, *origin.networks, *shown, *origin.explore])
