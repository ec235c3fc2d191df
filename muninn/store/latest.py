"""The newest sample of every series, in a writer's memory: what tells surely new samples from all others.

The series are split into LANES by their fingerprints. A load locks the lanes of its series and finds in each who wrote
last: if that was this writer, its memory is right; if not, it reads anew. `latest_samples` is written in the same
transaction where that is cheap, and else now and then: until then the lane says up to when it may be behind.

Belongs here: that memory, and how it and the tables follow each other. Does not: rows (loading).
"""

import time
import uuid

import numpy as np
from numpy.typing import NDArray

from muninn.model.series_set import FINGERPRINT, LANES
from muninn.store import _advance, arrays
from muninn.store.database import Database, Transaction
from muninn.store.series_index import SeriesIndex

_NEVER = np.iinfo(np.int64).min
_UNKNOWN = np.iinfo(np.int64).max
# As many newest samples are noted in each load without a second thought.
_ALWAYS = 100
# Noting one newest sample costs about as much as loading ten: a load of this many samples for each notes them all.
_ROWS_EACH = 200
# Else they are noted as often as takes a twentieth of the time, and not more often than once in so many seconds.
_SECONDS_EACH, _SHARE, _SECONDS = 6e-6, 20, 1.0
# When there is nothing to load, more than so many are noted a lane at a time: new samples do not wait for all.
_AT_ONCE = 50_000


class UnknownSeriesError(Exception):
    """A series that we remember is not (or no longer) in the database."""


class Latest:
    """For one thread at a time. One load is `held` at a time, which ends with `commit` or `rollback`."""

    def __init__(self, index: SeriesIndex):
        self._index = index
        self._writer = uuid.uuid4()
        room = len(index.ids)
        # At full size from the start: pages that were never written take no memory.
        self._bound = np.zeros(room, np.int64)
        self._row = np.zeros(room, np.int32)
        self._pending_us = np.zeros(room, np.int64)
        self._pending_value = np.zeros(room, np.float64)
        self._stamps, self._stamp = np.zeros(room, np.int64), 0
        self._noted = 0.0
        self.forget()

    def forget(self) -> None:
        """The index starts anew; what is not noted yet is lost to `latest_samples`: flush before."""
        self._slots = 0
        self._turns: dict[int, int] = {}
        # lane -> up to when a writer before us may have loaded what it did not note.
        self._inherited = np.full(LANES, _NEVER)
        # What waits to be noted: how many series, and by lane the newest instant among them.
        self._pending = 0
        self._newest = np.full(LANES, _NEVER)

    @property
    def pending(self) -> int:
        """How many series have a newest sample that is not noted yet."""
        return self._pending

    def hold(self, transaction: Transaction, slot: NDArray[np.int32]) -> "Held":
        """Lock the lanes of these samples' series; their newest instants are known then. UnknownSeriesError."""
        self._meet_new_slots()
        self._stamp += 1
        slots = np.empty(len(slot), np.int32)
        slots = slots[: _advance.distinct(slot, self._stamps, self._stamp, slots)]
        lanes = np.flatnonzero(np.bincount(self._index.lanes[slots], minlength=LANES)).astype(np.int32)
        held = Held(self, transaction, slots, _lock(transaction, lanes))
        try:
            self._learn(transaction, held)
        except BaseException:
            held.rollback()
            raise
        return held

    def flush(self, database: Database, at_once: int = LANES) -> bool:
        """Note what is not noted yet, of so many lanes; whether that was all. Unavailable."""
        if self._pending:
            self._meet_new_slots()
            slots = np.flatnonzero(self._pending_us[: self._slots] != _NEVER)
            lanes = np.unique(self._index.lanes[slots]).astype(np.int32)
            self._flush(database, lanes if len(slots) <= _AT_ONCE else lanes[:at_once])
        return not self._pending

    def _flush(self, database: Database, lanes: NDArray[np.int32]) -> None:
        held: Held | None = None
        try:
            with database.transaction() as transaction:
                held = Held(self, transaction, np.empty(0, np.int32), _lock(transaction, lanes))
                self._drop_stale(held)
                for lane in held.stale:  # we have nothing for those any more, and their writers know them
                    del held.lanes[lane]
                held.keep(flush=True)
        except BaseException:
            if held is not None:
                held.rollback()
            raise
        held.commit()

    def _meet_new_slots(self) -> None:
        count = self._index.count
        self._bound[self._slots : count] = _UNKNOWN
        self._pending_us[self._slots : count] = _NEVER
        self._slots = count

    def _drop_stale(self, held: "Held") -> None:
        """Forget the newest instants of lanes that somebody else wrote to."""
        stale = [
            lane
            for lane, (writer, turn, _) in held.lanes.items()
            if (writer, turn) != (self._writer, self._turns.get(lane))
        ]
        if stale:
            held.stale = stale
            self._inherited[stale] = [_NEVER if (at_us := held.lanes[lane][2]) is None else at_us for lane in stale]
            theirs = np.isin(self._index.lanes[: self._slots], stale)
            self._bound[: self._slots][theirs] = _UNKNOWN
            self._newest[stale] = _NEVER
            held.hand_over(np.flatnonzero(theirs & (self._pending_us[: self._slots] != _NEVER)).astype(np.int32))

    def _learn(self, transaction: Transaction, held: "Held") -> None:
        """Read the newest instants that are not known."""
        self._drop_stale(held)
        behind_us = int(self._inherited[held.stale].max(initial=_NEVER))
        if behind_us != _NEVER:
            transaction.execute("store_mend_latest", until_us=behind_us)
        unknown = held.slots[self._bound[held.slots] == _UNKNOWN]
        if not len(unknown):
            return
        unknown = unknown[np.argsort(self._index.ids[unknown])]
        found = transaction.fetch("store_read_latest", series_ids=self._index.ids[unknown])[0]
        if arrays.received(found.series_ids, np.int32).tolist() != self._index.ids[unknown].tolist():
            raise UnknownSeriesError
        if not np.array_equal(arrays.received(found.fingerprints, FINGERPRINT), self._index.fingerprints[unknown]):
            raise UnknownSeriesError
        # What was not noted may be newer than what was.
        floor = self._inherited[self._index.lanes[unknown]]
        self._bound[unknown] = np.maximum(arrays.received(found.at_us, np.int64), floor)


class Held:
    """The lanes and newest instants of one load. lanes: lane -> (writer, turn, unflushed_us) as they were found."""

    def __init__(
        self,
        latest: Latest,
        transaction: Transaction,
        slots: NDArray[np.int32],
        lanes: dict[int, tuple[uuid.UUID | None, int, int | None]],
    ):
        self.slots, self.lanes, self.stale = slots, lanes, list[int]()
        self._latest, self._transaction = latest, transaction
        self._noted: NDArray[np.int32] | None = None
        self._undo: list[tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.float64]]] = []
        self._bound_before: NDArray[np.int64] | None = None
        self._before = latest._pending, latest._newest.copy()

    def hand_over(self, slots: NDArray[np.int32]) -> None:
        """Note what still waits of lanes that others wrote to since: of one instant, theirs stands."""
        latest = self._latest
        if len(slots):
            self._write(slots, strictly=True)
            self._undo.append((slots, latest._pending_us[slots], latest._pending_value[slots]))
            latest._pending_us[slots] = _NEVER
            latest._pending -= len(slots)

    def advance(self, slot: NDArray[np.int32], at_us: NDArray[np.int64]) -> NDArray[np.bool_]:
        """bool[n]: which samples, in their order, are later than all of their series before. Once a load."""
        fast = np.empty(len(slot), np.bool_)
        self._bound_before = self._latest._bound[self.slots]
        _advance.advance(slot, at_us, self._latest._bound, self._latest._row, fast)
        return fast

    def before(self, slots: NDArray[np.int32]) -> NDArray[np.int64]:
        """The newest instant of these series before the load."""
        assert self._bound_before is not None
        places = np.argsort(self.slots)
        return self._bound_before[places[np.searchsorted(self.slots, slots, sorter=places)]]

    def among(self, slots: NDArray[np.int32], slot: NDArray[np.int32]) -> NDArray[np.bool_]:
        """bool[n]: which samples are of these series."""
        flags = np.zeros(self._latest._slots, np.bool_)
        flags[slots] = True
        found: NDArray[np.bool_] = flags[slot]
        return found

    def moved(self, clean: NDArray[np.bool_]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """(slots, rows): of the `clean` ones (bool[slots]) those with a newer sample now, and which it is."""
        assert self._bound_before is not None
        slots = self.slots[clean & (self._latest._bound[self.slots] > self._bound_before)]
        return slots, self._latest._row[slots]

    def note(self, slots: NDArray[np.int32], at_us: NDArray[np.int64], value: NDArray[np.float64]) -> None:
        """The newest samples of distinct series, as far as they are not older than what waits to be noted."""
        latest = self._latest
        newer = latest._pending_us[slots] <= at_us
        slots, at_us, value = slots[newer], at_us[newer], value[newer]
        before_us = latest._pending_us[slots]
        self._undo.append((slots, before_us, latest._pending_value[slots]))
        latest._pending_us[slots], latest._pending_value[slots] = at_us, value
        latest._pending += int(np.count_nonzero(before_us == _NEVER))
        np.maximum.at(latest._newest, latest._index.lanes[slots], at_us)

    def due(self, rows: int) -> bool:
        """Whether noting all that waits is cheap beside a load of so many rows, or was put off for long."""
        waiting = self._latest._pending
        put_off_s = time.monotonic() - self._latest._noted
        if waiting <= max(_ALWAYS, rows // _ROWS_EACH):
            return True
        return put_off_s >= max(_SECONDS, waiting * _SECONDS_EACH * _SHARE)

    def keep(self, flush: bool) -> None:
        """Write newest samples, if `flush`, and that it was us who wrote to the lanes."""
        latest = self._latest
        lanes = np.array([*self.lanes], np.int32)
        at_us = latest._inherited[lanes]
        if flush:
            pending = np.flatnonzero(latest._pending_us[: latest._slots] != _NEVER).astype(np.int32)
            pending = pending[np.isin(latest._index.lanes[pending], lanes)]
            self._noted = pending[np.argsort(latest._index.ids[pending])]
            self._write(self._noted)
        else:
            at_us = np.maximum(at_us, latest._newest[lanes])
        self._transaction.execute("store_keep_lanes", writer=latest._writer, lanes=lanes, at_us=at_us)

    def _write(self, slots: NDArray[np.int32], strictly: bool = False) -> None:
        latest = self._latest
        if len(slots):
            self._transaction.execute(
                "store_update_latest",
                series_ids=latest._index.ids[slots],
                at_us=latest._pending_us[slots],
                values=latest._pending_value[slots],
                strictly=strictly,
            )

    def commit(self) -> None:
        """The transaction is committed."""
        latest = self._latest
        for lane, (_, turn, _) in self.lanes.items():
            latest._turns[lane] = turn + 1
        if self._noted is not None:
            latest._pending_us[self._noted] = _NEVER
            latest._pending -= len(self._noted)
            latest._newest[[*self.lanes]] = _NEVER
            latest._noted = time.monotonic()

    def rollback(self) -> None:
        """It is not, or nobody knows: the lanes will tell."""
        latest = self._latest
        latest._pending, latest._newest = self._before
        for slots, at_us, value in reversed(self._undo):
            latest._pending_us[slots], latest._pending_value[slots] = at_us, value
        if self._bound_before is not None:
            latest._bound[self.slots] = self._bound_before


def _lock(transaction: Transaction, lanes: NDArray[np.int32]) -> dict[int, tuple[uuid.UUID | None, int, int | None]]:
    rows = transaction.fetch("store_hold_lanes", lanes=lanes)
    if len(rows) < len(lanes):
        transaction.execute("store_make_lanes", lanes=lanes)
        rows = transaction.fetch("store_hold_lanes", lanes=lanes)
    return {row.lane: (row.writer, row.turn, row.unflushed_us) for row in rows}
