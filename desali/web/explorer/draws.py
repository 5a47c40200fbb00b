"""How alike a picture is to those of several networks with random weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from desali.comparison.controls import Likeness
from desali.figures.captions import signed
from desali.web.explorer.hands import Hands
from desali.web.explorer.networks import Networks
from desali.web.explorer.projection import Seen, alike_to, beside
from desali.web.explorer.shelf import Entry
from desali.web.explorer.state import State


@dataclass(frozen=True)
class Draws:
    """How alike a map is to those of several networks with random weights.

    Attributes:
        likeness: to each of them; None where one of the two maps is constant.
        silent: in how many of them nothing comes back.
    """

    likeness: tuple[float | None, ...]
    silent: int

    @property
    def ends(self) -> tuple[float, float] | None:
        """The lowest and the highest; None where there is none."""
        known = [one for one in self.likeness if one is not None]
        return (min(known), max(known)) if known else None

    @property
    def range(self) -> str:
        """From the lowest to the highest, in words."""
        if self.ends is None:
            return "none"
        low, high = (signed(one) for one in self.ends)
        return low if low == high else f"{low} to {high}"

    @property
    def words(self) -> str:
        """The range, over how many, and how many say nothing."""
        return f"{self.range} ({len(self.likeness)} {'draws' if len(self.likeness) > 1 else 'draw'}{self._silent})"

    @property
    def _silent(self) -> str:
        return f", {self.silent} silent" if self.silent else ""

    def to_dict(self) -> dict[str, Any]:
        """As a page and a record take it."""
        low, high = self.ends or (None, None)
        return {
            "networks": len(self.likeness), "likeness": list(self.likeness), "low": low, "high": high,
            "silent": self.silent, "words": self.words,
            "rows": {"likeness": self.range, "draws": f"{len(self.likeness)}{self._silent}"},
        }  # fmt: skip


def draws(
    networks: Networks, seen: Sequence[Seen], entry: Entry, state: State, hands: Hands, wanted: Callable[[], None]
) -> dict[int, Draws]:
    """How alike the map of each network is to those of all networks with random weights, by its place.

    Those that have no network with random weights, or show several neurons, are left out.

    Args:
        hands: several draws are worked on at a time, a network each.
        wanted: is called before each; it raises where nobody waits any more.
    """
    alike = Likeness()

    def of(pair: tuple[Seen, int]) -> tuple[float | None, bool]:
        one, draw = pair
        wanted()
        other = beside(networks, one.index, entry, state, one.layer, one.seed, one.shown.colour, draw)
        assert other is not None  # the first one could be drawn
        return alike_to(networks, one.shown, other, alike), other.picture.silent

    fit = [one for one in seen if one.beside is not None and len(one.shown.view.neurons) == 1]
    count = networks.draws
    # all draws of a network before the next one: networks of one architecture share a draw, and would wait for it
    made = hands.each(of, [(one, draw) for one in fit for draw in range(count)])
    own = [made[k * count : (k + 1) * count] for k in range(len(fit))]
    return {
        one.index: Draws(tuple(rho for rho, _ in found), sum(silent for _, silent in found))
        for one, found in zip(fit, own, strict=True)
    }
