"""A sheet of channels laid out: columns of channels, bands of networks, mosaics of regions and reconstructions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from desali.comparison import choice
from desali.comparison.sheet import Column, Sheet
from desali.comparison.tiles import Band, class_counts, patients_of
from desali.figures.captions import around_zero
from desali.figures.drawing.display import FloatArray, display, to_grey
from desali.figures.drawing.mosaic import cut, mosaic
from desali.figures.drawing.panel import Cell, Grid, Panel, Words
from desali.figures.drawing.panel import Column as GridColumn
from desali.figures.pictures import Pictures
from desali.figures.words import between, percent, short
from desali.output.words import signed

ACROSS = 3
SIDE_BY_SIDE = 4
"""Up to so many channels, reconstructions stand beside the regions, else below them."""
CLASSES_SHOWN = 3

NOTE = (
    "Each tile is the region that one neuron of the channel sees where the channel answers most strongly, the "
    "strongest first; mid-grey outside of the image. Reconstructions are run backwards from that neuron alone, set to "
    "one over the channel's standard deviation, so that no rescaling of a network changes them; one scale a row. "
    "r: correlation of the channel's signal before and after, 95 % by patient. States are those on the images that the "
    "choice was made on; lost: alive, but more alike to another channel. What random weights show needs no learning. "
    "No picture here explains a decision. Not a medical device."
)


@dataclass(frozen=True, eq=False)
class BandPictures:
    """What one network shows, a list of tiles for each channel.

    Attributes:
        regions, maps: tiles [h, w] or [h, w, 3] in [0, 1], the strongest first.
        captions: of each channel: classes, patients, firing and what is shared, a line each.
        scale: of all its reconstructions; 0 if there is none.
    """

    name: str
    regions: list[list[FloatArray]]
    maps: list[list[FloatArray]]
    captions: list[str]
    scale: float


@dataclass(frozen=True, eq=False)
class SheetPictures:
    """A sheet as pictures; `words` is what a reader must know of them."""

    bands: list[BandPictures]
    words: list[str]


def arrange(made: Sheet, method: str, title: str = "", colour: bool = False) -> tuple[Grid, dict[str, float]]:
    """A column a channel and a band a network: its strongest regions and their reconstructions.

    Up to four channels have both side by side, more have one below the other.

    Args:
        method: in words.
        title: before the layer's name.
        colour: show images whose three channels are equal in colour.

    Returns:
        what is drawn, and of each band the scale of its reconstructions.
    """
    shown = pictures_of(made, colour)
    wide = len(made.columns) <= SIDE_BY_SIDE
    rows: list[str] = []
    panels: list[list[Cell]] = []
    for band in shown.bands:
        said = around_zero(band.scale) if band.scale else ""
        top: list[Cell] = []
        below: list[Cell] = []
        for regions, planes, caption in zip(band.regions, band.maps, band.captions, strict=True):
            if not regions:
                pair: list[Cell] = [Words(f"silent\n{caption}"), None]
            else:
                pair = [
                    Panel(mosaic(regions, ACROSS), caption, "input"),
                    Panel(mosaic(planes, ACROSS), "", "reconstruction"),
                ]
            top += pair if wide else pair[:1]
            below += [] if wide else pair[1:]
        if wide:
            rows.append(f"{band.name}\n{said}")
            panels.append(top)
        else:
            rows += [f"{band.name}\nstrongest regions", f"reconstructions\n{said}"]
            panels += [top, below]
    heading = f"{title}: {_title(made, method)}" if title else _title(made, method)
    footnote = " ".join([f"Channels: {made.rule}.", *made.notes, *shown.words, NOTE])
    return Grid(rows, _headings(made, wide), panels, heading, footnote), {band.name: band.scale for band in shown.bands}


def pictures_of(made: Sheet, colour: bool = False) -> SheetPictures:
    """The tiles of a sheet as pixels: regions as a reader sees the images, reconstructions on one scale a band.

    Args:
        colour: show images whose three channels are equal in colour.
    """
    places = [tile.place for band in made.bands for tiles in band.tiles for tile in tiles]
    pictures = Pictures(made.drawn_from, places, colour)
    bands = []
    for band in made.bands:
        crops = [[cut(pictures[tile.place], tile.window, made.size) for tile in tiles] for tiles in band.tiles]
        maps, scale = _reconstructions(made, band, pictures)
        captions = [_caption(made, band, k) for k in range(len(band.tiles))]
        bands.append(BandPictures(band.name, crops, maps, captions, scale))
    return SheetPictures(bands, pictures.words)


def _title(made: Sheet, method: str) -> str:
    what = "before and after" if made.columns[0].state is not None else "what its channels look for"
    by = "relevance" if made.bands[0].relevance else "activation"
    return f"{made.layer.name}, {made.layer.channels} channels: {what} (strongest by {by}, {method})"


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
    said = "" if np.isnan(column.r) else f"r {signed(column.r)}"
    interval = between(column.interval)
    state = [] if column.state == column.choice.why or column.choice.why.startswith(column.state) else [column.state]
    return [*state, *([said, *([f"({interval})"] if interval else [])] if said else ["r: constant"])]


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
    lines.append(f"fires at {percent(band.firing[k])}")
    if band.relevance:
        mean, interval = band.relevance[k]
        lines.append(
            f"relevance {short(mean)}"
            + ("" if interval is None else f" ({short(interval[0])} to {short(interval[1])})")
        )
    if band.name == "after" and column.shared is not None and column.others is not None and tiles:
        others = "" if np.isnan(column.others) else f"\n(other channels {column.others:.1f})"
        lines.append(f"{column.shared} of {len(tiles)} shared{others}")
    return "\n".join(lines)


def _reconstructions(made: Sheet, band: Band, pictures: Pictures) -> tuple[list[list[FloatArray]], float]:
    """The tiles' maps as pixels, all of a band on one scale, and that scale."""
    planes: list[list[FloatArray]] = []
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
