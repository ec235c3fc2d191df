"""A batch as the fields of one stream entry, and back.

v "2"; value float64[n]; fp: 16 bytes for each of the k series (SeriesKey.digest); all little-endian.
Instants: at int64[n], or at0 (one int64) and dt int32[n] to add to it; an empty dt adds nothing.
key int32[n]: each sample's series; left out where sample i is of series i.
keys: the canonical form of series, one a line (it is JSON, so it holds no line feed), for all of them or for those at
the places `named` (int32). The others the store knows (roster). Further fields are optional sections: left alone here.
docs/decisions/0009 has what this costs and what compressing it would.

Belongs here: the layout and its check. Does not: the stream, who knows which names.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from muninn.errors import Invalid
from muninn.ingest.buffer import distributions
from muninn.model import SampleBatch, SeriesKey, SeriesSet
from muninn.model.series import digest_of
from muninn.model.series_set import FINGERPRINT, Fingerprints

VERSION = b"2"
_MAX_DELTA = (1 << 31) - 1


def encode(batch: SampleBatch, named: NDArray[np.bool_] | None = None) -> dict[bytes, bytes]:
    """The entry's fields. named: bool[k], which series go with their names; None: all."""
    fields = {
        b"v": VERSION,
        **_instants(batch.at_us),
        b"value": batch.value.astype("<f8", copy=False).tobytes(),
        b"fp": batch.keys.fingerprints.tobytes(),
    }
    if len(batch) != len(batch.keys) or not np.array_equal(batch.key_index, np.arange(len(batch.keys))):
        fields[b"key"] = batch.key_index.astype("<i4", copy=False).tobytes()
    places = np.arange(len(batch.keys)) if named is None else np.flatnonzero(named)
    if len(places) < len(batch.keys):
        fields[b"named"] = places.astype("<i4").tobytes()
    names = [batch.keys.name(place) for place in places.tolist()]
    if None in names:
        raise Invalid("a batch goes into the buffer with series that have no name")
    fields[b"keys"] = b"\n".join(name for name in names if name is not None)
    return fields | distributions.encode(batch.distributions)


def encode_known(batch: SampleBatch) -> dict[bytes, bytes]:
    """The entry's fields with whatever names are known here: of the others, the store knows them."""
    named = np.ones(len(batch.keys), np.bool_)
    named[batch.keys.unnamed()] = False
    return encode(batch, named)


def _instants(at_us: NDArray[np.int64]) -> dict[bytes, bytes]:
    if not len(at_us):
        return {b"at": b""}
    first, last = int(at_us.min()), int(at_us.max())
    if first == last:
        return {b"at0": np.array([first], "<i8").tobytes(), b"dt": b""}
    if last - first > _MAX_DELTA:
        return {b"at": at_us.astype("<i8", copy=False).tobytes()}
    return {b"at0": np.array([first], "<i8").tobytes(), b"dt": (at_us - first).astype("<i4").tobytes()}


class Decoder:
    """Fields to batches; remembers names between entries, up to `max_bytes` of their text: they recur."""

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
            value = np.frombuffer(fields[b"value"], "<f8")
            fingerprints = np.frombuffer(fields[b"fp"], FINGERPRINT)
            key = fields.get(b"key")
            key_index = np.arange(len(fingerprints), dtype=np.int32) if key is None else np.frombuffer(key, "<i4")
            some = distributions.decode(fields, len(value))
            batch = SampleBatch(_at_us(fields, len(value)), value, key_index, self._series(fields, fingerprints), some)
        except (KeyError, ValueError, IndexError) as error:
            raise Invalid(f"damaged entry: {error}") from None
        _check(batch)
        return batch

    def _series(self, fields: Mapping[bytes, bytes], fingerprints: Fingerprints) -> SeriesSet:
        lines = fields[b"keys"].split(b"\n") if fields[b"keys"] else []
        places = np.frombuffer(fields[b"named"], "<i4") if b"named" in fields else np.arange(len(fingerprints))
        if len(lines) != len(places):
            raise Invalid(f"damaged entry: {len(lines)} names of {len(places)} series")
        for place, line in zip(places.tolist(), lines, strict=True):
            if digest_of(line) != fingerprints[place].item():
                raise Invalid(f"damaged entry: not the fingerprint of {line[:80]!r}")
        return SeriesSet(fingerprints, dict(zip(places.tolist(), lines, strict=True)).get, self.key)

    def key(self, canonical: bytes) -> SeriesKey:
        """The key of a canonical form; Invalid if it is none."""
        key = self._known.get(canonical)
        if key is None:
            key = _parse(canonical)
            if self._bytes + len(canonical) > self._max_bytes:
                self._known, self._bytes = {}, 0
            self._known[canonical] = key
            self._bytes += len(canonical)
        return key


def _at_us(fields: Mapping[bytes, bytes], samples: int) -> NDArray[np.int64]:
    if b"at0" not in fields:
        return np.frombuffer(fields[b"at"], "<i8")
    first = np.frombuffer(fields[b"at0"], "<i8")[0]
    after = np.frombuffer(fields[b"dt"], "<i4")
    return np.full(samples, first, np.int64) if not len(after) else first + after.astype(np.int64)


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
