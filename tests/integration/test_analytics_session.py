"""The DuckDB session holds what the store holds, and its macros merge as the store does."""

import csv
import json
import os
import time
from datetime import timedelta
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import psycopg
import pytest
from terminal import piped

from muninn import analytics
from muninn.analytics.session import connect
from muninn.clock import HOUR_US, MINUTE_US
from muninn.errors import Misconfigured
from muninn.home import Home, State
from muninn.model import BatchHandle, SampleBatch, SeriesKey, Window
from muninn.rollups.refresh import refresh_fresh
from muninn.store.database import Database
from muninn.store.writer import StoreWriter

SERIES, SECONDS = 5, 900


def samples(until_us: int) -> SampleBatch:
    rng = np.random.default_rng(3)
    at_us = until_us - SECONDS * 1_000_000 + np.arange(SECONDS, dtype=np.int64) * 1_000_000
    keys = tuple(SeriesKey.of("latency_ms", {"host": f"h{i}"}, "agent", f"i{i}") for i in range(SERIES))
    value = rng.lognormal(1, 3, SERIES * SECONDS) * rng.choice([-1.0, 1.0], SERIES * SECONDS)
    return SampleBatch(np.tile(at_us, SERIES), value, np.repeat(np.arange(SERIES, dtype=np.int32), SECONDS), keys)


@pytest.fixture
def loaded(postgres_url: str):
    """A store with a quarter of an hour of samples, two thirds of it refreshed, and the samples."""
    now_us = time.time_ns() // 1000 // MINUTE_US * MINUTE_US
    batch = samples(now_us)
    with Database(postgres_url) as database:
        StoreWriter(database).load([BatchHandle("test", "1-0", batch)])
        refresh_fresh(database, now_us - 5 * MINUTE_US, 0)
        yield database, batch, Window(now_us - HOUR_US, now_us)


def test_every_sample_is_there_bit_for_bit(loaded) -> None:
    database, batch, window = loaded
    with connect(database, window) as session:
        rows = session.sql("select epoch_us(timestamp), metric_value, instance_id from performance_metrics").fetchall()
    expected = [
        (int(at), float(value), batch.keys[k].instance_id)
        for at, value, k in zip(batch.at_us, batch.value, batch.key_index, strict=True)
    ]
    assert sorted(rows) == sorted(expected)


@pytest.mark.parametrize("resolution", ["1min", "5min", "1hour", "1day"])
def test_merged_percentiles_are_within_one_percent_of_the_samples(loaded, resolution: str) -> None:
    database, batch, window = loaded
    day = Window(window.since_us - 24 * HOUR_US, window.until_us)
    with connect(database, day) as session:
        count, total, p50, p95, p99 = session.sql(f"""
            select sum(sample_count), sum(sum_value),
                   merged_quantile(list(sketch), 0.50, min(min_value), max(max_value)),
                   merged_quantile(list(sketch), 0.95, min(min_value), max(max_value)),
                   merged_quantile(list(sketch), 0.99, min(min_value), max(max_value))
            from metrics_{resolution}""").fetchall()[0]
    ordered = pl.Series(batch.value).sort()
    assert count == len(ordered)
    assert total == pytest.approx(ordered.sum(), rel=1e-9)
    for q, got in ((0.5, p50), (0.95, p95), (0.99, p99)):
        assert got == pytest.approx(ordered[int(np.ceil(q * len(ordered))) - 1], rel=0.01)


def test_each_row_says_what_the_store_says(loaded, postgres_url: str) -> None:
    database, _, window = loaded
    text = """select sample_count, min_value, max_value, p50_value, p95_value, p99_value from metrics_1min
              order by bucket, instance_id"""
    with connect(database, window) as session, psycopg.connect(postgres_url) as store:
        there = session.sql(text).fetchall()
        here = store.execute(text).fetchall()
    assert len(there) == SERIES * SECONDS // 60
    assert np.allclose(np.array(there, float), np.array(here, float), rtol=1e-12, atol=0)


def test_a_file_for_other_tools(loaded, tmp_path: Path) -> None:
    database, batch, window = loaded
    connect(database, window, tmp_path / "muninn.duckdb").close()
    with duckdb.connect(str(tmp_path / "muninn.duckdb"), read_only=True) as other:
        assert other.sql("select count(*) from performance_metrics").fetchall() == [(len(batch),)]


def test_python_and_the_command_line_find_the_muninn_that_runs(
    loaded, postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without MUNINN_DATABASE_URL: by what `muninn up` writes into its state folder while it holds it."""
    _, batch, _ = loaded
    home = Home(tmp_path / "home")
    home.prepare()
    environ = {"MUNINN_HOME": str(home.path)}
    for name in [name for name in os.environ if name.startswith("MUNINN_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MUNINN_HOME", str(home.path))
    with pytest.raises(Misconfigured, match="no Muninn runs on"):
        analytics.connect()
    with home.locked():
        home.write(State(1, 1, 0.0, postgres_url, "redis://nowhere/0", "", "", {"MUNINN_COLD_HOT_DAYS": "3"}))
        with analytics.connect(timedelta(hours=1)) as session:
            assert session.sql("select count(*) from performance_metrics").fetchall() == [(len(batch),)]
        asked = piped("sql", "select count(*) as n from series", "--format", "csv", folder=tmp_path, **environ)
        assert (asked.stdout, asked.stderr) == (f"n\n{SERIES}\n", "")
        everything = piped("sql", "select * from metrics_1min", "--format", "csv", folder=tmp_path, **environ)
        head, *rows = csv.reader(everything.stdout.splitlines())
        sketch, counter = (json.loads(rows[0][head.index(name)]) for name in ("sketch", "counter"))
        assert all(isinstance(word, int) for word in sketch)
        assert {"first_value", "increase"} <= counter.keys()
        twice = piped("sql", "select [1] as a, 2 as b, 3 as b", "--format", "csv", folder=tmp_path, **environ)
        assert twice.stdout.splitlines()[1:] == ["[1],2,3"]
