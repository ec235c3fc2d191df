"""Series keys to series ids: cached by canonical bytes, unseen keys registered many at a time.

Belongs here: the cache and registration. Does not: limits on cardinality (the door's matter).
"""

import threading
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from muninn.model import SeriesKey
from muninn.store import arrays
from muninn.store.database import Database

# About 250 bytes each; beyond it the cache starts anew rather than grow for ever.
MAX_CACHED = 1_000_000
# The id of a key that PostgreSQL can not hold.
UNKEEPABLE = -1
# Keys per statement: bounds the statement's memory and how long others wait for its locks.
_CHUNK = 20_000
_FINGERPRINT = np.dtype("V16")


class SeriesIndex:
    """Ids of series, for many threads. Registration commits by itself: a load that fails leaves its series behind."""

    def __init__(self, database: Database):
        self._database = database
        self._ids: dict[bytes, int] = {}
        self._lock = threading.Lock()

    def resolve(self, keys: Sequence[SeriesKey]) -> NDArray[np.int32]:
        """int32[k]: the id of each key, UNKEEPABLE for one with a NUL character; unseen ones are registered."""
        cached = self._ids
        unseen = list({key.canonical: key for key in keys if key.canonical not in cached}.values())
        if not unseen:
            return np.fromiter((cached[key.canonical] for key in keys), np.int32, len(keys))
        # What is learnt now is kept here too: another thread may empty a full cache meanwhile.
        known = {key.canonical: cached[key.canonical] for key in keys if key.canonical in cached}
        for start in range(0, len(unseen), _CHUNK):
            known |= self._learn(unseen[start : start + _CHUNK])
        return np.fromiter((known[key.canonical] for key in keys), np.int32, len(keys))

    def forget(self) -> None:
        """Empty the cache: the ids that it holds are not (or no longer) those of this database."""
        with self._lock:
            self._ids = {}

    def _learn(self, keys: list[SeriesKey]) -> dict[bytes, int]:
        learnt = {key.canonical: UNKEEPABLE for key in keys if holds_nul(key)}
        missing = [key for key in keys if key.canonical not in learnt]
        learnt |= self._find(missing)
        missing = [key for key in missing if key.canonical not in learnt]
        if missing:
            self._database.execute(
                "store_register_series",
                fingerprints=_fingerprints(missing),
                keys="[" + b",".join(key.canonical for key in missing).decode() + "]",
            )
            # Ours, and those that somebody else registered in between.
            learnt |= self._find(missing)
        with self._lock:
            if len(self._ids) + len(learnt) > MAX_CACHED:
                self._ids = {}
            self._ids.update(learnt)
        return learnt

    def _find(self, keys: list[SeriesKey]) -> dict[bytes, int]:
        found = self._database.fetch("store_find_series", fingerprints=_fingerprints(keys))[0]
        places = arrays.received(found.places, np.int32) - 1
        series_ids = arrays.received(found.series_ids, np.int32)
        return {keys[place].canonical: ident for place, ident in zip(places.tolist(), series_ids.tolist(), strict=True)}


def _fingerprints(keys: Sequence[SeriesKey]) -> NDArray[np.void]:
    return np.frombuffer(b"".join(key.fingerprint.bytes for key in keys), _FINGERPRINT)


def holds_nul(key: SeriesKey) -> bool:
    """Whether any of its texts has a NUL character, which PostgreSQL can not store."""
    # The bytes first: they rarely hold the escape, and a backslash before it makes it harmless.
    if b"\\u0000" not in key.canonical:
        return False
    texts = (key.metric, key.source_agent_id, key.instance_id, *(text for label in key.labels for text in label))
    return any("\0" in text for text in texts)
