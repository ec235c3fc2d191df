"""Series to series ids: remembered by fingerprint, unseen ones registered many at a time.

Belongs here: the memory and registration. Does not: limits on cardinality (the door's matter).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from muninn.clock import HOUR_US, Clock
from muninn.errors import Unnamed
from muninn.model import SeriesKey, SeriesSet
from muninn.model.series_set import FINGERPRINT, Fingerprints, lanes_of
from muninn.model.window import as_datetime
from muninn.numerics.fingerprints import FingerprintTable
from muninn.store import arrays
from muninn.store.database import Database

# about 80 bytes each with what is known of their newest samples; beyond it the memory starts anew.
MAX_CACHED = 2_000_000
# The id of a key that PostgreSQL can not hold.
UNKEEPABLE = -1
# Keys per statement: bounds the statement's memory and how long others wait for its locks.
_CHUNK = 20_000
_NO_SLOT = 0


class Full(Exception):
    """There is no room for so many series more: forget, and try again."""


class SeriesIndex:
    """Series that were met, each with a slot: `ids`, `fingerprints` and `lanes` are by slot. For one thread at a time.

    Slot 0 stands for all series that PostgreSQL can not hold. Registration commits by itself: a load that fails leaves
    its series behind.
    """

    def __init__(self, database: Database, max_cached: int = MAX_CACHED):
        self._database = database
        self._table = FingerprintTable()
        # At full size from the start: pages that were never written take no memory.
        self.ids = np.zeros(max_cached + 1, np.int32)
        self.lanes = np.zeros(max_cached + 1, np.uint8)
        self.forget()

    @property
    def count(self) -> int:
        """How many slots are in use."""
        return len(self._table)

    @property
    def fingerprints(self) -> Fingerprints:
        """V16[count], by slot."""
        return self._table.fingerprints

    def resolve(self, keys: Sequence[SeriesKey]) -> NDArray[np.int32]:
        """int32[k]: the id of each series, UNKEEPABLE for one with a NUL character; see `slots`."""
        ids: NDArray[np.int32] = self.ids[self.slots(keys)]
        return ids

    def slots(self, keys: Sequence[SeriesKey]) -> NDArray[np.int32]:
        """int32[k]: the slot of each series; unseen ones are registered.

        Unnamed if one is neither registered nor named; then all that have names are registered all the same.
        Full if there is no room.
        """
        series = SeriesSet.of(keys)
        slots = self._table.find(series.fingerprints)
        unseen = np.flatnonzero(slots < 0)
        nameless: list[int] = []
        for start in range(0, len(unseen), _CHUNK):
            some = unseen[start : start + _CHUNK]
            slots[some] = self._table.find(series.fingerprints[some])  # a series may come often in one load
            some = some[slots[some] < 0]
            if len(some):
                slots[some] = self._learn(series.take(some))
                nameless += some[slots[some] < 0].tolist()
        if nameless:
            raise Unnamed(tuple(nameless))
        return slots

    def forget(self) -> None:
        """Empty the memory: it is full, or the ids that it holds are not (or no longer) those of this database."""
        self._table.clear()
        self._table.add(np.zeros(1, FINGERPRINT))
        self.ids[_NO_SLOT] = UNKEEPABLE

    def _learn(self, series: SeriesSet) -> NDArray[np.int32]:
        """The slots of at most _CHUNK series; -1 for those that only a name could help."""
        ids = find(self._database, series.fingerprints)
        missing = np.flatnonzero(ids == arrays.MISSING).tolist()
        named = {place: name for place in missing if (name := series.name(place)) is not None}
        wrong = {place for place, name in named.items() if holds_nul(name)}
        new = np.array([place for place in named if place not in wrong], np.intp)
        if len(new):
            fresh = series.fingerprints[new]
            self._database.execute(
                "store_register_series",
                fingerprints=fresh,
                keys="[" + b",".join(named[place] for place in new.tolist()).decode() + "]",
            )
            # Ours, and those that somebody else registered in between.
            ids[new] = find(self._database, fresh)
        ids[[*wrong]] = UNKEEPABLE
        return self._remember(series.fingerprints, ids)

    def _remember(self, fingerprints: Fingerprints, ids: NDArray[np.int32]) -> NDArray[np.int32]:
        slots = np.where(ids == arrays.MISSING, np.int32(-1), np.int32(_NO_SLOT))
        there = np.flatnonzero(ids >= 0)
        if self.count + len(there) > len(self.ids):
            raise Full
        own = self._table.add(fingerprints[there])
        self.ids[own], self.lanes[own] = ids[there], lanes_of(fingerprints[there])
        slots[there] = own
        return slots


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
