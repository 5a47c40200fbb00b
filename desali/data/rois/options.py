"""What `desali data rois` can be told."""

from __future__ import annotations

from dataclasses import dataclass

from desali.errors import DesaliError
from desali.output.options import ABOVE_0, FROM_1, SHARE, Range, check_fields, option


@dataclass(frozen=True)
class RoiOptions:
    """Options of ROI tables. Each field says what it is.

    Raises:
        DesaliError: a value that a field does not take, or options that contradict each other.
    """

    size_mm: float = option(
        20.0, "Side of an ROI in millimetres; the spacing of its image decides how many pixels that is.", range=ABOVE_0
    )
    spacing: float | None = option(
        None,
        "Millimetres a pixel, of images that do not say it themselves (pictures, DICOM without PixelSpacing).",
        range=ABOVE_0,
        metavar="MM",
    )
    pixels: int | None = option(
        None,
        "Pixels that every ROI is resampled to where spacings differ, so that a pixel is one length in all of them.",
        range=Range(2, 4096),
        shown="the median",
    )
    grid: bool = option(
        False, "Lay a grid over each mask (a lung, for instance), instead of an ROI on each of its regions."
    )
    inside: float = option(0.75, "Share of an ROI of the grid that must lie inside the mask.", range=SHARE)
    step_mm: float | None = option(
        None, "Millimetres from one ROI to the next, in a grid and in boxes larger than an ROI.", range=ABOVE_0,
        shown="the side: they do not overlap",
    )  # fmt: skip
    max_overlap: float = option(
        0.5,
        "Share of an ROI that it may have in common with another of its slice. Of two of one label the later is left "
        "out, of two labels both.",
        range=Range(0, 1),
    )
    every: int = option(1, "Of the slices of a mask, use the first and every so many after it.", range=FROM_1)
    labels: tuple[str, ...] = option(
        (),
        "Names of the values of a mask, 1:lung,2:nodule; values that are not named are left out.",
        metavar="VALUE:NAME,...",
        shown="segments by their label, values by their number",
    )

    def __post_init__(self) -> None:
        check_fields(self)
        self.names()

    def names(self) -> dict[int, str]:
        """The names of values."""
        found: dict[int, str] = {}
        for one in self.labels:
            value, colon, name = one.partition(":")
            if not colon or not value.strip().isdigit() or not int(value) or not name.strip():
                raise DesaliError(f"labels must be VALUE:NAME with values from 1, for instance 1:lung, got {one!r}")
            found[int(value)] = name.strip()
        return found
