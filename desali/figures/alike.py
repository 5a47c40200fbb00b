"""How alike the maps of one row are: every two models, each beside the networks with random weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from desali.comparison.controls import Likeness, likeness_null, one_size
from desali.comparison.views import View
from desali.figures import captions
from desali.figures.drawing.display import to_grey
from desali.figures.drawing.panel import Matrix
from desali.figures.inputs import Input
from desali.figures.windows import cropped

MODEL, REPLICATE, RANDOM = "model", "replicate", "random"


class Alike:
    """Likeness of the first maps of one row.

    Args:
        views: of models, replicates and random networks by label, in the order of the columns.
        kinds: "model", "replicate" or "random", of each.
        twins: models that are equal bit by bit to an earlier one.
        classes: whose contrast each shows; maps of two classes are not compared.
    """

    def __init__(
        self,
        views: Mapping[str, View],
        kinds: Mapping[str, str],
        twins: Mapping[str, str],
        likeness: Likeness,
        classes: Mapping[str, str | None],
    ) -> None:
        self._classes = classes
        self.views, self.kinds, self.twins = views, kinds, twins
        self._likeness = likeness
        self._planes: dict[tuple[int, int], npt.NDArray[np.float64]] = {}
        self._known: dict[tuple[str, str], float | None] = {}

    def between(self, one: str, other: str) -> float | None:
        """Of two networks; None if a map is silent or constant, or they are of different neurons or classes."""
        first, second = self.twins.get(one, one), self.twins.get(other, other)
        key = (first, second)
        if key not in self._known:
            apart = self._classes.get(one) != self._classes.get(other)
            self._known[key] = None if apart else self._of(self.views[first], self.views[second])
        return self._known[key]

    def to_image(self, name: str, seed: int, input: Input) -> dict[str, float]:
        """Of a map to the input and (its magnitude) to the edges."""
        plane = self.plane(self.views[self.twins.get(name, name)], seed)
        found = {
            "input": self._likeness(plane, input.grey),
            "edges": self._likeness(plane, input.edges, magnitude=True),
        }
        return {key: value for key, value in found.items() if value is not None}

    def pairs(self) -> list[dict[str, Any]]:
        """Of every two models and replicates that have one."""
        names = [name for name, kind in self.kinds.items() if kind != RANDOM]
        return [
            {"first": one, "second": other, "rank_correlation": value}
            for index, one in enumerate(names)
            for other in names[index + 1 :]
            if (value := self.between(one, other)) is not None
        ]

    def random(self) -> list[dict[str, Any]]:
        """Of every network to every random one, and of these to each other."""
        names = list(self.kinds)
        return [
            {"first": one, "second": other, "rank_correlation": value}
            for index, one in enumerate(names)
            for other in names[index + 1 :]
            if self.kinds[other] == RANDOM and (value := self.between(one, other)) is not None
        ]

    @property
    def floor(self) -> float | None:
        """The largest likeness that a network with random weights takes part in."""
        return max((entry["rank_correlation"] for entry in self.random()), default=None)

    def matrix(self) -> Matrix | None:
        """All of it as a table; None where there is nothing to compare."""
        names = list(self.kinds)
        if len(names) < 2:
            return None
        floor = self.floor
        values: list[list[float | None]] = []
        words: dict[tuple[int, int], str] = {}
        strong = set()
        for row, one in enumerate(names[:-1]):
            values.append([])
            for column, other in enumerate(names[1:]):
                value = self.between(one, other) if column >= row else None
                if column >= row and self.twins.get(one, one) == self.twins.get(other, other):
                    words[row, column] = "equal"
                elif column >= row and value is None:
                    words[row, column] = "\N{EN DASH}"
                values[-1].append(value)
                own = RANDOM not in (self.kinds[one], self.kinds[other])
                if own and value is not None and floor is not None and value > floor:
                    strong.add((row, column))
        return Matrix("rank correlation", names[:-1], names[1:], values, words, frozenset(strong), self._note(floor))

    def _note(self, floor: float | None) -> str:
        said = []
        if floor is not None:
            said.append(f"Random floor {captions.signed(floor)}, the most that random weights reach; above it bold.")
        shown = next((self.plane(view, 0) for view in self.views.values()), None)
        if shown is not None:
            said.append(f"Independent noise stays within \N{PLUS-MINUS SIGN}{likeness_null(shown.shape):.2f} in 95 %.")
        return " ".join(said)

    def plane(self, view: View, seed: int) -> npt.NDArray[np.float64]:
        """A view's map as [h, w], in the window that is shown."""
        key = (id(view), seed)
        if key not in self._planes:
            self._planes[key] = to_grey(cropped(view.maps[seed], view.fields[seed]))
        return self._planes[key]

    def _of(self, one: View, other: View) -> float | None:
        if one.neurons[0] != other.neurons[0] or not one.maps[0].any() or not other.maps[0].any():
            return None
        return self._likeness(*one_size(self.plane(one, 0), self.plane(other, 0)))
