"""Batches into the store, exactly once: entry ids, rows, latest values and invalidations in one transaction.

Belongs here: entries, the transaction, and memory that follows it. Does not: rows (loading), the buffer (ingest).
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from muninn.clock import DAY_US, Clock, SystemClock
from muninn.errors import Unnamed
from muninn.ingest.loader import Aside
from muninn.model import BatchHandle, SampleBatch, Window
from muninn.model.series_set import LANES
from muninn.store import partitions, raw_rows
from muninn.store.admission import Refused
from muninn.store.database import Database, Transaction
from muninn.store.latest import Held, Latest, UnknownSeriesError
from muninn.store.loading import Duplicates, Load, Written
from muninn.store.series_index import MAX_CACHED, Full, SeriesIndex

# A load waits this long for others' locks and writes; then it is tried again from the start.
_STATEMENT_TIMEOUT_S = 120.0


@dataclass(frozen=True)
class LoadResult:
    """What one load did. Samples of new entries = rows + duplicates + samples of `refused`.

    entries_new: entries that were not in yet. rows: (series, instant) pairs that are new.
    duplicates: samples whose pair was there already, in the batch or in the store; the last value stands.
    late: new or replaced pairs before the closing instant, whose rollups are now stale.
    refused: what can never be kept, by reason.
    """

    entries_new: int = 0
    rows: int = 0
    duplicates: int = 0
    late: int = 0
    refused: tuple[Refused, ...] = ()


class StoreWriter:
    """Writes batches; safe for many threads and many processes at once.

    raw_days: samples older than this are refused. ahead_days: so are samples further in the future.
    duplicates: which write of a (series, instant) stands. max_cached: how many series are remembered.
    """

    def __init__(
        self,
        database: Database,
        *,
        raw_days: int = 90,
        ahead_days: int = 3,
        duplicates: Duplicates = "last",
        clock: Clock | None = None,
        max_cached: int = MAX_CACHED,
    ):
        self._database = database
        self._raw_days = raw_days
        self._ahead_days = ahead_days
        self._duplicates = duplicates
        self._clock = clock or SystemClock()
        self._series = SeriesIndex(database, max_cached)
        self._latest = Latest(self._series)
        # What is known of series is one thread's at a time.
        self._lock = threading.Lock()

    @cached_property
    def _raw_rows(self) -> raw_rows.RawRows:
        return raw_rows.of_engine(self._database.engine)

    def load(self, handles: Sequence[BatchHandle], aside: Aside | None = None) -> LoadResult:
        """Load the entries that are not in yet, in one transaction; the others are skipped.

        aside: told before the commit what can never be kept: what it has kept is kept, however this ends.
        Unavailable when the database is away or others hold locks too long, Unnamed when entries hold series that
        nobody can name: nothing was written.
        """
        with self._lock:
            try:
                return self._load(handles, aside)
            except UnknownSeriesError:  # our memory is of another database: it was restored, or made anew
                self._forget()
                return self._load(handles, aside)

    def flush(self, at_once: int = LANES) -> bool:
        """Write to `latest_samples` what was put off while there was much to load; whether that was all. Unavailable.

        at_once: of much, what so many lanes hold.
        """
        with self._lock:
            return self._latest.flush(self._database, at_once)

    @property
    def remembered(self) -> int:
        """How many series are known from memory."""
        return self._series.count - 1

    def _forget(self) -> None:
        self._series.forget()
        self._latest.forget()

    def prune_entries(self, before_id: str, stream: str) -> int:
        """Forget entries of a stream before `before_id`, which the buffer will not deliver again."""
        return self._database.execute("store_prune_entries", stream=stream, before_id=before_id)

    def _load(self, handles: Sequence[BatchHandle], aside: Aside | None) -> LoadResult:
        batch = SampleBatch.stacked([handle.batch for handle in handles])
        slots = self._slots(handles, batch)
        window = self._kept_window()
        raw = self._raw_rows  # asks the database, once: before the transaction takes its connection
        self._ensure_partitions(batch, window)
        held: Held | None = None
        try:
            with self._database.transaction(statement_timeout_s=_STATEMENT_TIMEOUT_S) as transaction:
                new = _claim(transaction, handles)
                sizes = [len(handle.batch) for handle in handles]
                entry = np.repeat(np.arange(len(handles)), sizes)
                if not new.all():
                    batch, entry = batch.take(np.repeat(new, sizes)), entry[np.repeat(new, sizes)]
                written, refused = Written(), tuple[Refused, ...]()
                if len(batch):
                    load = Load(transaction, self._series, self._latest, batch, slots, window, raw, self._duplicates)
                    try:
                        written, refused = load.run()
                    finally:
                        held = load.held
                    if aside is not None:
                        for each in refused:
                            for place, samples in each.by_entry(entry):
                                aside(handles[place], each.reason, samples)
        except BaseException:
            if held is not None:
                held.rollback()
            raise
        if held is not None:
            held.commit()
        return LoadResult(
            entries_new=int(new.sum()),
            rows=written.rows,
            duplicates=len(batch) - written.rows - sum(each.samples for each in refused),
            late=written.late,
            refused=refused,
        )

    def _slots(self, handles: Sequence[BatchHandle], batch: SampleBatch) -> NDArray[np.int32]:
        try:
            try:
                return self._series.slots(batch.keys)
            except Full:
                self._latest.flush(self._database)
                self._forget()
                return self._series.slots(batch.keys)
        except Unnamed as error:
            ends = np.cumsum([len(handle.batch.keys) for handle in handles])
            raise Unnamed(tuple(np.unique(np.searchsorted(ends, error.places, "right")).tolist())) from None

    def _kept_window(self) -> Window:
        today = self._clock.now_us() // DAY_US * DAY_US
        return Window(today - self._raw_days * DAY_US, today + (self._ahead_days + 1) * DAY_US)

    def _ensure_partitions(self, batch: SampleBatch, window: Window) -> None:
        """Before the transaction: making one takes a lock that should not wait for a COPY."""
        kept = batch.at_us[(batch.at_us >= window.since_us) & (batch.at_us < window.until_us)]
        if len(kept):
            partitions.ensure_at(self._database, partitions.RAW, np.unique(kept // DAY_US * DAY_US))


def _claim(transaction: Transaction, handles: Sequence[BatchHandle]) -> NDArray[np.bool_]:
    """bool[handles]: which entries are ours to load. An entry given twice counts once."""
    ids = [(handle.stream, handle.entry_id) for handle in handles]
    claimed = {
        (row.stream, row.entry_id)
        for row in transaction.fetch(
            "store_claim_entries", streams=[stream for stream, _ in ids], entry_ids=[entry for _, entry in ids]
        )
    }
    return np.array([each in claimed and each not in ids[:place] for place, each in enumerate(ids)], bool)
