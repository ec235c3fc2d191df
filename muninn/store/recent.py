"""Raw samples of the last minutes, of all series, as batches: what somebody reads who was away.

Belongs here: the rows as columns, and who they are. Does not: what was missed (run).
"""

import numpy as np

from muninn.model import SampleBatch, SeriesSet, Window
from muninn.model.series_set import FINGERPRINT
from muninn.store import series_index
from muninn.store.arrays import received
from muninn.store.database import Database

_POSTGRES_EPOCH_US = 946_684_800_000_000


class Recent:
    """Reads stretch by stretch; who a series is, is asked once. For one thread at a time."""

    def __init__(self, database: Database):
        self._database = database
        # In the order of their ids.
        self._ids = np.zeros(0, np.int32)
        self._fingerprints = np.zeros(0, FINGERPRINT)
        self._names: dict[bytes, bytes] = {}

    def read(self, window: Window) -> SampleBatch:
        """Every raw sample of the window that is in the database. Unavailable while that is away."""
        (found,) = self._database.fetch("recent_samples", since=window.since, until=window.until)
        series_id, at_us = received(found.series_id, np.int32), received(found.at, np.int64) + _POSTGRES_EPOCH_US
        if not len(series_id):
            return SampleBatch.empty()
        ids, key_index = np.unique(series_id, return_inverse=True)
        self._learn(ids[~np.isin(ids, self._ids)])
        fingerprints = self._fingerprints[np.searchsorted(self._ids, ids)]
        series = SeriesSet(fingerprints, lambda place: self._names.get(fingerprints[place].tobytes()))
        return SampleBatch(at_us, received(found.value, np.float64), key_index.astype(np.int32), series)

    def _learn(self, ids: "np.ndarray[tuple[int], np.dtype[np.int32]]") -> None:
        if not len(ids):
            return
        (found,) = self._database.fetch("recent_series", series_ids=ids)
        known, fingerprints = received(found.series_id, np.int32), received(found.fingerprint, FINGERPRINT)
        for digest, key in zip(fingerprints.tolist(), series_index.names(self._database, fingerprints), strict=True):
            if key is not None:
                self._names[digest] = key.canonical
        every, order = np.unique(np.concatenate([self._ids, known]), return_index=True)
        self._ids, self._fingerprints = every, np.concatenate([self._fingerprints, fingerprints])[order]
