"""Sheets of channels for a page: every layer of a stage, before and after, beside random weights."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from desali.comparison import choice, tracing
from desali.comparison.networks import check_together, subject
from desali.comparison.probe_set import probe_set
from desali.comparison.sheet import CONTROL, Asked, Column, Sheet, sheets
from desali.figures.drawing.mosaic import mosaic
from desali.figures.sheet_grid import ACROSS, NOTE, BandPictures, pictures_of
from desali.figures.words import between, short
from desali.output.words import signed
from desali.web.pictures import data_uri
from desali.web.report.image_sets import Images

if TYPE_CHECKING:
    from desali.data.imageset import ImageSet
    from desali.training.chain import Networks
    from desali.web.options import ReportOptions

METHOD = "desalinet"
APART = 1.5
"""How many times stronger one network is than another where it is said."""
STRANGERS = "strangers"
APART_NOTE = (
    "Over all patients the channels of this layer are strangers to themselves, so that they have no states; these were "
    "chosen by what one half of the patients shows."
)
LARGEST, SMALLEST = 64, 24
"""Pixels of a tile's longer side in a page."""


@dataclass(frozen=True)
class Mosaic:
    """What one network's channel answers to: regions and reconstructions, "" where it is silent, and words below.

    Attributes:
        control: whether it is the network with random weights.
        scale: what black and white stand for, in words.
        alt_regions, alt_maps: what the pictures show, with their numbers.
    """

    band: str
    control: bool
    regions: str
    maps: str
    scale: str
    words: list[str]
    alt_regions: str
    alt_maps: str


@dataclass(frozen=True)
class Channel:
    """One channel: its number, why it is shown, its state, r in words, and what each network shows."""

    number: int
    why: str
    state: str
    drawn: bool
    r: str
    mosaics: list[Mosaic]


@dataclass(frozen=True)
class SheetView:
    """One layer: how the channels were chosen and what to know, its channels, and the networks' scales in words.

    `undecided` says why no state is decided; "" where they are.
    """

    layer: str
    count: int
    rule: str
    channels: list[Channel]
    scales: str
    undecided: str
    notes: list[str]


@dataclass(frozen=True)
class Sheets:
    """All layers of a stage over some images; `missing` says of a layer why it has no sheet; `note` is true of all."""

    title: str
    views: list[SheetView]
    missing: dict[str, str]
    images: Images
    note: str = NOTE


def draw(
    title: str,
    networks: Networks,
    images: ImageSet,
    about: Images,
    options: ReportOptions,
    layers: Sequence[str] | None = None,
) -> Sheets:
    """Sheets of some layers of a stage.

    Args:
        images: that are looked at; `about` tells of them.
        layers: names of ReLUs; None: all.

    Raises:
        DataError: see `desali.channels`; strangers among them.
    """
    from desali.ops.device import resolve

    assert networks.before is not None
    place = resolve(options.device)
    pair = [subject("before", networks.before, place), subject("after", networks.after, place)]
    again = [subject(f"replicate {k}", one, place) for k, one in enumerate(networks.replicates, 1)]
    probe = probe_set(images, None, None, check_together([*pair, *again]))
    names = list(layers) if layers is not None else _all(networks, images)
    asked = Asked("", None, "activation", METHOD, options.random_networks, options.seed)
    made, missing = sheets(pair, again, probe, names, asked)
    return Sheets(title, [_view(one) for one in made], missing, about)


def of_strangers(made: Sheets, layers: Collection[str]) -> Sheets:
    """Sheets without the states of some layers, whose channels a lineage of the same images calls strangers.

    A sheet decides on the half of the patients that its channels were chosen on, a lineage on all of them.
    """
    views = []
    for view in made.views:
        if view.layer in layers:
            channels = [replace(one, state=STRANGERS, why=one.why if one.drawn else STRANGERS) for one in view.channels]
            view = replace(view, channels=channels, undecided="", notes=[APART_NOTE, *view.notes])
        views.append(view)
    return replace(made, views=views)


def _all(networks: Networks, images: ImageSet) -> list[str]:
    from desali.comparison.relu_inputs import relu_inputs

    sample = networks.after.preprocessing.apply_batch(images.images[:2], images.unit)
    return [layer.name for layer in relu_inputs(subject("after", networks.after).capture(sample))]


def _view(made: Sheet) -> SheetView:
    shown = pictures_of(made)
    channels = [_channel(made, column, k, shown.bands) for k, column in enumerate(made.columns)]
    notes = [*made.notes, *shown.words]
    why = tracing.units_in(made.record["images"]["chosen_on"]).why
    return SheetView(made.layer.name, made.layer.channels, made.rule, channels, _scales(shown.bands), why, notes)


def _scales(bands: Sequence[BandPictures]) -> str:
    """What black and white stand for in each network, and how far the networks' scales lie apart."""
    known = {band.name: abs(band.scale) for band in bands if band.scale}
    if not known:
        return ""
    said = ", ".join(f"{name} ±{short(scale)}" for name, scale in known.items())
    text = f"In reconstructions grey is 0, and black and white stand for: {said}."
    strong, weak = max(known, key=known.__getitem__), min(known, key=known.__getitem__)
    times = known[strong] / known[weak]
    if times < APART:
        return text
    return (
        f"{text} Each network has a scale of its own: those of {strong} are {times:.2g} times as strong as those of "
        f"{weak}, which the pictures do not show."
    )


def _channel(made: Sheet, column: Column, k: int, bands: Sequence[BandPictures]) -> Channel:
    r = "constant"
    if column.r is not None and not math.isnan(column.r):
        interval = between(column.interval)
        r = signed(column.r) + (f" ({interval})" if interval else "")
    number, why = column.choice.channel, column.choice.why
    head = f"{made.layer.name}, channel {number} ({why}), "
    mosaics = [_mosaic(made, band, k, f"{head}{band.name}") for band in bands]
    return Channel(number, why, str(column.state), why == choice.DRAWN, r, mosaics)


def _mosaic(made: Sheet, band: BandPictures, k: int, head: str) -> Mosaic:
    words = band.captions[k].split("\n")
    control = band.name == CONTROL
    if not band.regions[k]:
        return Mosaic(band.name, control, "", "", "", words, "", "")
    numbers = ", ".join(words)
    return Mosaic(
        band.name,
        control,
        data_uri(mosaic(_small(band.regions[k]), ACROSS, SMALLEST)),
        data_uri(mosaic(_small(band.maps[k]), ACROSS, SMALLEST)),
        f"±{short(abs(band.scale))}" if band.scale else "",
        words,
        f"{head}: the {len(band.regions[k])} regions that it answers to most; {numbers}",
        f"{head}: reconstructions of these regions, grey is 0, black and white are ±{short(abs(band.scale))}",
    )


def _small(tiles: Sequence[npt.NDArray[Any]]) -> list[npt.NDArray[np.float64]]:
    """Tiles made smaller where they are larger than a page needs."""
    height, width = tiles[0].shape[:2]
    if max(height, width) <= LARGEST:
        return list(tiles)
    from PIL import Image

    size = (max(1, round(width * LARGEST / max(height, width))), max(1, round(height * LARGEST / max(height, width))))
    made = []
    for tile in tiles:
        image = Image.fromarray(np.rint(tile * 255).astype(np.uint8)).resize(size, Image.Resampling.LANCZOS)
        made.append(np.asarray(image, np.float64) / 255)
    return made
