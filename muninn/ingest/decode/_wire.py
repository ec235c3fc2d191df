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


@numba.njit(cache=True, inline="always")
def _varint(body, at, end):  # type: ignore[no-untyped-def]
    """(value as int64 bits, next position); next is -1 when the varint does not end."""
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


@numba.njit(cache=True, nogil=True)
def _count(body):  # type: ignore[no-untyped-def]
    """(series, samples, fault): how much room the columns need."""
    series = samples = 0
    at, end = 0, len(body)
    while at < end:
        number, kind, start, stop = _field(body, at, end)
        if stop < 0:
            return series, samples, at
        if number == 1 and kind == _LENGTH_DELIMITED:
            series += 1
            inner = start
            while inner < stop:
                inner_number, inner_kind, _, inner_stop = _field(body, inner, stop)
                if inner_stop < 0:
                    return series, samples, inner
                if inner_number == 2 and inner_kind == _LENGTH_DELIMITED:
                    samples += 1
                inner = inner_stop
        at = stop
    return series, samples, -1


@numba.njit(cache=True, inline="always")
def _sample(body, at, end):  # type: ignore[no-untyped-def]
    """(bits of the value, timestamp ms, fault) of one Sample message."""
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
    """Fill the columns; the fault or -1. The message was counted before, so its frames fit."""
    at, end, s, n = 0, len(body), 0, 0
    while at < end:
        number, kind, start, stop = _field(body, at, end)
        if number == 3:
            skipped[2] += 1
        if number == 1 and kind == _LENGTH_DELIMITED:
            label_start[s] = label_end[s] = start
            inner, seen = start, False
            while inner < stop:
                inner_number, inner_kind, inner_start, inner_stop = _field(body, inner, stop)
                if inner_kind != _LENGTH_DELIMITED:
                    inner_number = 0  # none of ours, whatever its number: it was not counted either
                if inner_number == 1:
                    if not seen:
                        label_start[s], seen = inner, True
                    label_end[s] = inner_stop
                elif inner_number == 2:
                    bits[n], at_ms[n], fault = _sample(body, inner_start, inner_stop)
                    if fault >= 0:
                        return fault
                    series[n] = s
                    n += 1
                elif inner_number == 3:
                    skipped[0] += 1
                elif inner_number == 4:
                    skipped[1] += 1
                inner = inner_stop
            s += 1
        at = stop
    return -1


def scan(body: bytes) -> Scanned:
    """The columns of an uncompressed WriteRequest; `fault` names the byte where it stops making sense."""
    octets = np.frombuffer(body, np.uint8)
    series_count, sample_count, fault = _count(octets)
    if fault >= 0:
        series_count = sample_count = 0
    label_start, label_end = np.zeros(series_count, np.int64), np.zeros(series_count, np.int64)
    series, at_ms = np.zeros(sample_count, np.int32), np.zeros(sample_count, np.int64)
    value, skipped = np.zeros(sample_count, np.float64), np.zeros(3, np.int64)
    if fault < 0:
        fault = _fill(octets, label_start, label_end, series, at_ms, value.view(np.uint64), skipped)
    return Scanned(
        label_start, label_end, series, at_ms, value, (int(skipped[0]), int(skipped[1]), int(skipped[2])), int(fault)
    )
