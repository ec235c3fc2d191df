"""Doubles as integers over a power of two: value == mantissa / 2**bits, bit for bit.

Every finite double is one. That pays where neighbours are near each other in value: readings that came as 32-bit
floats, sizes divided by 1,024, a full-precision measurement that drifts. Their differences are small integers, while
the doubles have no byte in common below the first two. Belongs here: one series at a time. Does not: decimals (scaled).
"""

import numpy as np
from numpy.typing import NDArray

# A mantissa is an int64 of which 53 bits in a row count.
_MAX_BITS = 127
_TOP = 62
# Of a hundred values this many must be served; the others are kept as doubles.
_SERVED_PCT = 95.0
# Bits of a difference from which the double itself is no larger: its exponent packs to nothing.
TOO_WIDE = 50.0


def dyadic(
    value: NDArray[np.float64], too_wide: float = TOO_WIDE
) -> tuple[int, NDArray[np.int64], NDArray[np.bool_]] | None:
    """(bits, mantissa, exact) of a series in order of time, where its differences take fewer than `too_wide` bits.

    Where `exact`, value is mantissa / 2**bits; elsewhere mantissa is 0. 0 < bits <= 127. None: keep what there is.
    """
    needed = _fraction_bits(value)
    bits = int(np.percentile(needed, _SERVED_PCT, method="higher"))
    if not 0 < bits <= _MAX_BITS:
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = np.ldexp(value, bits)
        exact = (needed <= bits) & (np.abs(scaled) < 2.0**_TOP)
        exact &= (scaled != 0) | ~np.signbit(value)  # the integer 0 has no sign
    mantissa = np.where(exact, scaled, 0.0).astype(np.int64)
    if exact.mean() * 100 < _SERVED_PCT - 5 or width(mantissa[exact]) >= too_wide:
        return None
    return bits, mantissa, exact


def _fraction_bits(value: NDArray[np.float64]) -> NDArray[np.int64]:
    """int64[n]: how many binary digits behind the point a value has; beyond all bounds where it is no number."""
    word = value.view(np.int64)
    exponent = (word >> 52) & 0x7FF
    mantissa = word & ((1 << 52) - 1) | np.where(exponent > 0, np.int64(1) << 52, 0)
    last = (mantissa & -mantissa).astype(np.float64)  # a power of two: its exponent counts the zeros below it
    zeros = (last.view(np.int64) >> 52) - 1023
    digits = 1075 - np.maximum(exponent, 1) - zeros
    return np.where(mantissa == 0, 0, np.where(exponent == 0x7FF, 1 << 20, np.maximum(digits, 0)))


def width(mantissa: NDArray[np.int64]) -> float:
    """About how many bits a difference takes, packed in blocks with others of its kind."""
    steps = np.abs(np.diff(mantissa).astype(np.float64))
    return float(np.log2(steps.mean() + 1.0) + 2.5) if len(steps) else 64.0
