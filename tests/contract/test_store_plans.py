"""Plans of the views that people and pages read: indexes, and only the partitions that a window needs."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import psycopg
import pytest
import stores
from stores import NOW_US, entry

from muninn.clock import DAY_US, HOUR_US, MINUTE_US
from muninn.model import SampleBatch, SeriesKey, Window
from muninn.store.database import query_text

SERIES = 80
STEP_US = MINUTE_US
SINCE = {"since": Window(NOW_US - 6 * HOUR_US, NOW_US).since}


@pytest.fixture(scope="module")
def connection(postgres_server: Any, migrated_template: str) -> Iterator[psycopg.Connection]:
    """A day and a half of eighty series, refreshed, with statistics."""
    store = stores.Postgres(postgres_server.create("plans", migrated_template))
    keys = tuple(SeriesKey.of(f"m{number % 20}", {"host": str(number // 20)}) for number in range(SERIES))
    at_us = np.repeat(np.arange(NOW_US - 36 * HOUR_US, NOW_US, STEP_US), SERIES)
    key_index = np.tile(np.arange(SERIES, dtype=np.int32), len(at_us) // SERIES)
    values = np.round(np.random.default_rng(3).normal(50, 9, len(at_us)), 1)
    store.load([entry(SampleBatch(at_us, values, key_index, keys), "1-0")])
    store.refresh()
    store.connection.execute("vacuum analyze")
    yield store.connection
    store.close()
    postgres_server.drop("plans")


def scans(connection: psycopg.Connection, query: str, params: dict[str, object]) -> dict[str, set[str]]:
    """Relation -> the kinds of scans that read it. An index that is asked for a bitmap counts as a relation."""
    row = connection.execute(f"explain (format json) {query}".encode(), params).fetchone()
    assert row is not None
    found: dict[str, set[str]] = {}

    def walk(node: dict[str, Any]) -> None:
        if "Relation Name" in node:
            found.setdefault(node["Relation Name"], set()).add(node["Node Type"])
        elif "Index Name" in node:
            found.setdefault(node["Index Name"], set()).add(node["Node Type"])
        for child in node.get("Plans", []):
            walk(child)

    walk(row[0][0]["Plan"])
    return found


def kinds(found: dict[str, set[str]], table: str) -> set[str]:
    return {kind for relation, used in found.items() if relation.startswith(table) for kind in used}


@pytest.mark.parametrize("resolution", ["1min", "5min", "1hour"])
def test_one_metric_over_six_hours_reads_its_rows_by_index(connection: psycopg.Connection, resolution: str) -> None:
    found = scans(
        connection,
        f"""select bucket, tags, avg_value, p95_value from metrics_{resolution}
            where metric_name = 'm3' and bucket >= %(since)s""",
        SINCE,
    )
    assert "Seq Scan" not in kinds(found, "rollup_") | kinds(found, "raw_samples")
    # Series by series, not every series' rows of the window.
    assert not [name for name in found if name.startswith("rollup_") and name.endswith("bucket_idx")]
    today = Window(NOW_US, NOW_US).since.strftime("%Y%m%d")
    assert {name for name in found if name.startswith("raw_samples")} == {
        f"raw_samples_{today}",
        f"raw_samples_{today}_at_idx",
    }


@pytest.mark.parametrize("resolution", ["1min", "5min", "1hour", "1day"])
def test_known_series_are_read_by_index_from_the_partitions_of_the_window(
    connection: psycopg.Connection, resolution: str
) -> None:
    found = scans(
        connection,
        f"""select series_id, array_agg(bucket order by bucket), array_agg(sketch order by bucket) is null
            from live_{resolution} where series_id = any(%(series)s) and bucket >= %(since)s group by series_id""",
        {**SINCE, "series": [3, 7, 11]},
    )
    assert "Seq Scan" not in kinds(found, "rollup_1min") | kinds(found, "rollup_5min") | kinds(found, "raw_samples")
    today = Window(NOW_US, NOW_US).since.strftime("%Y%m%d")
    read = [name for name in found if name.startswith(("raw_samples", "rollup_1min"))]
    assert read
    assert all(today in name for name in read)


def test_sketches_of_the_open_minute_are_made_for_the_asked_metric_only(connection: psycopg.Connection) -> None:
    row = connection.execute(
        """explain (analyze, format json) select bucket, p95_value from metrics_1min
           where metric_name = 'm3' and bucket >= %(since)s""",
        SINCE,
    ).fetchone()
    assert row is not None
    aggregates: list[float] = []

    def walk(node: dict[str, Any]) -> None:
        if node["Node Type"] == "Aggregate":
            aggregates.extend(child["Actual Rows"] for child in node["Plans"])
        for child in node.get("Plans", []):
            walk(child)

    walk(row[0][0]["Plan"])
    # Four series of the metric, one sample a minute, at most two minutes above the watermark.
    assert aggregates
    assert max(aggregates) <= 4 * 2


def test_the_last_minutes_of_raw_samples_come_by_block_range(connection: psycopg.Connection) -> None:
    found = scans(
        connection,
        """select * from performance_metrics where metric_name = 'm3' and "timestamp" >= %(since)s""",
        {"since": Window(NOW_US - 5 * MINUTE_US, NOW_US).since},
    )
    assert kinds(found, "raw_samples") == {"Bitmap Heap Scan", "Bitmap Index Scan"}


def test_the_slow_lane_looks_late_samples_up_by_block_range(connection: psycopg.Connection) -> None:
    at_us = np.array([NOW_US - DAY_US, NOW_US - DAY_US + STEP_US], np.int64)
    span = Window(int(at_us[0]), int(at_us[1]))
    found = scans(
        connection,
        query_text("store_find_existing"),
        {
            "series_ids": np.array([1, 2], np.int32),
            "at_us": at_us,
            "values": np.array([1.0, 2.0]),
            "since": span.since,
            "until": span.until,
        },
    )
    yesterday = Window(NOW_US - DAY_US, NOW_US).since.strftime("%Y%m%d")
    assert {name for name in found if name.startswith("raw_samples")} == {
        f"raw_samples_{yesterday}",
        f"raw_samples_{yesterday}_at_idx",
    }
