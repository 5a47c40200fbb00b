"""One self-contained page of results: what other commands left, and what is missing drawn from the models."""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from desali.errors import DataError, DesaliError
from desali.models.checkpoint import WEIGHTS_NAME, LoadedModel, load, read_card, versions
from desali.output.files import check_writable, write_text
from desali.web import gallery, sheets
from desali.web.depth import Change, arrows, change_of
from desali.web.evaluated import Evaluated, evaluated
from desali.web.found import Found, Source, find
from desali.web.options import ReportOptions
from desali.web.origin import Origin, origin
from desali.web.page import inlined, render
from desali.web.recorded import Recorded, recorded
from desali.web.robust import Curves, curves

if TYPE_CHECKING:
    from torch import nn

    from desali.data.imageset import ImageSet
    from desali.experiments.lineages import Pair

Say = Callable[[str], None]


@dataclass
class Parts:
    """All that a report shows; `missing` says of what it does not show why, and what would bring it."""

    title: str
    made: str
    changes: list[Change]
    sheets: list[sheets.Sheets]
    evaluations: list[Evaluated]
    robustness: list[Curves]
    figures: list[Recorded]
    gallery: gallery.Gallery | None
    origin: Origin
    version: str
    missing: list[tuple[str, str]] = field(default_factory=list)

    @property
    def synthetic(self) -> bool:
        """Whether an image set says so of itself."""
        facts = [value for _, own in self.origin.data for word, value in own if word == "origin"]
        return any("synthetic" in value for value in facts)


def report(
    inputs: Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    options: ReportOptions | None = None,
    *,
    title: str = "",
    images: ImageSet | None = None,
    say: Say = lambda line: None,
) -> Path:
    """Write results as one HTML file that opens without a network, a server or a script.

    Args:
        inputs: folders of trained models or lineages, the demo's folder, or files that desali wrote: records of
            figures and lineages (or their pictures), evaluations, predictions, robustness.
        output: the page.
        title: its heading; by default made from the inputs' names.
        images: that the models are evaluated on, where they are at hand already.
        say: is told in a line what is being drawn.

    Returns:
        where it was written.

    Raises:
        DataError: an input that is missing, damaged or of another program. OutputError: it cannot be written.
    """
    options = options or ReportOptions()
    target = Path(output)
    check_writable(target)
    paths = [Path(one) for one in inputs]
    made = parts(paths, options, title, images, say)
    page = render("report.html", parts=made, **inlined("report.js", "view.css", "report.css"))
    write_text(target, page)
    return target


def parts(
    paths: Sequence[Path],
    options: ReportOptions,
    title: str,
    images: ImageSet | None = None,
    say: Say = lambda line: None,
) -> Parts:
    """Read the inputs and draw what is missing; see `report`."""
    if not paths:
        raise DataError("nothing to report: name folders or files of results")
    found = find(paths)
    changes = _once([change_of(source) for source in found.lineages])
    drawn, shown, lineage, missing = _drawn(found, changes, options, images, say)
    changes += lineage
    made = Parts(
        title=title or f"{', '.join(dict.fromkeys(path.resolve().name for path in paths))}: results",
        made=datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        changes=changes,
        sheets=drawn,
        evaluations=[evaluated(one.value, one.path) for one in found.evaluations],
        robustness=[curves(one.value, one.path) for one in found.robustness],
        figures=[recorded(one) for one in found.figures if _alone(one, drawn)],
        gallery=shown,
        origin=origin(found, changes),
        version=versions()["desali"],
        missing=missing,
    )
    made.missing += _absent(made)
    return made


def _once(changes: Sequence[Change]) -> list[Change]:
    """Each lineage once, though it may stand in two files."""
    return list({change.key: change for change in reversed(changes)}.values())[::-1]


def _alone(source: Source, drawn: Sequence[sheets.Sheets]) -> bool:
    """Whether a figure stands for itself: a main picture's curves and channels are drawn from its record."""
    return source.value.get("figure") != "what changed" or not drawn


def _absent(made: Parts) -> list[tuple[str, str]]:
    found = []
    if not made.changes:
        found.append(("What changed", "no lineage among the inputs; desali lineage RECIPE -o FOLDER makes one"))
    if not made.evaluations:
        found.append(("Evaluation", "no evaluation among the inputs; desali evaluate --json FILE writes one"))
    if not made.robustness:
        found.append(("Robustness", "no curves among the inputs; desali robustness RECIPE makes them"))
    return found


def _drawn(
    found: Found, changes: list[Change], options: ReportOptions, images: ImageSet | None, say: Say
) -> tuple[list[sheets.Sheets], gallery.Gallery | None, list[Change], list[tuple[str, str]]]:
    """Sheets, gallery and, where no lineage was given, one; and what is missing, with the reason."""
    what = "Sheets of channels and ROI gallery"
    if not found.runs:
        return [], None, [], [(what, "no trained models among the inputs; name their folder too")]
    if not options.sheets and not options.rois:
        return [], None, [], [(what, "not asked for")]
    missing: list[tuple[str, str]] = []
    runs, names = next(iter(found.runs.items()))
    if len(found.runs) > 1:
        others = ", ".join(str(one) for one in list(found.runs)[1:])
        missing.append((f"Models of {others}", f"pictures are drawn of one folder of models, {runs.name}"))
    every = names
    names = [name for name in names if _is_recipe(runs / name / WEIGHTS_NAME)]
    try:
        if images is None:
            say("reading the images that the models are evaluated on")
            images = _images(names, runs, options)
    except DesaliError as error:
        return [], None, [], [*missing, (what, str(error))]
    drawn: list[sheets.Sheets] = []
    lineage: list[Change] = []
    like = None
    if options.sheets:
        try:
            drawn, lineage, like = _sheets(names, runs, changes, images, options, say)
        except DesaliError as error:
            missing.append(("Sheets of channels", str(error)))
    shown = None
    if options.rois:
        try:
            say(f"drawing the gallery of {options.rois} ROIs")
            shown = _gallery(every, runs, images, options, like)
        except DesaliError as error:
            missing.append(("ROI gallery", str(error)))
    return drawn, shown, lineage, missing


def _is_recipe(weights: Path) -> bool:
    return bool((read_card(weights).get("stage") or {}).get("key"))


def _images(names: list[str], runs: Path, options: ReportOptions) -> ImageSet:
    from desali.experiments.probe_images import held_out, named

    if options.images is not None:
        return named(options.images, options.lineage)
    if not names:
        raise DataError("the models were not trained by desali, so their images are not known; name them with --images")
    return held_out(names, runs, options.lineage)


def _sheets(
    names: list[str], runs: Path, changes: Sequence[Change], images: ImageSet, options: ReportOptions, say: Say
) -> tuple[list[sheets.Sheets], list[Change], nn.Module]:
    """Sheets of the stage that a lineage is of, else of the last recipe's last stage; its lineage; and a network."""
    from desali.comparison.lineage import lineage
    from desali.experiments.lineages import inherited
    from desali.experiments.probe_images import check_unseen, drawn

    pair = _pair(names, runs, changes)
    if pair is None:
        raise DataError("no stage of these models has a network before it")
    nets = pair.networks()
    if nets.before is None:
        raise DataError(f"{pair.title}: there is no network before; {' '.join(nets.notes)}")
    chosen = drawn(images, options.lineage)
    every = [nets.before, nets.after, *nets.replicates]
    check_unseen(chosen, [one.path for one in every if one.path is not None], False)
    layers = inherited(nets, chosen)
    added = []
    if not changes:
        say(f"following the channels of {pair.title}")
        change = lineage(
            nets.before, nets.after, chosen, layers=layers, replicates=list(nets.replicates),
            random_networks=options.random_networks, seed=options.seed, device=options.device,
        )  # fmt: skip
        added.append(change_of(Source(runs, {"title": pair.title, **change.to_dict()})))
    say(f"drawing what channels of {pair.title} look for")
    return [sheets.draw(arrows(pair.title), nets, chosen, options, layers)], added, nets.after.model


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
    names: Sequence[str], runs: Path, images: ImageSet, options: ReportOptions, like: nn.Module | None
) -> gallery.Gallery:
    from desali.comparison.probe_set import draw_index

    models: dict[str, LoadedModel] = {name: load(runs / name / WEIGHTS_NAME) for name in names}
    index = draw_index(images, max(1, options.rois // len(images.classes)), options.seed)[: options.rois]
    made = gallery.draw(models, images, index.tolist(), options.device, options.seed, like)
    rule = (
        f"{len(made.rois)} of {len(images)} ROIs, drawn by seed {options.seed} whatever the models make of them: the "
        "classes in equal parts, the patients in turns."
    )
    made.notes.insert(0, rule)
    return made
