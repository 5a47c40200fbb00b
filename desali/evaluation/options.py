"""What `desali evaluate` can be told beside the models and the files that it reads and writes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from desali.output.options import SEED, Range, check_fields, option

RESAMPLES = 2000
"""Of the bootstrap over patients, unless another number is asked for."""
ENOUGH = Range(100)


@dataclass(frozen=True)
class EvaluationOptions:
    """Options of an evaluation. Each field says what it is.

    Raises:
        DesaliError, UnknownNameError: a value that a field does not take.
    """

    resamples: int = option(RESAMPLES, "Of the bootstrap over patients.", range=ENOUGH)
    seed: int = option(0, "Of the bootstrap and the baselines.", range=SEED)
    device: str = option("cpu", "Where the networks run; auto: a CUDA device if there is one.", metavar="DEVICE")
    format: Literal["text", "csv", "latex", "json"] = option("text", "Of what is printed, or written to --output.")
    target: str | None = option(
        None,
        "Images to evaluate on, READER:PATH or PATH.",
        metavar="SPEC",
        shown="the part 'test' of the data that was trained on",
    )
    skip_unreadable: bool = option(False, "Leave out images that cannot be read; they are named.")
    baseline: bool = option(False, "Also train texture features + SVM and HU thresholds, without networks.")

    def __post_init__(self) -> None:
        check_fields(self)
