"""The main picture of a pair of networks: a recipe's last stage against its parent, or any two."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from desali.errors import DataError
from desali.experiments.lineages import Pair, inherited, is_trained, unknown
from desali.experiments.options import LineageOptions
from desali.experiments.probe_images import check_unseen, drawn

if TYPE_CHECKING:
    from desali.data.imageset import ImageSet
    from desali.figures.what_changed import WhatChangedFigure
    from desali.models.checkpoint import LoadedModel


def overview(
    pair: Pair,
    images: ImageSet,
    options: LineageOptions,
    others: Mapping[str, LoadedModel] | None = None,
    *,
    progress: bool = False,
) -> WhatChangedFigure:
    """The picture of a pair over images drawn from `images`.

    Args:
        images: all that may be drawn from.
        options: those of a lineage.
        others: models whose similarity to the network after is drawn too.
        progress: show bars on stderr.

    Raises:
        DataError: there is no network before, or images that a stage has seen; and see
            `desali.figures.what_changed`.
    """
    from desali.figures.what_changed import what_changed

    chosen = drawn(images, options)
    nets = pair.networks()
    if nets.before is None:
        raise DataError(f"{pair.title}: there is no network before, so nothing to compare; {' '.join(nets.notes)}")
    beside = dict(others or {})
    every = [nets.before, nets.after, *nets.replicates, *beside.values()]
    files: list[Path] = [one.path for one in every if one.path is not None and is_trained(one)]
    seen = check_unseen(chosen, files, options.allow_training_images)
    notes = [*nets.notes, *unknown(nets.before, nets.after)]
    notes += dict.fromkeys(note for found in seen.values() for note in found)
    layers = inherited(nets, chosen) if options.layers is None else list(options.layers)
    return what_changed(
        nets.before,
        nets.after,
        chosen,
        labels=None if options.labels else (),
        replicates=list(nets.replicates),
        layers=layers,
        others=beside,
        random_networks=options.random_networks,
        seed=options.seed,
        device=options.device,
        title=pair.title,
        notes=notes,
        progress=progress,
    )
