"""Which class a contrast is for in each network: classes are one by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from desali.errors import DesaliError
from desali.web.explorer.answer import Refused
from desali.web.explorer.networks import Networks
from desali.web.explorer.seeding import layer_of
from desali.web.explorer.shelf import Entry
from desali.web.explorer.state import State


def targets(
    networks: Networks, state: State, entry: Entry, first: int | None = None
) -> tuple[dict[int, State | Refused], int | None]:
    """The state with the classes of a contrast in each model, or why it has none such; classes are one by name.

    Without a class it is the one that a model predicts: `first`, or the first that takes the image; its place is told
    too. A number is a place among the classes of all
    models (`Networks.classes`) or, where none has names, in the output.
    """
    places = sorted(networks.chosen(state.models), key=lambda index: index != first)
    known = networks.classes
    for given in (state.a, state.b):
        if known and given is not None and given >= len(known):
            raise Refused(404, f"class {given}: there are {len(known)}, which count from 0")
    a: str | int
    by = None
    if state.a is None:
        a, by = _predicted(networks, places, entry, state)
    else:
        a = known[state.a] if known else state.a
    b = None if state.b is None else known[state.b] if known else state.b
    found: dict[int, State | Refused] = {}
    sizes = {index: _outputs(networks, index, entry, state) for index in places} if isinstance(a, int) else {}
    for index in places:
        try:
            numbers = [None if one is None else _class(networks, index, one, sizes) for one in (a, b)]
            found[index] = replace(state, a=numbers[0], b=numbers[1])
        except Refused as error:
            found[index] = error
    return found, by


def _predicted(networks: Networks, places: Sequence[int], entry: Entry, state: State) -> tuple[str | int, int]:
    """The class that the first model predicts that takes the image, by name or else by place; and which model."""
    why: DesaliError = Refused(400, "no model is shown")
    for index in places:
        try:
            recorded = networks.recorded(index, entry)
            layer = layer_of(state, recorded, networks, index)
        except DesaliError as error:
            why = error
            continue
        with recorded.lock:
            number = int(recorded.recording.activation(layer)[0].argmax())
        names = networks.shown[index].classes
        return names[number] if number < len(names) else number, index
    raise why


def _outputs(networks: Networks, index: int, entry: Entry, state: State) -> int:
    """How many classes a model has; 0 where it does not say."""
    try:
        recorded = networks.recorded(index, entry)
        return recorded.recording.shape(layer_of(state, recorded, networks, index))[0]
    except DesaliError:
        return 0  # said where it is shown


def _class(networks: Networks, index: int, target: str | int, sizes: Mapping[int, int]) -> int:
    """The place of a class in the output of a model.

    Raises:
        Refused: it has no such class, or nothing says which of its classes that is.
    """
    own = networks.shown[index].classes
    if isinstance(target, str):
        if target in own:
            return own.index(target)
        raise Refused(404, f"has no class {target}" if own else f"its classes have no names; which is {target}?")
    if own or len({size for size in sizes.values() if size}) > 1:
        raise Refused(404, f"which of its classes is class {target} of the others? Their names are not known")
    return target
