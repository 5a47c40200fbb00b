"""The four paths of transfer learning, as data: a recipe is a chain of stages, each on one domain of images."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from desali.errors import DesaliError, UnknownNameError, look_up

Domain = Literal["natural", "texture", "target"]
Mode = Literal["fine_tuning", "feature_extraction"]

DOMAINS: tuple[Domain, ...] = ("natural", "texture", "target")
MODES: tuple[Mode, ...] = ("fine_tuning", "feature_extraction")
OPTIMIZERS = ("adamw", "sgd")
_CHOICES: dict[str, tuple[str, ...]] = {
    "domain": DOMAINS,
    "mode": MODES,
    "optimizer": OPTIMIZERS,
    "schedule": ("cosine", "constant"),
    "augmentation": ("none", "mirror", "dihedral"),
    "criterion": ("loss", "balanced_accuracy"),
}
KEY_FORMAT = 3
"""Raise it when a change of the training code changes the weights that the same configuration gives."""


@dataclass(frozen=True)
class Stage:
    """One training run on one domain. None of the defaults is published for the source paper; all are options here.

    Attributes:
        domain: which images: "natural", "texture" or "target".
        epochs: most epochs to train; one epoch draws as many images as the training part holds.
        optimizer: "adamw" (converges in few epochs) or "sgd" (the published training: momentum 0.9, rate 0.005).
        learning_rate: at the first epoch.
        momentum: of SGD; the first beta of AdamW.
        weight_decay: of all trained parameters; decoupled in AdamW, an L2 penalty in SGD.
        clip: largest Euclidean norm of the gradient; a longer one is scaled down to it.
        schedule: "cosine" lets the rate fall to 0 over `epochs`, "constant" keeps it.
        batch_size: images a step.
        balance: draw every class with equal probability (with replacement); else a random permutation.
        augmentation: "none", "mirror" (left-right) or "dihedral" (flips and right-angle rotations, all eight alike).
        mode: after a transfer, train everything ("fine_tuning") or only the classifier ("feature_extraction").
        validation: share of the images held out, by whole groups, for early stopping; 0 trains all epochs.
        criterion: what early stopping watches on the held-out groups: "balanced_accuracy" or class-balanced "loss".
            With few groups the loss rises from overconfidence while accuracy still grows, and would stop too early.
        patience: epochs without improvement after which the stage stops; the best epoch's weights are kept.
        weights: a weights file that takes the place of training this stage, for instance ImageNet's for "natural"; it
            must fit the architecture, its number of classes is free. The other fields then mean nothing.
    """

    domain: Domain
    epochs: int = 12
    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: float = 1e-3
    momentum: float = 0.9
    weight_decay: float = 1e-2
    clip: float = 1.0
    schedule: Literal["cosine", "constant"] = "cosine"
    batch_size: int = 64
    balance: bool = True
    augmentation: Literal["none", "mirror", "dihedral"] = "dihedral"
    mode: Mode = "fine_tuning"
    validation: float = 0.2
    criterion: Literal["loss", "balanced_accuracy"] = "balanced_accuracy"
    patience: int = 4
    weights: str | None = None

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise UnknownNameError(name, str(getattr(self, name)), choices)
        for name in ("epochs", "batch_size", "patience"):
            if getattr(self, name) < 1:
                raise DesaliError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("learning_rate", "clip"):
            if not 0 < getattr(self, name) < math.inf:
                raise DesaliError(f"{name} must be a number above 0, got {getattr(self, name)}")
        for name in ("validation", "momentum", "weight_decay"):
            if not 0 <= getattr(self, name) < 1:
                raise DesaliError(f"{name} must lie in [0, 1), got {getattr(self, name)}")


@dataclass(frozen=True)
class Recipe:
    """A named chain of stages; each stage starts from the feature layers of the one before.

    Attributes:
        name: its name on the command line and under `runs`.
        title: what it is called in tables.
        stages: first to last; the last is on the target.
    """

    name: str
    title: str
    stages: tuple[Stage, ...]

    def with_options(self, mode: Mode | None = None, **options: Any) -> Recipe:
        """The recipe with fields of `Stage` set in every stage.

        `mode` goes to the last stage alone and only where one went before: pretraining always trains everything, and a
        network without a parent has no features to extract.
        """
        stages = [replace(stage, **options) for stage in self.stages]
        if mode is not None and len(stages) > 1:
            stages[-1] = replace(stages[-1], mode=mode)
        return replace(self, stages=tuple(stages))

    def from_weights(self, domain: Domain, weights: str) -> Recipe:
        """The recipe with its stage on `domain`, if any, taken from a weights file; those before it fall away."""
        if domain == "target":
            raise DesaliError(
                "the target stage is what a recipe trains; only natural and texture can come from weights"
            )
        for number, stage in enumerate(self.stages):
            if stage.domain == domain:
                return replace(self, stages=(replace(stage, weights=weights), *self.stages[number + 1 :]))
        return self


_NATURAL = Stage("natural", epochs=20, augmentation="mirror")
_TEXTURE = Stage("texture", epochs=20)
_TARGET = Stage("target")

RECIPES: dict[str, Recipe] = {
    entry.name: entry
    for entry in (
        Recipe("scratch", "no transfer", (_TARGET,)),
        Recipe("texture", "one stage, texture", (_TEXTURE, _TARGET)),
        Recipe("natural", "one stage, natural images", (_NATURAL, _TARGET)),
        Recipe("two_stage", "two stages, natural images then texture", (_NATURAL, _TEXTURE, _TARGET)),
    )
}
"""The recipes of Suzuki et al. (arXiv 1810.06282)."""


def recipe(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        UnknownNameError: there is none; the message suggests the nearest.
    """
    return look_up("recipe", name, RECIPES)


def stage_key(
    stage: Stage, *, architecture: str, preprocessing: dict[str, Any], data: str, seed: int, parent: str | None
) -> str:
    """Sixteen hexadecimal digits that name everything a stage's weights depend on.

    `data` is the image set's fingerprint, `parent` the key of the stage before. Two recipes that need the same stage
    get the same key, so it is trained once.
    """
    fields = asdict(stage)
    del fields["weights"]  # such a stage has a key of its own, see `weights_key`
    parts = {
        "format": KEY_FORMAT,
        "stage": fields,
        "architecture": architecture,
        "preprocessing": preprocessing,
        "data": data,
        "seed": seed,
        "parent": parent,
    }
    return _digest(parts)


def weights_key(domain: Domain, *, architecture: str, weights: str) -> str:
    """The same for a stage whose weights come from a file; `weights` is the file's SHA-256."""
    return _digest({"format": KEY_FORMAT, "domain": domain, "architecture": architecture, "weights": weights})


def _digest(parts: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
