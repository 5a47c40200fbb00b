"""Whether the channels of a figure's models can be followed from one to the other, and what is said of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from desali.comparison.kinship import Kinship, kinship
from desali.comparison.probe_set import draw, probe_set
from desali.data.imageset import ImageSet
from desali.figures.subjects import Shown
from desali.models.modules import kind_of

if TYPE_CHECKING:
    from torch import Tensor

OWN = "every model shows its own strongest channel"


def ancestry(
    shown: Sequence[Shown],
    layers: Mapping[str, Sequence[str]],
    images: Tensor | ImageSet | None,
    groups: Sequence[Any] | None,
) -> tuple[Kinship | None, dict[str, Any]]:
    """Follow the channels of the figure's layers between all of its models, if that can be done.

    Args:
        shown: models and replicates.
        layers: of each.
        images: to follow them on: a tensor as the networks take it, or an `ImageSet`, of which at most 30 of each class
            are used. None: none at hand.
        groups: the patient of each image.

    Returns:
        the channels; and what the record says of it, with `words` for the reader.

    Raises:
        DataError: fewer than four images, NaN, or groups that do not fit.
    """
    if len(shown) < 2:
        return None, {"words": ""}
    reason = _reason_against(shown, layers, images)
    if reason:
        return None, {"words": f"Ancestry was not measured ({reason}): {OWN}."}
    assert images is not None
    preprocessing = next((one.preprocessing for one in shown if one.preprocessing is not None), None)
    if isinstance(images, ImageSet) and groups is None:
        images = draw(images)
    probe = probe_set(images, groups, None, preprocessing)
    found = kinship(shown, probe, list(dict.fromkeys(layers[shown[0].name])))
    patients = f" of {probe.count_of_patients} {probe.unit}s" if probe.known else ""
    words = (
        f"Channels were followed over {len(probe)} images{patients}: the same one is its own mutual nearest neighbour "
        "among all of the layer, in networks that are not strangers there; where there is none, a model shows its own "
        "strongest."
    )
    return found, {"words": words, **found.facts}


def _reason_against(
    shown: Sequence[Shown], layers: Mapping[str, Sequence[str]], images: Tensor | ImageSet | None
) -> str:
    first = shown[0]
    if images is None:
        return "no images were given"
    if any(kind_of(one.model) != kind_of(first.model) or layers[one.name] != layers[first.name] for one in shown):
        return "the models are of several architectures"
    if any(one.preprocessing != first.preprocessing for one in shown):
        return "the models take images in different ways"
    if any(one.dtype != first.dtype for one in shown):
        return "the models compute in different number types"
    if isinstance(images, ImageSet) and first.preprocessing is None:
        return "plain modules do not say how the images of the set are prepared"
    return ""
