"""The cpu workload: 10 metrics of 100 hosts in 4 regions every 10 seconds for days, one decimal; loaded as Muninn does.

Belongs here: the samples, also as the array that answers are checked against, and a store filled with them.
"""

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import psycopg
from numpy.typing import NDArray

from bench.running import wait_until
from muninn.clock import DAY_US, HOUR_US, MINUTE_US, SECOND_US, ManualClock
from muninn.model import BatchHandle, SampleBatch, SeriesKey
from muninn.rollups import refresh
from muninn.run import embedded
from muninn.store.database import Database
from muninn.store.migrations import migrate
from muninn.store.writer import StoreWriter

METRICS = tuple(
    f"cpu_{name}_pct"
    for name in ("user", "system", "idle", "nice", "iowait", "irq", "softirq", "steal", "guest", "guest_nice")
)
HOSTS, REGIONS = 100, ("eu-central", "eu-west", "us-east", "us-west")
STEP_US = 10 * SECOND_US
# Amid an hour and a day, so that every level has buckets that are not packed yet.
END_US = (1_795_000_000 * SECOND_US) // DAY_US * DAY_US + 14 * HOUR_US + 37 * MINUTE_US
# Where a filled database is kept for the next run; without it a temporary one is made.
KEPT = "MUNINN_BENCH_KEPT"


@dataclass(frozen=True)
class Workload:
    """`days` up to `end_us`. Series number host * 10 + metric; a value is its tenths over ten."""

    days: float = 7.0
    end_us: int = END_US
    hosts: int = HOSTS

    @cached_property
    def steps(self) -> int:
        """Samples a series."""
        return round(self.days * DAY_US) // STEP_US

    @cached_property
    def start_us(self) -> int:
        """The first sample's instant."""
        return self.end_us - self.steps * STEP_US

    @cached_property
    def keys(self) -> tuple[SeriesKey, ...]:
        """Of all series."""
        return tuple(
            SeriesKey.of(metric, {"host": f"host-{host:03d}", "region": REGIONS[host % len(REGIONS)]}, "bench", "")
            for host in range(self.hosts)
            for metric in METRICS
        )

    @cached_property
    def tenths(self) -> NDArray[np.int16]:
        """int16[series, steps]: walks that turn back at 0 and 100."""
        random = np.random.default_rng(1)
        found = np.empty((len(self.keys), self.steps), np.int16)
        for series in range(len(found)):
            walk = np.cumsum(random.integers(-12, 13, self.steps)) + random.integers(0, 1000)
            found[series] = np.abs((walk + 1000) % 2000 - 1000)
        return found

    def values(self, series: int | slice | NDArray[np.int64], since_us: int, until_us: int) -> NDArray[np.float64]:
        """The samples of a window, the last axis being time."""
        first, last = ((at_us - self.start_us) // STEP_US for at_us in (since_us, until_us))
        found: NDArray[np.float64] = self.tenths[series, first:last] / 10.0
        return found

    def batches(self, steps: int = 360) -> Iterator[SampleBatch]:
        """All samples in order of time, an hour of all series a batch."""
        series = np.arange(len(self.keys), dtype=np.int32)
        for first in range(0, self.steps, steps):
            some = self.tenths[:, first : first + steps]
            at_us = self.start_us + (first + np.arange(some.shape[1])) * STEP_US
            yield SampleBatch(
                np.repeat(at_us, len(series)), some.T.ravel() / 10.0, np.tile(series, some.shape[1]), self.keys
            )


@dataclass(frozen=True)
class Filled:
    """A filled store. figures: what filling it cost, as it was measured then."""

    url: str
    workload: Workload
    figures: dict[str, float] = field(default_factory=dict)


@contextlib.contextmanager
def server() -> Iterator[str]:
    """The URL of an embedded PostgreSQL in a temporary folder, or in MUNINN_BENCH_KEPT."""
    kept = os.environ.get(KEPT)
    home = Path(kept) if kept else Path(tempfile.mkdtemp(prefix="muninn-bench-"))
    home.mkdir(parents=True, exist_ok=True)
    postgres = embedded.postgres(home, {})
    postgres.prepare()
    with (home / "server.log").open("ab") as log, postgres.spawn(log.fileno()) as process:
        try:
            wait_until(lambda: process.poll() is not None or _answers(postgres.url), 60)
            yield postgres.url
        finally:
            process.send_signal(postgres.stop_signal)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
            if not kept:
                shutil.rmtree(home, ignore_errors=True)


def _answers(url: str) -> bool:
    with contextlib.suppress(psycopg.OperationalError):
        psycopg.connect(url, connect_timeout=2).close()
        return True
    return False


def fill(url: str, workload: Workload) -> Filled:
    """The workload in the store at `url`, refreshed; at once where it is there already."""
    with Database(url, pool_size=2, statement_timeout_s=0) as database:
        migrate(database)
        with psycopg.connect(url, autocommit=True) as store:
            store.execute("create table if not exists bench_filled (days float8, name text, value float8)")
            found = store.execute("select name, value from bench_filled where days = %s", (workload.days,)).fetchall()
            if found:
                store.execute("call packed_extend()")  # what Muninn did not pack yet when it was filled
                return Filled(url, workload, dict(found))
            figures = _load(database, workload)
            store.execute("vacuum (analyze)")
            with store.cursor() as cursor:
                cursor.executemany(
                    "insert into bench_filled values (%s, %s, %s)",
                    [(workload.days, name, value) for name, value in figures.items()],
                )
    return Filled(url, workload, figures)


def _load(database: Database, workload: Workload) -> dict[str, float]:
    """Load hour by hour, as a loader does; a thread refreshes what is loaded, as the refresher does."""
    writer = StoreWriter(database, clock=ManualClock(workload.end_us))
    refresh.refresh_fresh(database, workload.start_us, 0.0)
    rows, load_s, refresh_s = 0, 0.0, 0.0
    with ThreadPoolExecutor(1) as refresher:
        refreshed: Future[float] | None = None
        for number, batch in enumerate(workload.batches()):
            began = time.monotonic()
            rows += writer.load([BatchHandle("bench", f"{number}-1", batch)]).rows
            load_s += time.monotonic() - began
            refresh_s += refreshed.result() if refreshed else 0.0
            refreshed = refresher.submit(_refresh, database, int(batch.at_us[-1]) + STEP_US)
            if number % 24 == 23:
                print(f"    {rows:,} samples loaded", flush=True)
        refresh_s += refreshed.result() if refreshed else 0.0
    writer.flush()
    return {"samples": float(rows), "load_s": load_s, "refresh_s": refresh_s}


def _refresh(database: Database, now_us: int) -> float:
    began = time.monotonic()
    refresh.refresh_fresh(database, now_us, 0.0)
    return time.monotonic() - began
