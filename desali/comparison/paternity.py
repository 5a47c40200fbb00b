"""Which of many networks another one was trained from, asked layer by layer, with networks of random weights beside.

For every candidate and every layer the channels of the child are correlated with those of the candidate, as in a
lineage. The candidate whose channels are, on average, most alike to the child's of the same number is the layer's
answer, if that and the share of traceable channels are beyond those of every random network; else there is no parent
among the candidates. At a first layer that hardly changed, siblings trained on the same images can be nearer to each
other than to their parent: the mean over several layers tells them apart.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from desali.comparison import nulls, tracing
from desali.comparison.channel_statistics import Products, Sums, correlation
from desali.comparison.checks import check_asked
from desali.comparison.networks import check_together, subject
from desali.comparison.probe_set import probe_set
from desali.comparison.relu_inputs import common, relu_inputs, resolve
from desali.comparison.sweep import bar, read_signals
from desali.errors import DataError, look_up
from desali.output.columns import columns

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from desali.data.imageset import ImageSet
    from desali.models.checkpoint import LoadedModel

BATCH = 32


@dataclass(frozen=True, eq=False)
class Paternity:
    """Who was trained from whom.

    Attributes:
        layers: names of the ReLUs, in forward order.
        children, candidates: names.
        share: of the child's channels that are traceable to the candidate's [children, candidates, layers]; NaN for a
            network and itself.
        likeness: mean correlation of a channel with the candidate's of the same number, a constant one counts 0
            [children, candidates, layers].
        random_share, random_likeness: the same for networks with random weights [children, random networks, layers].
        record: images and seeds, JSON-serialisable.
    """

    layers: tuple[str, ...]
    children: tuple[str, ...]
    candidates: tuple[str, ...]
    share: npt.NDArray[np.float64]
    likeness: npt.NDArray[np.float64]
    random_share: npt.NDArray[np.float64]
    random_likeness: npt.NDArray[np.float64]
    record: dict[str, Any]

    def parent(self, child: str, layer: str | None = None) -> str | None:
        """The candidate that a child was trained from, by one layer or (None) by the mean over all of them.

        None where the nearest candidate is not beyond every random network, in the share of traceable channels and in
        the mean correlation.

        Raises:
            UnknownNameError: no such child or layer.
        """
        i = look_up("child", child, {name: k for k, name in enumerate(self.children)})
        where = slice(None)
        if layer is not None:
            k = look_up("layer", layer, {name: k for k, name in enumerate(self.layers)})
            where = slice(k, k + 1)
        likeness, share = (values[i, :, where].mean(1) for values in (self.likeness, self.share))
        best = int(np.nanargmax(likeness))
        nulls_of = (values[i, :, where].mean(1) for values in (self.random_likeness, self.random_share))
        beyond = all(own > null.max() for own, null in zip((likeness[best], share[best]), nulls_of, strict=True))
        return self.candidates[best] if beyond else None

    def table(self) -> list[dict[str, Any]]:
        """A flat row for each child, layer and candidate, and one for the range of the random networks."""
        rows = []
        for i, child in enumerate(self.children):
            for k, layer in enumerate(self.layers):
                null = self.random_share[i, :, k]
                about = {
                    "child": child,
                    "layer": layer,
                    "parent": self.parent(child, layer),
                    "random_high": float(null.max()),
                }
                rows += [
                    {**about, "candidate": name, "traceable": float(self.share[i, j, k]),
                     "correlation": float(self.likeness[i, j, k])}
                    for j, name in enumerate(self.candidates) if name != child
                ]  # fmt: skip
        return rows

    def text(self) -> str:
        """For each child a table of candidates by layer, the nearest first and marked."""
        lines: list[str] = []
        for i, child in enumerate(self.children):
            parents = [self.parent(child, layer) for layer in self.layers]
            rows = [[child, *self.layers]]
            known = [j for j, name in enumerate(self.candidates) if name != child]
            for j in sorted(known, key=lambda j: -self.likeness[i, j].mean()):
                name = self.candidates[j]
                values = zip(self.share[i, j], self.likeness[i, j], parents, strict=True)
                rows.append([name, *(f"{share:.0%} r {r:+.3f}{' *' * (got == name)}" for share, r, got in values)])
            null, alike = self.random_share[i], self.random_likeness[i]
            ends = zip(null.max(0), alike.max(0), strict=True)
            rows.append([f"{len(null)} random networks", *(f"to {share:.0%} r to {r:+.3f}" for share, r in ends)])
            whole = self.parent(child)
            lines += [*columns(rows), f"over all of these layers: {whole or 'no parent among the candidates'}", ""]
        lines.append(
            "Share of traceable channels, and mean correlation of a channel with that of the same number; * the"
        )
        lines.append("nearest by correlation, where both are beyond every random network.")
        return "\n".join(lines)

    __str__ = text


def paternity(
    children: Mapping[str, nn.Module | LoadedModel],
    candidates: Mapping[str, nn.Module | LoadedModel],
    images: Tensor | ImageSet,
    layers: Sequence[str] | None = None,
    random_networks: int = 100,
    seed: int = 0,
    device: str | torch.device | None = None,
    progress: bool = False,
) -> Paternity:
    """Find for each child the candidate that it was trained from, at every layer.

    Args:
        children: networks of one architecture, by name, as `desali.lineage` takes them.
        candidates: the same; a child may be a candidate of the others, under its own name.
        images: float [N, C, *spatial], N >= 4, or an `ImageSet`; better none that a network was trained on.
        layers: as for `desali.lineage`; None: all ReLUs.
        random_networks: how many are drawn like the first child, each layer by its own initialisation; at least one, as
            without any a stranger would pass for a parent.
        seed: of the random weights.
        device: where the networks run; None: where they are.
        progress: show a bar over the images on stderr.

    Raises:
        DataError: nothing to compare, no random network, two architectures or kinds of preprocessing, too few images,
            NaN.
        UnknownNameError: no such layer.
    """
    import torch

    from desali.ops.device import resolve as find_device
    from desali.reversal.graph.structure import tensors

    if not children or any(not set(candidates) - {child} for child in children):
        raise DataError("paternity needs at least one child and one other candidate")
    check_asked(random_networks, seed, layers, least_random_networks=1)
    where = None if device is None else find_device(device)
    made = {name: subject(name, one, where) for name, one in {**candidates, **children}.items()}
    probe = probe_set(images, None, None, check_together(list(made.values())))
    first = made[next(iter(children))]
    device_, dtype = first.device, first.dtype
    sample = probe.tensor(np.arange(2)).to(device_, dtype)
    network = first.capture(sample)
    shared = [layer.name for layer in relu_inputs(network)]
    for name, one in made.items():
        if one is not first:
            known = common(network, one.capture(sample), (first.name, name))[0]
            shared = [layer for layer in shared if layer in known]
    chosen = shared if layers is None else [resolve(network, name, shared) for name in layers]
    channels = {layer.name: layer.channels for layer in relu_inputs(network) if layer.name in chosen}
    seeds = nulls.random_seeds(random_networks, seed)
    drawn = {f"random network {k}": nulls.random_network(first.model, one, True)[0] for k, one in enumerate(seeds, 1)}
    names = [*candidates, *drawn]
    sums = {name: Sums(name, channels, 1, device_, False) for name in (*made, *drawn)}
    products = {(child, name): Products(channels, 1, device_) for child in children for name in names}
    shown = bar(len(probe), progress)
    blocks = np.zeros(len(probe), np.int64)
    for batch, index in probe.batches([np.arange(len(probe))], blocks, BATCH, device_, dtype):
        captured = {name: one.capture(batch) for name, one in made.items()}
        block = torch.zeros(len(batch), dtype=torch.int64, device=device_)
        read = functools.partial(read_signals, images=batch, layers=channels, block=block)
        own = {name: read(captured[name], made[name].tensors, sums=sums[name]) for name in children}
        for name in names:
            if name in own:
                signals = own[name]
            elif name in made:
                signals = read(captured[name], made[name].tensors, sums=sums[name])
            else:
                signals = read(captured[first.name], tensors(drawn[name]), sums=sums[name])
            for child in children:
                if child != name:
                    for layer, z in signals.items():
                        products[child, name].add(layer, z, own[child][layer], blocks[index])
        shown.update(len(batch))
    shown.close()
    found = np.full((2, len(children), len(names), len(channels)), np.nan)
    for (i, child), (j, name), (k, layer) in (
        (a, b, c) for a in enumerate(children) for b in enumerate(names) for c in enumerate(channels) if a[1] != b[1]
    ):
        m = correlation(sums[name].moments(layer), sums[child].moments(layer), products[child, name].of(layer))
        found[:, i, j, k] = tracing.own_nearest(m).mean(), np.nan_to_num(np.diagonal(m)).mean()
    cut = len(candidates)
    return Paternity(
        tuple(channels),
        tuple(children),
        tuple(candidates),
        found[0, :, :cut],
        found[1, :, :cut],
        found[0, :, cut:],
        found[1, :, cut:],
        {
            "images": {"count": len(probe), "sha256": probe.fingerprint},
            "random": {"seed": seed, "seeds": list(seeds)},
        },
    )
