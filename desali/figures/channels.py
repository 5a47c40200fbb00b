"""`desali.channels`: what channels look for, before over after, in the regions that they answer to most strongly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from desali.comparison import choice
from desali.comparison.networks import check_together, subject
from desali.comparison.probe_set import ProbeSet, probe_set
from desali.comparison.sheet import CONTROL, Band, Column, Sheet, Tile, class_counts, patients_of, sheet
from desali.data.imageset import ImageSet
from desali.data.preprocess import Preprocessing
from desali.errors import DataError, UnknownNameError
from desali.figures.drawing.display import display, scale_text, to_grey
from desali.figures.drawing.mosaic import cut, mosaic
from desali.figures.drawing.panel import Cell, Grid, Panel, Words
from desali.figures.drawing.panel import Column as GridColumn
from desali.figures.facts import method_words
from desali.figures.figure import KIND, Figure
from desali.models.checkpoint import versions
from desali.output.columns import columns as aligned
from desali.reversal.methods import Method
from desali.reversal.methods import method as find_method

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from desali.models.checkpoint import LoadedModel

ACROSS = 3
SIDE_BY_SIDE = 4
"""Up to so many channels, reconstructions stand beside the regions, else below them."""
MOST = 24
RANKED_BY = ("activation", "relevance")
CLASSES_SHOWN = 3

NOTE = (
    "Each tile is a region of the image that one neuron of the channel sees, cut where the channel answers most strongly, "
    "the strongest first; mid-grey outside of the image. Reconstructions are run backwards from that neuron alone, which "
    "is set to one over the channel's standard deviation, so that no rescaling of a network changes them. r: correlation "
    "of the channel's signal before and after, 95 % interval by patient. Networks with random weights show what needs no "
    "learning. No picture here explains a decision. Not a medical device."
)


class ChannelsFigure(Figure):
    """What `desali.channels` makes; its record holds every channel, region and number."""

    def table(self) -> str:
        """A row for each channel: why it is shown, its state, r with its interval, firing and what is shared."""
        record = self.to_dict()
        bands = [band for band in record["columns"][0]["shown"] if band != CONTROL]
        pair = len(bands) > 1
        head = ["channel", "why", *(["state", "r", "95 %", "shared", "others"] if pair else [])]
        rows = [[*head, *(f"fires {band}" for band in bands), *(f"classes {band}" for band in bands)]]
        for column in record["columns"]:
            cells = [str(column["channel"]), column["why"]]
            if pair:
                cells += [column["state"], _signed(column["r"]), _interval(column["r_interval"]) or "-"]
                cells += [str(column["shared"]), _number(column["shared_with_others"])]
            shown = [column["shown"][band] for band in bands]
            cells += [_percent(one["firing"]) for one in shown]
            cells += [", ".join(f"{name} {n}" for name, n in (one["classes"] or {}).items()) or "-" for one in shown]
            rows.append(cells)
        return "\n".join(aligned(rows))

    def __repr__(self) -> str:
        names = [str(column["channel"]) for column in self.to_dict()["columns"]]
        return f"ChannelsFigure({self.grid.title!r}, channels {', '.join(names)}; .save(path), .to_dict(), .table())"


def channels(
    before: nn.Module | LoadedModel,
    after: nn.Module | LoadedModel | None,
    images: Tensor | ImageSet,
    layer: str,
    channels: Sequence[int] | None = None,
    groups: Sequence[Any] | None = None,
    labels: Sequence[Any] | None = None,
    *,
    replicates: Sequence[nn.Module | LoadedModel] = (),
    by: Literal["activation", "relevance"] = "activation",
    method: str | Method = "desalinet",
    random_networks: int = 5,
    seed: int = 0,
    device: str | torch.device | None = None,
    title: str = "",
) -> ChannelsFigure:
    """Show what channels look for: their nine strongest regions with reconstructions, before over after a stage.

    Which channels are shown follows a rule that stands on the figure (SCIENCE of the project: kept, reshaped, silenced,
    woken, and always two drawn at random), made on one half of the patients; what is shown comes from the other half.
    Below stands the same for a network with random weights.

    Args:
        before, after: a `torch.nn.Module` in evaluation mode, or what `desali.load` returns, of one architecture.
            `after=None`: what the channels of one network look for.
        images: float [N, C, H, W] as the modules take it, N >= 4, or an `ImageSet`, which the loaded models' own
            preprocessing prepares; better none that a stage was trained on.
        layer: a ReLU, the layer before it, or a container (its last ReLU).
        channels: numbers, instead of the rule; all images are then used.
        groups: the patient of each image; None: those of the `ImageSet`.
        labels: the class of each image; None: those of the `ImageSet`.
        replicates: networks made by the same stage from the same parent with another seed: they tell kept channels from
            reshaped ones.
        by: what makes an answer strong: the activation, or, of a single network, its relevance, which is activation
            times gradient of the class contrast (+1 on the image's class, -1/(K-1) on the others).
        method: how regions are reconstructed: a name of `desali.METHODS` or a `desali.Method`.
        random_networks: how many networks with random weights the strangers' test has; the first of them is shown. 0
            leaves it out.
        seed: of the halves, the channels drawn at random and the random weights.
        device: "cpu", "cuda", "cuda:N" or "auto"; None: where the networks are.
        title: instead of the layer's name.

    Raises:
        DataError: two architectures or two kinds of preprocessing, fewer than four images, NaN, a layer without
            channels, a channel it has not, a layer that nothing passes or in which nothing changed, relevance without
            classes. StrangersError: the networks share no ancestor. UnknownNameError: no such layer or method.
        CaptureError: a network that cannot be captured. DesaliError: training mode.

    Source: Zeiler and Fergus, "Visualizing and understanding convolutional networks", 2014, figure 2.
    """
    from desali.ops.device import resolve as find_device

    where = None if device is None else find_device(device)
    rule = find_method(method)
    _check(by, after, layer, channels, replicates, random_networks, seed)
    if after is None:
        pair = [subject("network", before, where)]
    else:
        pair = [subject("before", before, where), subject("after", after, where)]
    again = [subject(f"replicate {k}", one, where) for k, one in enumerate(replicates, 1)]
    probe = probe_set(images, groups, labels, check_together([*pair, *again]))
    made = sheet(pair, again, probe, layer, channels, by, rule, random_networks, seed)
    return draw(made, method, title)


def _check(by: str, after: Any, layer: Any, channels: Any, replicates: Any, random_networks: Any, seed: Any) -> None:
    if by not in RANKED_BY:
        raise UnknownNameError("ranking", str(by), RANKED_BY)
    if by == "relevance" and after is not None:
        raise DataError(
            "relevance is for one network (after=None; --model): two networks may have other classes; rank by activation"
        )
    if not isinstance(layer, str):
        raise DataError(f"layer must be one name, got {layer!r}; make a figure for each layer")
    if channels is not None and (isinstance(channels, str | bytes) or not hasattr(channels, "__len__")):
        raise DataError(f"channels must be a list of numbers, got {channels!r}")
    if channels is not None and len(channels) > MOST:
        raise DataError(f"a sheet holds at most {MOST} channels, got {len(channels)}: make several")
    if not isinstance(replicates, list | tuple):
        raise DataError(f"replicates must be a list of networks, got {type(replicates).__name__}")
    if replicates and after is None:
        raise DataError("replicates belong to a stage, before and after; leave them out for one network")
    for name, number in (("random_networks", random_networks), ("seed", seed)):
        if isinstance(number, bool) or not isinstance(number, int) or number < 0:
            raise DataError(f"{name} must be a whole number of at least 0, got {number!r}")


def draw(made: Sheet, method: str | Method, title: str = "") -> ChannelsFigure:
    """The figure of a sheet."""
    pictures = _Pictures(made.drawn_from, [tile for band in made.bands for tiles in band.tiles for tile in tiles])
    wide = len(made.columns) <= SIDE_BY_SIDE
    rows: list[str] = []
    panels: list[list[Cell]] = []
    scales: dict[str, float] = {}
    for band in made.bands:
        crops = [[cut(pictures[tile.place], tile.window, made.size) for tile in tiles] for tiles in band.tiles]
        maps, scale = _reconstructions(made, band, pictures)
        scales[band.name] = scale
        said = "\n".join([f"{scale_text('a', scale)}"] if scale else [])
        top: list[Cell] = []
        below: list[Cell] = []
        for k, (regions, planes) in enumerate(zip(crops, maps, strict=True)):
            caption = _caption(made, band, k)
            if not regions:
                pair: list[Cell] = [Words(f"silent\n{caption}"), None]
            else:
                pair = [
                    Panel(mosaic(regions, ACROSS), caption, "input"),
                    Panel(mosaic(planes, ACROSS), "", "reconstruction"),
                ]
            top += pair if wide else pair[:1]
            below += [] if wide else pair[1:]
        head = CONTROL if band.name == CONTROL else band.name
        if wide:
            rows.append(f"{head}\n{said}")
            panels.append(top)
        else:
            rows += [f"{head}\nstrongest regions", f"reconstructions\n{said}"]
            panels += [top, below]
    heading = title or _title(made, method)
    footnote = " ".join([f"Channels: {made.rule}.", *made.notes, *pictures.words, NOTE])
    grid = Grid(rows, _headings(made, wide), panels, heading, footnote)
    rule = find_method(method)
    record = {
        "kind": KIND,
        "figure": "channels",
        "title": heading,
        **made.record,
        "method": rule.to_dict(),
        "method_in_words": method_words(method),
        "scales": scales,
        "note": footnote,
        "versions": versions(),
    }
    return ChannelsFigure(grid, record)


def _title(made: Sheet, method: str | Method) -> str:
    what = "before and after" if made.columns[0].state is not None else "what its channels look for"
    by = "relevance" if made.bands[0].relevance else "activation"
    return f"{made.layer.name}, {made.layer.channels} channels: {what} (strongest by {by}, {method_words(method)})"


def _headings(made: Sheet, wide: bool) -> list[GridColumn]:
    found = []
    for column in made.columns:
        lines = _column_words(column)
        why = "" if column.choice.why == choice.NAMED else column.choice.why
        if wide:
            head = f"channel {column.choice.channel}" + (f": {why}" if why else "")
            note = "\n".join(lines)
            found += [GridColumn("strongest regions", head, note), GridColumn("reconstructions", head, note)]
        else:
            found.append(GridColumn("\n".join([f"channel {column.choice.channel}", *lines]), why))
    return found


def _column_words(column: Column) -> list[str]:
    if column.state is None or column.r is None:
        return []
    said = "" if np.isnan(column.r) else f"r {_signed(column.r)}"
    between = _interval(column.interval)
    state = [] if column.state == column.choice.why or column.choice.why.startswith(column.state) else [column.state]
    return [*state, *([said, *([f"95 %: {between}"] if between else [])] if said else ["r: constant"])]


def _caption(made: Sheet, band: Band, k: int) -> str:
    """Classes, patients, firing and what is shared, under the regions of one channel."""
    tiles, column, probe = band.tiles[k], made.columns[k], made.drawn_from
    lines = []
    counts = class_counts(tiles, probe)
    if counts:
        shown = [f"{name} {n}" for name, n in list(counts.items())[:CLASSES_SHOWN]]
        rest = sum(list(counts.values())[CLASSES_SHOWN:])
        lines.append(", ".join([*shown, *([f"others {rest}"] if rest else [])]))
    if tiles and probe.known:
        many = patients_of(tiles, probe)
        lines.append(f"{many} {probe.unit}{'s' if many > 1 else ''}")
    lines.append(f"fires at {_percent(band.firing[k])}")
    if band.relevance:
        mean, interval = band.relevance[k]
        lines.append(
            f"relevance {_short(mean)}"
            + ("" if interval is None else f" ({_short(interval[0])} to {_short(interval[1])})")
        )
    if band.name == "after" and column.shared is not None and column.others is not None and tiles:
        others = "" if np.isnan(column.others) else f" (other channels {column.others:.1f})"
        lines.append(f"{column.shared} of {len(tiles)} shared{others}")
    return "\n".join(lines)


def _reconstructions(made: Sheet, band: Band, pictures: _Pictures) -> tuple[list[list[npt.NDArray[np.float64]]], float]:
    """The tiles' maps as pixels, all of a band on one scale, and that scale."""
    planes: list[list[npt.NDArray[np.float64]]] = []
    for tiles in band.tiles:
        row = []
        for tile in tiles:
            values = np.asarray(band.maps[tile.map].double().numpy())
            if pictures.bgr:
                values = values[::-1]
            values = np.moveaxis(values, 0, -1) if pictures.colour else to_grey(values)
            row.append(cut(values, tile.window, made.size, outside=0.0))
        planes.append(row)
    every = [one for row in planes for one in row]
    if not every:
        return [[] for _ in planes], 0.0
    _, scale = display(np.stack(every))
    shown = [[display(one, scale or None)[0] for one in row] for row in planes]
    return shown, scale


class _Pictures:
    """The images as a reader sees them, by their place in the set; all on one scale."""

    def __init__(self, probe: ProbeSet, tiles: Sequence[Tile]) -> None:
        places = sorted({tile.place for tile in tiles})
        self.words: list[str] = []
        rule = probe.preprocessing
        self.bgr = rule is not None and rule.channel_order == "bgr"
        index = np.array(places, np.int64)
        if isinstance(probe.images, ImageSet):
            assert rule is not None
            seen = Preprocessing(rule.size, channels=3, window=rule.window, resize=rule.resize)
            values = seen.apply_batch(probe.images.images[probe.row(index)], probe.images.unit).double().numpy()
            self.colour = probe.images.images.ndim == 4
        else:
            values = self._of_tensors(probe.tensor(index).double().cpu().numpy(), rule)
        shown = np.moveaxis(values, 1, -1) if self.colour else values[:, 0]
        self._found = dict(zip(places, shown, strict=True))

    def __getitem__(self, place: int) -> npt.NDArray[np.float64]:
        return self._found[place]

    def _of_tensors(self, values: Any, rule: Preprocessing | None) -> Any:
        """Display values [N, C, h, w] in [0, 1]."""
        if rule is not None and rule.channels == values.shape[1]:
            back = values
            for factor, add in ((rule.std, None), (None, rule.mean)):
                back = back * np.reshape(factor, (1, -1, 1, 1)) if factor is not None else back
                back = back + np.reshape(add, (1, -1, 1, 1)) if add is not None else back
            back = back / rule.scale
            if back.min() >= -1e-3 and back.max() <= 1 + 1e-3:
                values = back.clip(0, 1)
            values = values[:, ::-1] if rule.channel_order == "bgr" else values
        low, high = float(values.min()), float(values.max())
        if low < 0 or high > 1:
            values = (values - low) / (high - low)
            self.words.append(f"The images' values, {low:.3g} to {high:.3g}, are shown as black to white.")
        self.colour = values.shape[1] == 3 and not bool((values == values[:, :1]).all())
        if not self.colour and values.shape[1] > 1 and not bool((values == values[:, :1]).all()):
            self.words.append(
                f"The {values.shape[1]} channels of the images are shown as their mean, maps as their sum."
            )
            values = values.mean(1, keepdims=True)
        return values


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.2f}".replace("-", "\N{MINUS SIGN}")


def _interval(interval: Sequence[float] | None) -> str:
    return "" if interval is None else f"{_signed(interval[0])} to {_signed(interval[1])}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _percent(share: float) -> str:
    return "0 %" if share == 0 else "< 0.1 %" if share < 0.001 else f"{share:.1%}".replace("%", " %")


def _short(value: float) -> str:
    return f"{value:.2g}".replace("-", "\N{MINUS SIGN}")
