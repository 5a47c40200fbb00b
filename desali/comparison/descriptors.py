"""What a layer makes of an image, in two numbers a channel: what purity, probes and similarity are computed from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from desali.comparison.relu_inputs import read_at

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Floats = npt.NDArray[np.float64]


class Descriptors:
    """Mean and maximum of every channel's ReLU input over its map, of each image of a sample.

    It holds 2 C numbers an image and layer, and nothing of the maps.

    Args:
        channels: C of each layer.
        images: n, of the sample.
        dtype: of the network; they are kept in at least float32.
    """

    def __init__(self, channels: Mapping[str, int], images: int, device: torch.device, dtype: torch.dtype) -> None:
        import torch

        kept = torch.promote_types(dtype, torch.float32)
        self._kept = {
            layer: torch.empty(images, 2 * count, dtype=kept, device=device) for layer, count in channels.items()
        }

    def add(self, layer: str, value: Tensor, start: int) -> None:
        """Keep those of one batch.

        Args:
            value: what the layer's ReLUs read [N, C, *spatial].
            start: place of the batch's first image in the sample.
        """
        kept = self._kept[layer]
        flat = value.reshape(*value.shape[:2], -1)
        rows, channels = slice(start, start + len(value)), value.shape[1]
        kept[rows, :channels] = flat.to(kept.dtype).mean(2)
        kept[rows, channels:] = flat.amax(2).to(kept.dtype)

    def of(self, layer: str) -> Floats:
        """Of one layer, the means of all channels and then their maxima [n, 2 C]."""
        return np.asarray(self._kept[layer].cpu().numpy(), np.float64)


class InputDescriptors:
    """What the images themselves show: their pixels, coarsely, and mean and deviation of each input channel.

    Args:
        shape: of one image [C, *spatial].
        images: n, of the sample.
    """

    def __init__(self, shape: torch.Size, images: int, device: torch.device) -> None:
        import torch

        self._size = read_at(shape[1:])
        self._pixels = torch.empty(images, shape[0], math.prod(self._size), dtype=torch.float32, device=device)
        self._moments = torch.empty(images, 2 * shape[0], dtype=torch.float32, device=device)

    def add(self, images: Tensor, start: int) -> None:
        """Keep those of one batch [N, C, *spatial]."""
        import torch
        from torch.nn import functional

        pools: list[Any] = [
            functional.adaptive_avg_pool1d,
            functional.adaptive_avg_pool2d,
            functional.adaptive_avg_pool3d,
        ]
        rows, images = slice(start, start + len(images)), images.float()
        self._pixels[rows] = pools[len(self._size) - 1](images, self._size).flatten(2)
        flat = images.flatten(2)
        self._moments[rows] = torch.cat([flat.mean(2), flat.std(2, correction=0)], 1)

    @property
    def pixels(self) -> Floats:
        """Pixels at no more than 16 x 16 places [n, C P], each channel's of unit variance over the sample."""
        pixels = np.asarray(self._pixels.cpu().numpy(), np.float64)
        deviation = pixels.std((0, 2), keepdims=True)
        return np.asarray(pixels / np.where(deviation > 0, deviation, 1)).reshape(len(pixels), -1)

    @property
    def moments(self) -> Floats:
        """Mean and standard deviation of each channel [n, 2 C]."""
        return np.asarray(self._moments.cpu().numpy(), np.float64)
