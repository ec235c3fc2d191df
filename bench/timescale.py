"""What a day of the cpu workload takes on TimescaleDB: bytes a sample as rows, compressed and packed, and of rollups.

Runs on the server of MUNINN_BENCH_TIMESCALE_URL or MUNINN_TEST_TIMESCALE_URL, in a database of its own. Values are
random walks of one decimal, 1,000 series every 10 s. Rates are shares of a binary COPY of the same rows as doubles
into a bare table of the same server, in the same run.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg import sql

from muninn.clock import DAY_US, HOUR_US, SECOND_US, ManualClock
from muninn.model import RESOLUTIONS, BatchHandle, SampleBatch, SeriesKey
from muninn.rollups import refresh
from muninn.run.environment import sibling_url
from muninn.store import binary_copy
from muninn.store.database import Database
from muninn.store.migrations import migrate
from muninn.store.partitions import list_partitions
from muninn.store.writer import StoreWriter

URL = os.environ.get("MUNINN_BENCH_TIMESCALE_URL") or os.environ.get("MUNINN_TEST_TIMESCALE_URL", "")
SERIES, STEP_S = 1_000, 10
ROWS_A_LOAD = 200_000
NAME = f"muninn_bench_{os.getpid()}"


def run() -> dict[str, object]:
    """Load one closed day, refresh it, let the policies and jobs do their work; measure after each."""
    if not URL:
        return {"not measured": "MUNINN_BENCH_TIMESCALE_URL names no server"}
    day_us = (time.time_ns() // 1000 // DAY_US - 3) * DAY_US
    with database() as url, Database(url) as store, psycopg.connect(url, autocommit=True) as connection:
        migrate(store)
        quiet(connection)
        keys = tuple(SeriesKey.of("cpu", {"host": str(number)}) for number in range(SERIES))
        limit = copy_limit(connection, next(iter(batches(day_us, keys))))
        samples, load_s = load(store, day_us, keys)
        started = time.monotonic()
        refresh.refresh_fresh(store, day_us + DAY_US, 0)
        refresh_s = time.monotonic() - started
        raw = bytes_of(store, samples)
        started = time.monotonic()
        run_jobs(connection, "policy_compression")
        compressed = bytes_of(store, samples)
        run_jobs(connection, "columnstore_pack")
        compress_s = time.monotonic() - started
        packed = bytes_of(store, samples)
        found = connection.execute("select count(*), sum(value) from raw_samples").fetchone()
        version = connection.execute("select extversion from pg_extension where extname = 'timescaledb'").fetchone()
    assert found is not None
    assert version is not None
    assert found[0] == samples
    return {
        "timescaledb": version[0],
        "samples": samples,
        "binary COPY alone, samples/s": limit,
        "StoreWriter.load, samples/s": samples / load_s,
        "StoreWriter.load, share of COPY alone": samples / load_s / limit,
        "refresh of all levels, samples/s": samples / refresh_s,
        "compression and packing, samples/s": samples / compress_s,
        "bytes a raw sample": {
            table: {"rows": raw[table], "columnstore by the hour": compressed[table], "packed": packed[table]}
            for table in raw
        },
    }


@contextmanager
def database() -> Iterator[str]:
    """The URL of a new database with the extension, dropped at the end."""
    with psycopg.connect(URL, autocommit=True) as server:
        server.execute(sql.SQL("create database {}").format(sql.Identifier(NAME)))
        url = sibling_url(URL, NAME)
        try:
            with psycopg.connect(url, autocommit=True) as fresh:
                fresh.execute("create extension if not exists timescaledb")
            yield url
        finally:
            server.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(NAME)))


def quiet(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    """The server starts no job by itself meanwhile."""
    connection.execute(
        "select alter_job(job_id, scheduled => false) from timescaledb_information.jobs where job_id >= 1000"
    )


def batches(day_us: int, keys: tuple[SeriesKey, ...]) -> Iterator[SampleBatch]:
    """The day in order of time: walks from anywhere in 0..100, steps of a normal distribution, one decimal."""
    random = np.random.default_rng(1)
    steps = DAY_US // SECOND_US // STEP_S
    a_load = ROWS_A_LOAD // SERIES
    level: NDArray[np.float64] = random.uniform(0, 100, SERIES)
    for start in range(0, steps, a_load):
        some = np.arange(start, min(start + a_load, steps))
        values = np.empty((len(some), SERIES))
        for row in range(len(some)):
            level = np.clip(level + random.normal(0, 1, SERIES), 0, 100)
            values[row] = level
        yield SampleBatch(
            np.repeat(day_us + some * STEP_S * SECOND_US, SERIES),
            np.round(values, 1).ravel(),
            np.tile(np.arange(SERIES, dtype=np.int32), len(some)),
            keys,
        )


def copy_limit(connection: psycopg.Connection[tuple[object, ...]], batch: SampleBatch) -> float:
    """Samples per second of a binary COPY into a table without index, the best of three."""
    connection.execute("create table bare (at timestamptz, series_id int4, value float8)")
    took = []
    for _ in range(3):
        started = time.monotonic()
        data = binary_copy.encode((binary_copy.timestamptz(batch.at_us), batch.key_index, batch.value))
        with connection.cursor() as cursor, cursor.copy("copy bare from stdin (format binary)") as copy:
            copy.write(data)
        took.append(time.monotonic() - started)
    connection.execute("drop table bare")
    return len(batch) / min(took)


def load(store: Database, day_us: int, keys: tuple[SeriesKey, ...]) -> tuple[int, float]:
    """(samples, seconds that loads took)."""
    writer = StoreWriter(store, clock=ManualClock(day_us + DAY_US + HOUR_US))
    samples, took = 0, 0.0
    for number, batch in enumerate(batches(day_us, keys)):
        started = time.monotonic()
        writer.load([BatchHandle("bench", f"{number + 1}-0", batch)])
        took += time.monotonic() - started
        samples += len(batch)
    return samples, took


def run_jobs(connection: psycopg.Connection[tuple[object, ...]], procedure: str) -> None:
    """Run each job of this procedure once."""
    jobs = connection.execute(
        "select job_id from timescaledb_information.jobs where proc_name = %s order by job_id", (procedure,)
    ).fetchall()
    for job in jobs:
        connection.execute("call run_job(%s)", job)


def bytes_of(store: Database, samples: int) -> dict[str, float]:
    """Bytes with indexes of raw samples and of each rollup, a raw sample."""
    tables = ["raw_samples", *(f"rollup_{resolution.name}" for resolution in RESOLUTIONS)]
    partitions = list_partitions(store)
    return {table: sum(part.bytes for part in partitions if part.table == table) / samples for table in tables}
