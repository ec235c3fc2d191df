"""Names of series for those who follow the buffer: entries carry only fingerprints of what the store knows.

Belongs here: filling names in, remembered. Does not: the store (a function), the stream.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from muninn.errors import MuninnError
from muninn.model import BatchHandle, SeriesKey, SeriesSet
from muninn.model.series_set import Fingerprints, fingerprints_of

# fingerprints V16[k] -> the key of each that the store has; MuninnError while it is away.
Lookup = Callable[[Fingerprints], Sequence[SeriesKey | None]]
_BYTES_EACH = 500


def nobody(fingerprints: Fingerprints) -> Sequence[SeriesKey | None]:
    """The look-up where there is no store."""
    return [None] * len(fingerprints)


class Names:
    """Fills in what entries leave out. Remembers about `max_bytes`; for many threads."""

    def __init__(self, lookup: Lookup = nobody, max_bytes: int = 100 << 20):
        self._lookup = lookup
        self._max_series = max_bytes // _BYTES_EACH
        self._known: dict[bytes, SeriesKey] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._known)

    def complete(self, handles: Sequence[BatchHandle]) -> list[BatchHandle]:
        """The entries with every series named; samples of a series that nobody can name are left out."""
        with self._lock:
            digests = [handle.batch.keys.fingerprints.tolist() for handle in handles]
            keys = [[*map(self._known.get, each)] for each in digests]
            missing: dict[bytes, list[tuple[int, int]]] = {}
            for number, handle in enumerate(handles):
                if None in keys[number]:
                    self._read(handle.batch.keys, keys[number], number, missing)
            self._ask(missing, keys)
        return [_named(handle, each) for handle, each in zip(handles, keys, strict=True)]

    def _read(
        self,
        series: SeriesSet,
        keys: list[SeriesKey | None],
        number: int,
        missing: dict[bytes, list[tuple[int, int]]],
    ) -> None:
        """Take the names that an entry carries; note where one is wanting."""
        digests = series.fingerprints.tolist()
        for place, key in enumerate(keys):
            if key is not None:
                continue
            keys[place] = self._known.get(digests[place])  # an entry before it may have told
            if keys[place] is None and series.name(place) is not None:
                keys[place] = self._keep(digests[place], series[place])
            if keys[place] is None:
                missing.setdefault(digests[place], []).append((number, place))

    def _ask(self, missing: dict[bytes, list[tuple[int, int]]], keys: list[list[SeriesKey | None]]) -> None:
        if not missing:
            return
        try:
            found = self._lookup(fingerprints_of([*missing]))
        except MuninnError:  # the store is away: what is known goes on
            return
        for (digest, places), key in zip(missing.items(), found, strict=True):
            if key is not None:
                self._keep(digest, key)
                for number, place in places:
                    keys[number][place] = key

    def _keep(self, digest: bytes, key: SeriesKey) -> SeriesKey:
        if len(self._known) >= self._max_series:
            self._known.clear()
        self._known[digest] = key
        return key


def _named(handle: BatchHandle, keys: list[SeriesKey | None]) -> BatchHandle:
    batch = handle.batch
    there = [key for key in keys if key is not None]
    if len(there) == len(keys):
        return replace(handle, batch=batch.of_keys(batch.key_index, there))
    named = np.array([key is not None for key in keys], np.bool_)
    place = np.cumsum(named, dtype=np.int32) - np.int32(1)
    kept = batch.take(named[batch.key_index])
    return replace(handle, batch=kept.of_keys(place[kept.key_index], there))
