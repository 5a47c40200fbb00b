"""What a report draws itself from trained models: sheets of channels, the gallery, a lineage where none is given."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from desali.errors import DataError, DesaliError
from desali.models.checkpoint import WEIGHTS_NAME, LoadedModel, load, read_card
from desali.web.found import Found, Source
from desali.web.options import ReportOptions
from desali.web.report import gallery, sheets
from desali.web.report.image_sets import Images, of_set
from desali.web.report.lineage_curves import Change, arrows, change_of

if TYPE_CHECKING:
    from torch import nn

    from desali.data.imageset import ImageSet
    from desali.experiments.lineages import Pair

Say = Callable[[str], None]


@dataclass
class Drawn:
    """What was drawn; `missing` says of the rest why it was not.

    Attributes:
        changes: lineages that were made since none was given.
        whole, part: the images that the models are evaluated on, or those that were asked for, and what sheets and
            lineages take of them; None where they cannot be had.
    """

    sheets: list[sheets.Sheets] = field(default_factory=list)
    gallery: gallery.Gallery | None = None
    changes: list[Change] = field(default_factory=list)
    whole: Images | None = None
    part: Images | None = None
    known: list[Images] = field(default_factory=list)
    missing: list[tuple[str, str]] = field(default_factory=list)


def draw(found: Found, changes: Sequence[Change], options: ReportOptions, images: ImageSet | None, say: Say) -> Drawn:
    """Sheets, gallery and, where no lineage over the images was given, one; and what is missing, with the reason."""
    made = Drawn()
    what = "Sheets of channels and ROI gallery"
    if not found.runs:
        made.missing.append((what, "no trained models among the inputs; name their folder too"))
        return made
    runs, every = next(iter(found.runs.items()))
    if len(found.runs) > 1:
        others = ", ".join(str(one) for one in list(found.runs)[1:])
        made.missing.append((f"Models of {others}", f"pictures are drawn of one folder of models, {runs.name}"))
    if not options.sheets and not options.rois:
        made.missing.append((what, "not asked for (--no-sheets --rois 0)"))
        return made
    names = [name for name in every if _is_recipe(runs / name / WEIGHTS_NAME)]
    try:
        if images is None:
            say("reading the images that are shown")
            images = _images(names, runs, options)
    except DesaliError as error:
        made.missing.append((what, str(error)))
        return made
    made.whole = of_set(images, images.fingerprint)
    if names and not all(change.images.name for change in changes):
        made.known += _evaluated(names, runs, options)
    like = None
    try:
        like = _channels(made, names, runs, changes, images, options, say)
    except DesaliError as error:
        if options.sheets:
            made.missing.append(("Sheets of channels", str(error)))
    if not options.rois:
        return made
    try:
        say(f"drawing the gallery of {options.rois} ROIs")
        made.gallery = _gallery(every, runs, images, made.whole, options, like)
    except DesaliError as error:
        made.missing.append(("ROI gallery", str(error)))
    return made


def _is_recipe(weights: Path) -> bool:
    return bool((read_card(weights).get("stage") or {}).get("key"))


def _images(names: list[str], runs: Path, options: ReportOptions) -> ImageSet:
    from desali.experiments.probe_images import held_out, named

    if options.images is not None:
        return named(options.images, options.lineage)
    if not names:
        raise DataError("the models were not trained by desali, so their images are not known; name them with --images")
    return held_out(names, runs, options.lineage)


def _part(images: ImageSet, options: ReportOptions) -> tuple[ImageSet, Images]:
    """What a lineage takes of a set."""
    from desali.experiments.probe_images import drawn

    chosen = drawn(images, options.lineage)
    return chosen, of_set(chosen, hashlib.sha256("".join(sorted(chosen.hashes())).encode()).hexdigest())


def _evaluated(names: list[str], runs: Path, options: ReportOptions) -> list[Images]:
    """The images that a lineage of the models takes if nothing else is said; nothing where they are gone."""
    own = ReportOptions(skip_unreadable=options.skip_unreadable)
    try:
        return [_part(_images(names, runs, own), own)[1]]
    except DesaliError:
        return []


def _channels(
    made: Drawn,
    names: list[str],
    runs: Path,
    changes: Sequence[Change],
    images: ImageSet,
    options: ReportOptions,
    say: Say,
) -> nn.Module | None:
    """Sheets of the stage that a lineage is of, else of the last recipe's last stage, and its lineage.

    Returns:
        a network that was captured.
    """
    from desali.comparison.lineage import lineage
    from desali.experiments.lineages import inherited
    from desali.experiments.probe_images import check_unseen

    chosen, part = _part(images, options)
    made.part = part
    if not options.sheets:
        return None
    pair = _pair(names, runs, changes)
    if pair is None:
        raise DataError("no stage of these models has a network before it")
    nets = pair.networks()
    if nets.before is None:
        raise DataError(f"{pair.title}: there is no network before; {' '.join(nets.notes)}")
    every = [nets.before, nets.after, *nets.replicates]
    check_unseen(chosen, [one.path for one in every if one.path is not None], False)
    layers = inherited(nets, chosen)
    known = any(change.images.sha256 == part.sha256 for change in changes)
    if not known and (not changes or options.images is not None):
        say(f"following the channels of {pair.title}")
        change = lineage(
            nets.before, nets.after, chosen, layers=layers, replicates=list(nets.replicates),
            random_networks=options.random_networks, seed=options.seed, device=options.device,
        )  # fmt: skip
        made.changes.append(change_of(Source(runs, {"title": pair.title, **change.to_dict()})))
    say(f"drawing what channels of {pair.title} look for")
    made.sheets.append(sheets.draw(arrows(pair.title), nets, chosen, part, options, layers))
    return nets.after.model


def _pair(names: Sequence[str], runs: Path, changes: Sequence[Change]) -> Pair | None:
    """The pair of networks whose channels are shown."""
    from desali.experiments.lineages import pairs_of
    from desali.models.replicate import replicates

    asked = {change.after for change in changes if change.after}
    last: Pair | None = None
    for name in sorted(names, key=lambda one: bool(replicates(runs, one))):
        pairs, _ = pairs_of([name], runs)
        if not pairs:
            continue
        last = pairs[-1]
        if read_card(runs / name / WEIGHTS_NAME).get("weights_sha256") in asked:
            return last
    return None if asked and last is None else last


def _gallery(
    names: Sequence[str], runs: Path, images: ImageSet, about: Images, options: ReportOptions, like: nn.Module | None
) -> gallery.Gallery:
    from desali.comparison.probe_set import draw_index

    models: dict[str, LoadedModel] = {name: load(runs / name / WEIGHTS_NAME) for name in names}
    index = draw_index(images, max(1, options.rois // len(images.classes)), options.seed)[: options.rois]
    made = gallery.draw(models, images, index.tolist(), about, options.device, options.seed, like)
    rule = (
        f"{len(made.rois)} of {len(images)} ROIs, drawn by seed {options.seed} whatever the models make of them: the "
        "classes in equal parts, the patients in turns."
    )
    made.notes.insert(0, rule)
    return made
