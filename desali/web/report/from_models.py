"""What a report draws itself from trained models: sheets of channels, the gallery, a lineage where none is given."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from desali.errors import DataError, DesaliError
from desali.models.checkpoint import WEIGHTS_NAME, LoadedModel, load, read_card
from desali.output.words import listed
from desali.web.found import Found, Source
from desali.web.options import ReportOptions
from desali.web.report import gallery, sheets
from desali.web.report.image_sets import Images, of_set
from desali.web.report.lineage_curves import Change, arrows, change_of

if TYPE_CHECKING:
    from torch import nn

    from desali.data.imageset import ImageSet
    from desali.experiments.lineages import Pair
    from desali.training.chain import Networks

Say = Callable[[str], None]


Models = dict[Path, dict[str, LoadedModel]]


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


def draw(
    found: Found, models: Models, changes: Sequence[Change], options: ReportOptions, images: ImageSet | None, say: Say
) -> Drawn:
    """Sheets, gallery and, where no lineage over the images was given, one; and what is missing, with the reason.

    Args:
        models: as `usable` gives them.
    """
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
        made.gallery = _gallery(models[runs], images, made.whole, options, like)
    except DesaliError as error:
        made.missing.append(("ROI gallery", str(error)))
    return made


def usable(found: Found) -> tuple[Models, list[tuple[str, str]]]:
    """The models by their folders, without those that cannot be shown beside the others; which these are, and why."""
    models: Models = {}
    left_out = []
    for runs, names in list(found.runs.items()):
        loaded: dict[str, LoadedModel] = {}
        for name in names:
            try:
                loaded[name] = load(runs / name / WEIGHTS_NAME)
            except DesaliError as error:
                left_out.append((f"Model {name}", str(error)))
        kinds = [tuple(one.classes) for one in loaded.values()]
        most = max(kinds, key=kinds.count, default=())
        for name, own in zip(loaded, kinds, strict=True):
            if own != most:
                left_out.append(
                    (f"Model {name}", f"its classes ({', '.join(own)}) are others than those of the models beside it "
                     f"({', '.join(most)}); make a page of it alone")
                )  # fmt: skip
        models[runs] = {name: one for name, one in loaded.items() if tuple(one.classes) == most}
        found.runs[runs] = list(models[runs])
        if not found.runs[runs]:
            del found.runs[runs]
    return models, left_out


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
    pair, nets = _pair(names, runs, changes, part.sha256)
    if nets.before is None:
        raise DataError(f"{pair.title}: there is no network before; {' '.join(nets.notes)}")
    every = [nets.before, nets.after, *nets.replicates]
    check_unseen(chosen, [one.path for one in every if one.path is not None], False)
    layers = inherited(nets, chosen)
    stage = _weights(nets)
    beside = [(change.before, change.after) for change in changes if change.images.sha256 == part.sha256]
    if stage not in beside and (beside or not changes or options.images is not None):
        say(f"following the channels of {pair.title}")
        change = lineage(
            nets.before, nets.after, chosen, layers=layers, replicates=list(nets.replicates),
            random_networks=options.random_networks, seed=options.seed, device=options.device,
        )  # fmt: skip
        made.changes.append(change_of(Source(runs, {"title": pair.title, **change.to_dict()})))
    say(f"drawing what channels of {pair.title} look for")
    made.sheets.append(sheets.draw(arrows(pair.title), nets, chosen, part, options, layers))
    return nets.after.model


def _pair(names: Sequence[str], runs: Path, changes: Sequence[Change], sha256: str) -> tuple[Pair, Networks]:
    """The stage whose channels are shown: one that a lineage is of, over the same images if possible.

    Without a lineage it is the last stage of the last recipe, or of one that has replicates.

    Raises:
        DataError: there is no stage with a network before it, or none that the lineages are of.
    """
    from desali.experiments.lineages import pairs_of
    from desali.models.replicate import replicates

    pairs, _ = pairs_of(sorted(names, key=lambda one: bool(replicates(runs, one))), runs)
    if not pairs:
        raise DataError("no stage of these models has a network before it")
    if not changes:
        return pairs[-1], pairs[-1].networks()
    loaded = [(pair, pair.networks()) for pair in reversed(pairs)]
    for among in ([change for change in changes if change.images.sha256 == sha256], changes):
        asked = {(change.before, change.after) for change in among}
        for pair, nets in loaded:
            if _weights(nets) in asked:
                return pair, nets
    given = listed([change.title for change in changes])
    raise DataError(f"none of the models' stages is that of the lineage given ({given}); name the models that it is of")


def _weights(networks: Networks) -> tuple[str, str] | None:
    """SHA-256 of the weights before and after, as the record of a lineage holds them."""
    from desali.comparison.networks import subject

    if networks.before is None:
        return None
    before, after = (
        str(subject(name, one).facts()["weights_sha256"])
        for name, one in (("before", networks.before), ("after", networks.after))
    )
    return before, after


def _gallery(
    models: dict[str, LoadedModel], images: ImageSet, about: Images, options: ReportOptions, like: nn.Module | None
) -> gallery.Gallery:
    from desali.comparison.probe_set import draw_index

    index = draw_index(images, max(1, options.rois // len(images.classes)), options.seed)[: options.rois]
    made = gallery.draw(models, images, index.tolist(), about, options.device, options.seed, like)
    rule = (
        f"{len(made.rois)} of {len(images)} ROIs, drawn by seed {options.seed} whatever the models make of them: the "
        "classes in equal parts, the patients in turns."
    )
    made.notes.insert(0, rule)
    return made
