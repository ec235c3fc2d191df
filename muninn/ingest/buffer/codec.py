"""A batch as the fields of one stream entry, and back.

Fields: v "1"; at int64[n], value float64[n], key int32[n], little-endian; keys: the canonical form of each series,
one a line (it is JSON, so it holds no line feed). Nothing is compressed: docs/decisions/0004 has what it would cost.

Belongs here: the layout and its check. Does not: the stream.
"""

from collections.abc import Mapping

import numpy as np

from muninn.errors import Invalid
from muninn.model import SampleBatch, SeriesKey

VERSION = b"1"


def encode(batch: SampleBatch) -> dict[bytes, bytes]:
    """The entry's fields."""
    return {
        b"v": VERSION,
        b"at": batch.at_us.astype("<i8", copy=False).tobytes(),
        b"value": batch.value.astype("<f8", copy=False).tobytes(),
        b"key": batch.key_index.astype("<i4", copy=False).tobytes(),
        b"keys": b"\n".join([key.canonical for key in batch.keys]),
    }


class Decoder:
    """Fields to batches; remembers series between entries, up to `max_bytes` of their text: most recur."""

    def __init__(self, max_bytes: int = 32 << 20):
        self._known: dict[bytes, SeriesKey] = {}
        self._bytes = 0
        self._max_bytes = max_bytes

    def decode(self, fields: Mapping[bytes, bytes]) -> SampleBatch:
        """The batch; Invalid says what is wrong with the entry."""
        version = fields.get(b"v")
        if version != VERSION:
            raise Invalid(f"entry layout {version!r} is not known")
        try:
            at_us = np.frombuffer(fields[b"at"], "<i8")
            value = np.frombuffer(fields[b"value"], "<f8")
            key_index = np.frombuffer(fields[b"key"], "<i4")
            lines = fields[b"keys"].split(b"\n") if fields[b"keys"] else []
        except (KeyError, ValueError) as error:
            raise Invalid(f"damaged entry: {error}") from None
        batch = SampleBatch(at_us, value, key_index, tuple(map(self._key, lines)))
        _check(batch)
        return batch

    def _key(self, canonical: bytes) -> SeriesKey:
        key = self._known.get(canonical)
        if key is None:
            key = _parse(canonical)
            if self._bytes + len(canonical) > self._max_bytes:
                self._known, self._bytes = {}, 0
            self._known[canonical] = key
            self._bytes += len(canonical)
        return key


def _parse(canonical: bytes) -> SeriesKey:
    key = SeriesKey.parse(canonical)
    texts = (key.metric, key.source_agent_id, key.instance_id, *(text for label in key.labels for text in label))
    if not all(isinstance(text, str) for text in texts):
        raise Invalid(f"damaged entry: not a series key: {canonical[:80]!r}")
    return key


def _check(batch: SampleBatch) -> None:
    if not len(batch):
        raise Invalid("damaged entry: no samples")
    if batch.key_index.min() < 0 or batch.key_index.max() >= len(batch.keys):
        raise Invalid("damaged entry: a sample points at no series")
    if not np.isfinite(batch.value).all():
        raise Invalid("damaged entry: a value is not finite")


def size_of(fields: Mapping[bytes, bytes]) -> int:
    """Bytes of an entry's names and values: what the buffer's bound counts."""
    return sum(len(name) + len(value) for name, value in fields.items())
