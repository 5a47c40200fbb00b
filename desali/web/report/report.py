"""One self-contained page of results: what other commands left, and what is missing drawn from the models."""

from __future__ import annotations

import datetime
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from desali.errors import DataError
from desali.models.checkpoint import versions
from desali.output.files import check_writable, write_text
from desali.web.found import Found, Source, damaged, find
from desali.web.options import ReportOptions
from desali.web.page import inlined, render
from desali.web.report.evaluated import Evaluated, evaluated
from desali.web.report.from_models import Drawn, Say, draw, usable
from desali.web.report.from_results import Recorded, recorded
from desali.web.report.gallery import Gallery
from desali.web.report.image_sets import Images, named
from desali.web.report.lineage_curves import Change, change_of
from desali.web.report.provenance import Origin, origin
from desali.web.report.robustness import Curves, curves
from desali.web.report.sheets import Sheets, of_strangers

if TYPE_CHECKING:
    from desali.data.imageset import ImageSet


@dataclass
class Group:
    """What is shown of channels over the same images."""

    images: Images
    changes: list[Change] = field(default_factory=list)
    sheets: list[Sheets] = field(default_factory=list)


@dataclass
class Parts:
    """All that a report shows.

    Attributes:
        groups: curves and sheets, by the images that they are of.
        found: what lay in the inputs, a phrase each.
        missing: of what is not shown, why, and what would bring it.
    """

    title: str
    made: str
    groups: list[Group]
    evaluations: list[Evaluated]
    robustness: list[Curves]
    figures: list[Recorded]
    gallery: Gallery | None
    origin: Origin
    version: str
    found: list[str]
    missing: list[tuple[str, str]] = field(default_factory=list)

    @property
    def changes(self) -> list[Change]:
        """All lineages."""
        return [change for group in self.groups for change in group.changes]

    @property
    def sheets(self) -> list[Sheets]:
        """All sheets of channels."""
        return [one for group in self.groups for one in group.sheets]

    @property
    def images(self) -> list[Images]:
        """The image sets that something is shown of, each once."""
        every = [group.images for group in self.groups] + [one.images for one in self.evaluations]
        every += [self.gallery.images] if self.gallery is not None else []
        return list({one.sha256: one for one in every}.values())

    @property
    def empty(self) -> bool:
        """Whether there is nothing to show."""
        return not (self.groups or self.evaluations or self.robustness or self.figures or self.gallery)


def report(
    inputs: Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    options: ReportOptions | None = None,
    *,
    title: str = "",
    images: ImageSet | None = None,
    command: Sequence[str] = (),
    say: Say = lambda line: None,
    tell: Say = lambda line: None,
) -> Path:
    """Write results as one HTML file that opens without a network, a server or a script.

    Args:
        inputs: folders of trained models or lineages, the demo's folder, or files that desali wrote: records of
            figures and lineages (or their pictures), evaluations, predictions, robustness.
        output: the page.
        title: its heading; by default made from the inputs' names.
        images: that the models are evaluated on, where they are at hand already.
        command: the line that makes the page, as arguments; it stands in the page.
        say: is told in a line what is being drawn.
        tell: is told at the end in a line what was found, and in a line each what is missing.

    Returns:
        where it was written.

    Raises:
        DataError: an input that is missing, damaged or of another program, or nothing that can be shown.
        OutputError: it cannot be written.
    """
    options = options or ReportOptions()
    target = Path(output)
    check_writable(target)
    paths = [Path(one) for one in inputs]
    made = parts(paths, options, title, images, say, command)
    if made.empty:
        why = "; ".join(f"{what}: {reason}" for what, reason in made.missing)
        raise DataError(f"{', '.join(map(str, paths))}: nothing can be shown of it ({why})")
    page = render("report.html", parts=made, **inlined("report.js", "view.css", "report.css", rules=_rules(made)))
    write_text(target, page)
    tell(f"found: {'; '.join(made.found)}")
    for what, why in made.missing:
        tell(f"not in the page: {what}: {why}")
    return target


def parts(
    paths: Sequence[Path],
    options: ReportOptions,
    title: str,
    images: ImageSet | None = None,
    say: Say = lambda line: None,
    command: Sequence[str] = (),
) -> Parts:
    """Read the inputs and draw what is missing; see `report`."""
    if not paths:
        raise DataError("nothing to report: name folders or files of results")
    found = find(paths)
    models, left_out = usable(found)
    changes = _once([change_of(source) for source in found.lineages])
    drawn = draw(found, models, changes, options, images, say)
    known = _known(found, drawn)
    groups = _grouped([*changes, *drawn.changes], drawn, known)
    evaluations = [evaluated(one.value, one.path, drawn.whole) for one in found.evaluations]
    made = Parts(
        title=title or f"{', '.join(dict.fromkeys(path.resolve().name for path in paths))}: results",
        made=datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        groups=groups,
        evaluations=evaluations,
        robustness=[curves(one.value, one.path) for one in found.robustness],
        figures=[recorded(one, known) for one in found.figures if _alone(one, drawn.sheets)],
        gallery=drawn.gallery,
        origin=Origin(),
        version=versions()["desali"],
        found=found.words,
        missing=[*left_out, *drawn.missing],
    )
    made.origin = origin(found, made.changes, _sets(made), shlex.join(command))
    made.missing += _absent(made)
    return made


def _rules(made: Parts) -> str:
    """Styles that depend on what is shown: the gallery's columns, and the shades of confusions in tenths."""
    columns = len(made.gallery.columns) if made.gallery is not None else 0
    return "".join([f".gallery{{--n:{columns}}}", *(f".s{k}{{--s:{2 + 6.4 * k:.0f}%}}" for k in range(1, 11))])


def _once(changes: Sequence[Change]) -> list[Change]:
    """Each lineage once, though it may stand in two files."""
    return list({change.key: change for change in reversed(changes)}.values())[::-1]


def _known(found: Found, drawn: Drawn) -> dict[str, Images]:
    """Image sets whose names are known, by their SHA-256: what records lack is taken from here."""
    known = {}
    for source in found.images:
        try:
            about = source.value["images"]
            known[str(about["sha256"])] = named(Images(str(about["sha256"]), count=int(about["drawn"])), about)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise damaged(source.path, error) from error
    for one in [*drawn.known, *([drawn.part] if drawn.part is not None else [])]:
        known[one.sha256] = one
    return known


def _grouped(changes: Sequence[Change], drawn: Drawn, known: dict[str, Images]) -> list[Group]:
    """Curves and sheets by the images that they are of."""
    groups: dict[str, Group] = {}
    for change in changes:
        own = change.images
        other = known.get(own.sha256)
        if other is not None:
            own = replace(
                own, name=other.name, origin=other.origin, source=other.source, terms=other.terms, words=other.words
            )
        groups.setdefault(own.sha256, Group(own)).changes.append(change)
    for made in drawn.sheets:
        group = groups.setdefault(made.images.sha256, Group(made.images))
        told = next((change for change in group.changes if change.title == made.title), None)
        group.sheets.append(made if told is None else of_strangers(made, told.strangers))
    return list(groups.values())


def _alone(source: Source, drawn: Sequence[Sheets]) -> bool:
    """Whether a figure stands for itself: a main picture's curves and channels are drawn from its record."""
    change = source.value.get("lineage")
    if source.value.get("figure") != "what changed" or not isinstance(change, dict):
        return True
    own = (change.get("images") or {}).get("sha256")
    return not any(one.images.sha256 == own for one in drawn)


def _sets(made: Parts) -> list[tuple[str, Images]]:
    """The image sets of the page with what they are there for; the same set once, for all that it is there for."""
    found: dict[str, tuple[list[str], Images]] = {}
    entries = [("channels", group.images) for group in made.groups]
    entries += [("evaluation", one.images) for one in made.evaluations]
    entries += [("gallery", made.gallery.images)] if made.gallery is not None else []
    for use, images in entries:
        uses, _ = found.setdefault(images.sha256, ([], images))
        uses += [] if use in uses else [use]
    return [(f"{images.title} ({', '.join(uses)})", images) for uses, images in found.values()]


def _absent(made: Parts) -> list[tuple[str, str]]:
    found = []
    if not made.changes:
        found.append(("What changed", "no lineage among the inputs; desali lineage RECIPE -o FOLDER makes one"))
    if not made.evaluations:
        found.append(("Evaluation", "no evaluation among the inputs; desali evaluate --json FILE writes one"))
    if not made.robustness:
        found.append(("Robustness", "no curves among the inputs; desali robustness RECIPE makes them"))
    return found
