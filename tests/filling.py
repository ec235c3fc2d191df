"""A store filled for tests, the way loaders and the refresher fill it."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from muninn.clock import ManualClock
from muninn.model import BatchHandle, SampleBatch, SeriesKey
from muninn.reads import Reads
from muninn.rollups import refresh
from muninn.store.database import Database
from muninn.store.writer import StoreWriter

_entries = itertools.count(1)


class Filled:
    """A database with a clock of its own: load samples, refresh rollups, ask."""

    def __init__(self, database: Database, now_us: int):
        self.database = database
        self.clock = ManualClock(now_us)
        self.reads = Reads(database, clock=self.clock)
        self._writer = StoreWriter(database, clock=self.clock)

    def load(self, batch: SampleBatch) -> None:
        """Write a batch as the loader does."""
        self._writer.load([BatchHandle("test", f"{next(_entries)}-0", batch)])

    def refresh(self, now_us: int) -> None:
        """Refresh as of `now_us`: minutes that ended before it are closed."""
        refresh.refresh_fresh(self.database, now_us, 0)


@contextmanager
def filled(postgres_url: str, now_us: int) -> Iterator[Filled]:
    """An empty store at `now_us`."""
    with Database(postgres_url, pool_size=4) as database:
        yield Filled(database, now_us)


def course(key: SeriesKey, at_us: NDArray[np.int64], value: NDArray[np.number]) -> SampleBatch:
    """A batch of one series."""
    return SampleBatch(at_us, value.astype(np.float64), np.zeros(len(at_us), np.int32), (key,))
