"""Elementary functions that give the same bits on every processor and with every version of NumPy.

IEEE 754 fixes +, -, *, / and the square root to the last bit, and nothing else: exp, log, sin, power, hypot, sums of
many numbers and matrix products come out differently with other instruction sets, C libraries and versions. All
arithmetic of the synthetic domains is therefore float64, made of those five operations in a fixed order, of exact ones
(comparison, rounding, `frexp`, `ldexp`) and of the functions below, each a polynomial after an exact reduction.

Coefficients of sine and cosine: FreeBSD msun (fdlibm, Sun Microsystems 1993). Relative errors are below 1e-14.
"""

from __future__ import annotations

import math
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Number = TypeVar("Number", float, Array)

PI = 3.141592653589793
_QUARTER_HIGH, _QUARTER_LOW = 1.57079632673412561417, 6.07710050650619224932e-11  # pi / 2; the first has 33 bits
_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10  # the first has 33 bits
_LN2, _ROOT_HALF = 0.6931471805599453, 0.7071067811865476
_SINE = (
    1.58969099521155010221e-10, -2.50507602534068634195e-08, 2.75573137070700676789e-06,
    -1.98412698298579493134e-04, 8.33333333332248946124e-03, -1.66666666666666324348e-01,
)  # fmt: skip
_COSINE = (
    -1.13596475577881948265e-11, 2.08757232129817482790e-09, -2.75573143513906633035e-07,
    2.48015872894767294178e-05, -1.38888888888741095749e-03, 4.16666666666666019037e-02,
)  # fmt: skip
_EXP = tuple(1.0 / n for n in (6227020800, 479001600, 39916800, 3628800, 362880, 40320, 5040, 720, 120, 24, 6, 2, 1))
_LOG = tuple(1.0 / n for n in range(23, 2, -2))


_ARRAYS: tuple[Any, Any, Any] = (np.rint, np.floor, np.where)
_FLOATS: tuple[Any, Any, Any] = (
    lambda x: float(round(x)),
    lambda x: float(math.floor(x)),
    lambda first, one, other: one if first else other,
)


def _horner(x: Any, coefficients: tuple[float, ...]) -> Any:
    total = x * coefficients[0] + coefficients[1]
    for coefficient in coefficients[2:]:
        total = total * x + coefficient
    return total


def sin(x: Number) -> Number:
    """Sine of `x` in radians, |x| < 1e6."""
    result: Number = _wave(x, 0.0)
    return result


def cos(x: Number) -> Number:
    """Cosine of `x` in radians, |x| < 1e6."""
    result: Number = _wave(x, 1.0)
    return result


def _wave(x: Any, quarters: float) -> Any:
    """sin(x + quarters * pi / 2)."""
    rint, floor, choose = _ARRAYS if isinstance(x, np.ndarray) else _FLOATS
    turn = rint(x * (2 / PI))
    r = (x - turn * _QUARTER_HIGH) - turn * _QUARTER_LOW
    turn = turn + quarters
    half = floor(0.5 * turn)
    z = r * r
    sine = r + r * z * _horner(z, _SINE)
    cosine = 1.0 - 0.5 * z + z * z * _horner(z, _COSINE)
    sign = 1.0 - 2.0 * (half - 2.0 * floor(0.5 * half))
    return sign * choose(turn - 2.0 * half == 1.0, cosine, sine)


def exp(x: Number) -> Number:
    """e to the power `x`; `x` is cut to [-700, 700]."""
    cut: Any = clip(x, -700.0, 700.0)
    value: Any
    if isinstance(cut, np.ndarray):
        twos = np.rint(cut * (1 / _LN2))
        value = np.ldexp(_exp(cut, twos), twos.astype(np.int32))
    else:
        turn = round(cut * (1 / _LN2))
        value = math.ldexp(_exp(cut, float(turn)), turn)
    result: Number = value
    return result


def _exp(x: Any, power: Any) -> Any:
    """e to the power `x`, divided by 2 to the `power`."""
    r = (x - power * _LN2_HIGH) - power * _LN2_LOW
    return _horner(r, _EXP) * r + 1.0


def log(x: Number) -> Number:
    """Natural logarithm of `x` > 0."""
    if isinstance(x, np.ndarray):
        mantissa, power = np.frexp(x)
        small = mantissa < _ROOT_HALF
        mantissa, power = np.where(small, 2.0 * mantissa, mantissa), np.where(small, power - 1, power)
        result: Number = _log(mantissa, power.astype(np.float64))
        return result
    m, p = math.frexp(x)
    return float(_log(2.0 * m, p - 1.0) if m < _ROOT_HALF else _log(m, float(p)))


def _log(mantissa: Any, power: Any) -> Any:
    """Logarithm of mantissa * 2^power, the mantissa within a factor of sqrt(2) of 1."""
    s = (mantissa - 1.0) / (mantissa + 1.0)
    z = s * s
    series = 2.0 * s + 2.0 * s * z * _horner(z, _LOG)
    return power * _LN2_HIGH + (series + power * _LN2_LOW)


def power(x: Number, exponent: float) -> Number:
    """`x` to the power `exponent`, for x >= 0 (0 gives 0)."""
    if isinstance(x, np.ndarray):
        return np.where(x > 0, exp(exponent * log(np.maximum(x, 1e-300))), 0.0)
    return exp(exponent * log(x)) if x > 0 else 0.0


def tanh(x: Number) -> Number:
    """Hyperbolic tangent."""
    result: Number = 1.0 - 2.0 / (exp(2.0 * x) + 1.0)
    return result


def sqrt(x: Number) -> Number:
    """Square root (IEEE 754 rounds it correctly)."""
    return np.sqrt(x) if isinstance(x, np.ndarray) else math.sqrt(x)


def hypot(x: Number, y: Number) -> Number:
    """sqrt(x^2 + y^2)."""
    result: Number = sqrt(x * x + y * y)
    return result


def clip(x: Number, low: float, high: float) -> Number:
    """`x`, but at least `low` and at most `high`."""
    return np.minimum(np.maximum(x, low), high) if isinstance(x, np.ndarray) else min(max(float(x), low), high)


def total(values: Array) -> float:
    """Sum of numbers below 2^20 in magnitude to the nearest 2^-32 each, exact, so that its order does not matter."""
    return float(np.rint(values * 4294967296.0).astype(np.int64).sum()) / 4294967296.0
