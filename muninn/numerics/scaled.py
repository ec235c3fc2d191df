"""Doubles as scaled integers where that is lossless: value == mantissa / 10**exponent, bit for bit.

Decimal readings (12.7, 0.035) become small integers, which pack to a fraction of their size. Both operands of
the division are exact doubles, so IEEE 754 rounds the quotient to the one double that the decimal stands for.
A value for which no exponent works (pi, -0.0, 1e300) is left as it is.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MAX_EXPONENT = 12
_MAX_MANTISSA = float(1 << 53)
_POWERS = np.array([10.0**e for e in range(MAX_EXPONENT + 1)] + [2.0**bits for bits in range(128, 0, -1)])


@dataclass(frozen=True, eq=False)
class Scaled:
    """n values: where `exact`, value is mantissa / 10**exponent; elsewhere `mantissa` is 0 and the double is kept.

    With an exponent below 0 it is mantissa / 2**-exponent (muninn/numerics/dyadic.py).
    """

    mantissa: NDArray[np.int64]
    exponent: NDArray[np.int8]
    exact: NDArray[np.bool_]


def scale(value: NDArray[np.float64], series_start: NDArray[np.intp]) -> Scaled:
    """Scale values that lie series after series; `series_start` are the first rows of each (ascending, from 0).

    A series gets one exponent, the smallest that serves the most demanding of its scalable values.
    """
    n = len(value)
    if n == 0:
        return Scaled(np.empty(0, np.int64), np.empty(0, np.int8), np.empty(0, np.bool_))
    per_series = np.maximum(np.maximum.reduceat(needed_exponent(value), series_start), 0)
    return scale_by(value, np.repeat(per_series, np.diff(np.append(series_start, n))))


def scale_by(value: NDArray[np.float64], exponent: NDArray[np.int8]) -> Scaled:
    """Scale each value by the exponent that is given for it, where that is lossless."""
    mantissa, exact = _mantissa(value, exponent)
    return Scaled(np.where(exact, mantissa, 0.0).astype(np.int64), exponent, exact)


def needed_exponent(value: NDArray[np.float64]) -> NDArray[np.int8]:
    """int8[n]: the smallest exponent by which each value scales without loss; -1 where none does."""
    needed = np.full(len(value), -1, np.int8)
    for exponent in range(MAX_EXPONENT + 1):
        open_rows = np.flatnonzero(needed < 0)
        if not len(open_rows):
            break
        fits = _mantissa(value[open_rows], exponent)[1]
        needed[open_rows[fits]] = exponent
    return needed


def unscale(scaled: Scaled, value: NDArray[np.float64]) -> NDArray[np.float64]:
    """The doubles again; `value` holds those that were not scaled (elsewhere it is not read)."""
    return np.where(scaled.exact, scaled.mantissa / _power(scaled.exponent), value)


def _power(exponent: NDArray[np.int8] | int) -> NDArray[np.float64]:
    return _POWERS[exponent]  # negative ones count from the end


def _mantissa(
    value: NDArray[np.float64], exponent: NDArray[np.int8] | int
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The candidate mantissa of each value, and whether it gives the same 64 bits back."""
    power = _power(exponent)
    with np.errstate(over="ignore", invalid="ignore"):
        mantissa = np.rint(value * power)
        fits = np.abs(mantissa) < _MAX_MANTISSA
        # The integer 0 has no sign: + 0.0 makes -0.0 differ, as it must.
        same = ((mantissa + 0.0) / power).view(np.int64) == value.view(np.int64)
    return mantissa, fits & same
