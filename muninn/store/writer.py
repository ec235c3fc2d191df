"""Batches into the store, exactly once: entry ids, rows, latest values and invalidations in one transaction.

Belongs here: what one load does and in which order. Does not: reading the buffer (ingest), rollups.

A sample later than its series' latest is surely new and goes straight to COPY (the fast lane). Others are
compared with the rows that are there (the slow lane): the last write of a (series, instant) wins.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from muninn.clock import DAY_US, MINUTE_US, Clock, SystemClock
from muninn.errors import Unnamed
from muninn.model import BatchHandle, SampleBatch, Window
from muninn.model.window import as_datetime
from muninn.store import arrays, binary_copy, partitions, raw_rows
from muninn.store.admission import Refused, admit
from muninn.store.database import Database, Transaction
from muninn.store.lanes import Rows, last_of_each, late_minutes, stretches
from muninn.store.series_index import SeriesIndex

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
    """

    def __init__(self, database: Database, *, raw_days: int = 90, ahead_days: int = 3, clock: Clock | None = None):
        self._database = database
        self._raw_days = raw_days
        self._ahead_days = ahead_days
        self._clock = clock or SystemClock()
        self._series = SeriesIndex(database)

    @cached_property
    def _raw_rows(self) -> raw_rows.RawRows:
        return raw_rows.of_engine(self._database.engine)

    def load(self, handles: Sequence[BatchHandle]) -> LoadResult:
        """Load the entries that are not in yet, in one transaction; the others are skipped.

        Unavailable when the database is away or others hold locks too long, Unnamed when entries hold series that
        nobody can name: nothing was written.
        """
        try:
            return self._load(handles)
        except _UnknownSeriesError:  # the cache is of another database: it was restored, or made anew
            self._series.forget()
            return self._load(handles)

    def prune_entries(self, before_id: str, stream: str) -> int:
        """Forget entries of a stream before `before_id`, which the buffer will not deliver again."""
        return self._database.execute("store_prune_entries", stream=stream, before_id=before_id)

    def _load(self, handles: Sequence[BatchHandle]) -> LoadResult:
        batch = SampleBatch.stacked([handle.batch for handle in handles])
        ids = self._resolve(handles, batch)
        window = self._kept_window()
        raw = self._raw_rows  # asks the database, once: before the transaction takes its connection
        self._ensure_partitions(batch, window)
        with self._database.transaction(statement_timeout_s=_STATEMENT_TIMEOUT_S) as transaction:
            new = _claim(transaction, handles)
            if not new.all():
                batch = batch.take(np.repeat(new, [len(handle.batch) for handle in handles]))
            load = _Load(transaction, batch, ids, window, raw)
            written, refused = load.run() if len(batch) else (_Written(), ())
        return LoadResult(
            entries_new=int(new.sum()),
            rows=written.rows,
            duplicates=len(batch) - written.rows - sum(each.samples for each in refused),
            late=written.late,
            refused=refused,
        )

    def _resolve(self, handles: Sequence[BatchHandle], batch: SampleBatch) -> NDArray[np.int32]:
        try:
            return self._series.resolve(batch.keys)
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


class _UnknownSeriesError(Exception):
    """A series id in our cache is not in the database."""


@dataclass(frozen=True)
class _Written:
    rows: int = 0
    late: int = 0


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


class _Load:
    """The rows of one transaction."""

    def __init__(
        self,
        transaction: Transaction,
        batch: SampleBatch,
        ids: NDArray[np.int32],
        window: Window,
        rows: raw_rows.RawRows,
    ):
        self._transaction = transaction
        self._raw_rows = rows
        self._batch = batch
        self._ids = ids
        self._window = window

    def run(self) -> tuple[_Written, tuple[Refused, ...]]:
        self._transaction.fetch("store_share_load_lock")
        # A statement of its own: its snapshot has to be younger than the lock.
        limits = self._transaction.fetch("store_load_limits")[0]
        window = Window(max(self._window.since_us, limits.horizon_us), self._window.until_us)
        good, refused = admit(self._batch, window, self._ids)
        kept = self._batch if good.all() else self._batch.take(good)
        rows = last_of_each(self._ids[kept.key_index], kept.at_us, kept.value)
        return (self._write(rows, limits.closing_us, limits.announced_us) if len(rows) else _Written()), refused

    def _write(self, rows: Rows, closing_us: int, announced_us: int) -> _Written:
        latest = self._lock_latest(rows)
        slow = np.flatnonzero(rows.at_us <= rows.spread(latest))
        there, same = self._existing(rows, slow)
        fresh = rows.take(~same) if len(slow) else rows
        self._copy(fresh)
        self._keep_latest(fresh)
        self._note_exported(fresh, announced_us)
        late = self._invalidate(fresh, closing_us)
        return _Written(rows=len(rows) - int(there.sum()), late=late)

    def _lock_latest(self, rows: Rows) -> NDArray[np.int64]:
        """int64[s]: the latest instant of each series of the rows, and nobody else changes it until we commit."""
        locked = self._transaction.fetch("store_lock_latest", series_ids=rows.series)[0]
        if not np.array_equal(arrays.received(locked.series_ids, np.int32), rows.series):
            raise _UnknownSeriesError
        return arrays.received(locked.at_us, np.int64)

    def _existing(self, rows: Rows, slow: NDArray[np.intp]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """bool[n] twice: the pair is in the store; it is there with the same value. Changed ones are taken out."""
        there, same = np.zeros(len(rows), bool), np.zeros(len(rows), bool)
        for group in stretches(rows.at_us[slow]):
            some = slow[group]
            at_us = rows.at_us[some]
            span = {"since": as_datetime(int(at_us.min())), "until": as_datetime(int(at_us.max()))}
            found = self._transaction.fetch(
                "store_find_existing",
                series_ids=rows.series_id[some],
                at_us=at_us,
                values=rows.value[some],
                **span,
            )[0]
            places = some[arrays.received(found.places, np.int32) - 1]
            there[places] = True
            same[places] = arrays.received(found.same, np.int32) == 1
            changed = some[there[some] & ~same[some]]
            if len(changed):
                self._transaction.fetch(
                    "store_delete_existing",
                    series_ids=rows.series_id[changed],
                    at_us=rows.at_us[changed],
                    **span,
                )
        return there, same

    def _copy(self, rows: Rows) -> None:
        if not len(rows):
            return
        if np.ptp(rows.at_us) > MINUTE_US:  # a BRIN index needs blocks that are narrow in time
            rows = rows.take(np.argsort(rows.at_us, kind="stable"))
        for query, columns in self._raw_rows.copies(rows):
            self._transaction.copy(query, binary_copy.encode(columns))

    def _keep_latest(self, rows: Rows) -> None:
        newest = rows.newest
        if len(newest):
            self._transaction.execute(
                "store_update_latest",
                series_ids=newest.series_id,
                at_us=newest.at_us,
                values=newest.value,
            )

    def _note_exported(self, rows: Rows, announced_us: int) -> None:
        """Record which days are no longer what the files of the cold tier say."""
        days_us = np.unique(rows.at_us[rows.at_us < announced_us] // DAY_US * DAY_US)
        if len(days_us):
            self._transaction.execute("cold_note_changes", days_us=days_us)

    def _invalidate(self, rows: Rows, closing_us: int) -> int:
        """Record which minutes of which series are stale now; returns how many samples make them so."""
        series_id, minute_us, samples = late_minutes(rows, closing_us)
        if len(samples):
            columns = (series_id, binary_copy.timestamptz(minute_us), samples)
            self._transaction.copy("store_copy_late", binary_copy.encode(columns))
        return int(samples.sum())
