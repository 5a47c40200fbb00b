"""What a figure is made of: what every network made of one image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from desali.comparison.one_channel import Chosen
from desali.comparison.views import Look
from desali.figures.inputs import Input
from desali.figures.settings import Channels


@dataclass(frozen=True, eq=False)
class Seen:
    """One network on one image.

    Attributes:
        look: its views, a row each.
        input: the image as it got it.
        classes: names in the order of the logits; none if they are not known.
        against: the class whose contrast is shown.
        channels: the one channel of each row that is shown; None where the seed says what is.
    """

    look: Look
    input: Input
    classes: tuple[str, ...] = ()
    against: int | None = None
    channels: Sequence[Chosen] | None = None

    @property
    def contrasted(self) -> str | None:
        """The class whose contrast is shown, by its name where names are known."""
        return None if self.against is None else self.class_name(self.against)

    def class_name(self, index: int) -> str:
        """A class by its name where names are known."""
        return self.classes[index] if index < len(self.classes) else f"class {index}"


@dataclass(frozen=True, eq=False)
class Block:
    """One image: a row a layer, and before them one for the class contrast where it was asked for.

    Attributes:
        models: by name, in the order of the columns.
        controls: networks with random weights, by the label of their column.
        control_of: for each model the labels of its controls; models without one are missing.
        replicates: networks of the same training with other seeds, by the label of their column.
        label: goes before the layers' names, "" for nothing.
        predicts: under the input, "" for nothing.
        contrast: whether the seed of the rows is a class contrast.
        channels: the one channel that each model shows of each layer; None where the seed says what is shown.
        true: the image's own class, as it was given.
    """

    models: Mapping[str, Seen]
    controls: Mapping[str, Seen]
    control_of: Mapping[str, Sequence[str]]
    replicates: Mapping[str, Seen] = field(default_factory=dict)
    label: str = ""
    predicts: str = ""
    contrast: bool = False
    channels: Channels | None = None
    true: int | str | None = None
