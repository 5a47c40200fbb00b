"""What `desali report` can be told."""

from __future__ import annotations

from dataclasses import dataclass

from desali.experiments.options import LineageOptions
from desali.output.options import FROM_0, FROM_1, SEED, check_fields, option


@dataclass(frozen=True)
class ReportOptions:
    """Options of a report. Each field says what it is.

    Raises:
        DesaliError: a value that a field does not take.
    """

    rois: int = option(70, "ROIs in the gallery, the classes in equal parts and the patients in turns.", range=FROM_0)
    sheets: bool = option(True, "Draw what channels of each layer look for, before and after.")
    images: str | None = option(
        None,
        "Images to draw, READER:PATH or PATH; their part 'test' where they state parts.",
        metavar="DATASET",
        shown="those that the recipes are evaluated on",
    )
    per_class: int = option(30, "Images of each class behind lineages and sheets.", range=FROM_1)
    random_networks: int = option(5, "Networks with random weights behind lineages and sheets.", range=FROM_1)
    seed: int = option(0, "Of the images drawn and of the random weights.", range=SEED)
    device: str = option("cpu", "cpu, cuda, cuda:N, or auto: a CUDA device if there is one.", metavar="DEVICE")
    skip_unreadable: bool = option(False, "Leave out images that cannot be read; they are named.")

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def lineage(self) -> LineageOptions:
        """Those of a lineage, for what is missing."""
        return LineageOptions(
            images=self.images,
            per_class=self.per_class,
            random_networks=self.random_networks,
            seed=self.seed,
            device=self.device,
            skip_unreadable=self.skip_unreadable,
        )
