"""What a figure's record and captions say of seeds, models, predictions and controls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from desali.comparison.networks import as_loaded
from desali.errors import DataError
from desali.figures.block import Seen
from desali.figures.subjects import Shown
from desali.models.modules import fingerprint
from desali.reversal.methods import Method
from desali.reversal.seeds import Seed

if TYPE_CHECKING:
    from desali.reversal.recording import Seeds


def seed_words(seed: Seeds, classes: Sequence[str]) -> str:
    """The seed in words; a class by its name."""
    if not isinstance(seed, Seed):
        return "; ".join(seed_words(one, classes) for one in seed)
    if seed.kind in ("logit", "contrast") and seed.target is None and seed.channel_index < len(classes):
        return f"{seed.describe()} ({classes[seed.channel_index]})"
    return seed.describe()


def method_words(method: str | Method) -> str:
    """The method as it was named, or by its three bits."""
    return method if isinstance(method, str) else method.corner


def predicted(subject: Shown, seen: Seen) -> dict[str, Any] | None:
    """The most probable class: its name where names are known, its place and probability; all None if NaN comes out.

    Raises:
        DataError: other classes were given than the model has outputs.
    """
    probabilities = seen.look.probabilities
    if probabilities is None:
        return None
    if subject.plain and subject.classes and len(subject.classes) != len(probabilities):
        raise DataError(
            f"{subject.name} has {len(probabilities)} outputs, but {len(subject.classes)} class names were given"
        )
    if not bool(probabilities.isfinite().all()):
        return {"class": None, "index": None, "probability": None}
    index = int(probabilities.argmax())
    known = len(subject.classes) == len(probabilities)
    return {
        "class": subject.classes[index] if known else None,
        "index": index,
        "probability": float(probabilities[index]),
    }


def prediction_words(prediction: Mapping[str, Any] | None) -> str:
    """A prediction as a figure prints it."""
    if prediction is None:
        return ""
    if prediction["index"] is None:
        return "predicts nothing (NaN)"
    name = prediction["class"] if prediction["class"] is not None else f"class {prediction['index']}"
    probability = prediction["probability"]
    return f"predicts {name} ({'< 0.01' if probability < 0.005 else f'{probability:.2f}'})"


def model_facts(subject: Shown, seen: Seen) -> dict[str, Any]:
    """A model in the record of a figure."""
    probabilities = seen.look.probabilities
    softmax = None
    if probabilities is not None and len(subject.classes) == len(probabilities):
        softmax = dict(zip(subject.classes, probabilities.tolist(), strict=True))
    sha256 = subject.card.get("weights_sha256") or fingerprint(subject.model)
    return {
        "path": None if subject.path is None else str(subject.path),
        "weights": subject.weights,
        "weights_sha256": sha256,
        "architecture": subject.architecture,
        "recipe": subject.card.get("recipe"),
        "preprocessing": subject.rule.to_dict(),
        "preprocessing_origin": subject.rule_origin,
        "device": str(subject.device),
        "softmax": softmax,
        **as_loaded(subject.card),
    }


def control_facts(
    seed: int, networks: int, architecture: str, control_of: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    """The random networks in the record of a figure: the first one's seed, how many, and whose controls they are."""
    of = {name: list(labels) for name, labels in control_of.items()}
    return {"random_seed": seed, "networks": networks, "architecture": architecture, "of": of}
