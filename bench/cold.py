"""The cold tier on the cpu workload: one closed day of 1,000 series every 10 seconds, exported, moved and asked.

Bytes a sample in files against what the same rows took in the database; rows a second through an export (written,
flushed, read back and recorded) beside a bare read of the same rows; questions about the day, once it is in files only,
as an analyst asks DuckDB and as a page asks reads. Every answer is compared with numpy's over the samples.
"""

import os
import tempfile
import time
from collections.abc import Callable
from typing import Any

import duckdb
import numpy as np
import psycopg

from bench import cpu, kinds
from muninn.analytics import lifecycle
from muninn.analytics.cold_thaw import ColdThaw
from muninn.analytics.session import connect
from muninn.clock import DAY_US, HOUR_US, MINUTE_US, SECOND_US, ManualClock
from muninn.model import BatchHandle, SampleBatch, Window
from muninn.reads import Reads
from muninn.rollups.refresh import refresh_fresh
from muninn.settings import Settings, load
from muninn.store.database import Database
from muninn.store.writer import StoreWriter

TURNS = 7
DAY_START_US = cpu.END_US // DAY_US * DAY_US - DAY_US
# One whole day: filling the store with it takes most of the time, unless MUNINN_BENCH_KEPT has one that was not moved.
DAY = Window(DAY_START_US, DAY_START_US + DAY_US)
NOW_US = DAY_START_US + 3 * DAY_US
# For trying: fewer than a hundred hosts of ten series.
HOSTS = int(os.environ.get("MUNINN_BENCH_HOSTS", cpu.HOSTS))


def run() -> dict[str, Any]:
    """Fill, export, move, ask, load a late sample, export again."""
    workload = cpu.Workload(1.0, DAY.until_us, HOSTS)
    with cpu.server() as url, tempfile.TemporaryDirectory(prefix="muninn-bench-cold-") as folder:
        cpu.fill(url, workload)
        settings = load({"MUNINN_COLD_FOLDER": folder, "MUNINN_COLD_HOT_DAYS": "1", "MUNINN_COLD_AFTER_HOURS": "0"})
        with Database(url, pool_size=2, statement_timeout_s=0) as database:
            print("    exporting, moving, verifying", flush=True)
            figures = exported(url, database, settings)
            figures["a question of a day in files, ms (median)"] = {
                **asked_duckdb(database, settings, workload),
                **asked_reads(database, settings, workload),
            }
            figures["a late sample into a day in files"] = late(database, settings, workload)
    figures["other values and instants"] = kinds.run(float(figures["bytes a sample in the database, with index"]))
    return figures


def exported(url: str, database: Database, settings: Settings) -> dict[str, Any]:
    """Export and move the day."""
    day = f"at >= to_timestamp({DAY.since_us // SECOND_US}) and at < to_timestamp({DAY.until_us // SECOND_US})"
    text = f"copy (select at, series_id, value from raw_samples where {day}) to stdout (format binary)"
    with psycopg.connect(url) as store:
        began = time.monotonic()
        with store.cursor() as cursor, cursor.copy(text.encode()) as copy:
            for _ in copy:
                pass
        read_s = time.monotonic() - began
    (done,) = lifecycle.export(database, settings, NOW_US, only=[DAY.since_us])
    (moved,) = lifecycle.move(database, settings, NOW_US)
    began = time.monotonic()
    verified = lifecycle.verify(database, settings.cold_folder)
    verify_s = time.monotonic() - began
    assert not verified.faults
    return {
        "rows": float(done.rows),
        "bytes a sample in the database, with index": done.bytes_before / done.rows,
        "bytes a sample in files": done.bytes / done.rows,
        "times smaller": done.bytes_before / done.bytes,
        "copies of rollups in files, bytes a sample": done.rollup_bytes / done.rows,
        "export with rollups, rows/s": done.rows / done.seconds,
        "a bare read by COPY of the same rows, rows/s": done.rows / read_s,
        "verify, all files, rows/s": done.rows / verify_s,
        "move, s": moved.seconds,
    }


def asked_duckdb(database: Database, settings: Settings, workload: cpu.Workload) -> dict[str, float]:
    """Over files alone: the session is made before."""
    one = workload.keys[7]
    where = f"metric_name = '{one.metric}' and tags ->> 'host' = '{dict(one.labels)['host']}'"
    hour = f"timestamp >= make_timestamptz({DAY.since_us}) and timestamp < make_timestamptz({DAY.since_us + HOUR_US})"
    with connect(database, DAY, folder=settings.cold_folder) as session:
        assert session.sql("select days_in_files from snapshot").fetchall() == [(1,)]
        own = workload.values(7, DAY.since_us, DAY.since_us + HOUR_US)
        whole = workload.values(slice(None), DAY.since_us, DAY.until_us)
        return {
            "DuckDB: one series, an hour of samples": median(
                lambda: total(session, f"select sum(metric_value) from performance_metrics where {where} and {hour}"),
                own.sum(),
            ),
            "DuckDB: one series, the day by minutes": median(
                lambda: total(session, f"select sum(sum_value) from metrics_1min where {where}"),
                workload.values(7, DAY.since_us, DAY.until_us).sum(),
            ),
            "DuckDB: all series, every sample of the day": median(
                lambda: total(session, "select sum(metric_value) from performance_metrics"), whole.sum()
            ),
            "DuckDB: p95 of all series by hour, merged": median(
                lambda: session.sql(
                    "select count(*) from (select bucket, merged_quantile(list(sketch), 0.95, min(min_value),"
                    " max(max_value)) from metrics_1hour group by bucket)"
                ).fetchall()[0][0],
                24,
            ),
        }


def asked_reads(database: Database, settings: Settings, workload: cpu.Workload) -> dict[str, float]:
    """As a page asks: samples from files, buckets from the database."""
    reads = Reads(database, clock=ManualClock(NOW_US), cold_folder=settings.cold_folder)
    one = workload.keys[7]
    hour = Window(DAY.since_us, DAY.since_us + HOUR_US)

    def points(window: Window, step_us: int) -> float:
        (series,) = reads.trend(one.metric, window, step_us, {"host": dict(one.labels)["host"]}).series
        return float((series.avg * series.count).sum())

    return {
        "reads: one series, an hour by 10 s, from files": median(
            lambda: points(hour, 10 * SECOND_US), workload.values(7, hour.since_us, hour.until_us).sum()
        ),
        "reads: one series, an hour by a minute, from rollups": median(
            lambda: points(hour, MINUTE_US), workload.values(7, hour.since_us, hour.until_us).sum()
        ),
    }


def late(database: Database, settings: Settings, workload: cpu.Workload) -> dict[str, float]:
    """What one late sample costs: the refresh that brings its minute's rows back, and the next export."""
    batch = SampleBatch.of([(workload.keys[7], DAY.since_us + 1, 99.5)])
    StoreWriter(database, clock=ManualClock(NOW_US)).load([BatchHandle("late", "1-1", batch)])
    began = time.monotonic()
    done = refresh_fresh(database, NOW_US, 0.0, ColdThaw(settings.cold_folder))
    assert done.late_buckets == 1
    refreshed_s = time.monotonic() - began
    (again,) = lifecycle.export(database, settings, NOW_US, only=[DAY.since_us])
    assert again.rows == workload.tenths.size + 1
    return {"refresh, s": refreshed_s, "export again, rows/s": again.rows / again.seconds}


def total(session: duckdb.DuckDBPyConnection, text: str) -> float:
    """The one number of a statement."""
    return float(session.sql(text).fetchall()[0][0])


def median(ask: Callable[[], Any], expected: float) -> float:
    """Milliseconds; the answer must be the expected one."""
    took = []
    for _ in range(TURNS):
        began = time.monotonic()
        found = ask()
        took.append((time.monotonic() - began) * 1000)
        assert np.isclose(found, expected, rtol=1e-9), (found, expected)
    return float(np.median(took))
