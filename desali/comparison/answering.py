"""One pass over the images for one layer of some networks: what every channel answers to most strongly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from desali.comparison.channel_statistics import RESOLUTION, Moments, Sums
from desali.comparison.following import MOST_BLOCKS
from desali.comparison.jackknife import half_width
from desali.comparison.networks import Subject
from desali.comparison.probe_set import ProbeSet
from desali.comparison.relevance import relevance
from desali.comparison.relu_inputs import ReluInput, relu_inputs
from desali.comparison.strongest import Ranking, Strongest
from desali.comparison.sweep import bar, batch_size

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from desali.reversal.graph.network import Network
    from desali.reversal.layers.base import Node

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Answers:
    """What one network's channels answer to.

    Attributes:
        name: of the network.
        layer: where.
        strongest: images of each channel; places in the set that was passed.
        moments: sums of the signals, by block of patients.
        relevance: sums over positions of activation times gradient of the class contrast, by block [B, C], and
            `images` by block [B]; None where channels are ranked by activation.
    """

    name: str
    layer: ReluInput
    strongest: Strongest
    moments: Moments
    relevance: Floats | None
    images: Floats

    @property
    def deviation(self) -> Floats:
        """Standard deviation of each channel's signal [C]; 1 for a channel that is constant."""
        n = self.moments.count.sum()
        mean = self.moments.total.sum(0) / n
        variance = self.moments.square.sum(0) / n - mean**2
        return np.asarray(np.where(variance > RESOLUTION * (variance + mean**2), np.sqrt(np.maximum(variance, 0)), 1.0))


class _Runner:
    """One network while the images stream by."""

    def __init__(self, subject: Subject, layer: str, blocks: int, device: torch.device, classes: Integers | None):
        self.subject = subject
        self.layer = layer
        self.blocks = blocks
        self.device = device
        self.classes = classes
        self.found: ReluInput | None = None

    def start(self, network: Network) -> None:
        import torch

        self.found = next(item for item in relu_inputs(network) if item.name == self.layer)
        channels = self.found.channels
        self.sums = Sums(self.subject.name, {self.layer: channels}, self.blocks, self.device)
        self.ranking = Ranking(channels, self.device)
        self.relevance = torch.zeros(self.blocks, channels, dtype=torch.float64, device=self.device)
        self.images = torch.zeros(self.blocks, dtype=torch.float64, device=self.device)

    def add(self, images: Tensor, index: Integers, patients: npt.NDArray[np.str_], block: Tensor) -> Tensor:
        """Run one batch, and return the channels' signals [C, N, P]."""
        import torch

        from desali.reversal.graph.quiet import quiet
        from desali.reversal.graph.run import run

        network = self.subject.capture(images)
        if self.found is None:
            self.start(network)
        assert self.found is not None
        values: dict[int, Tensor] = {}

        def observe(node: Node, value: Tensor) -> None:
            if node.index == source:
                values[source] = value

        source, tensors = self.found.source, self.subject.tensors
        with quiet(images.device):
            run(network, tensors, images, None, observe, source)
        z = self.sums.add(self.layer, values[source], block)
        ranked = values[source]
        self.images.index_add_(0, block, torch.ones(len(images), dtype=torch.float64, device=self.device))
        if self.classes is not None:
            ranked = relevance(network, tensors, images, self.found.index, self.classes[index])
            total = ranked.to(torch.float64).flatten(2).sum(2) if ranked.dim() > 2 else ranked.to(torch.float64)
            self.relevance.index_add_(0, block, total)
        flat = ranked.reshape(*ranked.shape[:2], -1)
        value, position = flat.max(2)
        self.ranking.add(value, position, index, patients)
        return z

    def answers(self) -> Answers:
        assert self.found is not None
        own = None if self.classes is None else self.relevance.cpu().numpy()
        return Answers(
            self.subject.name,
            self.found,
            self.ranking.found(),
            self.sums.moments(self.layer),
            own,
            self.images.cpu().numpy(),
        )


def answers(
    subjects: Sequence[Subject],
    probe: ProbeSet,
    layer: str,
    classes: Integers | None = None,
    progress: bool = False,
    advance: Callable[[int], None] = lambda count: None,
) -> tuple[list[Answers], Floats]:
    """Run every network once over the images.

    Args:
        layer: name of the ReLU.
        classes: the output of each image's class [N]: channels are then ranked by relevance, else by activation.
        progress: show a bar over the images on stderr.
        advance: is told how many more images are about to be run.

    Returns:
        Of each network, and the sums of products of each channel's signals in the first two, by block [B, C]; zeros
        for a single network.

    Raises:
        DataError: NaN or infinity in an image or a signal.
    """
    import torch

    first = subjects[0]
    device, dtype = first.device, first.dtype
    blocks = probe.blocks(MOST_BLOCKS)
    count = int(blocks.max()) + 1
    runners = [_Runner(one, layer, count, device, classes) for one in subjects]
    sample = first.capture(probe.tensor(np.arange(2)).to(device, dtype))
    inputs = [item for item in relu_inputs(sample) if item.name == layer]
    size = batch_size(sample, inputs, dtype)
    products = torch.zeros(count, inputs[0].channels, dtype=torch.float64, device=device)
    keys = [(str(patient), mark) for patient, mark in zip(probe.patients, probe.hashes, strict=True)]
    order = np.array(sorted(range(len(probe)), key=keys.__getitem__), np.int64)
    shown = bar(len(probe), progress)
    for images, index in probe.read(order, size, device, dtype):
        shown.update(len(images))
        advance(len(images))
        block = torch.from_numpy(blocks[index]).to(device)
        signals: list[Any] = [one.add(images, index, probe.patients[index], block) for one in runners]
        if len(subjects) > 1:
            products.index_add_(0, block, (signals[0] * signals[1]).sum(2).T.contiguous())
    shown.close()
    return [one.answers() for one in runners], products.cpu().numpy()


def own_correlation(
    first: Moments, second: Moments, products: Floats
) -> tuple[Floats, list[tuple[float, float] | None]]:
    """The correlation of each channel with itself in another network [C], and its 95 % interval by patient.

    The interval is a delete-one jackknife (see `desali.comparison.jackknife`); None with fewer than two blocks, or for
    a channel that is constant (whose correlation is NaN).

    Args:
        products: by block [B, C].
    """

    def of(keep: npt.NDArray[np.bool_]) -> Floats:
        n = first.count[keep].sum()
        means = [sums.total[keep].sum(0) / n for sums in (first, second)]
        squares = [sums.square[keep].sum(0) / n for sums in (first, second)]
        variances = [square - mean**2 for square, mean in zip(squares, means, strict=True)]
        known = [variance > RESOLUTION * square for variance, square in zip(variances, squares, strict=True)]
        covariance = products[keep].sum(0) / n - means[0] * means[1]
        scale = np.sqrt(np.maximum(variances[0], 0) * np.maximum(variances[1], 0))
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(np.where(known[0] & known[1], np.clip(covariance / scale, -1, 1), np.nan))

    blocks = len(products)
    everything = np.ones(blocks, bool)
    r = of(everything)
    if blocks < 2:
        return r, [None] * len(r)
    without = np.array([of(everything & (np.arange(blocks) != k)) for k in range(blocks)])
    half = half_width(without)
    found: list[tuple[float, float] | None] = [
        None
        if np.isnan(value) or np.isnan(width)
        else (max(-1.0, float(value - width)), min(1.0, float(value + width)))
        for value, width in zip(r, half, strict=True)
    ]
    return r, found
