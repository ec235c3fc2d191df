"""Series keys to series ids: cached by canonical bytes, unseen keys registered many at a time.

Belongs here: the cache and registration. Does not: limits on cardinality (the door's matter).
"""

import threading
import uuid
from collections.abc import Sequence

import numpy as np
import orjson
from numpy.typing import NDArray

from muninn.model import SeriesKey
from muninn.store.database import Database

# About 250 bytes each; beyond it the cache starts anew rather than grow for ever.
MAX_CACHED = 1_000_000
# Keys per statement: bounds the statement's memory and how long others wait for its locks.
_CHUNK = 20_000


class SeriesIndex:
    """Ids of series, for many threads. Registration commits by itself: a load that fails leaves its series behind."""

    def __init__(self, database: Database):
        self._database = database
        self._ids: dict[bytes, int] = {}
        self._lock = threading.Lock()

    def resolve(self, keys: Sequence[SeriesKey]) -> NDArray[np.int32]:
        """int32[k]: the id of each key; unseen ones are registered."""
        cached = self._ids
        unseen = list({key.canonical: key for key in keys if key.canonical not in cached}.values())
        for start in range(0, len(unseen), _CHUNK):
            self._learn(unseen[start : start + _CHUNK])
        cached = self._ids
        try:
            return np.fromiter((cached[key.canonical] for key in keys), np.int32, len(keys))
        except KeyError:  # another thread's keys pushed ours out of a full cache
            return self.resolve(keys)

    def forget(self) -> None:
        """Empty the cache: the ids that it holds are not (or no longer) those of this database."""
        with self._lock:
            self._ids = {}

    def _learn(self, keys: list[SeriesKey]) -> None:
        wanted = {key.fingerprint: key for key in keys}
        found = self._find(list(wanted.values()))
        missing = [key for fingerprint, key in wanted.items() if fingerprint not in found]
        if missing:
            found |= self._register(missing)
            # What is still missing was registered by somebody else in between, and is committed by now.
            found |= self._find([key for key in missing if key.fingerprint not in found])
        with self._lock:
            if len(self._ids) + len(found) > MAX_CACHED:
                self._ids = {}
            self._ids.update((wanted[fingerprint].canonical, series_id) for fingerprint, series_id in found.items())

    def _find(self, keys: list[SeriesKey]) -> dict[uuid.UUID, int]:
        if not keys:
            return {}
        rows = self._database.fetch("store_find_series", fingerprints=[key.fingerprint for key in keys])
        return {row.fingerprint: row.series_id for row in rows}

    def _register(self, keys: list[SeriesKey]) -> dict[uuid.UUID, int]:
        rows = self._database.fetch(
            "store_register_series",
            fingerprints=[key.fingerprint for key in keys],
            metrics=[key.metric for key in keys],
            tags=[orjson.dumps(dict(key.labels)).decode() for key in keys],
            agents=[key.source_agent_id for key in keys],
            instances=[key.instance_id for key in keys],
        )
        return {row.fingerprint: row.series_id for row in rows}
