"""Scanning Influx line protocol into columns, compiled; no Python object per sample.

Belongs here: the byte layout alone: `measurement[,tag=value...] field=value[,field=value...] [timestamp]`, with
backslash escapes and quoted string fields. Does not: names, units of time, limits.
"""

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

# What a field's value turned out to be.
NUMBER, STRING, SLOW, BROKEN = 0, 1, 2, 3
# What is wrong with a line; 0 is nothing.
FAULTS = (
    "",
    "no fields",
    "a field without '='",
    "a timestamp that is not a whole number",
    "text after the timestamp",
    "a quoted string that does not end",
    "text after a quoted string",
)

_TRUE, _FALSE = np.frombuffer(b"true", np.uint8), np.frombuffer(b"false", np.uint8)
_CASE = 32
_NEWLINE, _SPACE, _COMMA, _EQUALS, _BACKSLASH, _QUOTE, _HASH = 10, 32, 44, 61, 92, 34, 35


class Fields(NamedTuple):
    """`n` fields; offsets are into the body.

    key_start, key_end: the measurement with its tags; name_start, name_end: the field's key; text_start, text_end:
    its value; kind: NUMBER, STRING, SLOW (a number whose digits need the exact parser) or BROKEN; value: float64[n];
    stamp: int64[n], has_stamp: bool[n]; line: int32[n], from 0. line_faults: (line, index into FAULTS) pairs.
    """

    offsets: NDArray[np.int64]
    kind: NDArray[np.int8]
    value: NDArray[np.float64]
    stamp: NDArray[np.int64]
    has_stamp: NDArray[np.bool_]
    line: NDArray[np.int32]
    line_faults: NDArray[np.int32]


@numba.njit(cache=True)
def _until(body, at, end, one, other):  # type: ignore[no-untyped-def]
    """The next unescaped byte that is `one` or `other`, or `end`."""
    while at < end:
        byte = body[at]
        if byte == _BACKSLASH:
            at += 2
            continue
        if byte in (one, other):
            return at
        at += 1
    return end


@numba.njit(cache=True)
def _value_end(body, at, end):  # type: ignore[no-untyped-def]
    """(end of a field's value, fault); a quoted string may hold anything."""
    if at < end and body[at] == _QUOTE:
        at += 1
        while at < end and body[at] != _QUOTE:
            at += 2 if body[at] == _BACKSLASH else 1
        if at >= end:
            return end, 5
        at += 1
        return at, 0 if at == end or body[at] in (_COMMA, _SPACE) else 6
    return _until(body, at, end, _COMMA, _SPACE), 0


@numba.njit(cache=True)
def _is_word(body, at, end, word):  # type: ignore[no-untyped-def]
    """Whether this is the word, or its first letter: in small letters, in capitals, or with one capital in front."""
    large = body[at] == word[0] - _CASE
    if not large and body[at] != word[0]:
        return False
    if end - at == 1:
        return True
    if end - at != len(word):
        return False
    case = _CASE if large and body[at + 1] == word[1] - _CASE else 0
    same = 1
    for place in range(1, len(word)):
        same += body[at + place] == word[place] - case
    return same == len(word)


@numba.njit(cache=True)
def _digits(body, at, end):  # type: ignore[no-untyped-def]
    """(mantissa, digits, next): a run of digits as an integer."""
    mantissa, count = np.int64(0), 0
    while at < end and 48 <= body[at] <= 57:
        if count < 18:
            mantissa = mantissa * 10 + np.int64(body[at] - 48)
        count += 1
        at += 1
    return mantissa, count, at


@numba.njit(cache=True)
def _number(body, at, end):  # type: ignore[no-untyped-def]
    """(kind, value) of a bare value: 1, -2.5, 3i, 4u, t, False."""
    if at >= end:
        return BROKEN, 0.0
    if body[at] == _QUOTE:
        return (STRING if end - at >= 2 and body[end - 1] == _QUOTE else BROKEN), 0.0
    if _is_word(body, at, end, _TRUE):
        return NUMBER, 1.0
    if _is_word(body, at, end, _FALSE):
        return NUMBER, 0.0
    first, start = body[at], at
    negative = first == 45
    if first in (43, 45):
        at += 1
    whole, whole_digits, at = _digits(body, at, end)
    fraction_digits = 0
    if at < end and body[at] == 46:
        fraction, fraction_digits, at = _digits(body, at + 1, end)
        if whole_digits + fraction_digits <= 15:
            for _ in range(fraction_digits):
                whole *= 10
            whole += fraction
    if whole_digits + fraction_digits == 0:
        # nan, inf and the like: the exact parser decides.
        return (SLOW if end - start <= 9 else BROKEN), 0.0
    if at < end and body[at] in (105, 117) and fraction_digits == 0:
        at += 1
    if at != end or whole_digits + fraction_digits > 15:
        return SLOW, 0.0
    # At most 15 digits over a power of ten up to 10^15: both exact, so the quotient is correctly rounded.
    value = np.float64(whole) / 10.0**fraction_digits
    return NUMBER, -value if negative else value


@numba.njit(cache=True)
def _stamp(body, at, end):  # type: ignore[no-untyped-def]
    """(fault, has, stamp) of what follows the fields."""
    while at < end and body[at] == _SPACE:
        at += 1
    if at >= end:
        return 0, False, np.int64(0)
    negative = body[at] == 45
    if negative:
        at += 1
    stamp, count, at = _digits(body, at, end)
    if count == 0 or count > 19:
        return 3, False, np.int64(0)
    if count == 19:
        # The 19th digit did not go in above; nanoseconds of our century have exactly so many.
        stamp = stamp * 10 + np.int64(body[at - 1] - 48)
    while at < end and body[at] in (_SPACE, 13):
        at += 1
    if at < end:
        return 4, False, np.int64(0)
    return 0, True, -stamp if negative else stamp


@numba.njit(cache=True)
def _scan(body, offsets, kind, value, stamp, has_stamp, line_of, line_faults):  # type: ignore[no-untyped-def]
    """Fill the columns; (fields, faults)."""
    n = faults = line = 0
    at, size = 0, len(body)
    while at < size:
        stop = at
        while stop < size and body[stop] != _NEWLINE:
            stop += 1
        end = stop - 1 if stop > at and body[stop - 1] == 13 else stop
        while at < end and body[at] == _SPACE:
            at += 1
        if at < end and body[at] != _HASH:
            key_start, first = at, n
            key_end = _until(body, at, end, _SPACE, _SPACE)
            at, fault = key_end + 1, 0 if key_end < end else 1
            while fault == 0:
                name_end = _until(body, at, end, _EQUALS, _SPACE)
                if name_end >= end or body[name_end] != _EQUALS or name_end == at:
                    fault = 2
                    break
                text_end, fault = _value_end(body, name_end + 1, end)
                if fault != 0:
                    break
                offsets[n, 0], offsets[n, 1], offsets[n, 2] = key_start, key_end, at
                offsets[n, 3], offsets[n, 4], offsets[n, 5] = name_end, name_end + 1, text_end
                kind[n], value[n] = _number(body, name_end + 1, text_end)
                line_of[n] = line
                n += 1
                at = text_end + 1
                if text_end >= end or body[text_end] != _COMMA:
                    break
            if fault == 0:
                fault, has, when = _stamp(body, at, end)
                for i in range(first, n):
                    stamp[i], has_stamp[i] = when, has
            if fault != 0:
                n = first
                line_faults[faults, 0], line_faults[faults, 1] = line, fault
                faults += 1
        at = stop + 1
        line += 1
    return n, faults


def scan(body: bytes) -> Fields:
    """The fields of all good lines, and the faults of the others."""
    octets = np.frombuffer(body, np.uint8)
    room, lines = body.count(b"="), body.count(b"\n") + 1
    offsets, kind = np.zeros((room, 6), np.int64), np.zeros(room, np.int8)
    value, stamp = np.zeros(room), np.zeros(room, np.int64)
    has_stamp, line = np.zeros(room, np.bool_), np.zeros(room, np.int32)
    line_faults = np.zeros((lines, 2), np.int32)
    n, faults = _scan(octets, offsets, kind, value, stamp, has_stamp, line, line_faults)
    return Fields(offsets[:n], kind[:n], value[:n], stamp[:n], has_stamp[:n], line[:n], line_faults[:faults])
