"""The order of the gallery: from one neuron to several models, then what the pictures are worth."""

from __future__ import annotations

ORDER = (
    "networks", "one_neuron", "strongest_neurons", "receptive_field", "one_class", "many_images", "before_and_after",
    "random_weights", "likeness", "what_channels_look_for", "own_layer",
)  # fmt: skip


class Order:
    """A sort key of sphinx-gallery; a script that is not listed is an error."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __call__(self, file: str) -> int:
        return ORDER.index(file.removesuffix(".py"))
