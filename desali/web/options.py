"""What `desali report` and `desali explore` can be told."""

from __future__ import annotations

from dataclasses import dataclass

from desali.errors import DesaliError
from desali.experiments.options import LineageOptions
from desali.output.options import FROM_0, FROM_1, SEED, Range, check_fields, option

DRAWS = 5
"""Networks with random weights behind the range of a likeness; the first of them is shown."""
MOST_DRAWS = 8


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


@dataclass(frozen=True)
class ExploreOptions:
    """Options of the explorer. Each field says what it is.

    Raises:
        DesaliError: a value that a field does not take.
    """

    host: str = option("127.0.0.1", "Where to listen; another address than this machine's own needs --remote.")
    port: int | None = option(
        None, "A free one is taken if 8765 is in use.", range=Range(0, 65535), metavar="PORT", shown="8765"
    )
    remote: bool = option(
        False, "Let other machines ask: whoever reads the network reads what you see, since it is not encrypted."
    )
    browser: bool = option(True, "Open the address in a browser.")
    images: str | None = option(
        None,
        "Images to look at, READER:PATH or PATH; their part 'test' where they state parts.",
        metavar="DATASET",
        shown="FILEs alone, without any those that the recipes are evaluated on",
    )
    follow: tuple[str, ...] | None = option(
        None, "Follow channels between two of the models, over the images.", metavar="BEFORE,AFTER", shown="not"
    )
    per_class: int = option(30, "Images of each class that channels are followed over.", range=FROM_1)
    cache: int = option(1024, "MiB of recordings that are kept.", range=FROM_1)
    seed: int = option(1, "Of the first network with random weights; the next one is of one more.", range=SEED)
    random_networks: int = option(
        DRAWS, "Networks with random weights behind each likeness; the first is shown.", range=Range(1, MOST_DRAWS)
    )
    device: str = option("cpu", "cpu, cuda, cuda:N, or auto: a CUDA device if there is one.", metavar="DEVICE")
    skip_unreadable: bool = option(False, "Leave out images that cannot be read; they are named.")

    def __post_init__(self) -> None:
        check_fields(self)
        if self.follow is not None and (len(self.follow) != 2 or self.follow[0] == self.follow[1]):
            raise DesaliError(f"follow must be two models, BEFORE,AFTER, got {','.join(self.follow)}")

    @property
    def lineage(self) -> LineageOptions:
        """Those of a lineage between two of the models."""
        return LineageOptions(
            images=self.images, per_class=self.per_class, device=self.device, skip_unreadable=self.skip_unreadable
        )
