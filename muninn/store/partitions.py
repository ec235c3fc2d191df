"""Partitions by time: made ahead, listed, dropped by retention.

Belongs here: when a partition is made or dropped, and the horizon that records it. Does not: DDL (sql/idempotent).
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from muninn.clock import DAY_US
from muninn.model.window import Window, as_datetime
from muninn.store.database import Database

log = logging.getLogger(__name__)

RAW = "raw_samples"
ROLLUPS = ("rollup_1min", "rollup_5min", "rollup_1hour", "rollup_1day")
# How long a change waits for queries, loads and refreshes in flight: others queue behind it meanwhile.
_LOCK_TIMEOUT_S = 5.0
# The log of late samples that were refreshed is for looking into, not for ever.
_LATE_LOG_DAYS = 90
# Called with the partition to drop, and how many of its table are done of how many.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Partition:
    """One partition of `table` over [since_us, until_us); rows are the server's estimate, bytes with indexes."""

    table: str
    name: str
    since_us: int
    until_us: int
    rows_estimate: int
    bytes: int


@dataclass(frozen=True)
class Dropped:
    """A partition that retention took; rows as last estimated."""

    table: str
    since_us: int
    until_us: int
    rows: int
    bytes: int


def list_partitions(database: Database) -> list[Partition]:
    """Every partition of raw samples and rollups, by table and time."""
    return [Partition(*row) for row in database.fetch("store_list_partitions")]


def ensure(database: Database, table: str, window: Window) -> int:
    """Make the partitions of `table` that the window needs; returns how many were missing."""
    made = database.fetch("store_ensure_partitions", table=table, since=window.since, until=window.until)[0].made
    return int(made)


def ensure_at(database: Database, table: str, at_us: NDArray[np.int64]) -> int:
    """Make the partitions of `table` that hold these instants; returns how many were missing."""
    return int(database.fetch("store_ensure_partitions_at", table=table, at_us=at_us)[0].made)


def ensure_ahead(database: Database, now_us: int, days: int) -> int:
    """Make all partitions from today to `days` ahead; returns how many were missing."""
    today = now_us // DAY_US * DAY_US
    return sum(ensure(database, table, Window(today, today + (days + 1) * DAY_US)) for table in (RAW, *ROLLUPS))


def tune(database: Database, *, chunk_hours: int, columnstore_after_hours: int) -> None:
    """On TimescaleDB: how wide chunks to come are, and when they are compressed. Nothing on PostgreSQL."""
    database.fetch("store_tune", chunk_hours=chunk_hours, columnstore_after_hours=columnstore_after_hours)


def drop_expired(
    database: Database,
    now_us: int,
    *,
    raw_days: int,
    rollup_1min_days: int,
    rollup_5min_days: int,
    rollup_1hour_days: int,
    progress: Progress | None = None,
) -> list[Dropped]:
    """Drop partitions that lie wholly before their table's horizon; 1-day rollups are kept.

    A partition whose samples are not yet in every rollup (refresh behind, late rows waiting) stays until
    they are. On TimescaleDB a rollup is kept at least as long as what it is made from: a refresh would take
    its rows with those of the finer level. Unavailable when loads do not let go for some seconds: what was
    dropped until then is dropped.
    """
    days = dict(zip((RAW, *ROLLUPS), (raw_days, rollup_1min_days, rollup_5min_days, rollup_1hour_days), strict=False))
    database.execute("store_prune_late_refreshes", before_us=now_us - _LATE_LOG_DAYS * DAY_US)
    dropped: list[Dropped] = []
    finer_us = now_us
    for table in days:
        limit_us = min((now_us - days[table] * DAY_US) // DAY_US * DAY_US, finer_us)
        horizon_us = _move_horizon(database, table, limit_us)
        if database.engine == "timescaledb":
            finer_us = horizon_us
        database.execute("store_drop_packed", table=table, before_us=horizon_us)
        due = [each for each in list_partitions(database) if each.table == table and each.until_us <= horizon_us]
        for done, partition in enumerate(due):
            if progress:
                progress(f"{table} of {as_datetime(partition.since_us):%Y-%m-%d}", done, len(due))
            dropped.append(_drop(database, partition))
    return dropped


def _drop(database: Database, partition: Partition) -> Dropped:
    with database.transaction(lock_timeout_s=_LOCK_TIMEOUT_S) as transaction:
        transaction.execute("store_drop_partition", partition=partition.name)
    log.info("dropped %s (%d bytes)", partition.name, partition.bytes)
    sizes = (partition.rows_estimate, partition.bytes)
    return Dropped(partition.table, partition.since_us, partition.until_us, *sizes)


def horizons_us(database: Database) -> Mapping[str, int]:
    """Table -> instant before which retention dropped it (0: nothing yet)."""
    return {row.table_name: row.horizon_us for row in database.fetch("store_horizons")}


def _move_horizon(database: Database, table: str, limit_us: int) -> int:
    """Record what will be dropped before it is: from then on no load and no refresh touches it."""
    with database.transaction(lock_timeout_s=_LOCK_TIMEOUT_S) as transaction:
        transaction.execute("store_refresh_lock")
        transaction.execute("store_exclude_loads")
        moved = transaction.fetch("store_move_horizon", table=table, limit=as_datetime(limit_us))
    return int(moved[0].horizon_us)
