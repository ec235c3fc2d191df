"""What rules look at, from the store: samples of the last minutes, buckets of hours and days. One question for all.

Belongs here: queries and their arrays as columns. Does not: rules, arithmetic on them (alerting.long).
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import numpy as np

from muninn.alerting.long import Buckets, Level
from muninn.model import SampleBatch, SeriesKey, Window
from muninn.model.window import as_datetime
from muninn.store.arrays import received
from muninn.store.database import Database

_POSTGRES_EPOCH_US = 946_684_800_000_000


def known(database: Database, metrics: Sequence[str], now_us: int, back_s: float) -> list[tuple[SeriesKey, int, int]]:
    """(key, first heard of, last heard of) of every series of these metrics that sent something lately."""
    since = as_datetime(now_us) - timedelta(seconds=back_s)
    rows = database.fetch("alert_series", metrics=list(metrics), since=since)
    return [(_key(row), row.first_us, row.last_us) for row in rows]


def samples(database: Database, metrics: Sequence[str], window: Window) -> SampleBatch:
    """Raw samples of these metrics."""
    rows = database.fetch("alert_raw", metrics=list(metrics), since=window.since, until=window.until)
    if not rows:
        return SampleBatch.empty()
    at = [_instants(row.at) for row in rows]
    index = np.repeat(np.arange(len(rows), dtype=np.int32), [len(each) for each in at])
    value = np.concatenate([received(row.value, np.float64) for row in rows])
    return SampleBatch(np.concatenate(at), value, index, tuple(map(_key, rows)))


def buckets(database: Database, level: Level, metrics: Sequence[str], window: Window) -> Buckets:
    """Rollup buckets of these metrics, those that are not closed yet too."""
    rows = database.fetch(f"alert_buckets_{level}", metrics=list(metrics), since=window.since, until=window.until)
    if not rows:
        return Buckets.empty()
    at = [_instants(row.at) for row in rows]
    return Buckets(
        tuple(map(_key, rows)),
        np.repeat(np.arange(len(rows), dtype=np.int64), [len(each) for each in at]),
        np.concatenate(at),
        np.concatenate([received(row.sample_count, np.int64) for row in rows]),
        *(
            np.concatenate([received(getattr(row, name), np.float64) for row in rows])
            for name in ("sum_value", "first_value", "last_value", "increase")
        ),
    )


def _key(row: Any) -> SeriesKey:
    return SeriesKey.of(row.metric_name, row.tags, row.source_agent_id, row.instance_id)


def _instants(sent: bytes) -> "np.ndarray[Any, np.dtype[np.int64]]":
    return received(sent, np.int64) + _POSTGRES_EPOCH_US
