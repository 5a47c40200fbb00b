"""The gallery of a page: ROIs with what speaks for their class in every model, each beside its controls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from desali.comparison.controls import Likeness, likeness_null
from desali.comparison.views import CONTRAST_METHOD, class_layer, looks
from desali.errors import DataError
from desali.figures.drawing.colours import coloured
from desali.figures.drawing.display import display_positive, scale_text, to_grey
from desali.figures.drawing.edges import edge_map
from desali.figures.drawing.panel import COLORMAPS
from desali.figures.sources import controls
from desali.figures.subjects import subjects
from desali.figures.windows import contrast_map
from desali.figures.words import short
from desali.web.pictures import data_uri, strip
from desali.web.report.image_sets import Images

if TYPE_CHECKING:
    from torch import nn

    from desali.data.imageset import ImageSet
    from desali.data.preprocess import Preprocessing
    from desali.models.checkpoint import LoadedModel

BATCH = 32
SIDE = 72
"""Pixels of a picture."""
EDGES = "edges"
EXPLAINED = (
    "Red speaks for the ROI's own class, blue against it, white is 0 (class contrast by the gradient).",
    "Under each picture: the class that the model names with its probability (0 to 1), ✓ if it is the ROI's own; ρ; "
    "and ±, the value that full red and full blue stand for. Each picture has a scale of its own, so that depths of "
    "colour do not compare from picture to picture unless ± is the same.",
    "The last columns are controls: {controls}, and a plain edge detector, which knows nothing of any network.",
    "ρ says how alike a map is to the control's: 1 the same picture, 0 unrelated, −1 its negative. Between −{null:.2f} "
    "and {null:.2f} lie 95 of 100 pictures of independent noise: there ρ shows no likeness. Far above, the map shows "
    "the image, not what was learned. (Rank correlation after a slight blur.)",
    "No picture here explains a decision.",
)
"""How the gallery is read."""


@dataclass(frozen=True)
class Cell:
    """Under one picture: a model's answer or a control's number, and what its full colour stands for."""

    words: str
    right: bool | None
    more: str
    scale: str = ""


@dataclass(frozen=True)
class GalleryRoi:
    """One ROI.

    Attributes:
        number: in the set that was drawn from.
        picture: the ROI, every model's map and the controls, in one picture, so that none goes without the others.
        disagree: whether the models name different classes.
        wrong: how many models name another class than its own.
        alt: what the picture shows, with its numbers.
    """

    number: int
    label: str
    patient: str
    picture: str
    cells: list[Cell]
    disagree: bool
    wrong: int
    alt: str


@dataclass(frozen=True)
class Gallery:
    """ROIs of a set, in its order.

    Attributes:
        columns: what stands in each picture from left to right; the last `controls` of them are controls.
        rois: that are shown, of so many.
        notes: what to know of them: how they were drawn, then how they are read.
        images: the set.
    """

    columns: list[str]
    controls: int
    rois: list[GalleryRoi]
    classes: list[str]
    patients: list[str]
    notes: list[str]
    images: Images


def draw(
    models: Mapping[str, LoadedModel],
    images: ImageSet,
    index: Sequence[int],
    about: Images,
    device: str,
    seed: int,
    like: nn.Module | None = None,
) -> Gallery:
    """Run the images of `index` through all models and their controls.

    Args:
        models: name -> model, all of whose classes are the images'.
        index: places in `images`, which `about` tells of.
        seed: of the random weights, as the figures take it.
        like: a network that was captured before; those of its structure need not be captured again.

    Raises:
        DataError: models of other classes, or without an output of classes.
    """
    for name, model in models.items():
        if tuple(model.classes) != tuple(images.classes):
            raise DataError(
                f"{name}: its classes are {', '.join(model.classes)}, those of the images {', '.join(images.classes)}"
            )
    from desali.reversal.graph.share import adopt

    found = subjects(models, device=device)
    random, missing = controls(found, seed, 1)
    names = list(models)
    groups: dict[str, nn.Module] = {}
    control_of: dict[str, str] = {}
    rules: dict[str, Preprocessing] = {}
    for one in found:
        if one.name in random:
            twin = random[one.name][0]
            label = next((known for known, model in groups.items() if model is twin.model), None)
            if label is None:
                label = "random weights" if not groups else f"random weights {len(groups) + 1}"
                groups[label], rules[label] = twin.model, models[one.name].preprocessing
            control_of[one.name] = label
    networks: dict[str, nn.Module] = {one.name: one.model for one in found} | groups
    rules |= {name: model.preprocessing for name, model in models.items()}
    shown = []
    first = like
    for start in range(0, len(index), BATCH):
        part = [int(k) for k in index[start : start + BATCH]]
        maps, answers = {}, {}
        for name, network in networks.items():
            if first is not None:
                adopt(network, first)
            first = network if first is None else first
            maps[name], answers[name] = _look(network, rules[name], images, part, device)
        views = _pictures(next(iter(rules.values())), images, part)
        for row, number in enumerate(part):
            shown.append(_roi(images, number, views[row], names, groups, control_of,
                              {name: found_maps[row] for name, found_maps in maps.items()},
                              {name: answers[name][row] for name in names}))  # fmt: skip
    null = likeness_null((rules[names[0]].size, rules[names[0]].size))
    if len(names) == 1:
        said = "the same for a network with random weights"
    elif len(groups) == 1:
        said = f"one network with random weights, which all {len(names)} models here share since their layers are alike"
    else:
        said = f"networks with random weights, {len(groups)} of them, one for all models with the same layers"
    notes = [
        line.format(null=null, controls=said if groups else "no network with random weights") for line in EXPLAINED
    ]
    return Gallery(
        ["ROI", *names, *groups, EDGES],
        len(groups) + 1,
        shown,
        [name for k, name in enumerate(images.classes) if any(images.labels[i] == k for i in index)],
        sorted({str(images.patients[i]) for i in index}),
        [*notes, *([missing] if missing else [])],
        about,
    )


def _look(
    network: nn.Module, rule: Preprocessing, images: ImageSet, part: list[int], device: str
) -> tuple[list[npt.NDArray[np.float64]], list[npt.NDArray[np.float64]]]:
    from desali.ops.device import resolve
    from desali.reversal.recording import record
    from desali.reversal.seeds import Seed

    values = rule.apply_batch(images.images[part], images.unit).to(resolve(device))
    recording = record(network, values)
    layer = class_layer(recording.network)
    if layer is None:
        raise DataError("a network has no output of classes, so that nothing speaks for one of them")
    seed = Seed.contrast([int(images.labels[k]) for k in part])
    seen = looks(recording, [layer], seed, CONTRAST_METHOD)
    maps = [np.asarray(one.views[0].maps[0].double().numpy()) for one in seen]
    return maps, [np.asarray(one.probabilities.double().numpy()) for one in seen if one.probabilities is not None]


def _pictures(rule: Preprocessing, images: ImageSet, part: list[int]) -> npt.NDArray[np.float64]:
    """The images as a reader sees them [N, h, w] or [N, h, w, 3]."""
    values = np.asarray(rule.seen.apply_batch(images.images[part], images.unit).double().numpy())
    return np.moveaxis(values, 1, -1) if images.images.ndim == 4 else values[:, 0]


def _roi(
    images: ImageSet,
    number: int,
    picture: npt.NDArray[np.float64],
    names: Sequence[str],
    groups: Mapping[str, Any],
    control_of: Mapping[str, str],
    maps: Mapping[str, npt.NDArray[np.float64]],
    answers: Mapping[str, npt.NDArray[np.float64]],
) -> GalleryRoi:
    alike = Likeness()
    planes = {name: to_grey(values) for name, values in maps.items()}
    tiles: list[npt.NDArray[Any]] = [picture]
    scales = {}
    for name, values in maps.items():
        pixels, scales[name] = contrast_map(values)
        tiles.append(coloured(pixels, COLORMAPS["contrast"]))
    tiles.append(display_positive(edge_map(picture))[0])
    label, patient = images.classes[int(images.labels[number])], str(images.patients[number])
    cells = [Cell(patient, None, label)]
    said = []
    named = {}
    for name in names:
        k = int(answers[name].argmax())
        named[name] = k
        rho = alike(planes[name], planes[control_of[name]]) if name in control_of else None
        right = k == int(images.labels[number])
        more = "no control" if name not in control_of else "ρ –" if rho is None else f"ρ {rho:+.2f}".replace("-", "−")
        cells.append(Cell(f"{images.classes[k]} {answers[name][k]:.2f}", right, more, _reach(scales[name])))
        said.append(
            f"{name} names {images.classes[k]} with {answers[name][k]:.2f}, {'right' if right else 'wrong'}, "
            f"likeness to its control {more.removeprefix('ρ ')}, scale {scale_text('s', abs(scales[name]))}"
        )
    cells += [*(Cell("", None, "control", _reach(scales[group])) for group in groups), Cell("", None, "control")]
    said += [f"{group}: scale {scale_text('s', abs(scales[group]))}" for group in groups]
    head = f"ROI {number} of class {label}, patient {patient}"
    alt = f"{head}; its class contrast in {len(names)} models: {'; '.join(said)}"
    return GalleryRoi(
        number=number,
        label=label,
        patient=patient,
        picture=data_uri(strip(tiles, SIDE), lossy=True),
        cells=cells,
        disagree=len(set(named.values())) > 1,
        wrong=sum(k != int(images.labels[number]) for k in named.values()),
        alt=alt,
    )


def _reach(scale: float) -> str:
    """What full colour stands for."""
    return f"±{short(abs(scale))}" if scale else ""
