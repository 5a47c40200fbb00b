"""What a page says of itself: what its numbers mean, its keys, and what holds for these networks."""

from __future__ import annotations

from desali.comparison.controls import too_few
from desali.web.explorer.followed import Followed
from desali.web.explorer.networks import Networks

NUMBERS = (
    "One number need not be one channel in two networks: where no lineage follows it from one to the other, networks "
    "stand side by side by number alone."
)
MEANING = (
    "likeness: rank correlation of the picture with those of {draws} networks with random weights, lowest to highest; "
    "the first is shown. Near 1 the picture shows the image, not what was learned; within noise it says nothing. Ends: "
    "what becomes black and white, 0 in the middle. logit difference: of a contrast, the logit of the class less that "
    "of the other, or less the mean of all others."
)
KEYS = {
    "[ ]": "layer", ", .": "channel", "b": "before or after", "p": "same channel or partner",
    "arrows, Enter": "on a map: move, show the neuron",
}  # fmt: skip
LINEAGE = (
    "r: correlation of the channel before with itself after (without an interval; a report's sheets have one). "
    "traceable: the share of the layer's channels that are more like their old selves than like any other. purity: of "
    "all channels of the layer, on the mean. "
    "random: the range of networks with random weights. strangers: a layer whose channels are no more alike than those "
    "of unrelated networks; it has no r, states or partners."
)
STRANGERS = (
    "strangers: the channels are no more alike than those of unrelated networks, so that r, states and partners say "
    "nothing and are left out. purity: of all channels of the layer, on the mean. random: the range of random networks."
)
ARCHITECTURES = (
    "The models are of different architectures: layers and channels are comparable within one alone, and each "
    "architecture has its own panels and its own networks with random weights."
)


def words(draws: int, followed: Followed | None) -> str:
    """What the rows of numbers are.

    Args:
        draws: networks with random weights behind each likeness.
    """
    said = [MEANING.format(draws=draws), too_few(draws)]
    if followed is not None:
        said.append(STRANGERS if followed.strangers else LINEAGE)
    return " ".join(one for one in said if one)


def notes(networks: Networks, followed: Followed | None) -> list[str]:
    """What holds for these networks side by side."""
    found = [ARCHITECTURES] if len(set(networks.groups)) > 1 else []
    known = set() if followed is None else {followed.before, followed.after}
    if any(networks.groups.count(group) > 1 for k, group in enumerate(networks.groups) if k not in known):
        found.append(NUMBERS)
    if networks.without_control:
        found.append(networks.without_control)
    return found
