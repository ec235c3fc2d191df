"""What a refresh costs per million new samples, and whether that grows with the history before them.

A quiet fleet (10 series a minute) for 1 and for 30 days is the history; then 1,000 series every 10 s for 10 minutes
are closed, and 1,000 late samples of the day before folded in: each three times, the quickest counts. On embedded
PostgreSQL and, where MUNINN_BENCH_TIMESCALE_URL or MUNINN_TEST_TIMESCALE_URL names a server, there too. `growth` is
the cost after 30 days over that after 1 day.
"""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager

import numpy as np

from bench import timescale
from bench.cpu import server
from muninn.clock import DAY_US, HOUR_US, MINUTE_US, SECOND_US, ManualClock
from muninn.model import BatchHandle, SampleBatch, SeriesKey
from muninn.rollups import refresh
from muninn.store.database import Database
from muninn.store.migrations import migrate
from muninn.store.writer import StoreWriter

HISTORY_DAYS = (1, 30)
QUIET, FRESH, LATE = 10, 1_000, 1_000
ROUNDS = 3
NOW_US = 1_795_000_000 * SECOND_US // DAY_US * DAY_US + 9 * HOUR_US
KEYS = tuple(SeriesKey.of("cpu", {"host": str(number)}) for number in range(FRESH))


def run() -> dict[str, object]:
    """Seconds per million new samples and per thousand late ones, by engine and days of history."""
    figures: dict[str, object] = {"postgres": _compared(server)}
    if timescale.URL:
        figures["timescaledb"] = _compared(timescale.database)
    return figures


def _compared(database: Callable[[], AbstractContextManager[str]]) -> dict[str, object]:
    found: dict[str, dict[str, float]] = {}
    for days in HISTORY_DAYS:
        with database() as url, Database(url, statement_timeout_s=0) as store:
            found[f"{days}_days"] = _measure(store, days)
    first, last = (found[f"{days}_days"] for days in HISTORY_DAYS)
    return {**found, "growth": {name: last[name] / first[name] for name in first}}


def _measure(store: Database, days: int) -> dict[str, float]:
    migrate(store)
    clock = ManualClock(NOW_US)
    writer = StoreWriter(store, clock=clock)
    start_us = NOW_US // DAY_US * DAY_US - days * DAY_US
    for day_us in range(start_us, NOW_US, DAY_US):
        _load(writer, np.arange(day_us, min(day_us + DAY_US, NOW_US), MINUTE_US), QUIET)
    refresh.refresh_fresh(store, NOW_US, 0)
    fresh_s, late_s = [], []
    for number in range(ROUNDS):
        since_us = NOW_US + number * 10 * MINUTE_US
        _load(writer, np.arange(since_us, since_us + 10 * MINUTE_US, 10 * SECOND_US), FRESH)
        fresh_s.append(refresh.refresh_fresh(store, since_us + 10 * MINUTE_US, 0).seconds)
        offset_us = (number + 1) * SECOND_US
        late_us = NOW_US - DAY_US + np.arange(LATE // QUIET) * MINUTE_US + offset_us
        _load(writer, late_us, QUIET)
        late_s.append(refresh.refresh_fresh(store, since_us + 10 * MINUTE_US, 0).seconds)
    return {
        "s_per_million_new": min(fresh_s) / (60 * FRESH) * 1e6,
        "s_per_thousand_late": min(late_s) / LATE * 1e3,
    }


def _load(writer: StoreWriter, at_us: np.ndarray[tuple[int], np.dtype[np.int64]], series: int) -> None:
    """These instants of the first `series` series, walking."""
    values = np.round(50 + np.random.default_rng(0).normal(0, 9, (len(at_us), series)), 1)
    index = np.tile(np.arange(series, dtype=np.int32), len(at_us))
    batch = SampleBatch(np.repeat(at_us, series), values.ravel(), index, KEYS[:series])
    writer.load([BatchHandle("bench", f"{time.monotonic_ns()}-0", batch)])
