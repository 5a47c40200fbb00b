"""`desali.compare`: one image through several models, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from desali.errors import DataError
from desali.figures.figure import Figure
from desali.figures.layers import Layers
from desali.figures.settings import Settings
from desali.figures.subjects import Classes, Models, Rules
from desali.figures.viewer import Viewer
from desali.reversal.methods import Method
from desali.reversal.seeds import Seed

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from desali.data.imageset import ImageSet


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
    images: Tensor | ImageSet | None = None,
    groups: Sequence[Any] | None = None,
    replicates: Mapping[str, Any] | None = None,
    random_networks: int = 2,
    contrast: bool = True,
    label: int | str | None = None,
    colour: bool = False,
) -> Figure:
    """Show one image through several models: a row of class contrast, then rows of layers, and what tells them apart.

    The first row shows for every model what speaks for one class and against the others: the image's own class where
    `label` says it, else the one that the first model predicts. The layers' rows show activations beside
    reconstructions, by default of one channel: the first model's strongest on this image, with `images` the strongest
    that has a counterpart in another model, shown as the same channel in all models where it can be followed and as
    each model's own strongest elsewhere; the caption says which.

    Beside them stand networks with random weights and an edge detector. Under each row stands how alike the maps are:
    of every two models, beside what the random networks reach; `Figure.table` lists it. A layer whose activations and
    maps are the same bit by bit in all models is drawn once and called so, and the figure says where weights are equal.

    Args:
        models: two at least, name -> a `torch.nn.Module` in evaluation mode, or what `desali.load` returns. None of
            them is changed.
        image: what `desali.read_image` returns; a NumPy array H x W, H x W x 3 or C x H x W (uint8, floats in [0, 1],
            int16 in Hounsfield units); or a float tensor [C, H, W] or [1, C, H, W], which every model gets as it is.
            Grey is copied to as many channels as the network takes. Colour for a network of one channel is refused.
        layers: names for all models, or for models of different architectures a dict of equally long lists by model;
            None: the architecture's own choice, for others five ReLUs spread evenly over the depth.
        seed: what is projected; None: one channel, see above. `Seed.layer()` is the whole layer, whose maps are about
            as alike between trained networks as between random ones.
        method: of the layers' rows, a name of `desali.METHODS` or a `desali.Method`; None: "desalinet", of a contrast
            seed "gradient".
        device: "cpu", "cuda", "cuda:N" or "auto": copies of models that lie elsewhere run there. None: where they are.
        preprocessing: a `desali.data.preprocess.Preprocessing` for plain modules, or a dict of them by model. Without
            one, arrays are scaled to [0, 1] at their own size and not normalised; the footnote says so.
        classes: names of the classes of plain modules, a list for all or a dict of lists by model.
        window: (level, width) in HU instead of the models' own.
        scale: "panel" normalises every panel by itself, "row" all of a row together.
        random_seed: of the first random network's weights.
        backend: "auto", "native" or "torch".
        title: instead of the image's name, the method and the seed.
        images: to follow channels from model to model, better none that a model was trained on: a float tensor
            [N, C, H, W] as the networks take it, N >= 4, or an `ImageSet`. None: ancestry is not measured.
        groups: the patient of each of these images; None: those of the `ImageSet`.
        replicates: name of a model -> a network of the same training with another seed, or a list: the noise floor.
        random_networks: how many networks with random weights stand beside, 0 to 8.
        contrast: whether there is a row of class contrast.
        label: the image's own class, by name or number.
        colour: leave an image whose three channels are equal in colour; else it is grey, and its maps are summed over
            the channels.

    Raises:
        DataError: fewer than two models, no module, one model or the same weights twice, different architectures
            without layers for each. ImageError: an image that does not fit.
        DesaliError: a model in training mode, or models on different devices. SeedError: a seed that fits no layer.
        UnknownNameError: no such layer, method or device.
    """
    settings = Settings(
        layers=layers,
        seed=seed,
        method=method,
        window=window,
        scale=scale,
        random_seed=random_seed,
        backend=backend,
        device=device,
        preprocessing=preprocessing,
        classes=classes,
        random_networks=random_networks,
        contrast=contrast,
        label=label,
        colour=colour,
    )
    return comparing(models, settings, replicates=replicates, images=images, groups=groups).figure(image, title)


def comparing(
    models: Models,
    settings: Settings,
    *,
    replicates: Mapping[str, Any] | None = None,
    images: Tensor | ImageSet | None = None,
    groups: Sequence[Any] | None = None,
    said: str = "",
) -> Viewer:
    """A viewer of several models that differ.

    Raises:
        DataError: fewer than two, or one of them twice; see `compare` for the others.
    """
    if len(models) == 1 and hasattr(models, "keys"):
        raise DataError(
            f"compare needs two models, got one ({next(iter(models))}): use desali.show (or the command visualize)"
        )
    return Viewer(models, settings, different=True, replicates=replicates, images=images, groups=groups, said=said)
