"""What the commands of this room can be told beside the options of a training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from desali.evaluation.options import ENOUGH, RESAMPLES
from desali.output.options import FROM_0, FROM_1, SEED, SHARE, Range, check_fields, option
from desali.reversal.methods import METHODS


@dataclass(frozen=True)
class CrossValidationOptions:
    """Options of both commands. Each field says what it is.

    Raises:
        DesaliError, UnknownNameError: a value that a field does not take.
    """

    folds: int | None = option(
        None,
        "Folds of whole patients.",
        range=Range(2),
        shown="leave one patient out, or the set's own parts train and test",
    )
    seeds: tuple[int, ...] | None = option(
        None, "Trainings, e.g. 0,1,2.", range=SEED, metavar="N,N,...", shown="the configuration's seed"
    )
    baselines: bool = option(
        True,
        "Also an SVM on texture features, the same on first-order statistics (mean, deviation, least and greatest "
        "value), and in HU thresholds on the densities.",
    )
    keep_weights: bool = option(False, "Keep every trained model under OUTPUT/models.")
    resamples: int = option(RESAMPLES, "Of the bootstrap over patients.", range=ENOUGH)

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True)
class RobustnessOptions(CrossValidationOptions):
    """Options of `desali robustness`."""

    fractions: tuple[float, ...] = option(
        (0.2, 0.4, 0.6, 0.8, 1.0), "Of the training data.", range=SHARE, metavar="X,X,..."
    )
    by: Literal["rois", "patients"] = option(
        "rois", "What a fraction is taken of: the ROIs of each class, or whole patients."
    )
    equal_steps: bool = option(
        True,
        "Train small fractions for as many steps as all of the data, or for as many epochs.",
        off="--equal-epochs",
    )


@dataclass(frozen=True)
class LineageOptions:
    """Options of `desali lineage`. Each field says what it is.

    Raises:
        DesaliError, UnknownNameError: a value that a field does not take.
    """

    images: str | None = option(
        None,
        "Images to look at, READER:PATH or PATH; their part 'test' where they state parts.",
        metavar="DATASET",
        shown="those that the recipe is evaluated on",
    )
    per_class: int = option(30, "Images of each class, drawn by --seed, the patients taking turns.", range=FROM_1)
    labels: bool = option(True, "Use the classes: as many images of each, class purity and linear probes.")
    layers: tuple[str, ...] | None = option(
        None, "ReLUs, layers before them, or containers.", metavar="NAME,...", shown="all ReLUs"
    )
    random_networks: int = option(5, "Networks with random weights to compare with; from 5 on a range.", range=FROM_0)
    seed: int = option(0, "Of the images drawn and of the random weights.", range=SEED)
    device: str = option("cpu", "cpu, cuda, cuda:N, or auto: a CUDA device if there is one.", metavar="DEVICE")
    allow_training_images: bool = option(
        False, "Also images that a stage was trained on or selected by; the figure and the notes then say so."
    )
    skip_unreadable: bool = option(False, "Leave out images that cannot be read; they are named.")
    colour: bool = option(False, "Leave images whose three channels are equal in colour; else they are grey.")

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True)
class ChannelsOptions(LineageOptions):
    """Options of `desali channels`; `layers` is not among its flags."""

    layer: str | None = option(None, "A ReLU, the layer before it, or a container.", metavar="NAME")
    channels: tuple[int, ...] = option(
        (), "Numbers of channels, e.g. 3,25,60.", range=FROM_0, metavar="N,N,...", shown="by the rule on the figure"
    )
    by: Literal["activation", "relevance"] = option(
        "activation", "What makes an answer strong; relevance, to the class contrast, is for one network."
    )
    method: str = option(
        "desalinet",
        f"How regions are reconstructed: one of {', '.join(METHODS)}.",
        choices=tuple(METHODS),
        metavar="METHOD",
    )


@dataclass(frozen=True)
class FollowOptions:
    """How the channels of a figure are followed from model to model. Each field says what it is."""

    follow: bool = option(
        True, "Show the same channel where it can be followed from model to model, and replicates where there are some."
    )
    images: str | None = option(
        None,
        "Images to follow channels on, READER:PATH or PATH; their part 'test' where they state parts.",
        metavar="DATASET",
        shown="those that trained recipes are evaluated on",
    )

    def __post_init__(self) -> None:
        check_fields(self)
