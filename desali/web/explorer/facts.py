"""What a page is told of networks that were looked at: pictures, numbers by name, words, and what is doubtful."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from desali.figures.captions import around_zero
from desali.figures.drawing.display import scale_text
from desali.figures.facts import seed_words
from desali.web.explorer import cards
from desali.web.explorer.answer import Refused
from desali.web.explorer.draws import Draws
from desali.web.explorer.networks import Networks
from desali.web.explorer.projection import Seen
from desali.web.explorer.rendering import Picture
from desali.web.explorer.shelf import Entry
from desali.web.explorer.state import State

if TYPE_CHECKING:
    from desali.figures.subjects import Shown

FACTS = {
    "state": "state", "r": "r", "r_null": "r, random", "firing": "firing", "partner": "partner",
    "traceable_in_layer": "traceable in layer", "traceable_interval": "traceable, 95 %",
    "traceable_null": "traceable, random", "purity_of_layer": "purity of layer", "purity_interval": "purity, 95 %",
    "purity_null": "purity, random",
}  # fmt: skip
"""What a lineage says of a channel -> what the page calls it, in this order."""
LOWEST = 0.005
"""A class score below it is not named, unless it is the largest."""
Facts = Mapping[int, Mapping[str, Any]]


def page_entries(
    networks: Networks,
    seen: Sequence[Seen],
    entry: Entry,
    state: State,
    classes: Mapping[int, State | Refused],
    facts: Facts,
) -> dict[int, dict[str, Any]]:
    """What a page is told of each network, by its place; the likeness to all draws comes later, see `with_draws`.

    Args:
        classes: of a contrast, the state with its classes in each network.
        facts: what a lineage says of the channel that each shows.
    """
    draws = Counter(_draw(networks, one) for one in seen if one.control is not None)
    return {
        one.index: _told(networks, one, entry, state, classes.get(one.index), facts.get(one.index, {}), draws)
        for one in seen
    }


def _told(
    networks: Networks,
    one: Seen,
    entry: Entry,
    state: State,
    target: State | Refused | None,
    facts: Mapping[str, Any],
    draws: Mapping[Any, int],
) -> dict[str, Any]:
    shown = networks.shown[one.index]
    y, x = one.place or (None, None)
    classes = _contrast(shown.classes, target) if isinstance(target, State) else {}
    seed = classes.get("contrast") or seed_words(one.seed, shown.classes)
    control = None
    if one.control is not None:
        control = {
            **_picture(one.control, state.common),
            "shared": draws[_draw(networks, one)],
        }
    return {
        "index": one.index,
        "name": one.name,
        "layer": one.layer,
        "channel": one.channel,
        "picture": _picture(one.picture, state.common),
        "control": control,
        "value": one.value,
        "measure": one.measure,
        "y": y,
        "x": x,
        "box": None if one.field is None else entry.framed(shown.rule, one.field),
        "neurons": [{"channel": own[0], "y": _at(own, 1), "x": _at(own, 2), "value": value}
                    for own, value in one.neurons],
        "likeness": one.likeness,
        "null": one.null,
        "facts": dict(facts),
        "rows": rows_of(one, facts),
        "what": "reconstruction",
        "scores": [list(pair) for pair in one.scores],
        "scores_in_words": score_words(one, shown),
        "trained_on": cards.trained_on(shown),
        "doubts": cards.doubts(shown, entry, networks.input(one.index, entry)),
        "seed": seed,
        "alt": words_of(one, seed),
        "control_alt": control_words(one),
        **classes,
    }  # fmt: skip


def _draw(networks: Networks, one: Seen) -> tuple[int, str] | None:
    """What controls of one draw agree in: architecture and picture; other classes change the last layer alone."""
    return None if one.control is None else (networks.groups[one.index], one.control.url)


def words_of(seen: Seen, seed: str) -> str:
    """What a picture shows, with its numbers, for a reader who hears the page.

    Args:
        seed: what is projected, in words.
    """
    what = f"channel {seen.channel}" if seen.channel is not None else seed
    at = ""
    if seen.place is not None and seen.neuron is not None and len(seen.neuron) == 3:
        at = f" at {seen.neuron[1]}, {seen.neuron[2]}"
    scale = "silent: the map is zero" if seen.picture.silent else scale_text("scale", seen.picture.scale)
    return f"{seen.name}, {seen.layer}, {what}{at}; {seen.measure} {seen.value:.3g}; {scale}"


def control_words(seen: Seen) -> str:
    """What a control shows, for a reader who hears the page."""
    if seen.control is None:
        return ""
    silent = " Silent: nothing comes back." if seen.control.silent else ""
    return f"Control: the same network with random weights.{silent}"


def with_draws(entry: Mapping[str, Any], drawn: Draws | None) -> dict[str, Any]:
    """What a page is told of a network, with the likeness to all networks with random weights.

    No likeness is told to a reader who hears the page before it is known: that to one of them says too little.
    """
    if drawn is None:
        return {**entry, "draws": None}
    likeness = f"ikeness to the same network with random weights: {drawn.words}"
    noise = "" if entry["null"] is None else f", noise stays within {entry['null']:.2f}"
    return {
        **entry,
        "draws": drawn.to_dict(),
        "alt": f"{entry['alt']}; l{likeness}{noise}",
        "control_alt": f"{entry['control_alt']} L{likeness}{noise}.",
    }


def score_words(seen: Seen, shown: Shown) -> str:
    """The largest class scores, the classes in words where their names are codes."""
    said = [
        f"{cards.named(shown, name)} {share:.2f}"
        for k, (name, share) in enumerate(seen.scores)
        if not k or share >= LOWEST
    ]
    return f"score of class {' · '.join(said)}" if said else ""


def rows_of(seen: Seen, facts: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers of a network as the page lists them, by the names that it gives them; None for none."""
    contrast = seen.picture.contrast
    silent = seen.value == 0 and seen.place is None and not contrast
    return {
        "channel": seen.channel,
        seen.measure if contrast else "value": "silent here" if silent else seen.value,
        "row, column": None if seen.place is None else f"{seen.place[0]}, {seen.place[1]}",
        "likeness": seen.likeness,
        "draws": None,
        "noise": None if seen.null is None else f"< {seen.null:.2f}",
        **{name: facts.get(key) for key, name in FACTS.items()},
    }


def once(models: Sequence[Mapping[str, Any]]) -> list[str]:
    """What is wrong with models, each reason once with the names that it is of."""
    reasons: dict[str, list[str]] = {}
    for one in models:
        if "error" in one:
            reasons.setdefault(one["error"], []).append(one["name"])
    return [f"{', '.join(names)}: {reason}" for reason, names in reasons.items()]


def _contrast(classes: Sequence[str], target: State) -> dict[str, str]:
    """Which class a contrast is for and against which, under the picture and in a sentence."""
    a, b = (None if one is None else _class_name(classes, one) for one in (target.a, target.b))
    against = "" if b is None else f", against {b}"
    return {"what": f"for {a}{against}", "contrast": f"contrast of {a} against {b or 'the mean of the others'}"}


def _class_name(classes: Sequence[str], number: int) -> str:
    return classes[number] if number < len(classes) else f"class {number}"


def _picture(picture: Picture, common: bool) -> dict[str, Any]:
    ends = around_zero(picture.scale)
    words = "silent here" if picture.silent else f"{ends}, one scale" if common else f"ends {ends}"
    return {
        "png": picture.url, "height": picture.pixels.shape[0], "width": picture.pixels.shape[1], "scale": picture.scale,
        "clipped": picture.clipped, "contrast": picture.contrast, "silent": picture.silent, "words": words,
    }  # fmt: skip


def _at(neuron: Sequence[int], place: int) -> int | None:
    return neuron[place] if len(neuron) > place else None
