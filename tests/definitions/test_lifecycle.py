"""Retention, the hot answers, the checks of now, and Dagster's own history."""

from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy
from dagster_world import World, hour

from assets.history import prune, size_bytes
from assets.pulse import ahead, closed, current, drained
from muninn.clock import DAY_US
from muninn.model.window import as_datetime
from muninn.reads.values import PartitionInfo, PipelineState, RollupFreshness
from muninn.store.partitions import RAW, ROLLUPS, list_partitions

TEN, ELEVEN = "2025-02-03-10:00", "2025-02-03-11:00"


def test_retention_makes_partitions_ahead_and_drops_what_has_expired(world: World) -> None:
    world.fill(hour(TEN), 3600)
    world.refresh(hour(ELEVEN))
    assert world.materialise(["retention"]).success
    (event,) = world.events("retention")[None]
    assert event["partitions_dropped"] == event["rows_dropped"] == 0
    assert event["dropped"] == "nothing was due"
    assert "| raw_samples | 2025-02-03 | 2025-05-05 |" in event["next"]
    until = {part.table: part.until_us for part in list_partitions(world.database)}
    assert all(until[table] >= hour("2025-02-07-00:00") for table in (RAW, *ROLLUPS))

    world.go_to(hour("2025-05-04-23:00"))
    world.refresh()
    world.materialise(["retention"])
    assert world.events("retention")[None][-1]["partitions_dropped"] == 0, "a day too early"
    world.go_to(hour("2025-05-05-00:20"))
    world.refresh()
    # As autovacuum has long done with rows of that age; the rows dropped are told from PostgreSQL's statistics.
    world.sql("analyze raw_samples, rollup_1min")
    world.materialise(["retention"])
    dropped = world.events("retention")[None][-1]
    assert dropped["rows_dropped"] > 1080, "raw rows and their 1-minute rollups"
    assert dropped["bytes_dropped"] > 0
    assert dropped["seconds"] > 0
    assert "| raw_samples | 2025-02-03 | 2025-02-04 |" in dropped["dropped"]
    assert world.sql("select count(*) from raw_samples") == [(0,)]
    assert world.sql("select sum(sample_count)::int8 from rollup_1hour") == [(1080,)]


def test_closed_days_go_into_the_cold_tier_and_are_verified(world: World) -> None:
    rows = world.fill(hour(TEN), 3600)
    world.refresh(hour("2025-02-12-00:20"))
    checks = world.run("keep_house").get_asset_check_evaluations()
    (event,) = world.events("cold_samples")[None]
    assert event["days_exported"] == event["days_moved"] == 1
    assert event["rows_exported"] == rows
    assert 0 < event["bytes_after"] < event["bytes_before"] / 2
    assert "| 2025-02-03 | 1,080 |" in event["exported"]
    assert world.sql("select count(*) from raw_samples") == [(0,)]
    assert {check.check_name: check.passed for check in checks} == {
        "files_hold_what_was_recorded": True,
        "rows_match_rollups": True,
    }
    # Days that left are rebuilt from their files, and need no raw rows to be compared.
    assert world.materialise(["metrics_1min", "metrics_5min", "metrics_1hour"], TEN).success
    world.sql("update rollup_1day set sample_count = 1")
    world.sql("delete from cold_changes")
    (file,) = set(Path(world.environ["MUNINN_HOME"]).rglob("raw/*/*/*.parquet"))
    file.write_bytes(b"nothing")
    checks = world.run("keep_house").get_asset_check_evaluations()
    assert [check.passed for check in checks] == [False, False]


def test_hot_answers_are_laid_into_the_cache(world: World) -> None:
    world.fill(hour(TEN), 3600)
    world.refresh(hour(ELEVEN))
    assert world.materialise(["hot_overview", "hot_catalogue"]).success
    with world.resource.cache() as cache:
        for name in ("overview", "catalogue"):
            hot = cache.get(name)
            assert hot is not None
            (event,) = world.events(f"hot_{name}")[None]
            assert event["bytes"] == len(hot.value)
            assert event["kept_s"] > 300, "longer than until the next run"
        catalogue = cache.get("catalogue")
    assert catalogue is not None
    assert b"cpu_busy_pct" in catalogue.value


def test_the_pulse_looks_at_the_real_pipeline(world: World) -> None:
    world.fill(hour(TEN), 3600)
    world.refresh(hour(ELEVEN))
    world.materialise(["retention"])

    def verdicts() -> dict[str, bool]:
        return {each.check_name: each.passed for each in world.run("take_pulse").get_asset_check_evaluations()}

    fine = {
        "data_is_current": True,
        "buckets_are_closed": True,
        "partitions_are_ahead": True,
        "buffer_is_drained": False,
    }
    assert verdicts() == fine, "no loader runs here"
    world.clock.advance(3600)
    assert verdicts() == {**fine, "data_is_current": False, "buckets_are_closed": False}
    world.sql("drop table raw_samples_20250204")
    assert not verdicts()["partitions_are_ahead"]


NOW_MS = hour("2025-02-03-10:30") // 1000


def seen(**figures: object) -> PipelineState:
    parts = tuple(
        PartitionInfo(
            table, (day_us := hour("2025-02-03-00:00") + number * DAY_US) // 1000, (day_us + DAY_US) // 1000, 1, 1
        )
        for table in (RAW, *ROLLUPS)
        for number in range(4)
    )
    values = {
        "at_ms": NOW_MS, "ingest_samples_per_s": 1.0, "rejected_samples_per_s": 0.0, "stored_samples_per_s": 1.0,
        "buffer_depth_entries": 3, "buffer_bytes": 100, "loader_lag_s": 0.5, "newest_sample_ms": NOW_MS - 2_000,
        "late_rows_waiting": 0, "resolutions": (RollupFreshness("1min", NOW_MS - 80_000, 80.0, 0),),
        "partitions": parts, "bytes_on_disk": 20, "programs": (),
    }  # fmt: skip
    return PipelineState(**{**values, **figures})  # type: ignore[arg-type]


WARN, ERROR = dg.AssetCheckSeverity.WARN, dg.AssetCheckSeverity.ERROR


@pytest.mark.parametrize(
    ("judge", "figures", "passed", "severity"),
    [
        (current, {}, True, None),
        (current, {"newest_sample_ms": NOW_MS - 61_000}, False, WARN),
        (current, {"newest_sample_ms": NOW_MS - 600_000}, False, ERROR),
        (current, {"newest_sample_ms": None}, False, WARN),
        (drained, {}, True, None),
        (drained, {"loader_lag_s": 31.0}, False, WARN),
        (drained, {"loader_lag_s": 301.0}, False, ERROR),
        (drained, {"loader_lag_s": None}, False, WARN),
        (closed, {}, True, None),
        (closed, {"resolutions": (RollupFreshness("1min", 0, 400.0, 5),)}, False, WARN),
        (closed, {"resolutions": (RollupFreshness("1min", 0, 4000.0, 5),)}, False, ERROR),
        (closed, {"resolutions": (RollupFreshness("1min", None, None, 0),)}, False, WARN),
    ],
)
def test_verdicts_of_now(
    judge: object, figures: dict[str, object], passed: bool, severity: dg.AssetCheckSeverity | None
) -> None:
    result = judge(seen(**figures))  # type: ignore[operator]
    assert result.passed is passed
    assert severity is None or result.severity is severity


def test_missing_partitions_are_urgent_when_tomorrow_has_none() -> None:
    def without(table: str, day: str) -> PipelineState:
        whole = seen()
        gone_ms = hour(f"{day}-00:00") // 1000
        parts = tuple(part for part in whole.partitions if (part.table, part.since_ms) != (table, gone_ms))
        return seen(partitions=parts)

    assert ahead(seen(), days=3).passed
    assert ahead(seen(partitions=(), partitions_made_ahead=False), days=3).passed  # TimescaleDB
    far, near = ahead(without(RAW, "2025-02-06"), days=3), ahead(without("rollup_1hour", "2025-02-04"), days=3)
    assert (far.passed, far.severity) == (False, WARN)
    assert (near.passed, near.severity) == (False, ERROR)
    assert "rollup_1hour" in (near.description or "")


def rows_of(instance: dg.DagsterInstance, table: str) -> int:
    with instance.run_storage.connect() as connection:  # type: ignore[attr-defined]
        return int(connection.execute(sqlalchemy.text(f"select count(*) from {table}")).scalar_one())


def test_old_history_goes_and_what_is_materialised_stays_known(world: World) -> None:
    world.fill(hour(TEN), 7200)
    world.refresh(hour("2025-02-03-12:00"))
    world.tick("closed_hours", None)
    views = ["metrics_1min", "metrics_5min", "metrics_1hour"]
    world.materialise(views, TEN)
    world.materialise(views, TEN)
    world.materialise(views, TEN, ELEVEN)
    world.run("verify_hours")
    world.runs_ended_now(days_ago=20)
    kept = world.run("verify_hours")
    known = {view: world.instance.get_materialized_partitions(dg.AssetKey(view)) for view in views}
    latest = {view: {key: events[-1] for key, events in world.events(view).items()} for view in views}
    events, checks = rows_of(world.instance, "event_logs"), rows_of(world.instance, "asset_check_executions")

    pruned = prune(world.instance, as_datetime(world.clock.now_us() - 14 * DAY_US))

    assert pruned.runs == 4
    assert [run.run_id for run in world.instance.get_runs()] == [kept.run_id]
    assert rows_of(world.instance, "event_logs") == events - pruned.events < events / 2
    assert rows_of(world.instance, "asset_check_executions") == checks - pruned.checks
    for view in views:
        assert world.instance.get_materialized_partitions(dg.AssetKey(view)) == known[view] == {TEN, ELEVEN}
        assert {key: found[-1] for key, found in world.events(view).items()} == latest[view]
    assert len(world.events("raw_samples")) == 2
    assert prune(world.instance, as_datetime(world.clock.now_us() - 14 * DAY_US)).runs == 0
    assert size_bytes(world.instance) > 1_000_000


def test_a_failure_that_still_stands_keeps_its_run(world: World) -> None:
    world.go_to(hour(ELEVEN))
    world.sql("alter table rollup_state rename to gone")
    assert not world.materialise(["metrics_1day"], "2025-02-02", raise_on_error=False).success
    (failed,) = world.instance.get_runs()
    world.sql("alter table gone rename to rollup_state")
    world.runs_ended_now(days_ago=20)
    before = as_datetime(world.clock.now_us() - 14 * DAY_US)
    assert prune(world.instance, before).runs == 0
    assert world.instance.get_run_by_id(failed.run_id) is not None

    assert world.materialise(["metrics_1day"], "2025-02-02").success
    world.runs_ended_now(days_ago=20)
    assert prune(world.instance, before).runs == 2
    assert world.instance.get_materialized_partitions(dg.AssetKey("metrics_1day")) == {"2025-02-02"}


def test_the_history_asset_says_what_it_did(world: World) -> None:
    world.go_to(round(datetime.now(UTC).timestamp() * 1_000_000))
    world.run("verify_hours")
    world.runs_ended_now(days_ago=15)
    assert world.materialise(["dagster_history"]).success
    (event,) = world.events("dagster_history")[None]
    assert event["runs_deleted"] == 1
    assert event["events_deleted"] > 5
    assert event["database_bytes"] > 1_000_000
