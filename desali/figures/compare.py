"""`desali.compare`: one image through several models, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from desali.errors import DataError
from desali.figures.figure import Figure
from desali.figures.layers import Layers
from desali.figures.sources import default_seed
from desali.figures.subjects import Classes, Models, Rules
from desali.figures.viewer import Settings, Viewer
from desali.reversal.methods import Method
from desali.reversal.seeds import Seed

if TYPE_CHECKING:
    import torch


def compare(
    models: Models,
    image: Any,
    layers: Layers | None = None,
    seed: Seed | None = None,
    method: str | Method | None = None,
    device: str | torch.device | None = None,
    *,
    preprocessing: Rules | None = None,
    classes: Classes | None = None,
    window: tuple[float, float] | None = None,
    scale: str = "panel",
    random_seed: int = 1,
    backend: str = "auto",
    title: str = "",
) -> Figure:
    """Show one image through several models: rows of layers, for each model its activations and reconstructions.

    Beside them stand the same network with random weights and an edge detector. Under each map stand its rank
    correlations with the other model's, the random network's, the input and the edges; `Figure.table` lists them. A
    layer whose activations and maps are the same bit by bit in all models is drawn once and called so.

    Args:
        models: two at least, name -> a `torch.nn.Module` in evaluation mode, or what `desali.load` returns. None of
            them is changed.
        image: what `desali.read_image` returns; a NumPy array H x W, H x W x 3 or C x H x W (uint8, floats in [0, 1],
            int16 in Hounsfield units); or a float tensor [C, H, W] or [1, C, H, W], which every model gets as it is.
            Grey is copied to as many channels as the network takes. Colour for a network of one channel is refused.
        layers: names for all models, or for models of different architectures a dict of equally long lists by model;
            None: the architecture's own choice, for others five ReLUs spread evenly over the depth.
        seed: what is projected; None: the whole layer's activations.
        method: a name of `desali.METHODS` or a `desali.Method`; None: "desalinet".
        device: "cpu", "cuda", "cuda:N" or "auto": copies of models that lie elsewhere run there. None: where they are.
        preprocessing: a `desali.data.preprocess.Preprocessing` for plain modules, or a dict of them by model. Without
            one, arrays are scaled to [0, 1] at their own size and not normalised; the footnote says so.
        classes: names of the classes of plain modules, a list for all or a dict of lists by model.
        window: (level, width) in HU instead of the models' own.
        scale: "panel" normalises every panel by itself, "row" all of a row together.
        random_seed: of the random network's weights.
        backend: "auto", "native" or "torch".
        title: instead of the image's name, the method and the seed.

    Raises:
        DataError: fewer than two models, no module, one model or the same weights twice, different architectures
            without layers for each. ImageError: an image that does not fit.
        DesaliError: a model in training mode, or models on different devices. SeedError: a seed that fits no layer.
        UnknownNameError: no such layer, method or device.
    """
    settings = Settings(
        layers=layers,
        seed=default_seed() if seed is None else seed,
        method="desalinet" if method is None else method,
        window=window,
        scale=scale,
        random_seed=random_seed,
        backend=backend,
        device=device,
        preprocessing=preprocessing,
        classes=classes,
    )
    return comparing(models, settings).figure(image, title)


def comparing(models: Models, settings: Settings) -> Viewer:
    """A viewer of several models that differ.

    Raises:
        DataError: fewer than two, or one of them twice; see `compare` for the others.
    """
    if len(models) == 1 and hasattr(models, "keys"):
        raise DataError(
            f"compare needs two models, got one ({next(iter(models))}): use desali.show (or the command visualize)"
        )
    return Viewer(models, settings, different=True)
