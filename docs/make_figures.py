"""Make the pictures of these pages again: `python docs/make_figures.py`.

DESALI_DATA names the folder of real data, with SqueezeNet's weights in squeezenet/squeezenet_v1_0_decoded.npz. The
photograph is one that scikit-image ships; desali itself does not need that package.
"""

from __future__ import annotations

import io
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import desali
from desali.comparison.controls import likeness, randomised
from desali.data.preprocess import Preprocessing
from desali.figures import grid
from desali.figures.drawing.display import display_map, display_positive, scale_text
from desali.figures.drawing.edges import edge_map
from desali.figures.drawing.panel import Column, Grid, Panel
from desali.models import load
from desali.output.files import write_bytes

HERE = Path(__file__).parent
LAYER = "fire9.expand_relu"
RULES = {
    "T{}T": "ReLU mask\nand ReLU backward",
    "F{}T": "ReLU backward\nalone",
    "T{}F": "ReLU mask\nalone",
    "F{}F": "neither\nof them",
}
ALSO = {"TTT": "DeSaliNet", "FTT": "DeconvNet", "TTF": "saliency"}
SEED = 1
COLOURS = 256


@dataclass(frozen=True, eq=False)
class Photograph:
    """The network's input [1, 3, 227, 227] and the same as a picture [227, 227, 3] in [0, 1]."""

    images: Any
    picture: npt.NDArray[np.float64]


def photograph(own: Preprocessing) -> Photograph:
    """The square in the middle of scikit-image's photograph of a cat (CC0)."""
    from skimage import data

    cat: Any = data.chelsea
    pixels = cat()
    left = (pixels.shape[1] - pixels.shape[0]) // 2
    square = pixels[:, left : left + pixels.shape[0]]
    picture = Preprocessing(own.size).apply(square, "uint8").permute(1, 2, 0).double().numpy()
    return Photograph(own.apply(square, "uint8").unsqueeze(0), picture)


def corners(weights: Path) -> Grid:
    """All eight corners from one layer, each beside the same network with random weights."""
    loaded = load("squeezenet1_0", weights=weights)
    shown = photograph(loaded.preprocessing)
    recordings = [desali.record(model, shown.images) for model in (loaded.model, randomised(loaded.model, SEED))]
    channels = [int(recording.activation(LAYER)[0].amax((1, 2)).argmax()) for recording in recordings]
    seeds = [desali.Seed.channel(channel) for channel in channels]
    edges = edge_map(shown.picture)
    rows: list[list[Panel | None]] = []
    for bits in RULES:
        row: list[Panel | None] = [None]
        for switches in "TF":
            name = bits.format(switches)
            maps = [
                recording.reconstruct(LAYER, seed, name)[0, 0].flip(0).numpy()  # blue, green, red to red, green, blue
                for recording, seed in zip(recordings, seeds, strict=True)
            ]
            planes = [map.sum(0) for map in maps]
            pixels, a = display_map(maps[0], colour=True)
            rho = f"rho random {likeness(*planes):.2f}, edges {likeness(planes[0], edges, magnitude=True):.2f}"
            title = f"{name} {ALSO.get(name, '')}".strip()
            row.append(Panel(pixels, f"{title}: {scale_text('a', a)}\n{rho}", "reconstruction"))
            pixels, a = display_map(maps[1], colour=True)
            rho = f"rho edges {likeness(planes[1], edges, magnitude=True):.2f}"
            row.append(Panel(pixels, f"{name}, random weights: {scale_text('a', a)}\n{rho}", "reconstruction"))
        rows.append(row)
    rows[0][0] = Panel(shown.picture, "the network's input", "input")
    rows[1][0] = Panel(display_positive(edges)[0], "edge detector (control)", "control")
    columns = [Column("")] + [
        Column(label, group)
        for group in ("pooling switches on (T in the middle)", "switches off: the window's centre (F in the middle)")
        for label in ("ImageNet weights", "random weights")
    ]
    first, second = channels
    lines = (
        f"SqueezeNet 1.0, {LAYER}: the channel with the strongest neuron ({first}; with random weights {second}).",
        "Its activations are the seed. Photograph: Chelsea the cat, from scikit-image, CC0.",
        "rho is the rank correlation, after a slight blur, with the map of the same network with random weights, and",
        "the edge detector: where it is high, the picture says little about what was learned. It explains no decision.",
    )
    return Grid(
        list(RULES.values()),
        columns,
        rows,
        "Eight corners of one reversal: rows are what a ReLU does on the way back",
        "\n".join(lines),
    )


def save(figure: Grid, path: Path, dpi: int) -> None:
    """Write the figure as a PNG with a palette, which is a third of its size."""
    from PIL import Image

    full = path.with_suffix(".full.png")
    try:
        grid.save(figure, full, dpi)
        with Image.open(full) as picture:
            reduced = picture.convert("RGB").quantize(COLOURS, kmeans=2, dither=Image.Dither.NONE)
    finally:
        full.unlink(missing_ok=True)
    target = io.BytesIO()
    reduced.save(target, "PNG", optimize=True)
    write_bytes(path, target.getvalue())


def main() -> None:
    """Make every figure."""
    folder = os.environ.get("DESALI_DATA")
    weights = Path(folder or "") / "squeezenet" / "squeezenet_v1_0_decoded.npz"
    if not folder or not weights.is_file():
        sys.exit(f"{weights}: no such weights file; set DESALI_DATA to the folder of real data")
    path = HERE / "images" / "corners.png"
    save(corners(weights), path, 100)
    print(f"{path}: {path.stat().st_size // 1024} KB")


if __name__ == "__main__":
    main()
