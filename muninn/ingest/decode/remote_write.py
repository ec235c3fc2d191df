"""Prometheus remote write 1.0: snappy-compressed protobuf to columns.

Labels are parsed once per distinct label set; the samples themselves never become Python objects. `job` and
`instance` stay labels and also name the source agent and the instance. A stale marker says that a series ended, and
Prometheus sends NaN for a summary that saw nothing: neither is a value, both are counted and left; likewise exemplars,
native histograms and metadata.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from muninn.errors import Invalid
from muninn.ingest.body import TooLarge
from muninn.ingest.decode import Count
from muninn.ingest.decode._wire import Scanned, scan
from muninn.ingest.decode.label_table import MAX_LABEL_SETS, LabelTable
from muninn.ingest.validate import Decoded, Rules, Screening, series_key, without_unused_keys
from muninn.model import SampleBatch, SeriesKey

# The bits of the NaN that Prometheus writes when a series ends (model/value/value.go, StaleNaN).
STALE_MARKER = 0x7FF0000000000002
_US_PER_MS = 1000
# Of one request; a sample takes up to fifty bytes while it is decoded, and may be sent as two.
MAX_SAMPLES = 4_000_000
# Beyond year 9999 either way; keeps the product with 1000 within 64 bits.
_FURTHEST_MS = 253_402_300_800_000


class RemoteWriteDecoder:
    """Decodes write requests and remembers label sets between them; safe for many threads."""

    def __init__(self) -> None:
        self._labels = LabelTable(parse_labels)

    def decode(self, body: bytes, rules: Rules, now_us: int, max_bytes: int, count: Count) -> Decoded:
        """A request's samples; Invalid when it is not snappy or not a WriteRequest, TooLarge beyond `max_bytes`.

        count: told what was left out, as (kind, how many): stale_marker, not_finite, exemplar, native_histogram,
        metadata.
        """
        message = unsnap(body, max_bytes)
        scanned = scan(message, MAX_LABEL_SETS, MAX_SAMPLES)
        if scanned.fault >= 0:
            raise Invalid(f"not a Prometheus WriteRequest: it stops making sense at byte {scanned.fault}")
        if len(scanned.value) > MAX_SAMPLES:
            raise TooLarge(f"a request of {len(scanned.value)} samples; at most {MAX_SAMPLES} are taken at once")
        for kind, skipped in zip(("exemplar", "native_histogram", "metadata"), scanned.skipped, strict=True):
            if skipped:
                count(kind, skipped)
        labels = self._labels.resolve(message, scanned.label_start, scanned.label_end)
        series, at_ms, value = _with_values(scanned, count)
        at_us = np.clip(at_ms, -_FURTHEST_MS, _FURTHEST_MS) * _US_PER_MS
        key_index = labels.ordinal[series]
        screening = Screening(len(series))
        if labels.reasons:
            screening.refuse(key_index < 0, lambda row: labels.reasons[int(series[row])])
        decoded = screening.decoded(SampleBatch(at_us, value, key_index, labels.keys), rules, now_us)
        # An impossible series without samples (of native histograms, say) was refused by none: it has no name.
        return replace(decoded, batch=without_unused_keys(decoded.batch)) if labels.reasons else decoded


def _with_values(scanned: Scanned, count: Count) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.float64]]:
    """(series, at_ms, value) of the samples that are finite; the others are counted."""
    fresh = np.isfinite(scanned.value)
    if fresh.all():
        return scanned.series, scanned.at_ms, scanned.value
    stale = int((scanned.value.view(np.uint64) == STALE_MARKER).sum())
    for kind, left in (("stale_marker", stale), ("not_finite", int((~fresh).sum()) - stale)):
        if left:
            count(kind, left)
    return scanned.series[fresh], scanned.at_ms[fresh], scanned.value[fresh]


def parse_labels(raw: bytes) -> SeriesKey | str:
    """The key that a run of Label messages stands for, or what is wrong with it."""
    labels: dict[str, str] = {}
    try:
        for number, payload in _fields(raw):
            if number == 1:
                pair = dict(_fields(payload))
                name = pair.get(1, b"").decode()
                if name in labels:
                    return f"labels: {name[:40]!r} is there twice"
                labels[name] = pair.get(2, b"").decode()
    except UnicodeDecodeError:
        return "labels: not UTF-8"
    metric = labels.pop("__name__", None)
    try:
        return series_key(metric, labels, labels.get("job"), labels.get("instance"))
    except Invalid as error:
        return str(error)


def _fields(raw: bytes) -> Iterator[tuple[int, bytes]]:
    """(field number, payload) of the length-delimited fields; the scanner has checked the framing."""
    at = 0
    while at < len(raw):
        tag, at = _varint(raw, at)
        if tag & 7 == 2:
            length, at = _varint(raw, at)
            yield tag >> 3, raw[at : at + length]
            at += length
        elif tag & 7 == 0:
            _, at = _varint(raw, at)
        else:
            at += 8 if tag & 7 == 1 else 4


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(raw):
        byte = raw[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
    return value, at


def unsnapped_bytes(body: bytes) -> int | None:
    """How long a body says that it becomes; None where it does not begin as snappy does."""
    size = 0
    for place, byte in enumerate(body[:5]):
        size |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return size
    return None


def unsnap(body: bytes, max_bytes: int) -> bytes:
    """Undo snappy's block format; Invalid if it is broken or larger than `max_bytes` when unpacked."""
    size = unsnapped_bytes(body)
    if size is None:
        raise Invalid("the body is not snappy-compressed: it has no length at its start")
    if size > max_bytes:
        raise TooLarge(f"the body unpacks to {size} bytes; at most {max_bytes} are taken")
    try:
        return bytes(pa.decompress(body, decompressed_size=size, codec="snappy", asbytes=True))
    except (pa.ArrowInvalid, OSError) as error:
        raise Invalid(f"the body is not snappy-compressed: {error}") from error
