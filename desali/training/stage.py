"""One stage of training as data: on which images, how long, with what. Its fields are the options of a stage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from desali.errors import DesaliError, UnknownNameError
from desali.output.options import ABOVE_0, BELOW_1, FROM_0, FROM_1, SHARE, check_fields, option, options_of

Domain = Literal["natural", "texture", "target"]

DOMAINS: tuple[Domain, ...] = ("natural", "texture", "target")
TRANSFER_OPTIONS = ("mode", "unfreeze_every", "unfreeze_blocks", "layer_decay")
"""Options that say what a stage does with the features it starts from; they mean nothing without a stage before."""
TARGET_OPTIONS = ("noise_hu",)
"""Options for images in Hounsfield units, which the target alone may have."""


@dataclass(frozen=True)
class Stage:
    """One training run on one domain. None of the defaults is published for the source paper; all are options here.

    `domain` says which images. The other fields are options, and each says what it is. `weights` takes the place of the
    training; the other fields then mean nothing.

    Raises:
        UnknownNameError: none of the words that a field takes. DesaliError: out of range, or options that contradict
            each other.
    """

    domain: Domain
    epochs: int = option(
        24,
        "Epochs; one draws as many images as the training part holds. Early stopping, if asked for, may end it before.",
        range=FROM_1,
        shown="50 for natural, 60 for texture, 24 for the target",
    )
    optimizer: Literal["adamw", "sgd"] = option(
        "adamw",
        "adamw converges in few epochs; sgd is the published training (momentum 0.9, rate 0.005).",
    )
    learning_rate: float = option(
        1e-3, "At the first epoch.", range=ABOVE_0, shown="0.003 for vgg-small, 0.001 for other networks"
    )
    momentum: float = option(0.9, "Of sgd; the first beta of adamw.", range=BELOW_1)
    weight_decay: float = option(
        1e-2, "Of all trained parameters; decoupled in adamw, an L2 penalty in sgd.", range=BELOW_1
    )
    clip: float = option(
        1.0, "Largest Euclidean norm of the gradient; a longer one is scaled down to it.", range=ABOVE_0
    )
    schedule: Literal["cosine", "step", "constant"] = option(
        "cosine",
        "cosine lets the rate fall to 0 over the epochs; step multiplies it by decay after each of the milestones.",
    )
    batch_size: int = option(64, "Images a step, over all devices together.", range=FROM_1)
    balance: bool = option(
        True, "Draw every class with equal probability, with replacement; else a random permutation."
    )
    augmentation: Literal["none", "mirror", "dihedral"] = option(
        "dihedral",
        "mirror flips left and right; dihedral takes all eight flips and right-angle rotations alike.",
        shown="mirror for natural, else dihedral",
    )
    mode: Literal["fine_tuning", "feature_extraction"] = option(
        "fine_tuning",
        "What the target stage trains after a transfer: everything, or the classifier alone (statistics of the frozen "
        "batch norm stay as they are).",
    )
    validation: float = option(
        0.2,
        "Share of the images held out to choose the epoch by, by whole patients; 0 keeps the last.",
        range=BELOW_1,
    )
    criterion: Literal["loss", "balanced_accuracy"] = option(
        "balanced_accuracy",
        "What chooses the epoch, and what early stopping watches. With few patients the loss rises from overconfidence "
        "while the accuracy still grows, and would choose too early.",
    )
    patience: int = option(
        0,
        "Epochs without improvement that end a stage before its schedule does; 0 for none. The best epoch's weights "
        "are kept.",
        range=FROM_0,
        shown="0: every stage runs to the end of its schedule",
    )
    weights: str | None = option(
        None,
        "Weights that stand for the stage, for instance ImageNet's; they must fit the architecture, their number of "
        "classes is free. Stages before it fall away.",
        metavar="FILE",
        flag=("--natural-weights", "--texture-weights"),
    )
    milestones: tuple[int, ...] = option(
        (), "Epochs after which the step schedule falls: rising, from 1.", range=FROM_1, metavar="N,N,..."
    )
    decay: float = option(0.1, "Factor of the step schedule.", range=SHARE)
    label_smoothing: float = option(
        0.0,
        "Share of the target probability spread evenly over all classes (Szegedy et al. 2016, section 7), in the "
        "training loss alone.",
        range=BELOW_1,
    )
    shift: int = option(
        4,
        "Most pixels of the network's input by which an image is moved at random, down and across; the edge is "
        "repeated.",
        range=FROM_0,
    )
    gain: float = option(
        0.1,
        "An image's contrast about mid-grey is multiplied by a random number in [1 / (1 + gain), 1 + gain].",
        range=FROM_0,
        shown="0.3 for pretraining, 0.1 for the target",
    )
    offset: float = option(
        0.02,
        "Most by which an image becomes brighter or darker at random, as a share of the range from black to white.",
        range=BELOW_1,
        shown="0.15 for pretraining, 0.02 for the target",
    )
    noise_hu: float = option(
        0.0,
        "Standard deviation in HU of Gaussian noise on every pixel, brought to the input through window and scale and "
        "kept inside the window. For the target alone; refused for display values.",
        range=FROM_0,
    )
    precision: Literal["fp32", "bf16", "fp16"] = option(
        "fp32",
        "bf16 (CPU, CUDA) and fp16 (CUDA, with loss scaling) are mixed; the weights stay float32.",
    )
    unfreeze_every: int = option(
        0,
        "Gradual unfreezing (Howard and Ruder 2018, section 3.3): the classifier first, and after every so many epochs "
        "the next blocks below; 0 trains everything from the start.",
        range=FROM_0,
    )
    unfreeze_blocks: int = option(1, "Blocks that are added at a time.", range=FROM_1)
    layer_decay: float = option(
        1.0, "The rate of a block d steps below the classifier is multiplied by this to the power d.", range=SHARE
    )

    def __post_init__(self) -> None:
        if self.domain not in DOMAINS:
            raise UnknownNameError("domain", str(self.domain), DOMAINS)
        check_fields(self)
        self._check_together()

    def _check_together(self) -> None:
        """Refuse options that contradict each other."""
        steps = self.milestones
        if list(steps) != sorted(set(steps)):
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


STAGE_OPTIONS = tuple(name for name in options_of(Stage) if name != "weights")
"""What `Recipe.with_options` sets."""
