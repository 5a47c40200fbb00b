"""How commands load the networks that they are given by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from desali.errors import WeightsError
from desali.output.options import FROM_1, check_fields, option

if TYPE_CHECKING:
    from desali.models.checkpoint import LoadedModel


@dataclass(frozen=True)
class ModelOptions:
    """What can be said of networks given by name. Each field says what it is.

    Raises:
        DesaliError: a value that a field does not take.
    """

    num_classes: int | None = option(
        None, "Outputs of networks by name.", range=FROM_1, metavar="N", shown="as many as the weights have"
    )
    allow_missing: bool = option(
        False,
        "Draw at random what weights lack, leave out what the network lacks: a classifier put on or taken off.",
    )
    model_output: str | None = option(
        None, "Of a network that gives several tensors the one to study: 1, logits, aux.0.", metavar="NAME",
        shown="the only one",
    )  # fmt: skip
    download: bool = option(
        False, "Fetch published weights (torchvision:resnet18@IMAGENET1K_V1) that are not on this machine."
    )

    def __post_init__(self) -> None:
        check_fields(self)

    def check(self, specs: Sequence[str]) -> None:
        """Refuse what none of the models takes.

        Raises:
            WeightsError: a number of classes or an output for trained models alone.
        """
        from desali.models.sources import parse

        for name in ("num_classes", "model_output"):
            if getattr(self, name) is not None and all(parse(spec).network is None for spec in specs):
                raise WeightsError(
                    f"{name}={getattr(self, name)} is for networks by name (torchvision:NAME, timm:NAME, "
                    f"module:factory), and a trained model brings its own: {', '.join(specs)}; leave it out"
                )

    def load(self, spec: str, weights: str | Path | None = None, *, runs: str | Path) -> LoadedModel:
        """The model of a string.

        Raises:
            WeightsError, DesaliError, UnknownNameError: see `desali.load`.
        """
        from desali.models.sources import load, parse

        by_name = parse(str(spec)).network is not None
        return load(
            spec,
            weights,
            num_classes=self.num_classes if by_name else None,
            allow_missing=self.allow_missing,
            download=self.download,
            output=self.model_output if by_name else None,
            runs=runs,
        )


DEFAULT = ModelOptions()
"""Nothing said."""
