"""From what a command line or a notebook names to a session: models, images, a lineage; what fails alone is a note."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from desali.errors import DesaliError, WeightsError
from desali.models.checkpoint import WEIGHTS_NAME, LoadedModel, read_card
from desali.models.options import DEFAULT, ModelOptions
from desali.models.sources import label
from desali.web.explorer import followed
from desali.web.explorer.commands import Origin
from desali.web.explorer.decoding import decode
from desali.web.explorer.networks import Networks
from desali.web.explorer.session import Session
from desali.web.explorer.shelf import shelf
from desali.web.found import models_in
from desali.web.options import ExploreOptions

if TYPE_CHECKING:
    from desali.data.imageset import ImageSet

Say = Callable[[str], None]
Models = dict[str, LoadedModel]


def opened(
    specs: Sequence[str],
    runs: Path,
    files: Sequence[Path],
    lineages: Sequence[Path],
    options: ExploreOptions,
    given: ModelOptions = DEFAULT,
    origin: Origin | None = None,
    say: Say = lambda line: None,
) -> Session:
    """A session of models by name.

    Args:
        specs: models; none: all that were trained under `runs`.
        files: images.
        lineages: files that hold lineages.
        say: is told what is being done.

    Raises:
        WeightsError: no models. DataError, ImageError: no images. DesaliError: see `desali.load`.
    """
    notes: list[str] = []
    say("loading models")
    models, names = _models(specs, runs, given, notes)
    _stages(models, names, runs, lineages, notes)
    images = _images(models, names, runs, files, options, notes, say)
    pictures = shelf(images, files)
    if not pictures.entries:
        notes += pictures.notes
        pictures.notes = []
        notes.append("There is no image yet: drop one into the page, or name some with --images DATASET or FILE.")
    networks = Networks(models, names, options.device, options.seed, options.cache * 2**20, options.random_networks)
    known, more = followed.from_files(lineages, networks)
    notes += more
    if options.follow is not None:
        if known is not None:
            raise DesaliError("give --lineage or --follow, not both")
        known = _follow(networks, models, images, options, say)
        notes += known.notes
    return Session(networks, pictures, decode, known, notes, origin)


def _models(specs: Sequence[str], runs: Path, given: ModelOptions, notes: list[str]) -> tuple[Models, dict[str, str]]:
    """Models by the name they are shown under, and what the command line calls each."""
    models: Models = {}
    names: dict[str, str] = {}
    chosen = list(specs) or _trained(runs)
    given.check(chosen)
    errors: list[DesaliError] = []
    for spec in chosen:
        try:
            loaded = given.load(spec, None, runs=runs)
            name = label(spec, None, runs)
        except DesaliError as error:
            errors.append(error)
            notes.append(f"passed over: {error}")
            continue
        while name in models:
            name += "'"
        models[name], names[name] = loaded, spec
    if not models and len(errors) == 1:
        raise errors[0]
    if not models:
        whose = "none of the models" if specs else f"{runs}: none of its models"
        raise WeightsError(f"{whose} can be loaded: {'; '.join(map(str, errors))}")
    return models, names


def _trained(runs: Path) -> list[str]:
    if not runs.is_dir():
        raise WeightsError(
            f"{runs}: no such folder of trained models; name one with --runs DIR, or models with --model SPEC "
            "(`desali demo` trains four)"
        )
    inner = [(folder, name) for folder in (runs, runs / "runs") for name in models_in(folder)]
    if not inner:
        raise WeightsError(
            f"{runs}: holds no trained models (*/{WEIGHTS_NAME}); name another folder with --runs DIR, or models with "
            "--model SPEC"
        )
    return [name if folder == runs else str(folder / name / WEIGHTS_NAME) for folder, name in inner]


def _stages(models: Models, names: dict[str, str], runs: Path, lineages: Sequence[Path], notes: list[str]) -> None:
    """Add the network before of a lineage where it is a stage under `runs` and not among the models."""
    from desali.models.sources import load

    known = {one.card.get("weights_sha256") for one in models.values()}
    for source in [one for file in lineages for one in followed.read(file)]:
        try:
            marks = {name: source.value["networks"][name]["weights_sha256"] for name in ("before", "after")}
        except (KeyError, TypeError):
            continue  # said where the record is read
        if marks["after"] not in known or marks["before"] in known:
            continue
        for folder in sorted(one for place in (runs, runs / "runs") for one in (place / "stages").glob("*")):
            weights = folder / WEIGHTS_NAME
            if weights.is_file() and read_card(weights).get("weights_sha256") == marks["before"]:
                loaded = load(weights)
                name = str((loaded.card.get("stage") or {}).get("title") or folder.name).replace("->", "→")
                while name in models:
                    name += " (stage)"
                models[name], names[name] = loaded, str(weights)
                known.add(marks["before"])
                notes.append(f"{name} was added: {source.path} follows channels from it.")
                break


def _images(
    models: Models,
    names: Mapping[str, str],
    runs: Path,
    files: Sequence[Path],
    options: ExploreOptions,
    notes: list[str],
    say: Say,
) -> ImageSet | None:
    from desali.experiments.probe_images import held_out, named

    rule = next(iter(models.values())).preprocessing
    if options.images is not None:
        say("reading the images")
        return named(options.images, options.lineage, rule)
    trained = [name for name, one in models.items() if one.card.get("recipe") and (runs / names[name]).is_dir()]
    recipes = [names[name] for name in trained if models[name].card.get("data")]
    if files or not recipes:
        return None
    say("reading the images that the recipes are evaluated on")
    try:
        return held_out(recipes, runs, options.lineage)
    except DesaliError as error:
        notes.append(f"The images that the recipes are evaluated on cannot be read: {error}")
        return None


def _follow(
    networks: Networks, models: Models, images: ImageSet | None, options: ExploreOptions, say: Say
) -> followed.Followed:
    from desali.comparison.lineage import lineage
    from desali.experiments.probe_images import drawn

    assert options.follow is not None
    places = []
    for name in options.follow:
        if name not in models:
            raise DesaliError(f"follow {name!r}: is none of the models {', '.join(models)}")
        places.append(list(models).index(name))
    if images is None:
        raise DesaliError("channels are followed over images: name them with --images DATASET")
    say(f"following channels from {options.follow[0]} to {options.follow[1]}")
    before, after = (models[name] for name in options.follow)
    found = lineage(before, after, drawn(images, options.lineage), device=options.device)
    return followed.of_record(found.to_dict(), networks, places[0], places[1])


def of_objects(models: Mapping[str, Any], images: Any = None, lineage: Any = None, **options: Any) -> Session:
    """A session of models and images that are at hand, see `desali.explore`.

    Raises:
        DataError: no models, or a lineage of others.
    """
    pictures = shelf(images)
    networks = Networks(models, None, **options)
    known = None
    notes: list[str] = []
    if lineage is not None:
        record = lineage.to_dict() if hasattr(lineage, "to_dict") else lineage
        known, said = followed.of_networks(record, "lineage", networks)
        notes += said
    return Session(networks, pictures, decode, known, notes)
