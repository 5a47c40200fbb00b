"""The whole job, drawing included: a figure for each model and region of interest, five layers, nine neurons each."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from benchmarks.baselines import Autograd, Captum, strongest
from benchmarks.compiled import if_installed
from benchmarks.context import Context, Result, Target
from benchmarks.jobs import CAPTUM, OURS
from benchmarks.measuring import Candidate, compare
from benchmarks.models import Net, build
from desali.figures.settings import Settings
from desali.figures.viewer import Viewer
from desali.reversal.seeds import Seed

WITH_MATPLOTLIB = f"{CAPTUM} + matplotlib"
DPI = 110
Maps = list[list[dict[str, Tensor]]]


def _ours(viewers: Sequence[Viewer], images: Tensor, folder: Path) -> Maps:
    found = []
    for number, viewer in enumerate(viewers):
        rows = []
        for place, image in enumerate(images):
            block = viewer.look(image)
            viewer.figure(image, block=block).save(folder / f"{number}-{place}.png", dpi=DPI)
            rows.append({view.layer: view.maps for view in next(iter(block.models.values())).look.views})
        found.append(rows)
    return found


def _theirs(
    captum: Sequence[Captum], forward: Sequence[Autograd], images: Tensor, layers: list[str], k: int, folder: Path
) -> Maps:
    found = []
    for number, (maps_of, net) in enumerate(zip(captum, forward, strict=True)):
        rows = []
        for place, image in enumerate(images.split(1)):
            outputs = net.forward(image, layers)[1]
            picks = {layer: strongest(outputs[layer], k) for layer in layers}
            maps = {layer: made[0] for layer, made in maps_of.top(image, layers, picks).items()}
            _draw(image[0], outputs, maps, picks, folder / f"{number}-{place}-other.png")
            rows.append(maps)
        found.append(rows)
    return found


def _draw(
    image: Tensor, outputs: dict[str, Tensor], maps: dict[str, Tensor], picks: dict[str, Tensor], path: Path
) -> None:
    """As people draw it: subplots, `imshow`, a title each."""
    from matplotlib.figure import Figure

    count = next(iter(maps.values())).shape[0]
    figure = Figure(figsize=(12, 1.6 * len(maps)), dpi=DPI)
    axes = figure.subplots(len(maps), count + 2, squeeze=False)
    for row, (layer, parts) in zip(axes, maps.items(), strict=True):
        row[0].imshow(_unit(image).permute(1, 2, 0).numpy())
        row[1].imshow(outputs[layer][0].detach().abs().mean(0).numpy())
        row[1].set_title(layer, fontsize=6)
        for k, (one, part) in enumerate(zip(row[2:], parts, strict=True)):
            one.imshow(_unit(part.sum(0)).numpy(), cmap="gray")
            one.set_title(f"{picks[layer][0, :, k].tolist()}\n±{float(part.abs().max()):.3g}", fontsize=6)
        for one in row:
            one.set_axis_off()
    figure.savefig(path)


def _unit(values: Tensor) -> Tensor:
    low, high = values.min(), values.max()
    return (values - low) / (high - low).clamp_min(1e-12)


def drawn(context: Context) -> list[Result]:
    """Figures of the small CaffeNet: each model's five layers on each ROI, computed, drawn and written."""
    models, rois, k = context.pick((4, 32, 9), (1, 4, 9), (1, 2, 2))
    share = context.pick((1, 2), (1, 1), (1, 1))
    nets: list[Net] = [build("caffenet-small", seed=seed, device=context.device) for seed in range(models)]
    layers = list(nets[0].convolutions)
    images = nets[0].images(rois, device=context.device)
    settings = Settings(layers=layers, seed=Seed.top(k), random_networks=0, contrast=False)
    viewers = [Viewer({f"model {number}": net.module}, settings) for number, net in enumerate(nets)]
    captum, forward = ([made(net) for net in nets[: share[0]]] for made in (Captum, Autograd))
    few, each = images[: share[1]], len(layers) * k
    total, part = models * rois * each, share[0] * share[1] * each
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        known = Candidate(
            WITH_MATPLOTLIB,
            lambda: _theirs(captum, forward, few, layers, k, folder),
            part=lambda maps: [found[: share[1]] for found in maps[: share[0]]],
            units=part,
            note=f"on {share[0]} model(s) and {share[1]} ROIs, {part} maps: compare the times per map",
        )
        loop, absent = if_installed("captum", known)
        own = Candidate(OURS, lambda: _ours(viewers, images, folder), units=total, note="with likeness and edges")
        entries = compare("drawn", [own, *loop], context.effort("figure"))
    job = f"figures drawn: {models} model(s) x {len(layers)} layers x top-{k} x {rois} ROIs, {models * rois} PNG files"
    facts = {"network": "caffenet-small", "image": nets[0].size, "models": models, "rois": rois, "maps": total}
    targets = [Target((WITH_MATPLOTLIB,), 20, 40)]
    job = f"{job} (caffenet-small, {nets[0].size} px)"
    return [Result("drawn", "time", job, (OURS,), entries + absent, targets, facts)]
