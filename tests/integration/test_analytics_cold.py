"""DuckDB over both tiers: each sample once, whatever tier its day is in; a day's question reads a day's rows."""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
import stores
from cold import CPU, MEMORY, TODAY, Cold, Rows, by_key, history, refreshed

from muninn.analytics.session import connect
from muninn.clock import DAY_US, HOUR_US, MINUTE_US, SECOND_US
from muninn.model import RESOLUTIONS, SeriesKey, Window

DAYS = (-6, -5, -4, -2, -1, 0)
WINDOW = Window(TODAY - 7 * DAY_US, TODAY + DAY_US)
COUNTER = SeriesKey.of("requests_total", {"host": "a"})


@pytest.fixture
def tier(postgres_url: str, tmp_path: Path) -> Iterator[Cold]:
    store = stores.Postgres(postgres_url)
    yield refreshed(store, tmp_path / "cold", DAYS)
    store.close()


def asked(tier: Cold, window: Window = WINDOW) -> Rows:
    with connect(tier.store.database, window, folder=tier.settings.cold_folder) as session:
        found = session.sql("select metric_name, epoch_us(timestamp), metric_value from performance_metrics").fetchall()
    named = {key.metric: key for key in (CPU, MEMORY)}
    return by_key([(named[name], at, value) for name, at, value in found])


def buckets(tier: Cold, resolution: str) -> list[tuple[object, ...]]:
    """What DuckDB says and PostgreSQL says of a resolution must be the same rows."""
    text = f"""select metric_name, sample_count, sum_value, min_value, max_value, p50_value, p99_value from
               metrics_{resolution} order by metric_name, bucket"""
    with connect(tier.store.database, WINDOW, folder=tier.settings.cold_folder) as session:
        there = session.sql(text).fetchall()
    here = tier.store.connection.execute(text).fetchall()
    assert len(there) == len(here)
    for mine, theirs in zip(there, here, strict=True):
        assert mine[:2] == theirs[:2]
        assert mine[2:] == pytest.approx(theirs[2:], rel=1e-12)
    return there


def test_each_sample_is_there_once_before_and_after_its_day_moves(tier: Cold) -> None:
    assert asked(tier) == by_key(history(DAYS))
    tier.night()
    assert tier.in_database() == len(history((-2, -1, 0)))
    assert asked(tier) == by_key(history(DAYS))
    for resolution in RESOLUTIONS:
        assert buckets(tier, resolution.name)


def test_late_samples_of_days_in_files_are_there_before_they_are_exported_again(tier: Cold) -> None:
    tier.night()
    day = TODAY - 5 * DAY_US
    late = [(CPU, day + 1, 1000.0), (MEMORY, day, -1.5), (CPU, TODAY - 2 * DAY_US + 1, 7.0)]
    tier.load(late)
    expected = {(key, at): value for key, at, value in history(DAYS)} | {(key, at): value for key, at, value in late}
    rows = by_key([(key, at, value) for (key, at), value in expected.items()])
    assert asked(tier) == rows
    tier.refresh()  # puts rows back into the database: they are not there twice
    assert asked(tier) == rows
    for resolution in RESOLUTIONS:
        assert buckets(tier, resolution.name)
    tier.night()
    assert asked(tier) == rows


@pytest.mark.parametrize("edge_us", [0, 1, 15 * MINUTE_US, 20 * HOUR_US])
def test_a_window_ends_where_it_says(tier: Cold, edge_us: int) -> None:
    tier.night()
    window = Window(TODAY - 5 * DAY_US + edge_us, TODAY - 2 * DAY_US + edge_us)
    assert asked(tier, window) == by_key([row for row in history(DAYS) if window.since_us <= row[1] < window.until_us])


@pytest.mark.parametrize(("view", "column"), [("performance_metrics", "timestamp"), ("metrics_1min", "bucket")])
def test_a_question_about_a_day_reads_the_rows_of_that_day(tier: Cold, view: str, column: str) -> None:
    tier.night()
    with connect(tier.store.database, WINDOW, folder=tier.settings.cold_folder) as session:
        assert session.sql("select days_in_files from snapshot").fetchall() == [(4,)]
        day = f"timestamptz '{Window(TODAY - 5 * DAY_US, TODAY).since:%Y-%m-%d}'"
        text = f"select count(*) from {view} where {column} >= {day} and {column} < {day} + interval 1 day"
        plan = session.sql(f"explain analyze {text}").fetchall()[0][1]
        counted = session.sql(text).fetchall()[0][0]
    scanned = [(int(some), int(every)) for some, every in re.findall(r"Row Groups Scanned: (\d+) / (\d+)", plan)]
    assert counted == (120 if view == "performance_metrics" else 60)
    # Of files: two metric groups of this day, and the one that tells the columns. The other scan is of what is in none.
    assert ((2, 3) if view == "performance_metrics" else (1, 2)) in scanned


def opened(session: duckdb.DuckDBPyConnection, text: str) -> set[tuple[str, str, str]]:
    """(content, day, metric group) of every file that a statement opens."""
    session.execute("call enable_logging('FileSystem')")
    session.execute("call truncate_duckdb_logs()")
    session.execute(text).fetchall()
    found = session.execute("select path from duckdb_logs_parsed('FileSystem') where op = 'OPEN'").fetchall()
    session.execute("call disable_logging()")
    parts = [path.split("/") for (path,) in found if path.endswith(".parquet")]
    return {
        (content, day.removeprefix("day="), group.removeprefix("metric_group=")) for *_, content, day, group, _ in parts
    }


def date(day: int) -> str:
    return f"{Window(TODAY + day * DAY_US, TODAY + (day + 1) * DAY_US).since:%Y-%m-%d}"


def test_a_question_about_a_metric_opens_no_file_of_another_group(tier: Cold) -> None:
    tier.night()
    with connect(tier.store.database, WINDOW, folder=tier.settings.cold_folder) as session:
        asked = "select sum(metric_value) from performance_metrics where metric_name = 'memory_used_bytes'"
        days = [date(day) for day in DAYS[:4]]
        first = ("raw", days[0], "cpu")  # the first file of all tells the columns
        assert opened(session, asked) - {first} == {("raw", day, "memory") for day in days}
        both = {("raw", day, group) for day in days for group in ("cpu", "memory")}
        assert opened(session, "select sum(metric_value) from performance_metrics") == both
        assert opened(session, "select sum(sum_value) from metrics_1hour") == {("1hour", day, "all") for day in days}


@pytest.mark.parametrize(
    ("view", "column", "content"), [("performance_metrics", "timestamp", "raw"), ("metrics_1min", "bucket", "1min")]
)
def test_a_question_about_a_day_opens_no_file_of_another_day(tier: Cold, view: str, column: str, content: str) -> None:
    tier.night()
    one, next_one = (f"timestamptz '{date(day)}'" for day in (-5, -4))
    questions = {
        f"{column} >= {one} and {column} < {next_one}": (-5,),
        f"{column} between {one} and {one} + interval 5 hour": (-5,),
        f"{column} = {one}": (-5,),
        f"{column} >= {next_one} - interval 1 hour": (-5, -4, -2),
    }
    groups = ("cpu", "memory") if content == "raw" else ("all",)
    telling = {(content, date(DAYS[0]), groups[0])}  # the one that tells the columns
    with connect(tier.store.database, WINDOW, folder=tier.settings.cold_folder) as session:
        for where, days in questions.items():
            found = opened(session, f"select count(*) from {view} where {where}")
            assert found - telling == {(content, date(day), group) for day in days for group in groups}


def test_growth_of_counters_is_exact_over_resets_buckets_and_tiers(tier: Cold) -> None:
    start = TODAY - 6 * DAY_US + 2 * HOUR_US
    # Resets inside a bucket, between buckets, and between days in different tiers.
    values = [0, 5, 9, 2, 3, 10, 1, 1, 4, 0, 6]
    instants = [start + place * 50 * SECOND_US for place in range(9)] + [TODAY + HOUR_US, TODAY + HOUR_US + SECOND_US]
    rows = [(COUNTER, at, float(value)) for at, value in zip(instants, values, strict=True)]
    tier.load([*rows, *((SeriesKey.of("requests_total", {"host": "b"}), at, value * 2) for _, at, value in rows)])
    tier.refresh()
    tier.night()
    one = sum(after - before if after >= before else after for before, after in itertools.pairwise(values))
    seconds = (instants[-1] - instants[0]) / SECOND_US
    with connect(tier.store.database, WINDOW, folder=tier.settings.cold_folder) as session:
        for resolution in RESOLUTIONS:
            per_host, per_second = session.sql(f"""
                select counter_increase(list(counter)), counter_rate(list(counter)) from metrics_{resolution.name}
                where metric_name = 'requests_total' and tags ->> 'host' = 'a'""").fetchall()[0]
            assert per_host == one, resolution.name
            assert per_second == pytest.approx(one / seconds)
            both = session.sql(f"""
                select counter_increase(list(counter)) from metrics_{resolution.name}
                where metric_name = 'requests_total'""").fetchall()
            assert both == [(3.0 * one,)], resolution.name
        raw = session.sql("""
            select sample_increase(list(metric_value order by timestamp)) from performance_metrics
            where metric_name = 'requests_total' and tags ->> 'host' = 'a'""").fetchall()
        assert raw == [(one,)]
        nothing = session.sql("select counter_increase(list(counter)) from metrics_1min where false").fetchall()
        assert nothing == [(None,)]


def test_a_file_for_other_tools_holds_both_tiers_or_links_to_one(tier: Cold, tmp_path: Path) -> None:
    tier.night()
    database, folder = tier.store.database, tier.settings.cold_folder
    connect(database, WINDOW, tmp_path / "whole.duckdb", folder=folder).close()
    connect(database, WINDOW, tmp_path / "linked.duckdb", folder=folder, linked=True).close()
    for name, tables in (("whole", 8), ("linked", 8)):
        with duckdb.connect(str(tmp_path / f"{name}.duckdb"), read_only=True) as other:
            assert other.sql("select count(*) from performance_metrics").fetchall() == [(len(history(DAYS)),)]
            assert other.sql("select count(*) from duckdb_tables()").fetchall() == [(tables,)], name
    folder.rename(tmp_path / "elsewhere")
    with duckdb.connect(str(tmp_path / "whole.duckdb"), read_only=True) as other:
        assert other.sql("select count(*) from metrics_1min").fetchall() == [(60 * len(DAYS),)]
