"""What a figure is made of: what every model and every control made of one image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from desali.comparison.views import Look
from desali.figures.inputs import Input


@dataclass(frozen=True, eq=False)
class Seen:
    """One model (or control) on one image.

    Attributes:
        look: its views, a row each.
        input: the image as it got it.
    """

    look: Look
    input: Input


@dataclass(frozen=True, eq=False)
class Block:
    """One image: a row a layer.

    Attributes:
        models: by name, in the order of the columns.
        controls: networks with random weights, by the label of their column.
        control_of: for each model the label of its control; models without one are missing.
        label: goes before the layers' names, "" for nothing.
        predicts: under the input, "" for nothing.
    """

    models: Mapping[str, Seen]
    controls: Mapping[str, Seen]
    control_of: Mapping[str, str]
    label: str = ""
    predicts: str = ""
