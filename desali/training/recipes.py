"""The four paths of transfer learning, as data: a recipe is a chain of stages, each on one domain of images."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
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
    "schedule": ("cosine", "step", "constant"),
    "augmentation": ("none", "mirror", "dihedral"),
    "criterion": ("loss", "balanced_accuracy"),
    "precision": ("fp32", "bf16", "fp16"),
}
TRANSFER_OPTIONS = ("mode", "unfreeze_every", "unfreeze_blocks", "layer_decay")
"""Options that say what a stage does with the features it starts from; they mean nothing without a stage before."""
TARGET_OPTIONS = ("noise_hu",)
"""Options for images in Hounsfield units, which the target alone may have."""
_LATER = (
    "milestones", "decay", "label_smoothing", "shift", "noise_hu", "precision", "unfreeze_every", "unfreeze_blocks",
    "layer_decay",
)  # fmt: skip
"""Fields that came after the first keys: a key names them only where they differ from their defaults."""
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
        schedule: "cosine" lets the rate fall to 0 over `epochs`, "step" multiplies it by `decay` after each epoch in
            `milestones`, "constant" keeps it.
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
        milestones: with the schedule "step", the epochs (from 1, rising) after which the rate falls.
        decay: factor of the schedule "step", in (0, 1].
        label_smoothing: share of the target probability spread evenly over all classes (Szegedy et al. 2016, section
            7), in [0, 1); in the training loss alone.
        shift: most pixels of the network's input by which an image is moved at random, down and across alone; the edge
            is repeated. 0 for none.
        noise_hu: standard deviation in HU of Gaussian noise on every pixel; needs images in Hounsfield units.
        precision: "fp32", "bf16" (mixed; CPU or CUDA) or "fp16" (mixed with loss scaling; CUDA alone). The weights are
            kept in float32.
        unfreeze_every: gradual unfreezing (Howard and Ruder 2018, section 3.3): the stage starts with the classifier
            alone, and after every so many epochs the next `unfreeze_blocks` blocks below are trained too; 0 trains
            everything from the start. See `desali.training.blocks` for what a block is.
        unfreeze_blocks: blocks added at a time.
        layer_decay: the rate of a block d steps below the classifier is multiplied by this to the power d, in (0, 1].
    """

    domain: Domain
    epochs: int = 12
    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: float = 1e-3
    momentum: float = 0.9
    weight_decay: float = 1e-2
    clip: float = 1.0
    schedule: Literal["cosine", "step", "constant"] = "cosine"
    batch_size: int = 64
    balance: bool = True
    augmentation: Literal["none", "mirror", "dihedral"] = "dihedral"
    mode: Mode = "fine_tuning"
    validation: float = 0.2
    criterion: Literal["loss", "balanced_accuracy"] = "balanced_accuracy"
    patience: int = 4
    weights: str | None = None
    milestones: tuple[int, ...] = ()
    decay: float = 0.1
    label_smoothing: float = 0.0
    shift: int = 0
    noise_hu: float = 0.0
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    unfreeze_every: int = 0
    unfreeze_blocks: int = 1
    layer_decay: float = 1.0

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise UnknownNameError(name, str(getattr(self, name)), choices)
        object.__setattr__(self, "milestones", tuple(self.milestones))
        for name in ("epochs", "batch_size", "patience", "unfreeze_blocks"):
            if getattr(self, name) < 1:
                raise DesaliError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("learning_rate", "clip"):
            if not 0 < getattr(self, name) < math.inf:
                raise DesaliError(f"{name} must be a number above 0, got {getattr(self, name)}")
        for name in ("validation", "momentum", "weight_decay", "label_smoothing"):
            if not 0 <= getattr(self, name) < 1:
                raise DesaliError(f"{name} must lie in [0, 1), got {getattr(self, name)}")
        for name in ("decay", "layer_decay"):
            if not 0 < getattr(self, name) <= 1:
                raise DesaliError(f"{name} must lie in (0, 1], got {getattr(self, name)}")
        for name in ("shift", "noise_hu", "unfreeze_every"):
            if not 0 <= getattr(self, name) < math.inf:
                raise DesaliError(f"{name} must be a number of at least 0, got {getattr(self, name)}")
        self._check_together()

    def _check_together(self) -> None:
        """Refuse options that contradict each other."""
        steps = self.milestones
        if any(step < 1 for step in steps) or list(steps) != sorted(set(steps)):
            raise DesaliError(f"milestones must be rising numbers of epochs, each at least 1, got {list(steps)}")
        if (self.schedule == "step") != bool(steps):
            raise DesaliError(
                "milestones and the schedule 'step' belong together: give both, for instance schedule step and "
                f"milestones 8,16; got schedule {self.schedule!r} and milestones {list(steps)}"
            )
        if self.mode == "feature_extraction" and self.unfreeze_every:
            raise DesaliError(
                f"unfreeze_every {self.unfreeze_every} needs the mode 'fine_tuning'; with 'feature_extraction' nothing "
                "below the classifier is ever trained"
            )


STAGE_OPTIONS = tuple(field.name for field in fields(Stage) if field.name not in ("domain", "weights"))
"""What `Recipe.with_options` sets."""


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

    def with_options(
        self, mode: Mode | None = None, *, domains: Mapping[str, Mapping[str, Any]] | None = None, **options: Any
    ) -> Recipe:
        """The recipe with fields of `Stage` set in every stage; `domains` (domain -> fields) win over `options`.

        `mode` and the other `TRANSFER_OPTIONS` go to the last stage alone, or to the stage that `domains` names, and
        only where a stage went before: a network without a parent has no features to keep or to unfreeze.
        `TARGET_OPTIONS` go to the target alone unless `domains` says otherwise. "weights" belongs in `domains` and does
        what `from_weights` does.

        Raises:
            UnknownNameError: no such field or domain. DesaliError: a value out of range.
        """
        if mode is not None:
            options["mode"] = mode
        for domain in domains or {}:
            if domain not in DOMAINS:
                raise UnknownNameError("domain", domain, DOMAINS)
        for table in (options, *(domains or {}).values()):
            known = STAGE_OPTIONS if table is options else (*STAGE_OPTIONS, "weights")
            for name in table:
                if name not in known:
                    raise UnknownNameError("stage option", name, known)
        stages = []
        for number, stage in enumerate(self.stages):
            last = number == len(self.stages) - 1
            given = {
                name: value
                for name, value in options.items()
                if (last or name not in TRANSFER_OPTIONS) and (stage.domain == "target" or name not in TARGET_OPTIONS)
            }
            given |= {name: v for name, v in (domains or {}).get(stage.domain, {}).items() if name != "weights"}
            stages.append(
                replace(stage, **{name: v for name, v in given.items() if number or name not in TRANSFER_OPTIONS})
            )
        made = replace(self, stages=tuple(stages))
        for stage in self.stages:
            weights = (domains or {}).get(stage.domain, {}).get("weights")
            made = made if weights is None else made.from_weights(stage.domain, weights)
        return made

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
    defaults = {field.name: field.default for field in fields(Stage)}
    named = asdict(stage)
    del named["weights"]  # such a stage has a key of its own, see `weights_key`
    for name in _LATER:
        if named[name] == defaults[name]:
            del named[name]
    parts = {
        "format": KEY_FORMAT,
        "stage": named,
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
