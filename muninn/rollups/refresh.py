"""Refresh: close fresh buckets, recompute late ones, rebuild a window. No committed sample is missed.

Belongs here: the order of locks, announcements and rebuilds. Does not: how an engine
computes them (tables, aggregates), what a bucket holds (sql/idempotent).

The watermark moves in two steps. First `closing` is announced while no load is in flight; from then on
loads record samples before it in late_rows, in their own transaction. Then the buckets up to it are
computed, and the watermark follows. A sample before `closing` was thus either
committed before the announcement, and is seen by the computation, or is in late_rows, and is seen by the
next one. Late rows are taken out of the log before their samples are read, never after.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from muninn.clock import DAY_US, MINUTE_US
from muninn.errors import Unavailable
from muninn.model import Resolution, Window
from muninn.rollups import plan
from muninn.rollups.aggregates import Aggregates
from muninn.rollups.cold import Thaw
from muninn.rollups.tables import Tables
from muninn.store.database import Database
from muninn.store.partitions import horizons_us, list_partitions

log = logging.getLogger(__name__)

# A load that does not end within this time holds the announcement up; others wait behind it meanwhile.
_CLOSE_TIMEOUT_S = 10.0
# Called with the day at work, and how many windows are done of how many.
Progress = Callable[[str, int, int], None]


class Rollups(Protocol):
    """How an engine computes buckets. Each call returns rollup rows by resolution, and is whole or changes nothing
    that a view shows; late rows that it has not computed stay in the log."""

    @property
    def join_us(self) -> int:
        """Late minutes closer than this are computed together: reading the gap costs less than another pass."""
        ...

    def close(self, piece: Window) -> Counter[str]:
        """Compute the buckets that end in a piece of one day, then move the watermark to its end."""
        ...

    def take_late(self, window: Window) -> tuple[int, Counter[str]]:
        """Compute what the late rows of a window within one day made stale; first, how many pairs they were."""
        ...

    def rebuild(self, piece: Window, only: Resolution | None) -> Counter[str]:
        """Compute every bucket that touches a piece of one day, at every resolution or one."""
        ...


@dataclass(frozen=True)
class RefreshResult:
    """window: what was closed or rebuilt (empty: nothing new). rows_by_resolution: rollup rows written.

    late_buckets: (series, minute) pairs that late samples had made stale. late_windows: where they lie.
    """

    window: Window
    rows_by_resolution: Mapping[str, int] = field(default_factory=dict)
    late_buckets: int = 0
    late_windows: tuple[Window, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True)
class ResolutionState:
    """closing_us: samples before it are late. watermark_us: buckets before it are refreshed. refreshed_us: when."""

    resolution: str
    closing_us: int
    watermark_us: int
    refreshed_us: int | None


def state(database: Database) -> list[ResolutionState]:
    """Every resolution's watermark, finest first."""
    return [ResolutionState(*row) for row in database.fetch("rollup_state")]


def refresh_fresh(
    database: Database, now_us: int, settle_s: float, thaw: Thaw | None = None, progress: Progress | None = None
) -> RefreshResult:
    """Close every bucket that ended `settle_s` before now, then recompute what late samples made stale.

    thaw: for late samples of days whose raw rows left the database; without it they wait.
    Unavailable when a load holds the announcement up or the database is away: what was done stays done.
    """
    started = time.perf_counter()
    rows: Counter[str] = Counter()
    closing_us = _announce(database, (now_us - round(settle_s * 1_000_000)) // MINUTE_US * MINUTE_US)
    window = Window(min(_start(database, closing_us), closing_us), closing_us)
    rollups = _of(database, thaw)
    for piece in _told(list(plan.days(window)), progress):
        rows += rollups.close(piece)
    late_buckets, late_windows = _refresh_late(database, rollups, rows, progress=progress)
    return RefreshResult(window, dict(rows), late_buckets, late_windows, time.perf_counter() - started)


def refresh_late(database: Database, before_us: int, thaw: Thaw | None = None) -> RefreshResult:
    """Recompute what late samples before an instant made stale: later ones are the database's own job's.

    thaw: as for refresh_fresh. Unavailable when the database is away.
    """
    started = time.perf_counter()
    rows: Counter[str] = Counter()
    late_buckets, late_windows = _refresh_late(database, _of(database, thaw), rows, before_us)
    return RefreshResult(Window(0, 0), dict(rows), late_buckets, late_windows, time.perf_counter() - started)


def refresh_window(
    database: Database, window: Window, *, only: Resolution | None = None, thaw: Thaw | None = None
) -> RefreshResult:
    """Recompute every bucket that touches the window, at every resolution, from raw rows.

    only: this resolution alone, from the next finer one as it stands. Days whose raw rows retention has
    dropped are left as they are, and so is what lies above the watermark.
    thaw: for days whose raw rows left the database; Unavailable where there is none and they are needed.
    """
    started = time.perf_counter()
    rows: Counter[str] = Counter()
    whole = window.aligned(MINUTE_US)
    first_us = max(whole.since_us, horizons_us(database)[plan.RAW])
    until_us = max(first_us, min(whole.until_us, state(database)[0].watermark_us))
    rollups = _of(database, thaw)
    for piece in plan.days(Window(first_us, until_us)):
        rows += rollups.rebuild(piece, only)
        database.execute("cold_note_rebuilt", **_whole_days(piece))
    return RefreshResult(Window(first_us, until_us), dict(rows), seconds=time.perf_counter() - started)


def _announce(database: Database, closing_us: int) -> int:
    """Move `closing` forward; returns where it stands."""
    current = state(database)[0]
    if closing_us > current.closing_us:
        with database.transaction(lock_timeout_s=_CLOSE_TIMEOUT_S) as transaction:
            transaction.execute("store_exclude_loads")
            transaction.execute("rollup_close", closing_us=closing_us)
    return state(database)[0].closing_us


def _start(database: Database, closing_us: int) -> int:
    """The watermark; on a store that was never refreshed, where its rows begin (today, where it has none)."""
    watermark_us = state(database)[0].watermark_us
    if watermark_us:
        return watermark_us
    starts = [partition.since_us for partition in list_partitions(database) if partition.table == plan.RAW]
    return min(starts, default=closing_us // DAY_US * DAY_US)


def _refresh_late(
    database: Database,
    rollups: Rollups,
    rows: Counter[str],
    before_us: int | None = None,
    progress: Progress | None = None,
) -> tuple[int, tuple[Window, ...]]:
    until_us = state(database)[0].watermark_us
    if before_us is not None:
        until_us = min(until_us, before_us)
    buckets = 0
    windows: list[Window] = []
    for window in _told(plan.late_windows(database, until_us, rollups.join_us), progress):
        try:
            taken, written = rollups.take_late(window)
        except Unavailable as error:
            # Of the cold tier, or a lock: the others need not wait for it, and these stay in the log.
            log.warning("late samples from %s on wait: %s", window.since, error)
            continue
        if taken:  # else another refresh was faster
            buckets += taken
            rows += written
            windows.append(window)
    return buckets, tuple(windows)


def _told(windows: Sequence[Window], progress: Progress | None) -> Iterator[Window]:
    """The windows, each told before it is worked on."""
    for done, window in enumerate(windows):
        if progress:
            progress(f"{window.since:%Y-%m-%d}", done, len(windows))
        yield window


def _whole_days(window: Window) -> dict[str, int]:
    days = window.aligned(DAY_US)
    return {"since_us": days.since_us, "until_us": days.until_us}


def _of(database: Database, thaw: Thaw | None) -> Rollups:
    return Aggregates(database, thaw) if database.engine == "timescaledb" else Tables(database, thaw)
