"""Tables say what the answers say, and files hold it whole."""

import io

import numpy as np
import polars as pl

from muninn.clock import HOUR_US, MINUTE_US, SECOND_US
from muninn.model import SeriesKey, Window
from muninn.reads import (
    HostLoad,
    MetricInfo,
    PartitionInfo,
    ProgramState,
    RollupFreshness,
    Trend,
    TrendSeries,
)
from muninn.reads.dagster_runs import DagsterRun
from streamlit_app.widgets import formats, tables
from streamlit_app.widgets.lines import Line
from streamlit_app.widgets.panels import drawn

NOON_US = 1_772_366_400 * SECOND_US  # 2026-03-01T12:00:00Z
DAY_MS = 86_400_000
KEY = SeriesKey.of("sent_total", {"host": "a", "device": "eth0"}, "agent", "one")


def trend(kind: str = "counter") -> Trend:
    at = NOON_US // 1000 + np.array([0, 60_000, 120_000], np.int64)
    values = np.array([100.0, 160.0, 280.0])
    series = TrendSeries(KEY, at, values, values - 1, values, values, np.array([6, 6, 5], np.int64))
    window = Window(NOON_US, NOON_US + 3 * MINUTE_US)
    return Trend("sent_total", kind, "B", window, MINUTE_US, "1min", (series,), None)


def test_points_hold_every_figure_of_every_point() -> None:
    frame = tables.points([trend(), trend("gauge")])
    assert frame.height == 6
    first = frame.row(1, named=True)
    assert str(first["at"]) == "2026-03-01 12:01:00+00:00"
    assert first | {"at": None} == {
        "at": None,
        "metric_name": "sent_total",
        "labels": "device=eth0, host=a",
        "source_agent_id": "agent",
        "instance_id": "one",
        "unit": "B",
        "avg_value": 160.0,
        "min_value": 159.0,
        "max_value": 160.0,
        "p95_value": 160.0,
        "sample_count": 6,
        "growth_per_s": 1.0,
    }
    assert frame["growth_per_s"].to_list() == [None, 1.0, 2.0, None, None, None]


def test_no_points_have_the_same_columns() -> None:
    empty = tables.points([])
    assert empty.height == 0
    assert empty.schema == tables.points([trend()]).schema


def test_files_hold_what_the_table_holds() -> None:
    frame = tables.points([trend()])
    assert tables.as_csv(frame).splitlines()[2].startswith(b'2026-03-01T12:01:00.000Z,sent_total,"device=eth0, host=a"')
    assert pl.read_parquet(io.BytesIO(tables.as_parquet(frame))).equals(frame)


def test_series_are_summed_up_in_their_unit() -> None:
    (row,) = tables.series_summary(drawn(trend(), "avg", NOON_US + HOUR_US)).to_dicts()
    assert (row["Last"], row["Mean"], row["Least"], row["Greatest"]) == ("2 B/s", "1.5 B/s", "1 B/s", "2 B/s")
    assert row["Labels"] == "device=eth0, host=a"
    assert row["Course"] == [1.0, 2.0]


def test_hosts_show_what_is_known_of_them() -> None:
    at = np.array([0, 1], np.int64)
    loads = [HostLoad("a b", NOON_US // 1000 - 2000, 41.5, 50.0, 1.5), HostLoad("c", NOON_US // 1000, None, None, None)]
    course = {"a b": Line("a b", at, np.array([1.0, np.nan]))}
    network = {"a b": Line("a b", at, np.array([1024.0, 2048.0]))}
    first, second = tables.hosts(loads, course, network, NOON_US, "/explore").to_dicts()
    assert (first["CPU"], first["Course"], first["Network"], first["Seen"]) == (41.5, [1.0], "2 KiB/s", "2 s ago")
    assert first["Explore"] == "/explore?metric=cpu_usage_pct&label.cpu=total&label.host=a+b"
    assert (second["CPU"], second["Course"], second["Network"], second["Seen"]) == (None, [], "–", "now")


def test_metrics_are_listed_with_what_they_mean() -> None:
    info = MetricInfo("load_1m", "gauge", "", "runnable tasks", ("host",), 3, NOON_US // 1000 - 5000)
    (row,) = tables.metrics([info], NOON_US).to_dicts()
    assert (row["Metric"], row["Series"], row["Seen"], row["Meaning"]) == ("load_1m", 3, "5 s ago", "runnable tasks")


MIDNIGHT_MS = NOON_US // 1000 // DAY_MS * DAY_MS


def partition(day: int, size: int, rows: int, table: str = "raw", days: int = 1) -> PartitionInfo:
    since = MIDNIGHT_MS + day * DAY_MS
    return PartitionInfo(table, since, since + days * DAY_MS, rows, size)


def test_bytes_are_summed_by_day_without_days_to_come_and_partitions_of_many_days() -> None:
    found = [
        partition(1, 8192, 0),
        partition(0, 20, 150_000),
        partition(0, 5, -1, "rollup_1min"),
        partition(-1, 2048, 9),
        partition(-30, 7, 1, "rollup_1day", days=365),
    ]
    daily = tables.daily(found, NOON_US // 1000)
    assert tables.bytes_by_day(daily) == (["2026-02-28", "2026-03-01"], [2048.0, 25.0])
    assert tables.contents_by_day(daily) == ["raw 2 KiB", "raw 20 B<br>rollup_1min 5 B"]


def test_partitions_come_newest_first_and_those_to_come_last() -> None:
    found = [partition(2, 8192, 0), partition(-1, 2048, 40), partition(0, 8192, -1), partition(0, 1, 1, "rollup")]
    rows = tables.partitions(found, NOON_US // 1000).to_dicts()
    assert [str(row["Since (UTC)"])[:10] for row in rows] == ["2026-03-01", "2026-03-01", "2026-02-28", "2026-03-03"]
    assert [row["Table"] for row in rows] == ["raw", "rollup", "raw", "raw"]
    assert [(row["Rows"], row["Size"], row["B per row"]) for row in rows[:3]] == [
        (None, "8 KiB", "–"),
        (1, "1 B", "1"),
        (40, "2 KiB", "51.2"),
    ]


def test_freshness_is_told_in_the_viewers_zone() -> None:
    found = [RollupFreshness("1min", NOON_US // 1000, 75.0, 2), RollupFreshness("1day", None, None, 0)]
    first, second = tables.freshness(found, formats.zone("Europe/Berlin")).to_dicts()
    assert (first["Closed up to"], first["Behind"]) == ("2026-03-01 13:00:00", "1 min 15 s")
    assert (second["Closed up to"], second["Behind"]) == ("–", "–")


def test_programs_show_their_heartbeat() -> None:
    found = [ProgramState("loader", "one", 42, NOON_US // 1000 - 3_600_000, 0.4)]
    (row,) = tables.programs(found, NOON_US).to_dicts()
    assert (row["Program"], row["Running for"], row["Heartbeat"]) == ("loader", "1 h", "400 ms ago")


def test_runs_show_status_cause_and_time() -> None:
    begun = NOON_US // 1000 - 60_000
    done = DagsterRun(
        "r1", "refresh", "SUCCESS", ("a", "b", "c"), 5, "schedule hourly", begun, begun, begun + 2500, "http://u"
    )
    queued = DagsterRun("r2", "__ASSET_JOB", "NOT_STARTED", (), 0, "manual", begun, None, None, "http://v")
    first, second = tables.runs([done, queued], NOON_US).to_dicts()
    shown = ("Status", "Job", "Assets", "Started", "Took")
    assert [first[name] for name in shown] == [["Success"], "refresh", "a, b, c +2", "1 min ago", "2.5 s"]
    assert [second[name] for name in shown] == [["Not started"], "assets", "", "1 min ago", "–"]
    assert (first["Run"], second["Run"]) == ("http://u", "http://v")


def test_nothing_is_an_empty_table() -> None:
    zone = formats.zone("UTC")
    empty = [
        tables.partitions([], 0),
        tables.freshness([], zone),
        tables.programs([], NOON_US),
        tables.runs([], NOON_US),
        tables.metrics([], NOON_US),
        tables.series_summary([]),
        tables.hosts([], {}, {}, NOON_US, "/explore"),
    ]
    assert all(frame.height == 0 for frame in empty)
