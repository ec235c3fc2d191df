"""Every query prepares, says why it is there, and the hot ones read no large table from end to end."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from muninn.store.database import SQL, query_text

QUERIES = sorted(path.stem for path in (SQL / "queries").glob("reads_*.sql"))
UNTIL = datetime(2026, 11, 20, 23, 30, 40, tzinfo=UTC)
SERIES = 100
# Pages; what is smaller is read from end to end for good reason.
LARGE = 50

_LOADED_DAY = """
select store_ensure_partitions(name, %(since)s, %(until)s + interval '1 day')
from unnest(array['raw_samples', 'rollup_1min', 'rollup_5min', 'rollup_1hour', 'rollup_1day']) name;
insert into series (fingerprint, metric_name, tags, source_agent_id, instance_id)
select gen_random_uuid(), 'metric_' || number %% 10, jsonb_build_object('host', 'h' || number / 10), '', ''
from generate_series(0, %(series)s - 1) number;
insert into raw_samples (at, series_id, value)
select at, series_id, 50 + 10 * sin(extract(epoch from at)::float8 / 600)
from generate_series(%(since)s, %(until)s, interval '10 seconds') at, generate_series(1, %(series)s) series_id
order by at;
insert into latest_samples select series_id, %(until)s, 50 from series;
"""
_ROLLUP = """
insert into rollup_{name} (bucket, series_id, sample_count, sum_value, min_value, max_value, sketch,
  first_at, last_at, first_value, last_value, increase)
select bucket, series_id, 6, 300, 49, 51, sketch_of(array[49, 50, 51]), bucket, bucket + '50 s', 49, 51, 2
from generate_series(date_bin('{width}', %(since)s, 'epoch'), %(until)s - interval '{width}', '{width}') bucket,
  generate_series(1, %(series)s) series_id
order by bucket;
update rollup_state set closing = marks.at, watermark = marks.at
from (select date_bin('{width}', %(until)s, 'epoch') as at) marks where resolution = '{name}';
"""
_WIDTHS = {"1min": "1 minute", "5min": "5 minutes", "1hour": "1 hour", "1day": "24 hours"}


@pytest.fixture(scope="module")
def loaded_day(postgres_server: Any, migrated_template: str) -> Iterator[psycopg.Connection[Any]]:
    """A day of 100 series by 10 seconds, 0.9 million samples, with its rollups up to half a minute ago."""
    url = postgres_server.create("reads_plans", migrated_template)
    limits = {"since": UNTIL - timedelta(hours=23), "until": UNTIL, "series": SERIES}
    script = _LOADED_DAY + "".join(_ROLLUP.format(name=name, width=width) for name, width in _WIDTHS.items())
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("set timezone = 'UTC'; set jit = off; set max_parallel_workers_per_gather = 0")
        psycopg.ClientCursor(connection).execute(script.encode(), limits)
        connection.execute("call packed_extend()")
        connection.execute("vacuum analyze")
        yield connection
    postgres_server.drop("reads_plans")


PARAMETERS: dict[str, dict[str, object]] = {
    "reads_recent": {"since": UNTIL - timedelta(minutes=5)},
    "reads_trend_raw": {"since": UNTIL - timedelta(minutes=15), "step": timedelta(seconds=10)},
    "reads_overview": {
        "now": UNTIL,
        "since": UNTIL - timedelta(hours=1),
        "alive_since": UNTIL - timedelta(minutes=5),
        "max_hosts": 10,
    },
    "reads_latest": {
        "metric": "metric_1",
        "since": UNTIL - timedelta(hours=1),
        "silent_before": UNTIL,
        "tags": "{}",
        "source_agent_id": None,
        "instance_id": None,
        "max_series": 100,
    },
}
COMMON = {"series": [1, 11, 21], "until": UNTIL}


def scans(plan: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(kind of node, table) of every scan in a plan, but for what never ran."""
    if "Relation Name" in plan and plan.get("Actual Loops") != 0:
        yield plan["Node Type"], plan["Relation Name"]
    for below in plan.get("Plans", ()):
        yield from scans(below)


def nodes(plan: dict[str, Any], table: str) -> Iterator[dict[str, Any]]:
    """The nodes of a plan that read a table."""
    if plan.get("Relation Name") == table:
        yield plan
    for below in plan.get("Plans", ()):
        yield from nodes(below, table)


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_hot_query_reads_no_large_table_from_end_to_end(loaded_day: psycopg.Connection[Any], name: str) -> None:
    pages = dict(loaded_day.execute("select relname, relpages from pg_class where relkind = 'r'").fetchall())
    assert pages["raw_samples_20261120"] > 100 * LARGE
    plans = statements_within(loaded_day, name, {**COMMON, **PARAMETERS[name]})
    found = [scan for plan in plans for scan in scans(plan)]
    assert any(table.startswith(("raw_samples", "rollup_", "latest_samples")) for _, table in found)
    assert [(kind, table) for kind, table in found if kind == "Seq Scan" and pages[table] > LARGE] == []


def statements_within(
    connection: psycopg.Connection[Any], name: str, params: dict[str, object]
) -> Iterator[dict[str, Any]]:
    """The plans, as they ran, of the statements inside a function that a query calls."""
    found: list[str] = []
    connection.execute(
        """load 'auto_explain'; set auto_explain.log_min_duration = 0; set auto_explain.log_nested_statements = on;
           set auto_explain.log_format = json; set auto_explain.log_analyze = on; set auto_explain.log_timing = off;
           set client_min_messages = log"""
    )
    gather = lambda notice: found.append(notice.message_primary or "")  # noqa: E731
    connection.add_notice_handler(gather)
    connection.execute(query_text(name).encode(), params)
    connection.execute("set client_min_messages = notice; set auto_explain.log_min_duration = -1")
    connection.remove_notice_handler(gather)
    for message in found:
        _, _, plan = message.partition("plan:\n")
        if plan:
            yield json.loads(plan)["Plan"]


def points_of(resolution: str, since: datetime, sketches: str) -> dict[str, object]:
    """The parameters of a question for points of three series up to the end."""
    return {**COMMON, "resolutions": [resolution], "since": [since], "until": [UNTIL], "sketches": sketches}


def read_by(connection: psycopg.Connection[Any], resolution: str, hours: float, sketches: str) -> set[tuple[str, str]]:
    """(kind of node, table without its day) of everything that a question for points reads."""
    since = datetime.fromtimestamp((UNTIL - timedelta(hours=hours)).timestamp() // 3600 * 3600, UTC)
    plans = list(statements_within(connection, "reads_points", points_of(resolution, since, sketches)))
    return {(kind, re.sub(r"_\d{8}$", "", table)) for plan in plans for kind, table in scans(plan)}


_HELPERS = {"rollup_state", "packed_state", "fleet_state"}
_HOURS = {"1min": 3.0, "5min": 12.0, "1hour": 23.0, "1day": 23.0}


def test_packed_hours_of_few_series_come_by_series_and_not_by_time(loaded_day: psycopg.Connection[Any]) -> None:
    """A plan for any window thinks it narrow, and would read the hours of all series for those of three."""
    plans = statements_within(loaded_day, "reads_points", points_of("1hour", UNTIL - timedelta(hours=20), "none"))
    found = {(node.get("Index Name"), node["Node Type"]) for plan in plans for node in nodes(plan, "packed_1hour")}
    assert {index for index, _ in found} == {"packed_1hour_pkey"}


@pytest.mark.parametrize("resolution", _WIDTHS)
@pytest.mark.parametrize("sketches", ["none", "open", "all"])
def test_points_come_by_index_from_what_is_packed_and_the_rows_above_it(
    loaded_day: psycopg.Connection[Any], resolution: str, sketches: str
) -> None:
    found = {(kind, table) for kind, table in read_by(loaded_day, resolution, _HOURS[resolution], sketches)}
    tables = {table for _, table in found} - _HELPERS
    finer = list(_WIDTHS)[: list(_WIDTHS).index(resolution) + 1]
    kinds = ("packed", "packed_sketches", "rollup")
    assert tables <= {f"{kind}_{name}" for name in finer for kind in kinds} | {"raw_samples"}
    packed = {table for table in tables if table.startswith("packed")}
    of_sketches = {table for table in packed if table.startswith("packed_sketches")}
    if sketches == "none":
        assert of_sketches == set()
    elif sketches == "open":
        assert f"packed_sketches_{resolution}" not in of_sketches  # its p95 is packed with each bucket
    else:
        assert of_sketches == {table.replace("packed_", "packed_sketches_") for table in packed - of_sketches}
    if resolution != "1day":  # whose hours are above its watermark
        assert f"packed_{resolution}" in packed
    # A level's own few rows of today may be read from end to end; what is large may not.
    large = {"packed_1min", "packed_sketches_1min", "rollup_1min", "rollup_5min", "raw_samples"}
    assert {kind for kind, table in found if table in large} & {"Seq Scan"} == set()


def test_the_fleet_is_compared_by_minutes_of_all_series_together(loaded_day: psycopg.Connection[Any]) -> None:
    plans = list(statements_within(loaded_day, "reads_overview", PARAMETERS["reads_overview"]))
    found = {(kind, re.sub(r"_\d{8}$", "", table)) for plan in plans for kind, table in scans(plan)}
    small = _HELPERS | CHOSEN_TABLES
    assert {table for _, table in found} - small == {"fleet_minutes", "raw_samples"}
    assert "Seq Scan" not in {kind for kind, table in found if table not in small}


CHOSEN_TABLES = {"series", "latest_samples"}
CHOSEN = {"metrics": ["metric_1"], "tags": "{}", "source_agent_id": None, "instance_id": None}


@pytest.mark.parametrize(
    ("name", "params", "tables"),
    [
        (
            "reads_chosen",
            {**points_of("1min", UNTIL - timedelta(hours=1), "none"), "alive_since": UNTIL, "most": 50},
            {"series", "latest_samples", "packed_1min", "rollup_1min", "raw_samples"},
        ),
        ("reads_latest_values", {"since": UNTIL - timedelta(days=1), "until": UNTIL + timedelta(1)}, CHOSEN_TABLES),
    ],
)
def test_series_are_chosen_and_read_in_one_question(
    loaded_day: psycopg.Connection[Any], name: str, params: dict[str, object], tables: set[str]
) -> None:
    plans = list(statements_within(loaded_day, name, {**params, **CHOSEN}))
    found = {(kind, re.sub(r"_\d{8}$", "", table)) for plan in plans for kind, table in scans(plan)}
    assert {table for _, table in found} - _HELPERS - {"rollup_1min"} == tables - {"rollup_1min"}
    large = {"packed_1min", "rollup_1min", "raw_samples"}
    assert {kind for kind, table in found if table in large} & {"Seq Scan"} == set()


def test_packed_points_are_planned_once_for_every_window(loaded_day: psycopg.Connection[Any]) -> None:
    """A generic plan leaves partitions out when it runs: with a year of them each question reads its own day's."""
    loaded_day.execute("select store_ensure_partitions('rollup_1min', %s, %s)", (UNTIL - timedelta(days=40), UNTIL))
    with loaded_day.transaction(force_rollback=True):
        loaded_day.execute("update packed_state set packed_until = 'epoch'")  # so that rows are read
        plans = list(
            statements_within(loaded_day, "reads_points", points_of("1min", UNTIL - timedelta(hours=3), "all"))
        )
    scanned = [scan for plan in plans for scan in scans(plan) if scan[1].startswith("rollup_1min")]
    assert scanned == [("Index Scan", "rollup_1min_20261120")]


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_prepares_and_says_why(loaded_day: psycopg.Connection[Any], name: str) -> None:
    text = query_text(name)
    assert re.match(r"-- \w.{20,}\n", text)
    numbers: dict[str, str] = {}
    plain = re.sub(r"%\((\w+)\)s", lambda match: numbers.setdefault(match[1], f"${len(numbers) + 1}"), text)
    loaded_day.execute(f"prepare {name} as {plain.replace('%%', '%')}".encode())
    loaded_day.execute(f"deallocate {name}".encode())
