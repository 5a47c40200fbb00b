"""Lineages of several pairs of networks over the same images: each is kept when it is done, so that work goes on."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from desali.errors import DataError
from desali.experiments.options import LineageOptions
from desali.experiments.probe_images import check_unseen, drawn
from desali.input.files import read_text
from desali.input.values import parse_json
from desali.models.checkpoint import LoadedModel, versions
from desali.models.modules import fingerprint
from desali.models.options import DEFAULT as DEFAULT_MODEL
from desali.models.options import ModelOptions
from desali.output.files import plain_stem, write_json, write_text
from desali.output.interrupts import check
from desali.training.chain import Link, Networks, chain

if TYPE_CHECKING:
    from desali.data.imageset import ImageSet
    from desali.data.preprocess import Preprocessing

FORMAT = 4
"""Raise it when the numbers or words of a lineage change, so that what earlier versions kept is made anew."""
RECORD, TABLE = "lineage.json", "lineage.csv"


@dataclass(frozen=True)
class Pair:
    """Two networks to compare.

    Attributes:
        name: of its files.
        title: for a reader.
        networks: loads what `desali.lineage` takes.
    """

    name: str
    title: str
    networks: Callable[[], Networks]


@dataclass(frozen=True)
class PairLineage:
    """What came out for a pair.

    Attributes:
        name, title: see `Pair`.
        verdict: one sentence, the title before it.
        text: the verdict and the table for reading.
        notes: what the numbers rest on.
        rows: a flat row a layer; none where the pair could not be compared.
        figure: its file; None without a folder.
        kept: whether it was there already.
    """

    name: str
    title: str
    verdict: str
    text: str
    notes: tuple[str, ...]
    rows: tuple[dict[str, Any], ...]
    figure: Path | None
    kept: bool


def pairs_of(names: Sequence[str], runs: Path) -> tuple[list[Pair], list[str]]:
    """A pair for every stage of trained recipes, one that several share once, and what to say of stages without one.

    Raises:
        WeightsError: a recipe is not trained, or one of its stages is missing.
    """
    links: dict[str, Link] = {}
    said: list[str] = []
    for name in names:
        own, notes = chain(name, runs)
        said += [note for note in notes if note not in said]
        for link in own:
            if link.key not in links or link.replicates:
                links[link.key] = link
    pairs: dict[str, Pair] = {}
    for link in links.values():
        stem = link.title.replace(" -> ", "-")
        stem = stem if stem not in pairs else f"{stem}-{link.key}"
        pairs[stem] = Pair(stem, f"{link.title} (from {link.before})", link.networks)
    return list(pairs.values()), said


def pair_of(
    before: str, after: str, replicates: Sequence[str], runs: Path, options: ModelOptions = DEFAULT_MODEL
) -> Pair:
    """The pair of any two networks, named as `desali.load` takes them.

    Args:
        options: of networks by name.

    Raises:
        WeightsError, UnknownNameError: see `desali.load`.
    """
    from desali.models.sources import label

    options.check([before, after, *replicates])
    first, second, *again = (options.load(spec, runs=runs) for spec in (before, after, *replicates))
    names = [label(spec, runs=runs) for spec in (before, after)]
    stem = plain_stem(f"{names[0]}-to-{names[1]}")
    return Pair(stem, f"{names[0]} to {names[1]}", lambda: Networks(first, second, again))


def display_rule(pair: Pair) -> Preprocessing | None:
    """How display images are resized and cut for a pair; None for networks whose target images stay as they are."""
    after = pair.networks().after
    return None if is_trained(after) else after.preprocessing


def follow_pairs(
    pairs: Sequence[Pair],
    images: ImageSet,
    options: LineageOptions,
    output: Path | None = None,
    *,
    progress: bool = False,
    report: Callable[[str], None] = lambda line: None,
) -> Iterator[PairLineage]:
    """Compare every pair over the same images drawn from `images`; yields each as soon as it is done.

    Args:
        images: all that may be drawn from.
        output: folder for a figure and a record of each pair; a finished one there with the same networks, images and
            options is not made again. None keeps nothing.
        progress: show bars on stderr.
        report: called with a line of text for each pair.

    Raises:
        DataError: images that a stage has seen, too few, or others than those of the lineages in `output`; and see
            `desali.lineage`.
    """
    from desali.reversal.graph.share import adopt

    chosen = drawn(images, options)
    if output is not None:
        _begin(output, chosen, images)
    first: LoadedModel | None = None
    for number, pair in enumerate(pairs, 1):
        check()
        nets = pair.networks()
        before, after, again = nets.before, nets.after, nets.replicates
        files = [one.path for one in (before, after, *again) if one is not None and one.path and is_trained(one)]
        seen = check_unseen(images, files, options.allow_training_images)
        said = [
            *nets.notes,
            *unknown(before, after),
            *dict.fromkeys(note for notes in seen.values() for note in notes),
        ]
        if before is None:
            yield PairLineage(pair.name, pair.title, f"{pair.title}: not compared.", "", tuple(said), (), None, False)
            continue
        key = _key((before, after, *again), chosen, options, said)
        kept = None if output is None else _kept(output / f"{pair.name}.json", key)
        if kept is not None and output is not None:
            report(f"[{number}/{len(pairs)}] {pair.title}: already there")
            yield replace(kept, name=pair.name, title=pair.title, figure=output / f"{pair.name}.png")
            continue
        report(f"[{number}/{len(pairs)}] {pair.title}")
        first = first or before
        for one in (before, after, *again):
            adopt(one.model, first.model)  # one export serves all networks of one architecture
        layers = inherited(nets, chosen) if options.layers is None else list(options.layers)
        if layers and options.layers is None:
            said.append(
                f"The stage drew its classifier anew ({', '.join(nets.drawn_anew)}), so that nothing in it was "
                "inherited: it is not shown here; --layers names any layer."
            )
        yield _followed(pair, (before, after, again), chosen, options, layers, said, key, output, progress)


def _followed(
    pair: Pair,
    networks: tuple[LoadedModel, LoadedModel, Sequence[LoadedModel]],
    images: ImageSet,
    options: LineageOptions,
    layers: Sequence[str] | None,
    said: Sequence[str],
    key: str,
    output: Path | None,
    progress: bool,
) -> PairLineage:
    from desali.comparison.lineage import lineage

    before, after, again = networks
    change = lineage(
        before,
        after,
        images,
        labels=None if options.labels else (),
        layers=layers,
        replicates=list(again),
        random_networks=options.random_networks,
        seed=options.seed,
        device=options.device,
        progress=progress,
    )
    change.verdict = f"{pair.title}: {change.verdict}"
    change.notes += said
    text = change.text(notes=False)
    figure = None
    change.record |= {"key": key, "title": pair.title, "text": text}
    if output is not None:
        figure = change.figure().save(output / f"{pair.name}.png")
    rows = tuple(change.table())
    return PairLineage(pair.name, pair.title, change.verdict, text, tuple(change.notes), rows, figure, False)


def inherited(networks: Networks, images: ImageSet) -> list[str] | None:
    """The ReLUs outside of what was drawn anew; None for all of them."""
    if not networks.drawn_anew:
        return None
    from desali.comparison.networks import subject
    from desali.comparison.relu_inputs import relu_inputs
    from desali.reversal.graph.network import within

    sample = networks.after.preprocessing.apply_batch(images.images[:2], images.unit)
    captured = subject("after", networks.after).capture(sample)
    layers = relu_inputs(captured)
    inside = [
        layer.name for layer in layers
        if not any(within(captured.nodes[layer.index], name) for name in networks.drawn_anew)
    ]  # fmt: skip
    return inside if inside and len(inside) < len(layers) else None


def is_trained(one: LoadedModel) -> bool:
    """Whether desali trained it."""
    return bool((one.card.get("stage") or {}).get("key"))


def _known(one: LoadedModel) -> bool:
    """Whether its card says what it was trained on; a stage whose weights were given keeps what their card says."""
    return is_trained(one) and (not one.card["stage"].get("weights") or bool(one.card.get("data")))


def unknown(before: LoadedModel | None, after: LoadedModel | None) -> list[str]:
    """Networks whose training nothing is known of, a sentence each; a single network is `before`."""
    found = [
        name
        for name, one in ((" before" if after is not None else "", before), (" after", after))
        if one is not None and one.path is not None and not _known(one)
    ]
    return [f"What the network{name} was trained on is not known, and so may be these images." for name in found]


def _key(networks: Sequence[LoadedModel], images: ImageSet, options: LineageOptions, said: Sequence[str]) -> str:
    """Names everything that a pair's numbers and notes depend on."""
    facts = {
        "format": FORMAT,
        "networks": [one.card.get("weights_sha256") or fingerprint(one.model) for one in networks],
        "rules": [one.card["preprocessing"] for one in networks],
        "images": images.fingerprint,
        "options": [options.layers, options.random_networks, options.seed, options.labels, options.device],
        "said": list(said),
        "versions": [versions()["desali"], versions()["torch"]],
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _kept(file: Path, key: str) -> PairLineage | None:
    """A pair that was finished before; None if it was not, or with other networks, images or options."""
    if not file.with_suffix(".png").is_file():
        return None
    try:
        record = parse_json(read_text(file, "a record", DataError), str(file), DataError, "")
        if record["key"] != key:
            return None
        rows = tuple({k: v for k, v in row.items() if not isinstance(v, list | dict)} for row in record["layers"])
        return PairLineage("", "", record["verdict"], record["text"], tuple(record["notes"]), rows, None, True)
    except (DataError, KeyError, TypeError, AttributeError):
        return None


def _begin(output: Path, chosen: ImageSet, images: ImageSet) -> None:
    """Write down the images, and refuse a folder whose lineages are of others: theirs must not be read side by side."""
    file = output / RECORD
    hashes = chosen.hashes()
    digest = hashlib.sha256("".join(sorted(hashes)).encode()).hexdigest()
    try:
        found = str(_record(file)["images"]["sha256"]) if file.exists() else digest
    except (DataError, KeyError, TypeError):
        raise DataError(f"{file}: exists and is not the record of a lineage; choose another --output") from None
    if found != digest:
        raise DataError(
            f"{output}: holds lineages over other images (SHA-256 {found[:12]}, these have {digest[:12]}): numbers "
            "over different images do not compare; choose another --output, or delete that folder"
        )
    if file.exists():
        return
    about = {
        "sha256": digest,
        "drawn": len(chosen),
        "of": len(images),
        "name": images.name,
        "origin": images.origin,
        "parameters": images.parameters,
        "each": hashes,
        "patients": chosen.patients.tolist(),
        "sources": None if chosen.sources is None else chosen.sources.tolist(),
    }
    write_json(file, {"kind": "desali lineages", "images": about, "pairs": []})


def _record(file: Path) -> Any:
    return parse_json(read_text(file, "the record of a lineage", DataError), str(file), DataError, "delete that folder")


def write_together(output: Path, found: Sequence[PairLineage], said: Sequence[str]) -> tuple[Path, Path]:
    """Write one table and one record of all pairs; returns their files."""
    text = io.StringIO()
    rows = [{"pair": one.title, **row} for one in found for row in one.rows]
    if rows:
        writer = csv.DictWriter(text, list(dict.fromkeys(name for row in rows for name in row)), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    write_text(output / TABLE, text.getvalue())
    record = _record(output / RECORD)
    record["pairs"] = [
        {
            "title": one.title,
            "verdict": one.verdict,
            "notes": list(one.notes),
            "record": f"{one.name}.json" if one.rows else None,
        }
        for one in found
    ]
    write_json(output / RECORD, {**record, "notes": list(said)})
    return output / TABLE, output / RECORD
