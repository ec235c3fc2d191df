"""Timestamps as they come in, to microseconds since the epoch; whole columns at a time.

Belongs here: RFC 3339 and epoch milliseconds. Does not: whether an instant is acceptable (validate).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from muninn.clock import DAY_US, MINUTE_US, SECOND_US

# The longest text that is looked at: 20 fixed characters, a fraction, an offset.
_WIDTH = 48
_CHUNK = 1 << 16
# Beyond this (the year 2255) a double no longer resolves single microseconds.
MAX_MS = 9e12
_FIXED_DIGITS = [0, 1, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18]
_MONTH_DAYS = np.array([0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], np.int64)

Instants = tuple[NDArray[np.int64], NDArray[np.bool_]]


def from_ms(ms: NDArray[np.float64]) -> Instants:
    """Epoch milliseconds, whole or not, to (at_us int64[n], ok bool[n]); at_us is 0 where not ok."""
    ok = np.abs(ms) <= MAX_MS  # False for NaN as well
    return np.rint(np.where(ok, ms, 0.0) * 1000.0).astype(np.int64), ok


def from_rfc3339(texts: Sequence[str]) -> Instants:
    """RFC 3339 texts of any offset to (at_us int64[n], ok bool[n]); at_us is 0 where not ok.

    Digits beyond microseconds are cut off. A leap second (23:59:60 UTC) is the first second of the next day.
    """
    parts = [_parse(texts[start : start + _CHUNK]) for start in range(0, len(texts), _CHUNK)]
    if not parts:
        return np.empty(0, np.int64), np.empty(0, np.bool_)
    return np.concatenate([at for at, _ in parts]), np.concatenate([ok for _, ok in parts])


def _parse(texts: Sequence[str]) -> Instants:
    length = np.fromiter(map(len, texts), np.int64, len(texts))
    text = _matrix(texts)
    digit = (text - np.uint8(48)).astype(np.int64)  # wraps: anything below "0" becomes large
    ok = (length >= 20) & (length <= _WIDTH) & (digit[:, _FIXED_DIGITS] <= 9).all(axis=1)
    for place, allowed in ((4, b"-"), (7, b"-"), (10, b"Tt "), (13, b":"), (16, b":")):
        ok &= _among(text[:, place], allowed)
    zone_chars, offset_us, zone_ok = _zone(text, digit, np.where(ok, length, 20))
    micros, fraction_ok = _fraction(text, digit, length - zone_chars)
    seconds_us, calendar_ok = _calendar(digit)
    at_us = seconds_us + micros - offset_us
    leap = (_number(digit, 17, 2) == 60) & (at_us % DAY_US >= SECOND_US)
    ok &= zone_ok & fraction_ok & calendar_ok & ~leap
    return np.where(ok, at_us, 0), ok


def _matrix(texts: Sequence[str]) -> NDArray[np.uint8]:
    """uint8[n, _WIDTH]: the texts in ASCII, cut or filled with NUL; anything else becomes "?"."""
    try:
        fixed = np.array(texts, dtype=f"S{_WIDTH}")
    except UnicodeEncodeError:
        fixed = np.array([text.encode("ascii", "replace") for text in texts], dtype=f"S{_WIDTH}")
    return fixed.view(np.uint8).reshape(len(texts), _WIDTH)


def _among(column: NDArray[np.uint8], allowed: bytes) -> NDArray[np.bool_]:
    return np.isin(column, np.frombuffer(allowed, np.uint8))


def _number(digit: NDArray[np.int64], start: int, width: int) -> NDArray[np.int64]:
    result = digit[:, start]
    for place in range(start + 1, start + width):
        result = result * 10 + digit[:, place]
    return result


def _zone(
    text: NDArray[np.uint8], digit: NDArray[np.int64], length: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Characters that the zone takes, its offset in us, and whether it is one."""
    rows = np.arange(len(length))
    at = np.minimum(length, _WIDTH)
    utc = _among(text[rows, at - 1], b"Zz")
    sign = text[rows, at - 6]
    tens_h, ones_h, tens_m, ones_m = (digit[rows, at - back] for back in (5, 4, 2, 1))
    digits_ok = (tens_h <= 9) & (ones_h <= 9) & (tens_m <= 9) & (ones_m <= 9)
    hours, minutes = tens_h * 10 + ones_h, tens_m * 10 + ones_m
    numeric = _among(sign, b"+-") & (text[rows, at - 3] == ord(":")) & digits_ok & (hours <= 23) & (minutes <= 59)
    offset_us = np.where(sign == ord("-"), -1, 1) * (hours * 60 + minutes) * MINUTE_US
    return np.where(utc, 1, 6), np.where(utc, 0, offset_us), utc | numeric


def _fraction(
    text: NDArray[np.uint8], digit: NDArray[np.int64], end: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Microseconds of ".123…" from place 19 up to `end`, and whether it is a fraction (or empty)."""
    empty = end == 19
    places = np.arange(20, _WIDTH)
    inside = places < end[:, None]
    digits = np.where(inside, digit[:, 20:], 0)
    written = (text[:, 19] == ord(".")) & (end > 20) & (digits <= 9).all(axis=1)
    micros = digits[:, :6] @ np.array([100_000, 10_000, 1_000, 100, 10, 1], np.int64)
    return np.where(empty, 0, micros), empty | written


def _calendar(digit: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Microseconds of the date and the time of day, and whether there is such a day and time."""
    year, month, day = _number(digit, 0, 4), _number(digit, 5, 2), _number(digit, 8, 2)
    hour, minute, second = (_number(digit, place, 2) for place in (11, 14, 17))
    leap_year = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    month_ok = (month >= 1) & (month <= 12)
    last_day = _MONTH_DAYS[np.where(month_ok, month, 0)] - ((month == 2) & ~leap_year)
    ok = (year >= 1) & month_ok & (day >= 1) & (day <= last_day) & (hour <= 23) & (minute <= 59) & (second <= 60)
    # Days since the epoch of a proleptic Gregorian date, counting years from March.
    shifted = year - (month <= 2)
    era, year_of_era = shifted // 400, shifted % 400
    day_of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    days = era * 146_097 + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year - 719_468
    return days * DAY_US + ((hour * 60 + minute) * 60 + second) * SECOND_US, ok
