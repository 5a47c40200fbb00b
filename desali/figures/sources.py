"""What figures decide about models: layers and seed shown by default, colour order, controls, provenance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from desali.comparison.views import class_layer
from desali.data.preprocess import Preprocessing
from desali.errors import DataError, DesaliError, MethodError
from desali.figures.inputs import Rule
from desali.figures.subjects import Shown
from desali.models.modules import kind_of, shapes_of
from desali.models.registry import ARCHITECTURES
from desali.reversal.seeds import Seed

if TYPE_CHECKING:
    from torch import Tensor, nn

    from desali.comparison.views import Look
    from desali.reversal.graph.network import Network
    from desali.reversal.recording import Seeds

SHOWN = 5
MOST_RANDOM = 8
RANDOM = "random weights"
"""The label of a random control."""


def default_layers(subject: Shown, seed: Seeds | None = None, image: Tensor | None = None) -> tuple[str, ...]:
    """The architecture's own choice of layers; where there is none, five ReLUs spread evenly over the depth.

    The first and the last ReLU with positions are among the five. For a logit or contrast seed it is the network's
    output alone, the only layer where classes are.

    Args:
        image: [C, H, W], the network's input; not needed for models with a preprocessing of their own.

    Raises:
        MethodError: the network holds no ReLU.
    """
    if isinstance(seed, Seed) and seed.kind in ("logit", "contrast"):
        network = _network(subject, image)
        return (class_layer(network) or network.layers[-1],)
    if subject.architecture in ARCHITECTURES:  # others' networks say in their card what to show, or nothing
        return ARCHITECTURES[subject.architecture].show
    if subject.card.get("show"):
        return tuple(subject.card["show"])
    return spread_relus(_network(subject, image), subject.architecture)


def spread_relus(network: Network, architecture: str) -> tuple[str, ...]:
    """Five ReLUs with positions, spread evenly over the depth.

    Raises:
        MethodError: there are none.
    """
    spatial = [node.name for node in network.relus() if len(node.shape) == 3]
    if not spatial:
        raise MethodError(f"{architecture}: holds no ReLU with positions to show by default; name them (layers=)")
    return spread(spatial, SHOWN)


def _network(subject: Shown, image: Tensor | None) -> Network:
    import torch

    from desali.reversal.graph.capture import capture

    if image is None:
        own = subject.rule
        assert isinstance(own, Preprocessing)  # a plain module takes images of any size: one must be given
        image = torch.zeros(own.channels, own.size, own.size)
    return capture(subject.model, image.unsqueeze(0).to(subject.device))


def spread(names: Sequence[str], count: int) -> tuple[str, ...]:
    """`count` of the names, the first and the last among them, at even distances; all of them if there are fewer."""
    if len(names) <= count:
        return tuple(names)
    return tuple(names[round(index * (len(names) - 1) / (count - 1))] for index in range(count))


def in_rgb(look: Look, rule: Rule) -> Look:
    """The views with their maps' channels in the order red, green, blue, whatever the network's order is."""
    if getattr(rule, "channel_order", "rgb") != "bgr":
        return look
    views = [replace(view, maps=view.maps.flip(1)) for view in look.views]
    against = look.contrast
    return replace(look, views=views, contrast=against and replace(against, maps=against.maps.flip(1)))


@dataclass(frozen=True, eq=False)
class Control:
    """A network with random weights.

    Attributes:
        model: the random twin.
        of: the model whose architecture it has.
    """

    model: nn.Module
    of: Shown


def controls(found: Sequence[Shown], seed: int, count: int = 1) -> tuple[dict[str, list[Control]], str]:
    """Random twins of each architecture.

    Args:
        seed: of the first one's weights; the next one's is one more.
        count: how many of each.

    Returns:
        by model the controls that have its architecture; and in words which are missing and why.

    Raises:
        DataError: a seed that is no whole number from 0 to 2^63 - 1.
    """
    from desali.comparison.controls import randomised

    if isinstance(seed, bool) or not hasattr(seed, "__index__") or not 0 <= int(seed) < 2**63:
        raise DataError(f"random_seed must be a whole number from 0 to 2^63 - 1, got {seed!r}")

    if isinstance(count, bool) or not hasattr(count, "__index__") or not 0 <= int(count) <= MOST_RANDOM:
        raise DataError(f"random_networks must be a whole number from 0 to {MOST_RANDOM}, got {count!r}")
    made: dict[object, list[Control]] = {}
    own: dict[str, list[Control]] = {}
    missing: list[str] = []
    for subject in found:
        kind = (kind_of(subject.model), shapes_of(subject.model))
        if kind not in made:
            try:
                seeds = [(int(seed) + k) % 2**63 for k in range(int(count))]
                made[kind] = [Control(randomised(subject.model, one), subject) for one in seeds]
            except DesaliError as error:
                missing.append(f"No random control for {subject.name}: {error}.")
                continue
        own[subject.name] = made[kind]
    return own, " ".join(missing)


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


def provenance(found: Sequence[Shown]) -> str:
    """What the models were trained on, in a sentence or two; random weights are called so, and incomplete controls."""
    random = [one.name for one in found if one.weights == "random"]
    trained = [one for one in found if one.weights == "file"]
    origins = sorted({str(one.card.get("origin", "unknown")) for one in trained})
    said = [f"Models trained on: {', '.join(origins)} data."] if trained else []
    modules = [one.name for one in found if one.weights == "module"]
    if modules:
        said.append(f"Given as modules, which do not say what they were trained on: {', '.join(modules)}.")
    if random:
        said.append(f"RANDOM WEIGHTS, nothing was learned: {', '.join(random)}.")
    said += dict.fromkeys(kept_words(one.model) for one in found)
    return " ".join(part for part in said if part)


def kept_words(model: nn.Module) -> str:
    """A sentence on what the random control of the model keeps; "" where it keeps nothing."""
    kept = not_redrawn(model)
    return (
        f"The random control keeps {len(kept)} parameters that it cannot draw anew, such as {kept[0]}." if kept else ""
    )
