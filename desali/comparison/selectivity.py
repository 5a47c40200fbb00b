"""Do a layer's channels answer to edges or to patterns? An index for every channel, beside that of random networks.

The claim that natural images leave detectors of edges, and textures detectors of patterns, is that of Suzuki et al.
(arXiv 1810.06282, section 5). The index is the usual contrast of two mean responses, (E - P) / (E + P). Its neutral
value is not 0 but what networks with random weights show, and that varies from network to network and layer to layer:
an index inside their range shows no preference that was learned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from desali.comparison.controls import randomised
from desali.comparison.nulls import random_seeds
from desali.comparison.stimuli import edges, patterns
from desali.errors import DataError
from desali.output.columns import columns

if TYPE_CHECKING:
    import torch
    from torch import nn

    from desali.data.preprocess import Preprocessing

Floats = npt.NDArray[np.float64]


RANDOM_NETWORKS = 10
"""Fewer do not show how far the index of random weights strays."""

Trained = tuple["nn.Module", "Preprocessing"]


@dataclass(frozen=True)
class LayerSelectivity:
    """How much one layer of one training prefers edges to patterns.

    Attributes:
        model, layer: their names.
        training: which of the model's trainings, from 1.
        channels: that answer to anything; `silent` answer to nothing and take no part.
        mean: mean index over the channels, from -1 (patterns alone) to 1 (edges alone); `low` and `high` are its 95 %
            interval from a bootstrap over the stimuli, which says nothing about other trainings. NaN where all channels
            are silent.
        share: of the channels whose index is above 0.
        random: mean index of each random network.
        random_silent: silent channels of each random network.
    """

    model: str
    layer: str
    training: int
    channels: int
    silent: int
    mean: float
    low: float
    high: float
    share: float
    random: tuple[float, ...]
    random_silent: tuple[int, ...]

    @property
    def inside_random(self) -> bool:
        """Whether the mean lies in the range of the random networks, or cannot be compared with it."""
        known = [value for value in self.random if not np.isnan(value)]
        return bool(np.isnan(self.mean)) or not known or min(known) <= self.mean <= max(known)

    def to_dict(self) -> dict[str, Any]:
        """JSON-serialisable."""
        found = {**asdict(self), "inside_random": self.inside_random}
        for name in ("mean", "low", "high", "share"):
            found[name] = None if np.isnan(found[name]) else found[name]
        return {**found, "random": [None if np.isnan(value) else value for value in self.random]}


def responses(
    model: nn.Module, preprocessing: Preprocessing, layers: Sequence[str], pictures: Any
) -> dict[str, Floats]:
    """The strongest positive answer of every channel to each picture, layer -> [n, C].

    Args:
        model: in evaluation mode.
        layers: names as `desali.record` gives them.
        pictures: uint8 [n, h, w].

    Raises:
        UnknownNameError: no such layer.
    """
    from desali.ops.device import device_of
    from desali.reversal.recording import record

    images = preprocessing.apply_batch(pictures, "uint8").to(device_of(model))
    found: dict[str, list[Floats]] = {layer: [] for layer in layers}
    for start in range(0, len(images), 16):
        recording = record(model, images[start : start + 16], keep=layers)
        for layer, values in recording.activations(layers).items():
            flat = values.flatten(2).amax(2) if values.dim() > 2 else values
            found[layer].append(flat.clamp(min=0).double().cpu().numpy())
    return {layer: np.concatenate(parts) for layer, parts in found.items()}


def index(edge: Floats, pattern: Floats) -> Floats:
    """(E - P) / (E + P) of each channel [C] from responses [n, C] and [m, C]; NaN where both are 0."""
    e, p = edge.mean(0), pattern.mean(0)
    total = e + p
    return np.asarray(np.divide(e - p, total, out=np.full(total.shape, np.nan), where=total > 0))


def selectivity(
    models: Mapping[str, Trained | Sequence[Trained]],
    layers: Sequence[str],
    *,
    random_networks: int = RANDOM_NETWORKS,
    resamples: int = 500,
    seed: int = 0,
    device: str | torch.device | None = None,
) -> list[LayerSelectivity]:
    """The preference of each layer of each training; the stimuli are drawn at each model's input size.

    Args:
        models: name -> (network, its preprocessing), or a list of such pairs, one a training; one architecture.
        layers: ReLU layers by name.
        random_networks: how many copies of the first network with weights drawn anew stand beside; at least 10.
        resamples: of the stimuli, edges and patterns apart; at least 1.
        seed: of the resamples and of the random weights.
        device: where the networks run, as `desali.ops.device.resolve` takes it; None: where each of them is.

    Raises:
        DataError: no models or layers, or fewer than 10 random networks. UnknownNameError: no such layer. DesaliError:
            a device that is not there.
    """
    from desali.ops.device import moved

    if not models or not layers:
        raise DataError("nothing to ask: give at least one model and one layer")
    if random_networks < RANDOM_NETWORKS:
        raise DataError(
            f"{random_networks} random networks do not show the range of the index; ask for {RANDOM_NETWORKS} or more"
        )
    trained = {name: [given] if isinstance(given, tuple) else list(given) for name, given in models.items()}
    module, preprocessing = next(iter(trained.values()))[0]
    null = []
    for one in random_seeds(random_networks, seed):
        twin = moved(randomised(module, one), device)
        asked = [responses(twin, preprocessing, layers, draw(preprocessing.size)) for draw in (edges, patterns)]
        null.append({layer: _mean(index(asked[0][layer], asked[1][layer])) for layer in layers})
    result = []
    for name, trainings in trained.items():
        for number, (module, preprocessing) in enumerate(trainings, 1):
            model = moved(module, device)
            edge = responses(model, preprocessing, layers, edges(preprocessing.size))
            pattern = responses(model, preprocessing, layers, patterns(preprocessing.size))
            for layer in layers:
                means, silent = zip(*(one[layer] for one in null), strict=True)
                found = _summary(edge[layer], pattern[layer], resamples, seed)
                result.append(LayerSelectivity(name, layer, number, *found, means, silent))
    return result


def _mean(values: Floats) -> tuple[float, int]:
    """Mean index of the channels that answer (NaN if none does), and how many do not."""
    answers = ~np.isnan(values)
    return float(values[answers].mean()) if answers.any() else float("nan"), int((~answers).sum())


def _summary(edge: Floats, pattern: Floats, resamples: int, seed: int) -> tuple[int, int, float, float, float, float]:
    """Channels that answer, silent ones, mean, low, high, share."""
    values = index(edge, pattern)
    mean, silent = _mean(values)
    answers = ~np.isnan(values)
    nothing = float("nan")
    if not answers.any():
        return 0, silent, nothing, nothing, nothing, nothing
    rng = np.random.default_rng(seed)
    means = []
    for _ in range(resamples):
        drawn = index(edge[rng.integers(0, len(edge), len(edge))], pattern[rng.integers(0, len(pattern), len(pattern))])
        means.append(np.nanmean(drawn[answers]))
    low, high = np.quantile(means, [0.025, 0.975])
    return int(answers.sum()), silent, mean, float(low), float(high), float((values[answers] > 0).mean())


def format_selectivity(found: Sequence[LayerSelectivity]) -> str:
    """A table, a row a layer, and under it what the index does not support.

    A model with one training has its interval over the stimuli, one with several the range of its trainings. Beside
    them stands the range of the random networks.
    """
    models = list(dict.fromkeys(one.model for one in found))
    layers = list(dict.fromkeys(one.layer for one in found))
    cells = {(model, layer): [one for one in found if (one.model, one.layer) == (model, layer)]
             for model in models for layer in layers}  # fmt: skip
    first = found[0]
    rows = [["layer", *models, f"{len(first.random)} random networks"]]
    for layer in layers:
        one = cells[models[0], layer][0]
        known = [value for value in one.random if not np.isnan(value)]
        span = f"{_signed(min(known))} to {_signed(max(known))}" if known else "-"
        rows.append([layer, *(_cell(cells[model, layer]) for model in models), span + _silent(one.random_silent)])
    inside = [f"{model} at {layer}" for (model, layer), trainings in cells.items()
              if any(one.inside_random for one in trainings)]  # fmt: skip
    lines = columns(rows)
    if inside:
        lines.append(f"Inside the range of the random networks, so no preference by this index: {', '.join(inside)}.")
    if any(len(trainings) == 1 for trainings in cells.values()):
        lines.append("One training of a model says nothing of another training of the same recipe.")
    return "\n".join(lines)


def _cell(trainings: Sequence[LayerSelectivity]) -> str:
    silent = _silent([one.silent for one in trainings])
    means = [one.mean for one in trainings if not np.isnan(one.mean)]
    if not means:
        return f"-{silent}"
    if len(trainings) == 1:
        (one,) = trainings
        return f"{_signed(one.mean)} ({_signed(one.low)} to {_signed(one.high)}){silent}"
    return f"{_signed(float(np.mean(means)))} ({', '.join(map(_signed, means))}; {len(trainings)} trainings){silent}"


def _silent(counts: Sequence[int]) -> str:
    low, high = min(counts), max(counts)
    return "" if not high else f", {low} silent" if low == high else f", {low} to {high} silent"


def _signed(value: float) -> str:
    return f"{value:+.2f}"
