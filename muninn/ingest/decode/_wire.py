"""Scanning a Prometheus WriteRequest (protobuf) into columns, compiled; no Python object per sample.

Belongs here: the byte layout alone. Does not: labels' meaning, limits, snappy.
Field numbers are those of prometheus/prompb: WriteRequest{1 timeseries, 3 metadata}, TimeSeries{1 label, 2 sample,
3 exemplar, 4 histogram}, Sample{1 value double, 2 timestamp int64 ms}.
"""

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from muninn.ingest.decode._octets import eight

_LENGTH_DELIMITED = 2
# The tags of a Sample's fields.
_VALUE, _TIMESTAMP = 0x09, 0x10


class Scanned(NamedTuple):
    """`s` series and `n` samples as they lie in the message.

    label_start, label_end: int64[s], the bytes that hold a series' labels; series: int32[n]; at_ms: int64[n];
    value: float64[n]; skipped: exemplars, native histograms, metadata entries; fault: -1 or the byte at fault.
    """

    label_start: NDArray[np.int64]
    label_end: NDArray[np.int64]
    series: NDArray[np.int32]
    at_ms: NDArray[np.int64]
    value: NDArray[np.float64]
    skipped: tuple[int, int, int]
    fault: int


@numba.njit(cache=True)
def _long_varint(body, at, end):  # type: ignore[no-untyped-def]
    value = np.uint64(0)
    shift = np.uint64(0)
    while at < end and shift < 70:
        byte = np.uint64(body[at])
        at += 1
        value |= (byte & np.uint64(0x7F)) << shift
        if byte < 128:
            return np.int64(value), at
        shift += np.uint64(7)
    return np.int64(0), -1


@numba.njit(cache=True, inline="always")
def _varint(body, at, end):  # type: ignore[no-untyped-def]
    """(value as int64 bits, next position); next is -1 when the varint does not end."""
    if at < end and body[at] < 128:  # almost all are of one byte
        return np.int64(body[at]), at + 1
    return _long_varint(body, at, end)


@numba.njit(cache=True, inline="always")
def _field(body, at, end):  # type: ignore[no-untyped-def]
    """(field number, wire type, start of payload, end of payload); the end is -1 when it does not fit."""
    tag, at = _varint(body, at, end)
    if at < 0:
        return 0, 0, 0, -1
    number, kind = tag >> 3, tag & 7
    if kind == 0:
        _, stop = _varint(body, at, end)
        return number, kind, at, stop
    if kind == 1:
        stop = at + 8
    elif kind == 5:
        stop = at + 4
    elif kind == _LENGTH_DELIMITED:
        length, at = _varint(body, at, end)
        if at < 0 or length < 0 or length > end - at:
            return 0, 0, 0, -1
        stop = at + length
    else:
        return 0, 0, 0, -1
    return number, kind, at, stop if stop <= end else -1


@numba.njit(cache=True, inline="always")
def _sample(body, at, end):  # type: ignore[no-untyped-def]
    """(bits of the value, timestamp ms, fault) of one Sample message."""
    if at + 10 < end and body[at] == _VALUE and body[at + 9] == _TIMESTAMP:  # as everybody writes it
        at_ms, stop = _varint(body, at + 10, end)
        if stop == end:
            return eight(body, at + 1), at_ms, -1
    bits, at_ms = np.uint64(0), np.int64(0)
    while at < end:
        number, kind, start, stop = _field(body, at, end)
        if stop < 0:
            return bits, at_ms, at
        if number == 1 and kind == 1:
            bits = eight(body, start)
        elif number == 2 and kind == 0:
            at_ms, _ = _varint(body, start, end)
        at = stop
    return bits, at_ms, -1


@numba.njit(cache=True, nogil=True)
def _fill(body, label_start, label_end, series, at_ms, bits, skipped):  # type: ignore[no-untyped-def]
    """Fill the columns; (series, samples, the fault or -1). It stops where either has no room left."""
    at, end, s, n = 0, len(body), 0, 0
    while at < end:
        number, kind, start, stop = _field(body, at, end)
        if stop < 0:
            return s, n, at
        if number == 3:
            skipped[2] += 1
        if number == 1 and kind == _LENGTH_DELIMITED:
            if s == len(label_start):
                return s, n, -1
            label_start[s] = label_end[s] = start
            inner, seen = start, False
            while inner < stop:
                inner_number, inner_kind, inner_start, inner_stop = _field(body, inner, stop)
                if inner_stop < 0:
                    return s, n, inner
                if inner_kind != _LENGTH_DELIMITED:
                    inner_number = 0  # none of ours, whatever its number
                if inner_number == 1:
                    if not seen:
                        label_start[s], seen = inner, True
                    label_end[s] = inner_stop
                elif inner_number == 2:
                    if n == len(series):
                        return s, n, -1
                    bits[n], at_ms[n], fault = _sample(body, inner_start, inner_stop)
                    if fault >= 0:
                        return s, n, fault
                    series[n] = s
                    n += 1
                elif inner_number == 3:
                    skipped[0] += 1
                elif inner_number == 4:
                    skipped[1] += 1
                inner = inner_stop
            s += 1
        at = stop
    return s, n, -1


def scan(body: bytes, most_series: int, most_samples: int) -> Scanned:
    """The columns of an uncompressed WriteRequest; `fault` names the byte where it stops making sense.

    Of more than `most_series` or `most_samples` one more than that is found, and what comes after it is not looked at.
    """
    octets = np.frombuffer(body, np.uint8)
    # A message takes two bytes at least. Pages that are never written take no memory.
    series_room, samples_room = (min(len(body) // 2, most + 1) for most in (most_series, most_samples))
    label_start, label_end = np.empty(series_room, np.int64), np.empty(series_room, np.int64)
    series, at_ms = np.empty(samples_room, np.int32), np.empty(samples_room, np.int64)
    value, skipped = np.empty(samples_room, np.float64), np.zeros(3, np.int64)
    s, n, fault = _fill(octets, label_start, label_end, series, at_ms, value.view(np.uint64), skipped)
    return Scanned(
        label_start[:s],
        label_end[:s],
        series[:n],
        at_ms[:n],
        value[:n],
        (int(skipped[0]), int(skipped[1]), int(skipped[2])),
        int(fault),
    )
