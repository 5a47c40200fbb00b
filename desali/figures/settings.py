"""What a figure shows and how, as one value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from desali.comparison.one_channel import Chosen
from desali.comparison.views import CONTRAST_METHOD
from desali.errors import DataError
from desali.figures.layers import Layers
from desali.figures.options import FigureOptions
from desali.figures.subjects import Classes, Rules
from desali.reversal.methods import Method
from desali.reversal.seeds import Seed

if TYPE_CHECKING:
    import torch

METHOD = "desalinet"
"""Of a figure's rows, unless another is named."""


@dataclass(frozen=True)
class Channels:
    """The one channel that each model shows of each layer, as it was chosen once.

    Attributes:
        rows: for each row the channel of every model and replicate.
        ancestry: what the choice rests on: `words` for a reader, and what was measured.
    """

    rows: Sequence[Mapping[str, Chosen]]
    ancestry: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """JSON-serialisable."""
        rows = [{name: chosen.to_dict() for name, chosen in row.items()} for row in self.rows]
        return {"rows": rows, "ancestry": dict(self.ancestry)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Channels:
        """What `to_dict` wrote.

        Raises:
            DataError: other data.
        """
        try:
            rows = [{name: Chosen.from_dict(chosen) for name, chosen in row.items()} for row in data["rows"]]
            return cls(rows, dict(data["ancestry"]))
        except (KeyError, TypeError, AttributeError) as error:
            raise DataError(f"channels as data must hold rows and ancestry, got {data!r}") from error


@dataclass(frozen=True)
class Settings:
    """What is shown and how.

    Attributes:
        layers: names, for all models or for each by its name; None: the architecture's own choice.
        seed: what is projected; None: one channel of each layer, the strongest.
        method: a name of `METHODS` or a `Method`; None: "gradient" for a contrast, else "desalinet".
        window: (level, width) in HU instead of the model's own; None keeps it.
        scale: "panel" or "row".
        random_seed: of the first control's weights; the next one counts on from it.
        random_networks: how many networks with random weights stand beside.
        contrast: whether the first row is the contrast of one class against the others.
        label: the image's own class, a name or a number; None: not known.
        device: "cpu", "cuda", "cuda:N" or "auto"; None: where the models are.
        preprocessing: of plain modules, one for all or by name.
        classes: names of the classes of plain modules, one list for all or by name.
        channels: the channels to show, as a record keeps them; None: they are chosen.
        colour: leave an image whose three channels are equal in colour; else it is grey.
    """

    layers: Layers | None = None
    seed: Seed | None = None
    method: str | Method | None = None
    window: tuple[float, float] | None = None
    scale: str = FigureOptions.scale
    random_seed: int = FigureOptions.seed
    backend: str = FigureOptions.backend
    device: str | torch.device | None = None
    preprocessing: Rules | None = None
    classes: Classes | None = None
    random_networks: int = FigureOptions.random_networks
    contrast: bool = FigureOptions.contrast
    label: int | str | None = None
    channels: Channels | None = None
    colour: bool = False

    @property
    def rule(self) -> str | Method:
        """The method of the rows."""
        if self.method is not None:
            return self.method
        return CONTRAST_METHOD if self.seed is not None and self.seed.kind == "contrast" else METHOD

    @property
    def contrast_row(self) -> bool:
        """Whether a row of class contrast stands before the others."""
        return self.contrast and not (self.seed is not None and self.seed.kind == "contrast")

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Settings:
        """The settings of a figure's record, with which its models make the same figure again.

        Raises:
            DataError: no record of a figure of one image.
        """
        try:
            layers = record["layers"]
            seed, channels, window = record["seed"], record["channels"], record["window"]
            return cls(
                layers=layers if isinstance(layers, Mapping) else tuple(layers),
                seed=None if seed is None else Seed.from_dict(seed),
                method=Method.from_dict(record["method"]) if record["method_given"] else None,
                window=None if window is None else (window[0], window[1]),
                scale=record["scale"],
                random_seed=record["control"]["random_seed"],
                backend=record["backend"],
                device=record["device"],
                random_networks=record["control"]["networks"],
                contrast=record["contrast"] is not None,
                label=record["label"],
                channels=None if channels is None else Channels.from_dict(channels),
                colour=record["colour"],
            )
        except (KeyError, TypeError) as error:
            raise DataError(f"no record of a figure of one image: {error} is missing or has another form") from error
