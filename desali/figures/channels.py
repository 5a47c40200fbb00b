"""`desali.channels`: what channels look for, before over after, in the regions that they answer to most strongly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from desali.comparison.checks import check_asked
from desali.comparison.networks import check_together, subject
from desali.comparison.probe_set import probe_set
from desali.comparison.sheet import CONTROL, Asked, sheet
from desali.errors import DataError, UnknownNameError
from desali.figures.facts import method_words
from desali.figures.figure import KIND, Figure
from desali.figures.maps import of_sheet
from desali.figures.sheet_grid import arrange
from desali.figures.words import between, number, percent, short
from desali.models.checkpoint import versions
from desali.output.columns import columns as aligned
from desali.output.words import signed
from desali.reversal.methods import Method
from desali.reversal.methods import method as find_method

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from desali.data.imageset import ImageSet
    from desali.models.checkpoint import LoadedModel

MOST = 24
RANKED_BY = ("activation", "relevance")


class ChannelsFigure(Figure):
    """What `desali.channels` makes; its record holds every channel, region and number."""

    def table(self) -> str:
        """A row for each channel: why it is shown, its state, r with its interval, firing and what is shared."""
        record = self.to_dict()
        bands = [band for band in record["columns"][0]["shown"] if band != CONTROL]
        pair = len(bands) > 1
        head = ["channel", "why", *(["state", "r", "95 %", "shared", "others"] if pair else [])]
        ranked = [] if record["by"] == "activation" else ["relevance", "95 %"]
        head = [*head, *ranked]
        rows = [[*head, *(f"fires {band}" for band in bands), *(f"classes {band}" for band in bands)]]
        for column in record["columns"]:
            cells = [str(column["channel"]), column["why"]]
            if pair:
                cells += [column["state"], signed(column["r"]), between(column["r_interval"]) or "-"]
                cells += [str(column["shared"]), number(column["shared_with_others"])]
            shown = [column["shown"][band] for band in bands]
            if ranked:
                one = shown[0]
                cells += [short(one["relevance"]), " to ".join(map(short, one["relevance_interval"] or ())) or "-"]
            cells += [percent(one["firing"]) for one in shown]
            cells += [", ".join(f"{name} {n}" for name, n in (one["classes"] or {}).items()) or "-" for one in shown]
            rows.append(cells)
        return "\n".join(aligned(rows))

    def __repr__(self) -> str:
        names = [str(column["channel"]) for column in self.to_dict()["columns"]]
        return f"ChannelsFigure({self.grid.title!r}, channels {', '.join(names)}; .save(path), .to_dict(), .table())"


def channels(
    before: nn.Module | LoadedModel,
    after: nn.Module | LoadedModel | None,
    images: Tensor | ImageSet,
    layer: str,
    channels: Sequence[int] | None = None,
    groups: Sequence[Any] | None = None,
    labels: Sequence[Any] | None = None,
    *,
    replicates: Sequence[nn.Module | LoadedModel] = (),
    by: Literal["activation", "relevance"] = "activation",
    method: str | Method = "desalinet",
    random_networks: int = 5,
    seed: int = 0,
    device: str | torch.device | None = None,
    colour: bool = False,
    title: str = "",
    notes: Sequence[str] = (),
    progress: bool = False,
) -> ChannelsFigure:
    """Show what channels look for: their nine strongest regions with reconstructions, before over after a stage.

    Which channels are shown follows a rule that stands on the figure: those kept best, those reshaped most, one
    silenced, one woken, and always two drawn at random. It is applied to one half of the patients; what is shown comes
    from the other half.
    Below stands the same for a network with random weights.

    Args:
        before, after: a `torch.nn.Module` in evaluation mode, or what `desali.load` returns, of one architecture.
            `after=None`: what the channels of one network look for.
        images: float [N, C, H, W] as the modules take it, N >= 4, or an `ImageSet`, which the loaded models' own
            preprocessing prepares; better none that a stage was trained on.
        layer: a ReLU, the layer before it, or a container (its last ReLU).
        channels: numbers, instead of the rule; all images are then used.
        groups: the patient of each image; None: those of the `ImageSet`.
        labels: the class of each image; None: those of the `ImageSet`.
        replicates: networks made by the same stage from the same parent with another seed: they tell kept channels from
            reshaped ones.
        by: what makes an answer strong: the activation, or, of a single network, its relevance, which is activation
            times gradient of the class contrast (+1 on the image's class, -1/(K-1) on the others).
        method: how regions are reconstructed: a name of `desali.METHODS` or a `desali.Method`.
        random_networks: how many networks with random weights the strangers' test has; the first of them is shown. 0
            leaves it out.
        seed: of the halves, the channels drawn at random and the random weights.
        device: "cpu", "cuda", "cuda:N" or "auto"; None: where the networks are.
        colour: show images whose three channels are equal in colour; else they are grey, and so are their maps.
        title: before the layer's name.
        notes: sentences that stand under the figure besides its own.
        progress: show bars over the images on stderr.

    Raises:
        DataError: two architectures or two kinds of preprocessing, fewer than four images, NaN, a layer without
            channels, a channel it has not, a layer that nothing passes or in which nothing changed, relevance without
            classes. StrangersError: the networks share no ancestor. UnknownNameError: no such layer or method.
        CaptureError: a network that cannot be captured. DesaliError: training mode.

    Source: Zeiler and Fergus, "Visualizing and understanding convolutional networks", 2014, figure 2.
    """
    from desali.ops.device import resolve as find_device

    where = None if device is None else find_device(device)
    rule = find_method(method)
    _check(by, after, layer, channels, replicates, random_networks, seed)
    if after is None:
        pair = [subject("network", before, where)]
    else:
        pair = [subject("before", before, where), subject("after", after, where)]
    again = [subject(f"replicate {k}", one, where) for k, one in enumerate(replicates, 1)]
    probe = probe_set(images, groups, labels, check_together([*pair, *again]))
    asked = Asked(layer, channels, by, rule, random_networks, seed, progress)
    made = sheet(pair, again, probe, asked)
    made.notes.extend(notes)
    words = method_words(method)
    grid, scales = arrange(made, words, title, colour)
    record = {
        "kind": KIND,
        "figure": "channels",
        "title": grid.title,
        **made.record,
        "method": rule.to_dict(),
        "method_in_words": words,
        "scales": scales,
        "note": grid.footnote,
        "versions": versions(),
    }
    return ChannelsFigure(grid, record, lambda: of_sheet(made))


def _check(by: str, after: Any, layer: Any, channels: Any, replicates: Any, random_networks: Any, seed: Any) -> None:
    if by not in RANKED_BY:
        raise UnknownNameError("ranking", str(by), RANKED_BY)
    if by == "relevance" and after is not None:
        raise DataError(
            "relevance is for one network (after=None; --model), as two may have other classes: rank by activation"
        )
    if not isinstance(layer, str):
        raise DataError(f"layer must be one name, got {layer!r}; make a figure for each layer")
    if channels is not None and (isinstance(channels, str | bytes) or not hasattr(channels, "__len__")):
        raise DataError(f"channels must be a list of numbers, got {channels!r}")
    if channels is not None and len(channels) > MOST:
        raise DataError(f"a sheet holds at most {MOST} channels, got {len(channels)}: make several")
    check_asked(random_networks, seed, None, replicates)
    if replicates and after is None:
        raise DataError("replicates belong to a stage, before and after; leave them out for one network")
