"""A stage's images as network input: prepared when a batch asks for them, or kept in memory where they fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

if TYPE_CHECKING:
    from desali.data.imageset import ImageSet
    from desali.data.preprocess import Preprocessing


class Inputs(Protocol):
    """n labelled images that can be had as network input, any of them in any order, from any thread."""

    labels: Tensor
    """int64 [n]."""

    def __len__(self) -> int: ...

    def images(self, index: Sequence[int]) -> Tensor:
        """Float32 [len(index), c, h, w]."""
        ...


class PreparedInputs:
    """Images that are network input already, in memory.

    Args:
        prepared: float32 [m, c, h, w].
        labels: int64 [m].
        index: which of them, int64 [n]; all if None.
    """

    def __init__(self, prepared: Tensor, labels: Tensor, index: Tensor | None = None) -> None:
        self._prepared, self._index = prepared, index
        self.labels = labels if index is None else labels[index]

    def __len__(self) -> int:
        return len(self.labels)

    def images(self, index: Sequence[int]) -> Tensor:
        """See `Inputs.images`."""
        chosen = torch.as_tensor(index)
        return self._prepared[chosen if self._index is None else self._index[chosen]]


class LazyInputs:
    """Images of an image set, possibly memory-mapped, each made into input when it is asked for.

    Preprocessing treats every image by itself, so the result is bitwise that of `PreparedInputs`. A memory-mapped file
    is opened anew, not copied, in a process that this is sent to.
    """

    def __init__(self, data: ImageSet, preprocessing: Preprocessing, index: npt.NDArray[np.int64]) -> None:
        self._pixels, self._unit, self._preprocessing, self._index = data.images, data.unit, preprocessing, index
        self.labels = torch.from_numpy(data.labels[index])

    def __len__(self) -> int:
        return len(self.labels)

    def images(self, index: Sequence[int]) -> Tensor:
        """See `Inputs.images`."""
        return self._preprocessing.apply_batch(self._pixels[self._index[np.asarray(index)]], self._unit)

    def __getstate__(self) -> dict[str, Any]:
        state = dict(vars(self))
        pixels = state["_pixels"]
        if isinstance(pixels, np.memmap) and pixels.filename is not None and not isinstance(pixels.base, np.ndarray):
            state["_pixels"] = (str(pixels.filename), pixels.dtype.str, pixels.offset, pixels.shape)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        if isinstance(state["_pixels"], tuple):
            filename, dtype, offset, shape = state["_pixels"]
            state["_pixels"] = np.memmap(filename, dtype, "r", offset, shape)
        vars(self).update(state)


class Prepared:
    """Image sets as inputs of stages; a set that fits is made into network input once, and the last one is kept.

    Args:
        preprocessing: how images become input.
        memory: MiB of network input that may be kept.
    """

    def __init__(self, preprocessing: Preprocessing, memory: int) -> None:
        self._preprocessing, self._memory = preprocessing, memory
        self._last: tuple[ImageSet, Tensor] | None = None

    def inputs(self, data: ImageSet, mask: npt.NDArray[np.bool_] | None) -> Inputs:
        """The images that `mask` [n] chooses; all if None."""
        index = np.arange(len(data)) if mask is None else np.flatnonzero(mask)
        size = 4 * len(data) * self._preprocessing.channels * self._preprocessing.size**2  # bytes of float32
        if size > self._memory * 2**20:
            return LazyInputs(data, self._preprocessing, index)
        if self._last is None or self._last[0] is not data:
            self._last = None  # free before the next is made
            self._last = (data, self._preprocessing.apply_batch(data.images, data.unit))
        return PreparedInputs(self._last[1], torch.from_numpy(data.labels), torch.from_numpy(index))
