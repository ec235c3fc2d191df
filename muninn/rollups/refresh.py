"""Refresh: close fresh buckets, recompute late ones, rebuild a window. No committed sample is missed.

Belongs here: the order of locks, announcements and rebuilds. Does not: what a bucket holds (sql/idempotent).

The watermark moves in two steps. First `closing` is announced while no load is in flight; from then on
loads record samples before it in late_rows, in their own transaction. Then the buckets up to it are
computed, and the watermark follows in the same transaction. A sample before `closing` was thus either
committed before the announcement, and is seen by the computation, or is in late_rows, and is seen by the
next one. Late rows are taken out of the log before their samples are read, never after.
"""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from muninn.clock import DAY_US, MINUTE_US
from muninn.model import Resolution, Window
from muninn.rollups import plan
from muninn.store.database import Database, Transaction
from muninn.store.partitions import horizons_us, list_partitions

# A load that does not end within this time holds the announcement up; others wait behind it meanwhile.
_CLOSE_TIMEOUT_S = 10.0
_REBUILD_TIMEOUT_S = 900.0
# With more late series than this, a window is rebuilt whole.
_MAX_LATE_SERIES = 2_000


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


def refresh_fresh(database: Database, now_us: int, settle_s: float) -> RefreshResult:
    """Close every bucket that ended `settle_s` before now, then recompute what late samples made stale.

    Unavailable when a load holds the announcement up or the database is away: what was done stays done.
    """
    started = time.perf_counter()
    rows: Counter[str] = Counter()
    closing_us = _announce(database, (now_us - round(settle_s * 1_000_000)) // MINUTE_US * MINUTE_US)
    window = Window(min(_start(database, closing_us), closing_us), closing_us)
    for piece in plan.days(window):
        rows += _close(database, piece)
    late_buckets, late_windows = _refresh_late(database, rows)
    return RefreshResult(window, dict(rows), late_buckets, late_windows, time.perf_counter() - started)


def refresh_window(database: Database, window: Window, *, only: Resolution | None = None) -> RefreshResult:
    """Recompute every bucket that touches the window, at every resolution, from raw rows.

    only: this resolution alone, from the next finer one as it stands. Days whose raw rows retention has
    dropped are left as they are, and so is what lies above the watermark.
    """
    started = time.perf_counter()
    rows: Counter[str] = Counter()
    whole = window.aligned(MINUTE_US)
    first_us = max(whole.since_us, horizons_us(database)[plan.RAW])
    until_us = max(first_us, min(whole.until_us, state(database)[0].watermark_us))
    for piece in plan.days(Window(first_us, until_us)):
        with database.transaction(statement_timeout_s=_REBUILD_TIMEOUT_S) as transaction:
            watermark_us, horizons = _locked_state(transaction)
            steps = plan.steps(piece, watermark_us, horizons)
            if only is None:
                transaction.execute("rollup_forget_late", since_us=piece.since_us, until_us=piece.until_us)
            rows += _rebuild(transaction, [step for step in steps if only in (None, step.resolution)], None)
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


def _close(database: Database, piece: Window) -> Counter[str]:
    with database.transaction(statement_timeout_s=_REBUILD_TIMEOUT_S) as transaction:
        watermark_us, horizons = _locked_state(transaction)
        if watermark_us >= piece.until_us:  # another refresh was faster
            return Counter()
        transaction.execute("rollup_forget_late", since_us=piece.since_us, until_us=piece.until_us)
        rows = _rebuild(transaction, plan.steps(piece, piece.until_us, horizons, fresh=True), None)
        transaction.execute("rollup_advance", watermark_us=piece.until_us)
    return rows


def _refresh_late(database: Database, rows: Counter[str]) -> tuple[int, tuple[Window, ...]]:
    minutes = [row.minute_us for row in database.fetch("rollup_late_minutes")]
    watermark_us = state(database)[0].watermark_us
    buckets = 0
    windows: list[Window] = []
    for window in plan.late_windows([minute_us for minute_us in minutes if minute_us < watermark_us]):
        with database.transaction(statement_timeout_s=_REBUILD_TIMEOUT_S) as transaction:
            watermark_us, horizons = _locked_state(transaction)
            taken = transaction.fetch("rollup_take_late", since_us=window.since_us, until_us=window.until_us)[0]
            if not taken.buckets:  # another refresh was faster
                continue
            series_ids = taken.series_ids if len(taken.series_ids) <= _MAX_LATE_SERIES else None
            rows += _rebuild(transaction, plan.steps(window, watermark_us, horizons), series_ids)
        buckets += taken.buckets
        windows.append(window)
    return buckets, tuple(windows)


def _locked_state(transaction: Transaction) -> tuple[int, Mapping[str, int]]:
    """(watermark, horizons), which nobody else moves until this transaction ends."""
    transaction.execute("store_refresh_lock")
    watermark_us = transaction.fetch("rollup_state")[0].watermark_us
    return watermark_us, {row.table_name: row.horizon_us for row in transaction.fetch("store_horizons")}


def _rebuild(transaction: Transaction, steps: Sequence[plan.Step], series_ids: list[int] | None) -> Counter[str]:
    rows: Counter[str] = Counter()
    for step in steps:
        written = transaction.fetch(
            "rollup_rebuild",
            resolution=step.resolution.name,
            source=step.source,
            since_us=step.window.since_us,
            until_us=step.window.until_us,
            series_ids=series_ids,
        )
        rows[step.resolution.name] += written[0].rows
    return rows
