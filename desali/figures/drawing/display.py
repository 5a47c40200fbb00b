"""From maps of any magnitude to pixels in [0, 1], with the scale that was used."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from desali.comparison.smoothing import sigmoid
from desali.errors import DataError, UnknownNameError

LOG99 = float(np.log(99.0))
QUANTILE = 0.005
SMALL = 1e-5  # below it the quantiles give way to the largest magnitude
LARGE = 1e150  # above it the quantile's interpolation could overflow

FloatArray = npt.NDArray[np.float64]
SUMMARIES = ("mean", "rms")


def display(map: Any, scale: float | None = None) -> tuple[FloatArray, float]:
    """Map values to pixels by a sigmoid in which 0 is mid-grey (Mahendran and Vedaldi, ECCV 2016).

    pixel = 1 / (1 + exp(log(99) x / a)), so that a becomes 0.01 and -a becomes 0.99. There a is the 0.5 % quantile of
    the whole map; here it is that or minus the 99.5 % quantile, whichever is larger in size, since a map whose tails
    differ would be white all over. If |a| < 1e-5, or nothing is below 0, a is -max |x|. A zero map is mid-grey.

    Args:
        map: a finite map of any shape, array or tensor.
        scale: use this a instead (its sign does not matter), for instance one for a row of panels.

    Returns:
        pixels in [0, 1], float64, of the map's shape; and a (negative, or 0 for a zero map), to print under the panel.

    Raises:
        DataError: NaN or infinity in the map, an empty map, or a scale that is not a finite number other than 0.
    """
    values = finite_array(map)
    a = _scale(values) if scale is None else -abs(float(scale))
    if a == 0 and not values.any():
        return np.full(values.shape, 0.5), 0.0
    if not np.isfinite(a) or a == 0:
        raise DataError(f"display scale {scale}: expected a finite number other than 0")
    with np.errstate(over="ignore"):  # x / a may overflow to infinity, whose sigmoid is exactly 0 or 1
        return sigmoid(-LOG99 * (values / a)), a


def _scale(values: FloatArray) -> float:
    peak = float(np.abs(values).max())
    unit = peak if peak > LARGE else 1.0
    low, high = (float(end) * unit for end in np.quantile(values / unit, (QUANTILE, 1 - QUANTILE)))
    a = max(-low, high) if values.min() < 0 else 0.0
    return -a if a >= SMALL else -peak


def display_signed(map: Any, scale: float | None = None) -> tuple[FloatArray, float]:
    """Map values to pixels in proportion, with 0 at 0.5, for colour maps whose middle is neutral.

    Args:
        scale: use this s instead, for instance one for a row of panels.

    Returns:
        pixels in [0, 1], float64; and -s, where s is the 99.5 % quantile of the magnitudes: s becomes 1 and -s 0, and
        what lies beyond is cut. A zero map is 0.5 everywhere, and its scale 0.

    Raises:
        DataError: NaN or infinity in the map, or an empty map.
    """
    values = finite_array(map)
    peak = float(np.abs(values).max())
    if peak == 0:
        return np.full(values.shape, 0.5), 0.0
    scale = abs(scale) if scale else float(np.quantile(np.abs(values) / peak, 1 - QUANTILE)) * peak or peak
    return np.asarray(0.5 + 0.5 * np.clip(values / scale, -1, 1)), -scale


def to_grey(map: Any) -> FloatArray:
    """The map of a grey input that was copied to C channels: [C, H, W] -> [H, W], the sum (the adjoint of copying).

    Raises:
        DataError: not three axes, or NaN or infinity.
    """
    values = finite_array(map)
    if values.ndim != 3:
        raise DataError(f"a map must have shape [C, H, W], got {list(values.shape)}")
    return np.asarray(values.sum(axis=0))


def display_map(map: Any, *, colour: bool, scale: float | None = None) -> tuple[FloatArray, float]:
    """A reconstruction [C, H, W] as an image: grey [H, W], or per channel [H, W, 3] when the input was in colour.

    The channels of a colour map share one scale. See `display` for the scale and the errors.

    Raises:
        DataError: also when a colour map does not have three channels.
    """
    if not colour:
        return display(to_grey(map), scale)
    values = finite_array(map)
    if values.ndim != 3 or values.shape[0] != 3:
        raise DataError(f"a colour map must have shape [3, H, W], got {list(values.shape)}")
    return display(np.moveaxis(values, 0, -1), scale)


def summarise_activation(activation: Any, kind: Literal["mean", "rms"] = "mean") -> FloatArray:
    """One map for a whole layer: the mean or root mean square of |activation| over its channels.

    [C, h, w] -> [h, w]. A layer without positions, [C], is wrapped row by row into the most square rectangle that its
    channels fill (4096 -> 64 x 64).

    Raises:
        DataError: another shape, empty, or NaN or infinity. UnknownNameError: an unknown kind.
    """
    if kind not in SUMMARIES:
        raise UnknownNameError("activation summary", kind, SUMMARIES)
    values = np.abs(finite_array(activation))
    if values.ndim == 1:
        rows = next(r for r in range(int(len(values) ** 0.5), 0, -1) if len(values) % r == 0)
        return values.reshape(rows, -1)
    if values.ndim != 3:
        raise DataError(f"an activation must have shape [C, h, w] or [C], got {list(values.shape)}")
    peak = float(values.max())
    if kind == "mean" or peak == 0:
        return np.asarray(values.mean(axis=0))
    return np.asarray(peak * np.sqrt(np.square(values / peak).mean(axis=0)))


def display_positive(map: Any, scale: float | None = None) -> tuple[FloatArray, float]:
    """A map without negative values as pixels in [0, 1]: divided by `scale`, by default its maximum.

    Returns:
        pixels, float64; and the scale that became 1 (0 for a zero map).

    Raises:
        DataError: NaN or infinity, a negative value, or a scale that is not a finite number above 0.
    """
    values = finite_array(map)
    if values.min() < 0:
        raise DataError(
            f"a map with values down to {values.min():g}: expected none below 0; use display() for signed maps"
        )
    top = float(values.max()) if scale is None else float(scale)
    if top == 0 and not values.any():
        return np.zeros(values.shape), 0.0
    if not np.isfinite(top) or top <= 0:
        raise DataError(f"display scale {scale}: expected a finite number above 0")
    return np.minimum(values / top, 1.0), top


def scale_text(symbol: str, value: float) -> str:
    """A scale as a caption prints it: three digits, a real minus sign, e.g. "a = −7.79e−5"."""
    digits, _, exponent = f"{value:.3g}".partition("e")
    return f"{symbol} = {digits}{f'e{int(exponent)}' if exponent else ''}".replace("-", "\N{MINUS SIGN}")


def finite_array(map: Any) -> FloatArray:
    """An array or a tensor of any device as float64.

    Raises:
        DataError: empty, not numbers, or NaN or infinity among them.
    """
    if hasattr(map, "detach"):
        map = map.detach().cpu().double().numpy()
    try:
        values = np.asarray(map, np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"a map must hold real numbers ({error})") from error
    if not values.size:
        raise DataError(f"a map of shape {list(values.shape)} is empty; there is nothing to display")
    bad = int(values.size - np.isfinite(values).sum())
    if bad:
        raise DataError(
            f"a map of shape {list(values.shape)} holds {bad} NaN or infinite values; "
            "check the model's weights and the input, or use a wider number type"
        )
    return values
