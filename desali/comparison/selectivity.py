"""Do a layer's channels answer to edges or to patterns? An index for every channel, with a control and an interval.

The claim that natural images leave detectors of edges, and textures detectors of patterns, is that of Suzuki et al.
(arXiv 1810.06282, section 5). The index is the usual contrast of two mean responses, (E - P) / (E + P).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from desali.comparison.stimuli import edges, patterns
from desali.errors import DataError
from desali.output.columns import columns

if TYPE_CHECKING:
    import torch
    from torch import nn

    from desali.data.preprocess import Preprocessing

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class LayerSelectivity:
    """How much one layer of one model prefers edges to patterns.

    Attributes:
        model, layer: their names.
        channels: that answer to anything; `silent` answer to nothing and take no part.
        mean: mean index over the channels, from -1 (patterns alone) to 1 (edges alone); `low` and `high` are its 95 %
            interval from a bootstrap over the stimuli, which says nothing about other trainings.
        share: of the channels whose index is above 0.
    """

    model: str
    layer: str
    channels: int
    silent: int
    mean: float
    low: float
    high: float
    share: float

    def to_dict(self) -> dict[str, Any]:
        """JSON-serialisable."""
        return asdict(self)


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
        recording = record(model, images[start : start + 16], keep="activations")
        for layer in layers:
            values = recording.activation(layer).flatten(2) if recording.activation(layer).dim() > 2 else None
            flat = recording.activation(layer) if values is None else values.amax(2)
            found[layer].append(flat.clamp(min=0).double().cpu().numpy())
    return {layer: np.concatenate(parts) for layer, parts in found.items()}


def index(edge: Floats, pattern: Floats) -> Floats:
    """(E - P) / (E + P) of each channel [C] from responses [n, C] and [m, C]; NaN where both are 0."""
    e, p = edge.mean(0), pattern.mean(0)
    total = e + p
    return np.asarray(np.divide(e - p, total, out=np.full(total.shape, np.nan), where=total > 0))


def selectivity(
    models: Mapping[str, tuple[nn.Module, Preprocessing]],
    layers: Sequence[str],
    *,
    resamples: int = 500,
    seed: int = 0,
    device: str | torch.device | None = None,
) -> list[LayerSelectivity]:
    """The preference of each layer of each model; the stimuli are drawn at each model's input size.

    Args:
        models: name -> (network, its preprocessing); add `desali.comparison.controls.randomised` networks as controls.
        layers: ReLU layers by name.
        resamples: of the stimuli, edges and patterns apart; at least 1.
        seed: of the resamples.
        device: where the networks run, as `desali.ops.device.resolve` takes it; None: where each of them is.

    Raises:
        DataError: no models or layers. UnknownNameError: no such layer. DesaliError: a device that is not there.
    """
    from desali.ops.device import moved

    if not models or not layers:
        raise DataError("nothing to ask: give at least one model and one layer")
    result = []
    for name, (module, preprocessing) in models.items():
        model = moved(module, device)
        edge = responses(model, preprocessing, layers, edges(preprocessing.size))
        pattern = responses(model, preprocessing, layers, patterns(preprocessing.size))
        for layer in layers:
            result.append(_summary(name, layer, edge[layer], pattern[layer], resamples, seed))
    return result


def _summary(model: str, layer: str, edge: Floats, pattern: Floats, resamples: int, seed: int) -> LayerSelectivity:
    values = index(edge, pattern)
    answers = ~np.isnan(values)
    if not answers.any():
        return LayerSelectivity(model, layer, 0, len(values), 0.0, 0.0, 0.0, 0.0)
    rng = np.random.default_rng(seed)
    means = []
    for _ in range(resamples):
        drawn = index(edge[rng.integers(0, len(edge), len(edge))], pattern[rng.integers(0, len(pattern), len(pattern))])
        means.append(np.nanmean(drawn[answers]))
    low, high = np.quantile(means, [0.025, 0.975])
    count = int(answers.sum())
    mean, share = float(values[answers].mean()), float((values[answers] > 0).mean())
    return LayerSelectivity(model, layer, count, len(values) - count, mean, float(low), float(high), share)


def format_selectivity(found: Sequence[LayerSelectivity]) -> str:
    """A table: a row a layer, a column a model, mean index with its interval."""
    models = list(dict.fromkeys(one.model for one in found))
    layers = list(dict.fromkeys(one.layer for one in found))
    cells = {(one.model, one.layer): one for one in found}
    rows = [["layer", *models]]
    for layer in layers:
        row = [layer]
        for model in models:
            one = cells[model, layer]
            silent = f", {one.silent} silent" if one.silent else ""
            row.append(f"{one.mean:+.2f} ({one.low:+.2f} to {one.high:+.2f}{silent})")
        rows.append(row)
    return "\n".join(columns(rows))
