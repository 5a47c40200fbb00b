"""Initial weights: what a stage starts from, and the same again from a finished stage's card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from desali.models.checkpoint import LoadedModel, versions
from desali.models.modules import fingerprint
from desali.models.registry import Architecture
from desali.models.registry import architecture as find_architecture
from desali.training.seeding import derive

if TYPE_CHECKING:
    from torch import Tensor, nn


def fresh_model(
    architecture: Architecture, classes: int, seed: int, domain: str, parent: dict[str, Tensor] | None
) -> nn.Module:
    """A network for `domain`: new weights, then the parent's feature layers if there is one.

    New weights depend on seed and domain alone, so all recipes start the target's classifier from the same values.
    torch's generator is left as it was.
    """
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(derive(seed, domain, "initial weights"))
        model = architecture.build(classes, architecture.in_channels)
    if parent is not None:
        kept = {name: value for name, value in parent.items() if not architecture.is_classifier(name)}
        model.load_state_dict({**model.state_dict(), **kept})
    return model


def initial(card: Mapping[str, Any]) -> tuple[LoadedModel | None, str | None]:
    """The weights that a recipe's first stage started from, drawn again from the card of that stage.

    Returns:
        The network, in evaluation mode, and None where the card proves that it holds the same bits; else a sentence on
        what is not shown. No network where the card proves that this machine draws other weights.
    """
    stage = card["stage"]
    features, seed = card.get("features_seed"), int(card["seed"])
    entry = find_architecture(card["architecture"])
    classes = len(card["classes"])
    start = None if features is None else fresh_model(entry, classes, int(features), stage["domain"], None).state_dict()
    model = fresh_model(entry, classes, seed, stage["domain"], start).eval()
    drawn = fingerprint(model)
    known = card.get("initial_sha256", drawn)
    with_torch = f"torch {card.get('versions', {}).get('torch', 'of unknown version')} then, {versions()['torch']} now"
    if known != drawn:
        return None, (
            f"The initial weights of the stage {stage['title']} cannot be made again here: its seed gives others "
            f"({with_torch}), so it is not compared with them."
        )
    shared = {name: card[name] for name in ("architecture", "classes", "preprocessing", "in_channels") if name in card}
    about = {"stage": {"title": "initial weights"}, "seed": seed, "origin": "none", "weights_sha256": drawn}
    doubt = (
        f"The initial weights were drawn again from the seed ({with_torch}); the card keeps no hash of them, so that "
        "they are the same bit for bit is not shown."
    )
    return LoadedModel(model, {**shared, **about}, None), None if "initial_sha256" in card else doubt
