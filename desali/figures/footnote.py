"""What stands below a figure: how its input came about, what the models are, and what its pictures cannot say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from desali.data.preprocess import Preprocessing
from desali.data.roi import Roi
from desali.figures.block import Block
from desali.figures.subjects import Shown

if TYPE_CHECKING:
    from torch import Tensor

CHANNELS = "Rows by layer show one channel: its activations, and what they project to."
WHOLE = (
    "Whole layers: their maps look alike whatever the weights are, random ones too, and cannot show what training "
    "changed."
)
CONTRAST = (
    "Class contrast: the gradient of one class's output minus the mean of the others', summed over colours and blurred "
    "by 1/32 of the width; what speaks for the class and what against it."
)
NOTE = (
    "Activations: the channel that the caption names, or the mean of |activation| over all. Tables: rank correlation "
    "of the row's maps after a slight blur; rho under a map: with the input and (magnitudes) with the edge detector. A "
    "map that is like the input and like the random networks' shows the image, not what was learned; two models' maps "
    "say little of what they share unless they are more alike than the random floor; a low rho alone shows nothing. No "
    "picture here explains a decision. Not a medical device."
)


def about_input(image: Roi | Tensor, block: Block, shown: Sequence[Shown]) -> list[str]:
    """Sentences on what was done to the image before the networks got it."""
    said = [image.said, *_reframed(image, shown)] if isinstance(image, Roi) else []
    plain = [one for one in shown if one.plain]
    if isinstance(image, Roi) and plain and plain[0].rule_origin != "given":
        said.append(f"Input of {', '.join(one.name for one in plain)}: {plain[0].rule_origin}.")
    return [*said, *dict.fromkeys(seen.input.words for seen in block.models.values())]


def _reframed(image: Roi | Tensor, shown: Sequence[Shown]) -> list[str]:
    """Sentences on an image that is shrunk, enlarged, cut or padded on its way into the networks."""
    if not isinstance(image, Roi):
        return []
    found: dict[str, list[str]] = {}
    for one in shown:
        if isinstance(one.rule, Preprocessing):
            found.setdefault(one.rule.words(image.pixels.shape, image.unit), []).append(one.name)
    if len(found) == 1:
        return list(found)
    return [f"{', '.join(names)}: {said}" for said, names in found.items() if said]
