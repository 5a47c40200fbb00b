"""Controls beside every reconstruction: the same network with random weights, and how alike two maps are.

Source: Adebayo et al., "Sanity checks for saliency maps", 2018 (model parameter randomisation test).
"""

from __future__ import annotations

import copy
import functools
import hashlib
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from desali.comparison.smoothing import gaussian, gaussian_along, student_t
from desali.errors import DesaliError
from desali.models.modules import one_device
from desali.reversal.graph.quiet import same_random_numbers

if TYPE_CHECKING:
    from torch import nn

ENOUGH_RANDOM = 5
"""Networks with random weights from which on a range over them is shown without a warning."""
BLUR = 1 / 32
"""Deviation of the blur before pictures are compared, as a share of their width."""


_STREAM = "desali: networks with random weights"


def weights_seed(seed: int) -> int:
    """The number that torch is seeded with to draw the weights of the random network number `seed`.

    A network that a user built under `torch.manual_seed(seed)` would be its own control. These numbers are a function
    of the purpose and of `seed`, and never below 2^31; torch's generator on the CPU reads the last 32 bits alone.
    """
    digest = hashlib.sha256(f"{_STREAM}: {seed}".encode()).digest()
    return 2**31 | int.from_bytes(digest[:8], "little") % 2**31


def too_few(count: int) -> str:
    """What to say of a range over so many networks with random weights; "" where they are enough."""
    if not 0 < count < ENOUGH_RANDOM:
        return ""
    return f"{count} random network{'s are' if count > 1 else ' is'} too few for a range; {ENOUGH_RANDOM} are a start."


def randomised(model: nn.Module, seed: int = 0) -> nn.Module:
    """A copy of the model whose weights are drawn anew by each layer's own initialisation; torch's random state stays.

    The weights are drawn on the CPU, so that a seed gives the same ones on every device, and from random numbers of
    their own: they are not those that a module built under `torch.manual_seed(seed)` starts with.

    Args:
        model: in evaluation mode; not changed.
        seed: of the drawing, which `weights_seed` sets apart from other uses of the number.

    Raises:
        DesaliError: the model cannot be copied, or none of its modules can draw its weights anew.
    """
    import torch

    device = one_device(model)
    try:
        twin = copy.deepcopy(model).to("cpu")
    except RuntimeError as error:  # a tensor that was computed from others stands in an attribute
        raise DesaliError(f"the model cannot be copied ({str(error).splitlines()[0]})") from error
    resets = [getattr(module, "reset_parameters", None) for module in twin.modules()]
    resets.append(getattr(twin, "initialise", None))
    if not any(map(callable, resets)):
        raise DesaliError("none of its modules has a reset_parameters() to draw weights anew")
    with same_random_numbers(torch.device("cpu")), torch.no_grad():
        torch.default_generator.manual_seed(weights_seed(seed))
        for reset in resets:
            if callable(reset):
                reset()
    return twin.to(device)


class Likeness:
    """How alike pictures look: Spearman's rank correlation after a blur of 1/32 of their width.

    Without the blur, the raster that strides and pooling leave decides the result, not what a reader sees. Each picture
    is blurred and ranked once, however often it is compared; the object holds the pictures that it was asked about.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[int, bool], tuple[Any, npt.NDArray[np.float64]]] = {}

    def __call__(self, first: Any, second: Any, *, magnitude: bool = False) -> float | None:
        """Of two pictures [h, w]; None if one of them is constant: it has no ranks.

        Args:
            magnitude: compare |first| and |second|, as for edges, instead of the signed maps.
        """
        return _correlation(self._ranked(first, magnitude), self._ranked(second, magnitude))

    def _ranked(self, picture: Any, magnitude: bool) -> npt.NDArray[np.float64]:
        key = (id(picture), magnitude)
        if key not in self._known:
            values = np.asarray(picture, np.float64)
            values = np.abs(values) if magnitude else values
            self._known[key] = (picture, _ranks(gaussian(values, values.shape[-1] * BLUR).ravel()))
        return self._known[key][1]


def likeness(first: Any, second: Any, *, magnitude: bool = False) -> float | None:
    """`Likeness` of one pair of pictures [h, w]."""
    return Likeness()(first, second, magnitude=magnitude)


def likeness_null(shape: Sequence[int]) -> float:
    """The |likeness| that two pictures of independent noise stay below in 95 % of cases.

    Blurred noise has fewer independent values than pixels: of a covariance S, nu = tr(S)^2 / tr(S^2) (Bretherton et al.
    1999, "The effective number of spatial degrees of freedom of a time-varying field"), and a correlation over nu
    values follows Student's t. The blur is linear and separable, so S is known without a simulation; ranks correlate by
    (6 / pi) arcsin(rho / 2) where values correlate by rho. Simulated pairs of pictures lie within 0.01 of the bound.
    Real maps are smoother than noise, so that their likeness strays further by chance: a value below the bound says
    nothing, one above it does not yet say that two maps are related.

    Args:
        shape: [h, w] of the pictures.

    Returns:
        The bound, at most 1: 0.145 for squares from 32 pixels on.
    """
    return _likeness_null(int(shape[-2]), int(shape[-1]))


@functools.lru_cache(maxsize=64)
def _likeness_null(height: int, width: int) -> float:
    total, squares, near = 1.0, 1.0, np.ones((1, 1))
    for extent in (height, width):
        blur = gaussian_along(np.eye(extent), width * BLUR, 0)
        covariance = blur @ blur.T
        total *= float(np.trace(covariance))
        squares *= float((covariance**2).sum())
        near = np.outer(near, covariance[extent // 2] / covariance[extent // 2, extent // 2])
    ranked = 6 / np.pi * np.arcsin(near / 2)
    squares = (squares - 1) * float((ranked**2).sum() / (near**2).sum())  # the mean's eigenvalue, 1, is taken out
    independent = (total - 1) ** 2 / squares if squares > 0 else 0.0
    if independent <= 2:
        return 1.0
    t = student_t(independent - 1, 0.975)
    return t / math.sqrt(independent - 1 + t * t)


def one_size(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Two maps [h, w] of the whole image at the smaller one's size."""
    if first.shape == second.shape:
        return first, second
    import torch
    from torch.nn.functional import interpolate

    size = min(first.shape[0], second.shape[0]), min(first.shape[1], second.shape[1])
    resized = [
        interpolate(torch.from_numpy(map)[None, None], size=size, mode="bilinear", antialias=True)[0, 0].numpy()
        for map in (first, second)
    ]
    return resized[0], resized[1]


def _correlation(first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]) -> float | None:
    """Pearson's correlation; None if one of them is constant."""
    a, b = first - first.mean(), second - second.mean()
    norm = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / norm if norm > 0 else None


def _ranks(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Average ranks from 1, as scipy.stats.rankdata gives them (whose import alone would double a command's start)."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[inverse]
