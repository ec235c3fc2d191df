"""Series to series ids: remembered by fingerprint, unseen ones registered many at a time.

Belongs here: the memory and registration. Does not: limits on cardinality (the door's matter).
"""

import threading
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from muninn.clock import HOUR_US, Clock
from muninn.errors import Unnamed
from muninn.model import SeriesKey, SeriesSet
from muninn.model.series_set import Fingerprints
from muninn.model.window import as_datetime
from muninn.numerics.fingerprints import FingerprintTable
from muninn.store import arrays
from muninn.store.database import Database

# About 50 bytes each; beyond it the memory starts anew rather than grow for ever.
MAX_CACHED = 2_000_000
# The id of a key that PostgreSQL can not hold.
UNKEEPABLE = -1
# Keys per statement: bounds the statement's memory and how long others wait for its locks.
_CHUNK = 20_000
# The table holds numbers from 0 on.
_SHIFT = np.int32(1)


class SeriesIndex:
    """Ids of series, for many threads. Registration commits by itself: a load that fails leaves its series behind."""

    def __init__(self, database: Database):
        self._database = database
        self._table = FingerprintTable()
        self._lock = threading.Lock()

    def resolve(self, keys: Sequence[SeriesKey]) -> NDArray[np.int32]:
        """int32[k]: the id of each series, UNKEEPABLE for one with a NUL character; unseen ones are registered.

        Unnamed if one is neither registered nor named; then all that have names are registered all the same.
        """
        series = SeriesSet.of(keys)
        ids = self._known(series.fingerprints)
        unseen = np.flatnonzero(ids == arrays.MISSING)
        nameless = []
        for start in range(0, len(unseen), _CHUNK):
            some = unseen[start : start + _CHUNK]
            ids[some] = self._known(series.fingerprints[some])  # a series may come often in one load
            some = some[ids[some] == arrays.MISSING]
            ids[some] = self._learn(series.take(some))
            nameless += some[ids[some] == arrays.MISSING].tolist()
        if nameless:
            raise Unnamed(tuple(nameless))
        return ids

    def forget(self) -> None:
        """Empty the memory: the ids that it holds are not (or no longer) those of this database."""
        with self._lock:
            self._table = FingerprintTable()

    def _known(self, fingerprints: Fingerprints) -> NDArray[np.int32]:
        with self._lock:
            found = self._table.find(fingerprints)
        return np.where(found < 0, np.int32(arrays.MISSING), found - _SHIFT)

    def _learn(self, series: SeriesSet) -> NDArray[np.int32]:
        """The ids of at most _CHUNK series; MISSING for those that only a name could help."""
        if not len(series):
            return np.empty(0, np.int32)
        ids = find(self._database, series.fingerprints)
        missing = np.flatnonzero(ids == arrays.MISSING).tolist()
        named = {place: name for place in missing if (name := series.name(place)) is not None}
        wrong = [place for place, name in named.items() if holds_nul(name)]
        new = np.array([place for place in named if place not in set(wrong)], np.intp)
        if len(new):
            # In the order of the array: of a series that comes twice, one registers.
            fresh = series.fingerprints[new]
            self._database.execute(
                "store_register_series",
                fingerprints=fresh,
                keys="[" + b",".join(named[place] for place in new.tolist()).decode() + "]",
            )
            # Ours, and those that somebody else registered in between.
            ids[new] = find(self._database, fresh)
        ids[wrong] = UNKEEPABLE
        learnt = ids != arrays.MISSING
        with self._lock:
            if len(self._table) + len(ids) > MAX_CACHED:
                self._table = FingerprintTable()
            self._table.put(series.fingerprints[learnt], ids[learnt] + _SHIFT)
        return ids


def find(database: Database, fingerprints: Fingerprints) -> NDArray[np.int32]:
    """int32[k]: the ids of registered series, MISSING for others. Unavailable while the database is away."""
    found = database.fetch("store_find_series", fingerprints=fingerprints)[0]
    ids = np.full(len(fingerprints), arrays.MISSING, np.int32)
    ids[arrays.received(found.places, np.int32) - 1] = arrays.received(found.series_ids, np.int32)
    return ids


def registered(database: Database, fingerprints: Fingerprints) -> NDArray[np.bool_]:
    """bool[k]: which series are registered."""
    there: NDArray[np.bool_] = find(database, fingerprints) != arrays.MISSING
    return there


def names(database: Database, fingerprints: Fingerprints) -> list[SeriesKey | None]:
    """The keys of registered series, None for others."""
    keys: list[SeriesKey | None] = [None] * len(fingerprints)
    for start in range(0, len(fingerprints), _CHUNK):
        for row in database.fetch("store_series_names", fingerprints=fingerprints[start : start + _CHUNK]):
            keys[start + row.place - 1] = SeriesKey.of(row.metric_name, row.tags, row.source_agent_id, row.instance_id)
    return keys


def holds_nul(canonical: bytes) -> bool:
    """Whether any text of a key has a NUL character, which PostgreSQL can not store."""
    # The bytes first: they rarely hold the escape, and a backslash before it makes it harmless.
    if b"\\u0000" not in canonical:
        return False
    key = SeriesKey.parse(canonical)
    texts = (key.metric, key.source_agent_id, key.instance_id, *(text for label in key.labels for text in label))
    return any("\0" in text for text in texts)


def new_series(database: Database, clock: Clock) -> dict[str, dict[str, int]]:
    """Series first seen within the last hour, by "metric" and "source" and its name."""
    found: dict[str, dict[str, int]] = {"metric": {}, "source": {}}
    for row in database.fetch("store_new_series", since=as_datetime(clock.now_us() - HOUR_US)):
        found[row.kind][row.name] = row.series
    return found
