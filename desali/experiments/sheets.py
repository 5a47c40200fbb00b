"""Sheets of channels from the names of networks: a recipe's last stage, any two networks, or one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from desali.errors import DataError
from desali.experiments.lineages import display_rule, is_trained, pair_of, unknown
from desali.experiments.options import ChannelsOptions
from desali.experiments.probe_images import check_unseen, drawn, held_out, named
from desali.models.checkpoint import RUNS, LoadedModel
from desali.models.options import DEFAULT as DEFAULT_MODEL
from desali.models.options import ModelOptions
from desali.output.files import plain_stem

if TYPE_CHECKING:
    from desali.data.imageset import ImageSet
    from desali.figures.channels import ChannelsFigure


@dataclass(frozen=True, eq=False)
class Sheets:
    """Networks and the images that sheets of them are drawn from.

    Attributes:
        name: of a file.
        title: for a reader.
        before, after: the networks; `after` is None for a single one.
        replicates: of the one after.
        images: drawn for all sheets alike.
        notes: what a reader must know of networks and images.
    """

    name: str
    title: str
    before: LoadedModel
    after: LoadedModel | None
    replicates: Sequence[LoadedModel]
    images: ImageSet
    notes: list[str]

    def sheet(self, layer: str, options: ChannelsOptions, progress: bool = False) -> ChannelsFigure:
        """The figure of one layer; see `desali.channels`.

        Raises:
            DataError, UnknownNameError: see `desali.channels`.
        """
        from desali.figures.channels import channels

        return channels(
            self.before,
            self.after,
            self.images,
            layer,
            options.channels or None,
            labels=None if options.labels else (),
            replicates=self.replicates,
            by=options.by,
            method=options.method,
            random_networks=options.random_networks,
            seed=options.seed,
            device=options.device,
            title=self.title,
            notes=self.notes,
            progress=progress,
        )


def of_recipe(name: str, options: ChannelsOptions, runs: Path = RUNS) -> Sheets:
    """The last stage of a trained recipe against what it started from, with its replicates.

    Raises:
        WeightsError: the recipe is not trained. DataError: its initial weights cannot be made again, or images that a
            stage has seen.
    """
    from desali.training.chain import chain

    links, said = chain(name, runs)
    last = links[-1]
    networks = last.networks()
    before, after, again, notes = networks.before, networks.after, networks.replicates, networks.notes
    if before is None:
        raise DataError(
            f"{name}: {' '.join(notes) or 'what it started from cannot be made again'}; draw the trained network alone "
            f"with --model {name}"
        )
    images = held_out([name], runs, options)
    stem = last.title.replace(" -> ", "-")
    return _sheets(stem, f"{last.title} (from {last.before})", before, after, again, images, [*said, *notes], options)


def of_pair(
    before: str,
    after: str,
    replicates: Sequence[str],
    options: ChannelsOptions,
    runs: Path = RUNS,
    given: ModelOptions = DEFAULT_MODEL,
) -> Sheets:
    """Any two networks, named as `desali.load` takes them.

    Raises:
        WeightsError, UnknownNameError: see `desali.load`. DataError: no images are named, or a stage has seen them.
    """
    if options.images is None:
        raise DataError("two networks need images to be looked at with: name them with --images DATASET")
    pair = pair_of(before, after, replicates, runs, given)
    networks = pair.networks()
    first, second, again, said = networks.before, networks.after, networks.replicates, networks.notes
    assert first is not None
    images = named(options.images, options, display_rule(pair))
    return _sheets(pair.name, pair.title, first, second, again, images, said, options)


def of_model(spec: str, options: ChannelsOptions, runs: Path = RUNS, given: ModelOptions = DEFAULT_MODEL) -> Sheets:
    """One network; a recipe trained under `runs` brings its images.

    Raises:
        WeightsError, UnknownNameError: see `desali.load`. DataError: no images are known, or a stage has seen them.
    """
    from desali.models.sources import label

    given.check([spec])
    loaded = given.load(spec, runs=runs)
    if options.images is not None:
        images = named(options.images, options, None if is_trained(loaded) else loaded.preprocessing)
    elif is_trained(loaded) and loaded.card.get("recipe"):
        images = held_out([spec], runs, options)
    else:
        raise DataError(f"{spec}: brings no images to be looked at with; name them with --images DATASET")
    name = label(spec, runs=runs)
    return _sheets(name, name, loaded, None, [], images, [], options)


def _sheets(
    name: str,
    title: str,
    before: LoadedModel,
    after: LoadedModel | None,
    again: Sequence[LoadedModel],
    images: ImageSet,
    said: Sequence[str],
    options: ChannelsOptions,
) -> Sheets:
    chosen = drawn(images, options)
    networks = [one for one in (before, after, *again) if one is not None]
    files = [one.path for one in networks if one.path is not None and is_trained(one)]
    seen = check_unseen(chosen, files, options.allow_training_images)
    notes = [*said, *unknown(before, after), *(note for notes in seen.values() for note in notes)]
    return Sheets(plain_stem(name), title, before, after, again, chosen, list(dict.fromkeys(notes)))
