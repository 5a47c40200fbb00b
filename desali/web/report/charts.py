"""Charts as SVG that a style sheet colours: curves by depth, stacked shares, intervals in rows.

Every text is escaped by `Markup.format`; nothing carries a style of its own, so a page may forbid inline styles.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

Values = Sequence[float | None]
Span = Sequence[tuple[float, float] | None]
LEFT, RIGHT, TOP = 40.0, 10.0, 10.0
LEVEL = 22.0
"""Room for names under the axis that lie level."""
LETTER = 6.4
"""Width of one at the size of those names, rather more than less."""
WIDTH, HEIGHT = 380.0, 180.0
"""Of a chart without its names."""
LONGEST = 18
MOST_TICKS = 14


@dataclass(frozen=True)
class Entry:
    """A line of a legend: `mark` is "line", "dash", "dots", "band" or "box"."""

    mark: str
    colour: str
    label: str

    @property
    def svg(self) -> Markup:
        """Its sign."""
        shape = {
            "line": '<path d="M1 6H25" class="line {c}"/><circle cx="13" cy="6" r="3" class="dot {c}"/>',
            "dash": '<path d="M1 6H25" class="line dash {c}"/>',
            "dots": '<path d="M1 6H25" class="line dots {c}"/>',
            "band": '<rect x="1" y="1" width="24" height="10" class="band {c}"/>',
            "box": '<rect x="7" y="0" width="12" height="12" class="box {c}"/>',
        }[self.mark]
        return Markup('<svg class="sign" viewBox="0 0 26 12" aria-hidden="true">' + shape + "</svg>").format(
            c=self.colour
        )


@dataclass
class Chart:
    """Values over names in a row, such as layers or shares of the training data.

    Attributes:
        names: along the axis.
        low, high: ends of the values' axis.
        say: a value as the axis prints it.
        title, text: for a reader who hears the page: what it is, and its numbers.
        note: how it is read.
    """

    names: Sequence[str]
    low: float
    high: float
    title: str
    text: str = ""
    say: Callable[[float], str] = "{:.1f}".format
    marks: bool = True
    note: str = ""
    legend: list[Entry] = field(default_factory=list)
    _below: list[Markup] = field(default_factory=list)
    _above: list[Markup] = field(default_factory=list)

    def x(self, k: float) -> float:
        """Where a name stands."""
        step = (WIDTH - LEFT - RIGHT) / max(1, len(self.names))
        return LEFT + step * (k + 0.5)

    def y(self, value: float) -> float:
        """Where a value stands; beyond the axis it is at its end."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return TOP + (1 - share) * (HEIGHT - TOP)

    def line(self, values: Values, colour: str, label: str, mark: str = "line", dots: bool = True) -> None:
        """A curve; a value that is None leaves a gap."""
        path, start = [], True
        for k, value in enumerate(values):
            if value is not None:
                path.append(f"{'M' if start else 'L'}{self.x(k):.1f} {self.y(value):.1f}")
            start = value is None
        style = {"line": "", "dash": " dash", "dots": " dots"}[mark]
        self._above.append(Markup('<path d="{}" class="line{} {}"/>').format(" ".join(path), style, colour))
        if dots or len(values) == 1:
            self._above += [
                Markup('<circle cx="{:.1f}" cy="{:.1f}" r="3.2" class="dot {}"/>').format(self.x(k), self.y(v), colour)
                for k, v in enumerate(values)
                if v is not None
            ]
        self.legend.append(Entry(mark, colour, label))

    def whiskers(self, spans: Span, colour: str) -> None:
        """Intervals of a curve."""
        for k, ends in enumerate(spans):
            if ends is not None:
                x, low, high = self.x(k), self.y(ends[0]), self.y(ends[1])
                d = f"M{x:.1f} {low:.1f}V{high:.1f}M{x - 4:.1f} {low:.1f}h8M{x - 4:.1f} {high:.1f}h8"
                self._above.append(Markup('<path d="{}" class="whisker {}"/>').format(d, colour))

    def band(self, lows: Values, highs: Values, colour: str, label: str) -> None:
        """The range between two curves."""
        known = [
            (float(k), a, b)
            for k, (a, b) in enumerate(zip(lows, highs, strict=True))
            if a is not None and b is not None
        ]
        if not known:
            return
        known = [(known[0][0] - 0.4, *known[0][1:]), (known[0][0] + 0.4, *known[0][1:])] if len(known) == 1 else known
        there = [f"{self.x(k):.1f} {self.y(low):.1f}" for k, low, _ in known]
        back = [f"{self.x(k):.1f} {self.y(high):.1f}" for k, _, high in reversed(known)]
        self._below.append(Markup('<path d="M{}Z" class="band {}"/>').format("L".join([*there, *back]), colour))
        self.legend.append(Entry("band", colour, label))

    def level(self, value: float, colour: str, label: str, mark: str = "dots") -> None:
        """A straight line at one value."""
        self.line([value] * len(self.names), colour, label, mark, dots=False)

    def stack(self, parts: Sequence[tuple[str, str, Sequence[float]]]) -> None:
        """Bars of shares, one on the other: label, colour and share at each name."""
        base = [0.0] * len(self.names)
        wide = 0.82 * (WIDTH - LEFT - RIGHT) / max(1, len(self.names))
        for label, colour, shares in parts:
            if not any(shares):
                continue
            for k, share in enumerate(shares):
                if share:
                    top = self.y(base[k] + share)
                    box = (self.x(k) - wide / 2, top, wide, self.y(base[k]) - top)
                    self._below.append(
                        Markup(
                            '<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" class="box {}">'
                            "<title>{}</title></rect>"
                        ).format(*box, colour, f"{self.names[k]}: {share:.0%} {label}")
                    )
                    base[k] += share
            self.legend.append(Entry("box", colour, label))

    @property
    def _every(self) -> int:
        """One in so many names is printed."""
        return -(-len(self.names) // MOST_TICKS)

    @property
    def _longest(self) -> int:
        return max((len(_short(name, LONGEST)) for name in self.names[:: self._every]), default=0)

    @property
    def _slanted(self) -> bool:
        return self._longest * 5.6 > (WIDTH - LEFT - RIGHT) / max(1, len(self.names)) * self._every

    @property
    def svg(self) -> Markup:
        """The whole chart."""
        parts = [*self._axis(), *self._below, *self._above]
        return Markup('<svg class="chart" viewBox="0 0 {:.0f} {:.0f}" role="img" aria-label="{}">{}{}</svg>').format(
            WIDTH,
            HEIGHT + (LEVEL + math.sqrt(0.5) * LETTER * self._longest if self._slanted else LEVEL),
            f"{self.title}. {self.text}",
            Markup("").join(parts),
            self._places(),
        )

    def _axis(self) -> list[Markup]:
        parts = []
        for value in ticks(self.low, self.high):
            y = self.y(value)
            parts.append(Markup('<path d="M{:.1f} {:.1f}H{:.1f}" class="grid"/>').format(LEFT, y, WIDTH - RIGHT))
            parts.append(
                Markup('<text x="{:.1f}" y="{:.1f}" class="tick end">{}</text>').format(
                    LEFT - 5, y + 3.5, self.say(value)
                )
            )
        for k in range(0, len(self.names), self._every):
            x, y = self.x(k), HEIGHT + 14
            name = _short(self.names[k], LONGEST)
            turn = Markup(' transform="rotate(-45 {:.1f} {:.1f})"').format(x, y) if self._slanted else ""
            side = "end" if self._slanted else "mid"
            parts.append(
                Markup('<text x="{:.1f}" y="{:.1f}" class="tick {}"{}>{}</text>').format(x, y, side, turn, name)
            )
        return parts

    def _places(self) -> Markup:
        """An unseen column over each name, which a script marks when that layer is shown."""
        if not self.marks:
            return Markup("")
        wide = (WIDTH - LEFT - RIGHT) / max(1, len(self.names))
        return Markup("").join(
            Markup('<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" class="place" data-place="{}"/>').format(
                self.x(k) - wide / 2, TOP - 4, wide, HEIGHT - TOP + 8, k
            )
            for k in range(len(self.names))
        )


@dataclass(frozen=True)
class Row:
    """A line of a chart of intervals: its name, its value, its interval, what stands to its right, and its colour."""

    name: str
    value: float
    ends: tuple[float, float] | None
    said: str
    colour: str = "c0"


def intervals(rows: Sequence[Row], title: str, zero: bool, say: Callable[[float], str] = "{:.2f}".format) -> Markup:
    """Values with their intervals, a row each, over one axis; `zero` draws the line of no difference.

    The chart is drawn alone: the names and the words to the right stand in the table that holds it.
    """
    values: list[float] = [v for row in rows for v in (row.value, *(row.ends or ()))]
    low, high = min([*values, *([0.0] if zero else [])]), max([*values, *([0.0] if zero else [])])
    pad = 0.06 * ((high - low) or 1.0)
    low, high = low - pad, high + pad
    if not zero and min(values) >= 0 and max(values) <= 1:
        low, high = max(0.0, low), min(1.0, high)
    width, step, top = 680.0, 30.0, 8.0
    label = 195.0
    right = 230.0
    height = top + step * len(rows) + 24

    def x(value: float) -> float:
        return label + (value - low) / (high - low) * (width - label - right)

    parts = []
    for value in ticks(low, high, 4):
        parts.append(Markup('<path d="M{:.1f} {:.1f}V{:.1f}" class="grid"/>').format(x(value), top, height - 20))
        parts.append(
            Markup('<text x="{:.1f}" y="{:.1f}" class="tick mid">{}</text>').format(x(value), height - 6, say(value))
        )
    if zero:
        parts.append(Markup('<path d="M{:.1f} {:.1f}V{:.1f}" class="zero"/>').format(x(0), top, height - 20))
    for k, row in enumerate(rows):
        y = top + step * (k + 0.5)
        name = _short(row.name, 25)
        parts.append(Markup('<text x="{:.1f}" y="{:.1f}" class="name end">{}</text>').format(label - 10, y + 4, name))
        if row.ends is not None:
            a, b = x(row.ends[0]), x(row.ends[1])
            d = f"M{a:.1f} {y:.1f}H{b:.1f}M{a:.1f} {y - 5:.1f}v10M{b:.1f} {y - 5:.1f}v10"
            parts.append(Markup('<path d="{}" class="whisker wide {}"/>').format(d, row.colour))
        parts.append(
            Markup('<circle cx="{:.1f}" cy="{:.1f}" r="5" class="dot {}"/>').format(x(row.value), y, row.colour)
        )
        parts.append(
            Markup('<text x="{:.1f}" y="{:.1f}" class="said">{}</text>').format(width - right + 14, y + 4, row.said)
        )
    heard = f"{title}. " + "; ".join(f"{row.name}: {row.said}" for row in rows)
    return Markup('<svg class="intervals" viewBox="0 0 {:.0f} {:.0f}" role="img" aria-label="{}">{}</svg>').format(
        width, height, heard, Markup("").join(parts)
    )


def _short(name: str, most: int) -> str:
    """A name without its middle where it is long: layers differ at both ends."""
    return name if len(name) <= most else f"{name[: (most - 1) // 2]}…{name[-(most // 2) :]}"


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round values between two ends."""
    raw = (high - low) / most
    size = 10 ** math.floor(math.log10(raw))
    step: float = next(m * size for m in (1, 2, 2.5, 5, 10) if m * size >= raw)
    first = math.ceil(low / step - 1e-9)
    return [k * step for k in range(first, math.floor(high / step + 1e-9) + 1)]
