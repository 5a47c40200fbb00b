"""What the commands that draw can be told: of the image, and of what is shown of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from desali.output.options import FROM_1, SEED, Range, check_fields, option
from desali.reversal.methods import METHODS

if TYPE_CHECKING:
    from desali.data.roi import Roi
    from desali.figures.settings import Settings

FROM = (
    "layer, channel:C, neuron:C,Y,X, top:K, top:K@Y,X, logit:K, contrast, contrast:true or contrast:K, K a number or "
    "the name of a class"
)


@dataclass(frozen=True)
class ImageOptions:
    """How an image file is read. Each field says what it is.

    Raises:
        DesaliError: a value that a field does not take.
    """

    box: tuple[int, int, int] | None = option(
        None, "Cut a square window out of the image, in pixels.", metavar="Y,X,SIZE", shown="the whole image"
    )
    window: tuple[float, float] | None = option(
        None, "HU window, e.g. -600,1500.", metavar="LEVEL,WIDTH", shown="the model's own"
    )
    hu_offset: float | None = option(None, "HU = pixel + offset, for unsigned 16-bit images.", metavar="HU")
    frame: int | None = option(
        None, "Frame of a DICOM file with several, from 1.", range=FROM_1, metavar="N", shown="the only one"
    )
    page: int | None = option(
        None,
        "Page of a TIFF file, image of a .npy stack or axial slice of a NIfTI volume, from 1.",
        range=FROM_1,
        metavar="N",
        shown="the only one",
    )
    colour: bool = option(False, "Leave an image whose three channels are equal in colour; else it is grey.")

    def __post_init__(self) -> None:
        check_fields(self)

    def read(self, path: Path) -> Roi:
        """The image of a file.

        Raises:
            ImageError: see `desali.read_image`.
        """
        return self.cut(path, self.box, window=self.window)

    def cut(
        self,
        path: Path,
        box: tuple[int, int, int] | None,
        page: int | None = None,
        window: tuple[float, float] | None = None,
    ) -> Roi:
        """The image of a file with another box, with a page or frame of its own where one is given, and its own window.

        Raises:
            ImageError: see `desali.read_image`.
        """
        from desali.data.roi import read_image

        return read_image(
            path,
            box=box,
            window=window,
            hu_offset=self.hu_offset,
            frame=self.frame if page is None else None,
            page=self.page if page is None else page,
            colour=self.colour,
        )


@dataclass(frozen=True)
class FigureOptions:
    """What a figure shows. Each field says what it is; its default is that of `Settings` and of Python's functions too.

    Raises:
        DesaliError, UnknownNameError: a value that a field does not take.
    """

    layers: tuple[str, ...] | None = option(
        None,
        "ReLU or other layers, with commas between.",
        metavar="NAMES",
        shown="the architecture's own choice",
    )
    method: str | None = option(
        None,
        f"One of {', '.join(METHODS)}.",
        choices=tuple(METHODS),
        metavar="METHOD",
        shown="desalinet, of a contrast gradient",
    )
    source: str | None = option(
        None,
        f"What is projected: {FROM}.",
        metavar="WHAT",
        flag="--from",
        shown="one channel of each layer, the strongest",
    )
    contrast: bool = option(True, "A first row: the contrast of one class against the others.")
    label: str | None = option(None, "The image's own class, by name or number.", metavar="CLASS", shown="not known")
    value: Literal["one", "activation"] | None = option(
        None, "What is put there: 1, or the activations.", shown="activations for layer and channel, else one"
    )
    scale: Literal["panel", "row"] = option("panel", "Normalise every panel by itself, or all of a row together.")
    seed: int = option(1, "Of the first random network's weights.", range=SEED)
    random_networks: int = option(2, "Networks with random weights that stand beside.", range=Range(0, 8))
    device: str = option("cpu", "Where the networks run; auto: a CUDA device if there is one.", metavar="DEVICE")
    backend: Literal["auto", "native", "torch"] = option(
        "auto", "The compiled core or torch's operations; see `desali info`."
    )

    def __post_init__(self) -> None:
        check_fields(self)

    def settings(self, image: ImageOptions, classes: Sequence[str] = ()) -> Settings:
        """The settings of a viewer.

        Args:
            image: whose window is shown.
            classes: names that a logit may be given by.

        Raises:
            UnknownNameError, SeedError: see `Seed.parse`.
        """
        from desali.figures.settings import Settings
        from desali.reversal.seeds import Seed

        return Settings(
            layers=self.layers,
            seed=None if self.source is None else Seed.parse(self.source, self.value, classes),
            method=self.method,
            window=image.window,
            scale=self.scale,
            random_seed=self.seed,
            random_networks=self.random_networks,
            contrast=self.contrast,
            label=self.label,
            device=self.device,
            backend=self.backend,
            colour=image.colour,
        )
