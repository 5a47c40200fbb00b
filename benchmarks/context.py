"""What a case is given, and what it hands back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from benchmarks.measuring import Effort, Entry

Scale = Literal["full", "quick", "tiny"]

_EFFORTS: dict[Scale, dict[str, Effort]] = {
    "full": {
        "job": Effort(2.4, 3),
        "figure": Effort(1.2, 2),
        "op": Effort(0.45, 3),
        "layer": Effort(0.2, 2),
        "curve": Effort(0.4, 2),
    },
    "quick": {
        "job": Effort(0.3, 1),
        "figure": Effort(0.3, 1),
        "op": Effort(0.15, 1),
        "layer": Effort(0.1, 1),
        "curve": Effort(0.1, 1),
    },
    "tiny": {name: Effort(0.001, 1) for name in ("job", "figure", "op", "layer", "curve")},
}


@dataclass(frozen=True)
class Context:
    """How large and how long to measure, and where.

    Attributes:
        scale: "full"; "quick" = the same networks, fewer and shorter measurements; "tiny" = toy networks, for tests.
        device: "cpu" or "cuda".
        say: told what is being done.
    """

    scale: Scale = "full"
    device: str = "cpu"
    say: Callable[[str], None] = lambda _: None

    def effort(self, kind: str) -> Effort:
        """Time for each candidate of a "job", an "op", a "layer" or a point of a "curve"."""
        return _EFFORTS[self.scale][kind]

    def pick(self, full: Any, quick: Any, tiny: Any) -> Any:
        """The value for this scale."""
        return {"full": full, "quick": quick, "tiny": tiny}[self.scale]

    @property
    def alexnet(self) -> str:
        """Name of the network that stands for AlexNet at this scale."""
        return "alexnet-tiny" if self.scale == "tiny" else "alexnet"


@dataclass(frozen=True)
class Target:
    """A figure to reach.

    Attributes:
        against: names of entries; the fastest (for kind "memory": the smallest) of them counts.
        at_least, aim: ratio baseline / desali, or fraction of the copy's bandwidth.
    """

    against: tuple[str, ...]
    at_least: float
    aim: float


@dataclass
class Result:
    """One group of entries that belong together.

    Attributes:
        case: name of the case.
        kind: "time" = entries do one job, "cost" = desali does more than the other, "bandwidth" = ops against copies,
            "memory" = bytes held, "curve" = times and memory against one quantity.
        job: what is done, in words.
        ours: names of desali's entries; the first is the one that counts.
        facts: sizes and whatever the reader must know.
    """

    case: str
    kind: Literal["time", "cost", "bandwidth", "memory", "curve"]
    job: str
    ours: tuple[str, ...]
    entries: list[Entry]
    targets: list[Target] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
