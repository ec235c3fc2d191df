"""The rows of one load: which are surely new, which have to be compared, what they make stale.

Belongs here: the statements between the claim of entries and the commit. Does not: entries (writer), memory (latest).

A sample later than its series' newest is surely new and goes straight to COPY (the fast lane), in the order in which
it came. Series with any other sample in the load are the slow lane: theirs are sorted and compared with the rows that
are there; of a (series, instant) the last write wins, or the first, as the store is set.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from muninn.clock import DAY_US, MINUTE_US
from muninn.model import Distributions, SampleBatch, Window
from muninn.model.window import as_datetime
from muninn.store import arrays, binary_copy
from muninn.store.admission import Refused, admit
from muninn.store.database import Transaction
from muninn.store.lanes import Rows, late_minutes, one_of_each, stretches
from muninn.store.latest import Held, Latest
from muninn.store.raw_rows import RawRows
from muninn.store.series_index import SeriesIndex

Duplicates = Literal["last", "first"]


@dataclass(frozen=True)
class Written:
    """rows: pairs that are new. late: new or replaced pairs before the closing instant."""

    rows: int = 0
    late: int = 0


class Load:
    """The rows of one transaction. `held` is there from its run on: commit or roll it back with the transaction.

    slots: int32[k], the index's slots of the batch's keys.
    """

    def __init__(
        self,
        transaction: Transaction,
        index: SeriesIndex,
        latest: Latest,
        batch: SampleBatch,
        slots: NDArray[np.int32],
        window: Window,
        raw: RawRows,
        duplicates: Duplicates = "last",
    ):
        self._transaction = transaction
        self._index = index
        self._latest = latest
        self._batch = batch
        self._slots = slots
        self._window = window
        self._raw_rows = raw
        self._duplicates = duplicates
        self.held: Held | None = None

    def run(self) -> tuple[Written, tuple[Refused, ...]]:
        """Write; what was written and what was refused."""
        self._transaction.fetch("store_share_load_lock")
        # A statement of its own: its snapshot has to be younger than the lock.
        limits = self._transaction.fetch("store_load_limits")[0]
        window = Window(max(self._window.since_us, limits.horizon_us), self._window.until_us)
        good, refused = admit(self._batch, window, self._index.ids[self._slots])
        kept = self._batch if good.all() else self._batch.take(good)
        if not len(kept):
            return Written(), refused
        return self._write(kept, self._slots[kept.key_index], limits.closing_us, limits.announced_us), refused

    def _write(self, batch: SampleBatch, slot: NDArray[np.int32], closing_us: int, announced_us: int) -> Written:
        held = self.held = self._latest.hold(self._transaction, slot)
        fast = held.advance(slot, batch.at_us)
        clean = Rows(self._index.ids[slot], batch.at_us, batch.value, batch.distributions)
        if fast.all():
            there, fresh, slow_slots = 0, _NO_ROWS, slot[:0]
        else:
            slow_slots = np.unique(slot[~fast])
            slow = held.among(slow_slots, slot)
            there, fresh = self._compared(clean.take(slow), slow_slots, held.before(slow_slots))
            clean = clean.take(~slow)
        self._copy(clean, fresh)
        self._note(held, batch, slow_slots, fresh)
        early = clean.take(clean.at_us < max(closing_us, announced_us))
        early = Rows.joined(early, fresh)
        changed = one_of_each(early.series_id, early.at_us, early.value)
        self._note_exported(changed, announced_us)
        return Written(rows=len(clean) + there, late=self._invalidate(changed, closing_us))

    def _compared(self, given: Rows, slots: NDArray[np.int32], before_us: NDArray[np.int64]) -> tuple[int, Rows]:
        """(how many pairs are new, what is to be written) of the slow lane's samples, in the order of their coming.

        before_us: the newest instant of each of the slots' series before this load.
        """
        rows = one_of_each(given.series_id, given.at_us, given.value, self._duplicates, given.distributions)
        newest_us = before_us[np.argsort(self._index.ids[slots])]
        slow = np.flatnonzero(rows.at_us <= rows.spread(newest_us))
        there, same = self._existing(rows, slow)
        return len(rows) - int(there.sum()), rows.take(~(there if self._duplicates == "first" else same))

    def _existing(self, rows: Rows, slow: NDArray[np.intp]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """bool[n] twice: the pair is in the store; it is there with the same value.

        Where the last write wins, those with another value are taken out.
        """
        there, same = np.zeros(len(rows), bool), np.zeros(len(rows), bool)
        if len(slow):
            self._transaction.fetch("store_hold_samples", at_us=np.unique(rows.at_us[slow] // DAY_US * DAY_US))
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
            same[places] = (arrays.received(found.same, np.int32) == 1) & rows.single[places]
            changed = some[there[some] & ~same[some]]
            if len(changed) and self._duplicates == "last":
                self._transaction.fetch(
                    "store_delete_existing",
                    series_ids=rows.series_id[changed],
                    at_us=rows.at_us[changed],
                    **span,
                )
        return there, same

    def _copy(self, clean: Rows, fresh: Rows) -> None:
        rows = Rows.joined(clean, fresh) if len(fresh) else clean
        if not len(rows):
            return
        if np.ptp(rows.at_us) > MINUTE_US:  # a BRIN index needs blocks that are narrow in time
            rows = rows.take(np.argsort(rows.at_us, kind="stable"))
        if rows.distributions is not None:
            self._transaction.copy(self._raw_rows.distributions, _distributions(rows, rows.distributions))
            rows = rows.take(rows.single)
        for query, columns in self._raw_rows.copies(rows) if len(rows) else ():
            self._transaction.copy(query, binary_copy.encode(columns))

    def _note(self, held: Held, batch: SampleBatch, slow_slots: NDArray[np.int32], fresh: Rows) -> None:
        """Keep the newest sample of each series."""
        slots, rows = held.moved(~np.isin(held.slots, slow_slots))
        held.note(slots, batch.at_us[rows], batch.value[rows])
        newest = fresh.newest
        if len(newest):
            by_id = slow_slots[np.argsort(self._index.ids[slow_slots])]
            slots = by_id[np.searchsorted(self._index.ids[by_id], newest.series_id)]
            held.note(slots, newest.at_us, newest.value)
        held.keep(flush=held.due(len(batch)))

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


_NO_ROWS = Rows(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.float64))


def _distributions(rows: Rows, some: Distributions) -> bytes:
    columns = (
        binary_copy.timestamptz(rows.at_us[some.rows]),
        rows.series_id[some.rows],
        rows.value[some.rows],
        some.count,
        some.low,
        some.high,
    )
    return binary_copy.encode_with_arrays(columns, some.lengths, some.bins)
