"""`desali.lineage`: follow every channel of a network through a stage of training.

Two networks of one architecture are run once over one set of images. At the input of every ReLU each channel before is
correlated with each channel after; a channel is traceable if it is its own mutual nearest neighbour. Beside the share
of traceable channels stand what chance gives, what networks with random weights give, and, where there are replicates,
what another seed of the same training gives. From the same pass come class purity, linear probes and similarity.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from desali.comparison import nulls, tracing
from desali.comparison.ancestry import LayerLineage, Lineage
from desali.comparison.channel_statistics import correlation
from desali.comparison.checks import check_asked
from desali.comparison.following import Followed, follow
from desali.comparison.frozen import same_signal
from desali.comparison.jackknife import share_interval
from desali.comparison.networks import Subject, check_together, subject
from desali.comparison.notes import notes
from desali.comparison.numbers import Numbers, numbers
from desali.comparison.numbers_table import no_difference
from desali.comparison.probe_set import ProbeSet, probe_set
from desali.comparison.relu_inputs import resolve
from desali.comparison.verdict import verdict
from desali.errors import DataError
from desali.models.modules import fingerprint

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from desali.data.imageset import ImageSet
    from desali.models.checkpoint import LoadedModel

LOWER_DECILE = 0.1


def lineage(
    before: nn.Module | LoadedModel,
    after: nn.Module | LoadedModel,
    images: Tensor | ImageSet,
    groups: Sequence[Any] | None = None,
    labels: Sequence[Any] | None = None,
    layers: Sequence[str] | None = None,
    replicates: Sequence[nn.Module | LoadedModel] = (),
    random_networks: int = 5,
    seed: int = 0,
    device: str | torch.device | None = None,
    progress: bool = False,
) -> Lineage:
    """Which channels of a network are still themselves after a stage of training, layer by layer.

    Every network runs once over the images, in batches: the memory needed does not grow with their number, and their
    order changes no number.

    Args:
        before, after: a `torch.nn.Module` in evaluation mode, or what `desali.load` returns; one architecture, whose
            classifier may have another number of classes. They are not changed.
        images: float [N, C, *spatial] as the modules take it, N >= 4, or an `ImageSet`, which the loaded models' own
            preprocessing prepares; better none that a stage was trained on.
        groups: the patient of each image; None: those of the `ImageSet`; a tensor's images are then each their own.
        labels: the class of each image; None: those of the `ImageSet`; (): none, so that class purity and linear probes
            are left out.
        layers: names of ReLUs, of layers before them, or of containers (their last ReLU); None: all ReLUs.
        replicates: networks made by the same stage from the same parent with another seed: the noise floor.
        random_networks: how many networks with random weights to compare the network after with; from 5 on a range.
        seed: of the random weights.
        device: "cpu", "cuda", "cuda:N" or "auto"; None: where the networks are.
        progress: show a bar over the images on stderr.

    Raises:
        DataError: two architectures, two kinds of preprocessing, fewer than four images, the same network twice, NaN,
            or a network none of whose ReLUs opens.
        CaptureError: a network that cannot be captured. UnknownNameError: no such layer. DesaliError: training mode.
    """
    from desali.ops.device import resolve as find_device

    where = None if device is None else find_device(device)
    check_asked(random_networks, seed, layers, replicates)
    pair = [subject("before", before, where), subject("after", after, where)]
    again = [subject(f"replicate {k}", one, where) for k, one in enumerate(replicates, 1)]
    preprocessing = check_together([*pair, *again])
    probe = probe_set(images, groups, labels, preprocessing)
    return lineage_of(pair, again, probe, layers, random_networks, seed, progress, labels is None or len(labels) > 0)


def lineage_of(
    pair: Sequence[Subject],
    again: Sequence[Subject],
    probe: ProbeSet,
    layers: Sequence[str] | None,
    random_networks: int,
    seed: int,
    progress: bool = False,
    classes: bool = True,
) -> Lineage:
    """`lineage` of two networks that were checked, over images that were checked; see there.

    Args:
        classes: whether class purity and linear probes are wanted; without them the pass is the same, and the numbers
            by layer are similarities alone.
    """
    _refuse_copies(pair[-1], again)
    seeds = nulls.random_seeds(random_networks, seed)
    drawn = [nulls.random_network(pair[1].model, one) for one in seeds]
    followed = follow(pair[0], pair[1], again, [twin for twin, _ in drawn], probe, layers, progress)
    _refuse_closed(followed)
    by_layer = numbers(followed, probe, classes)
    enough = probe.units.decided
    found = [_layer(followed, name, by_layer, enough) for name in followed.layers]
    first = found[0]
    if layers is not None:
        asked = {resolve(followed.network, name, list(followed.layers)) for name in layers}
        found = [layer for layer in found if layer.name in asked]
    return Lineage(
        found,
        first.strangers,
        verdict(first, found, first.strangers, probe.units),
        [
            *notes(followed, probe, [*pair, *again], drawn[0][1] if drawn else [], found),
            *by_layer.missing,
            *no_difference(found),
        ],
        {**_record(pair, again, probe, followed, seeds, seed), "numbers": by_layer.to_dict()},
        functools.partial(resolve, followed.network, known=[layer.name for layer in found]),
    )


def _refuse_copies(after: Subject, again: Sequence[Subject]) -> None:
    """A copy is no second training: it would be a noise floor without noise."""
    known: dict[str, str] = {}
    for one in [after, *again] if again else ():
        digest = fingerprint(one.model)
        if digest in known:
            raise DataError(
                f"{one.name} has the same weights as {known[digest]}, so it is no second training: give networks that "
                "were trained with other seeds"
            )
        known[digest] = one.name


def _refuse_closed(followed: Followed) -> None:
    for name, sums in (("before", followed.before), ("after", followed.after)):
        if all(not sums.moments(layer).open.any() for layer in followed.layers):
            raise DataError(
                f"{name}: no ReLU opens on any of these images, so nothing passes through the network: check its "
                "weights and how the images are scaled"
            )


def _layer(followed: Followed, name: str, by_layer: Numbers, decided: bool) -> LayerLineage:
    before, after, products = followed.before.moments(name), followed.after.moments(name), followed.pair.of(name)
    frozen = followed.frozen[name] & same_signal(before, after)
    m = correlation(before, after, products)
    traceable = tracing.own_nearest(m) | frozen
    share = float(traceable.mean())
    left_out = [
        float((tracing.own_nearest(correlation(before, after, products, without)) | frozen).mean())
        for without in (range(followed.blocks) if followed.blocks > 1 else ())
    ]
    floor: list[Any] = []
    replicate, repeated, repeated_correlation = [], [], []
    for one in followed.replicates:
        own = one.sums.moments(name)
        also = one.frozen[name] & same_signal(before, own)
        from_before = correlation(before, own, one.before.of(name))
        repeated.append(float((tracing.own_nearest(from_before) | also).mean()))
        repeated_correlation.append(np.diagonal(from_before))
        between = correlation(after, own, one.after.of(name))
        replicate.append(float((tracing.own_nearest(between) | (also & frozen)).mean()))
        floor.append(np.diagonal(between))
    null = _null(followed, name)
    r = np.array(np.diagonal(m))
    known = np.concatenate(floor)[~np.isnan(np.concatenate(floor))] if floor else np.zeros(0)
    decile = float(np.quantile(known, LOWER_DECILE)) if len(known) else None
    pairs = tracing.matched(m)
    return LayerLineage(
        name=name,
        channels=len(r),
        traceable=share,
        interval=share_interval(share, np.array(left_out)),
        replicate=tuple(replicate),
        repeated=tuple(repeated),
        correlation=r,
        repeated_correlation=np.array(repeated_correlation).reshape(-1, len(r)),
        partner=tracing.partners(m),
        firing_before=before.firing,
        firing_after=after.firing,
        traced=traceable,
        state=tracing.states(frozen, traceable, r, before.firing, after.firing, decile),
        decided=decided,
        floor=decile,
        equal=bool(frozen.all()),
        strangers=not frozen.all() and nulls.strangers(traceable, r, null),
        matched=len(pairs) / len(r),
        matched_correlation=nulls.median(pairs),
        random=null,
        purity=by_layer.purity(name),
        probe=by_layer.probe(name),
        similarity=by_layer.similarity(name),
    )


def _null(followed: Followed, name: str) -> nulls.Null:
    after = followed.sampled.moments(name)
    found = []
    for one in followed.random:
        m = correlation(one.sums.moments(name), after, one.after.of(name))
        found.append(
            (float(tracing.own_nearest(m).mean()), nulls.median(np.diagonal(m)), nulls.median(tracing.matched(m)))
        )
    return nulls.Null(*(tuple(values) for values in zip(*found, strict=True))) if found else nulls.Null()


def _record(
    pair: Sequence[Subject],
    again: Sequence[Subject],
    probe: ProbeSet,
    followed: Followed,
    seeds: Sequence[int],
    seed: int,
) -> dict[str, Any]:
    return {
        "networks": {one.name: one.facts() for one in (*pair, *again)},
        "images": {
            "count": len(probe),
            "sha256": probe.fingerprint,
            **probe.whose,
            "repeated": probe.repeated,
            "patients": probe.count_of_patients if probe.known else None,
            "units": probe.units.count,
            "unit": probe.units.name,
            "classes": probe.class_counts,
            "preprocessing": None if probe.preprocessing is None else probe.preprocessing.to_dict(),
        },
        "interval": {"method": "delete-one jackknife by patient, Student's t", "blocks": followed.blocks},
        "random": {"seed": seed, "seeds": list(seeds), "images": len(followed.sample) if seeds else 0},
        "left_out": followed.left_out,
    }
