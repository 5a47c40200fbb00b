"""What figures need to know about models that desali did not train: layers to show, colour order, provenance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from desali.errors import DataError, MethodError
from desali.models.checkpoint import LoadedModel
from desali.models.registry import ARCHITECTURES

if TYPE_CHECKING:
    from torch import nn

    from desali.comparison.views import Look
    from desali.reversal.graph.network import Network
    from desali.reversal.seeds import Seed

SHOWN = 5


def check_one_architecture(models: Mapping[str, LoadedModel]) -> str:
    """The architecture that all of the models have.

    Raises:
        DataError: they differ.
    """
    first, *others = models
    architecture = str(models[first].card["architecture"])
    for name in others:
        other = str(models[name].card["architecture"])
        if other != architecture:
            raise DataError(
                f"{name} is {other}, but {first} is {architecture}: layers and the random control are comparable "
                "within one architecture only; show them in separate figures"
            )
    return architecture


def default_layers(model: LoadedModel, seed: Seed | None = None) -> tuple[str, ...]:
    """The architecture's own choice of layers; where there is none, five ReLUs spread evenly over the depth.

    For a logit seed it is the network's output alone, the only layer where classes are.

    Raises:
        MethodError: the network holds no ReLU.
    """
    architecture = str(model.card["architecture"])
    if seed is not None and seed.kind == "logit":
        return (_network(model).layers[-1],)
    if architecture in ARCHITECTURES:  # others' networks say in their card what to show, or nothing
        return ARCHITECTURES[architecture].show
    if model.card.get("show"):
        return tuple(model.card["show"])
    spatial = [node.name for node in _network(model).relus() if len(node.shape) == 3]
    if not spatial:
        raise MethodError(f"{architecture}: holds no ReLU with positions to show by default; name layers with --layers")
    return spread(spatial, SHOWN)


def _network(model: LoadedModel) -> Network:
    import torch

    from desali.reversal.graph.capture import capture

    own = model.preprocessing
    return capture(model.model, torch.zeros(1, own.channels, own.size, own.size))


def spread(names: Sequence[str], count: int) -> tuple[str, ...]:
    """`count` of the names, the first and the last among them, at even distances; all of them if there are fewer."""
    if len(names) <= count:
        return tuple(names)
    return tuple(names[round(index * (len(names) - 1) / (count - 1))] for index in range(count))


def in_rgb(look: Look, model: LoadedModel) -> Look:
    """The views with their maps' channels in the order red, green, blue, whatever the network's order is."""
    if model.preprocessing.channel_order != "bgr":
        return look
    return replace(look, views=[replace(view, maps=view.maps.flip(1)) for view in look.views])


def not_redrawn(model: nn.Module) -> list[str]:
    """Parameters that the random control keeps, because their modules cannot draw them anew."""
    if callable(getattr(model, "initialise", None)):
        return []
    return [
        f"{path}.{name}" if path else name
        for path, module in model.named_modules()
        if not callable(getattr(module, "reset_parameters", None))
        for name, _ in module.named_parameters(recurse=False)
    ]


def provenance(models: Mapping[str, LoadedModel]) -> str:
    """What the models were trained on, in a sentence or two; random weights are called so, and incomplete controls."""
    random = [name for name, model in models.items() if model.path is None]
    trained = [model for model in models.values() if model.path is not None]
    origins = sorted({str(model.card.get("origin", "unknown")) for model in trained})
    said = [f"Models trained on: {', '.join(origins)} data."] if trained else []
    if random:
        said.append(f"RANDOM WEIGHTS, nothing was learned: {', '.join(random)}.")
    kept = not_redrawn(next(iter(models.values())).model)
    if kept:
        said.append(f"The random control keeps {len(kept)} parameters that it cannot draw anew, such as {kept[0]}.")
    return " ".join(said)
