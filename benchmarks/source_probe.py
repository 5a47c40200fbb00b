"""Is a source stage worth something to the target? A linear probe on frozen features, beside ten random networks.

    python -m benchmarks.source_probe

For the source stages that the package carries: balanced accuracy of a linear probe (`desali.comparison.probe`, on mean
and maximum of every channel) on the synthetic evaluation ROIs, over folds of whole patients, with its interval by
patient. Random networks are the architecture's initial weights from ten seeds; their
batch normalisation is given the mean and variance of the same images, which makes them stronger than raw ones.
"""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import Tensor, nn

from desali.comparison.probe import Task, balanced_accuracy, task
from desali.data import synthetic
from desali.data.preprocess import Preprocessing
from desali.evaluation.jackknife import logit_interval
from desali.experiments.carried import FOLDER, SOURCES
from desali.models.checkpoint import load
from desali.models.registry import DEFAULT, architecture

LAYERS = ("features.relu3", "features.relu5", "features.relu6")
NETWORKS = 10
BATCH = 128


def descriptors(model: nn.Module, images: Tensor) -> dict[str, np.ndarray]:
    """Mean and maximum of every channel of `LAYERS`, of each image [n, 2C]."""
    found: dict[str, list[Tensor]] = {name: [] for name in LAYERS}
    modules = dict(model.named_modules())

    def keep(name: str) -> torch.utils.hooks.RemovableHandle:
        return modules[name].register_forward_hook(
            lambda *given: found[name].append(torch.cat([given[2].mean((2, 3)), given[2].amax((2, 3))], 1))
        )

    handles = [keep(name) for name in LAYERS]
    with torch.inference_mode():
        for part in images.split(BATCH):
            model(part)
    for handle in handles:
        handle.remove()
    return {name: torch.cat(parts).double().numpy() for name, parts in found.items()}


def random_network(seed: int, images: Tensor) -> nn.Module:
    """Initial weights from a seed; batch normalisation with the statistics of the images."""
    with torch.random.fork_rng():
        torch.manual_seed(1_000_003 + seed)
        model = copy.deepcopy(architecture(DEFAULT).build(2, images.shape[1]))
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # a plain mean over batches
            module.reset_running_stats()
    model.train()
    with torch.no_grad():
        for part in images.split(BATCH):
            model(part)
    return model.eval()


def probed(model: nn.Module, images: Tensor, asked: Task) -> dict[str, tuple[float, np.ndarray]]:
    """Balanced accuracy of each layer, and the same without each patient."""
    return {name: balanced_accuracy(values, asked) for name, values in descriptors(model, images).items()}


def main() -> None:
    """Print a row for each stage and layer."""
    _, rois = synthetic.target()
    patients = np.unique(rois.patients, return_inverse=True)[1]
    asked = task(rois.labels, patients, patients)
    assert asked is not None
    images = Preprocessing(**architecture(DEFAULT).preprocessing).apply_batch(rois.images, rois.unit)
    none = [probed(random_network(seed, images), images, asked) for seed in range(NETWORKS)]
    print(f"{'stage':<20} {'layer':<16} {'probe':>6} {'95 %':>12}   {NETWORKS} random networks")
    for stem, _ in SOURCES.values():
        loaded = load(FOLDER / f"{stem}.safetensors")
        for layer, (value, left_out) in probed(loaded.model, images, asked).items():
            low, high = logit_interval(value, left_out, len(asked.labels))
            ends = "-" if np.isnan(low) else f"{low:.2f}-{high:.2f}"
            others = [one[layer][0] for one in none]
            print(f"{stem:<20} {layer:<16} {value:>6.3f} {ends:>12}   {min(others):.3f} to {max(others):.3f}")


if __name__ == "__main__":
    main()
