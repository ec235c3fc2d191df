"""Hours are recorded once, late samples with their cause; rollups are rebuilt; checks tell the truth."""

import os
from pathlib import Path
from typing import LiteralString

import dagster as dg
import pytest
from dagster_world import World, hour, regular

import pipelines.sensors
from assets.checks import DIFFERING, MATCHES
from muninn.clock import DAY_US, HOUR_US, MINUTE_US

TEN, ELEVEN, NOON = "2025-02-03-10:00", "2025-02-03-11:00", "2025-02-03-12:00"
HOURLY_VIEWS = ["metrics_1min", "metrics_5min", "metrics_1hour"]


def verdict(result: dg.ExecuteInProcessResult, view: str) -> tuple[bool, dict[str, object]]:
    found = [each for each in result.get_asset_check_evaluations() if each.asset_key == dg.AssetKey(view)]
    (only,) = [each for each in found if each.check_name == MATCHES]
    return only.passed, {name: value.value for name, value in only.metadata.items()}


def test_each_closed_hour_has_exactly_one_event_of_raw_samples(world: World) -> None:
    first = world.fill(hour(TEN), 3600)
    world.refresh(hour(ELEVEN))
    ticked = world.tick("closed_hours", None)
    assert isinstance(ticked, dg.SensorResult)
    (event,) = world.events("raw_samples")[TEN]
    assert event["rows"] == event["dagster/partition_row_count"] == first
    assert event["series"] == 3
    assert event["min_at"] == "2025-02-03T10:00:00+00:00"
    assert event["max_at"] == "2025-02-03T10:59:50+00:00"
    assert event["late_rows"] == 0
    assert event["bytes"] > first * 20

    again = world.tick("closed_hours", ticked.cursor)
    assert isinstance(again, dg.SkipReason)
    # A tick whose cursor was lost, as after a crash between the events and the cursor.
    repeated = world.tick("closed_hours", None)
    assert isinstance(repeated, dg.SensorResult)
    assert repeated.cursor == ticked.cursor
    assert {name: len(events) for name, events in world.events("raw_samples").items()} == {TEN: 1}
    assert all(len(world.events(view)[TEN]) == 1 for view in HOURLY_VIEWS)


def test_an_open_hour_has_no_event(world: World) -> None:
    world.fill(hour(TEN), 1800)
    world.refresh()
    assert isinstance(world.tick("closed_hours", None), dg.SkipReason)
    assert world.events("raw_samples") == {}


def test_after_a_downtime_every_hour_is_recorded_also_empty_ones(world: World) -> None:
    world.fill(hour(TEN), 3600)
    world.refresh(hour(ELEVEN))
    cursor = world.tick("closed_hours", None).cursor
    late_start = hour("2025-02-04-14:00")
    world.fill(late_start, 3600)
    world.refresh(late_start + HOUR_US)
    ticks = 0
    while isinstance(ticked := world.tick("closed_hours", cursor), dg.SensorResult):
        cursor, ticks = ticked.cursor, ticks + 1
    assert ticks == 2, "a tick records a bounded number of hours"
    rows = {key: [event["rows"] for event in events] for key, events in world.events("raw_samples").items()}
    assert len(rows) == 29
    assert all(len(found) == 1 for found in rows.values())
    assert rows[TEN] == rows["2025-02-04-14:00"] == [1080]
    assert rows["2025-02-04-13:00"] == [0]
    ((day, events),) = world.events("metrics_1day").items()
    assert (day, [event["samples"] for event in events]) == ("2025-02-03", [1080])


def test_verification_of_a_closed_hour_passes(world: World) -> None:
    world.fill(hour(TEN), 3600)
    world.refresh(hour(ELEVEN))
    ticked = world.tick("closed_hours", None)
    (request,) = ticked.run_requests
    assert request.tags["muninn/cause"] == f"closed: {TEN}"
    result = world.do(request)
    assert result.success
    for view in HOURLY_VIEWS:
        passed, values = verdict(result, view)
        assert passed
        assert values["partitions"] == TEN
        assert values["raw_rows"] == values["rolled_up"] == 1080
        assert values["difference"] == 0


TAMPERED_5MIN: LiteralString = """
    update rollup_5min set sample_count = sample_count + 7 where bucket = '2025-02-03 10:05+00' and series_id = 1
"""
LOST_1HOUR: LiteralString = "delete from rollup_1hour where series_id = 2 and bucket = '2025-02-03 10:00+00'"
UNSEEN_RAW: LiteralString = "insert into raw_samples values ('2025-02-03 10:00:05+00', 1, 1)"


@pytest.mark.parametrize(
    ("statement", "view", "difference"),
    [(TAMPERED_5MIN, "metrics_5min", 7), (LOST_1HOUR, "metrics_1hour", -360), (UNSEEN_RAW, "metrics_1min", -1)],
)
def test_a_tampered_rollup_fails_until_it_is_rebuilt(
    world: World, statement: LiteralString, view: str, difference: int
) -> None:
    world.fill(hour(TEN), 7200)
    world.refresh(hour(NOON))
    for request in world.tick("closed_hours", None).run_requests:
        world.do(request)
    world.sql(statement)

    config = {"ops": {"hours_match_raw": {"config": {"keys": [TEN]}}}}
    passed, values = verdict(world.run("verify_hours", run_config=config), view)
    assert not passed
    assert values["difference"] == difference
    assert values[DIFFERING] == [TEN]
    assert TEN in values["differences"]
    assert f"{difference:+,}" in values["differences"]

    # The next hour is fine, and does not hide it.
    config = {"ops": {"hours_match_raw": {"config": {"keys": [ELEVEN]}}}}
    passed, values = verdict(world.run("verify_hours", run_config=config), view)
    assert not passed
    assert values[DIFFERING] == [TEN]

    rebuilt = world.materialise(HOURLY_VIEWS, TEN)
    passed, values = verdict(rebuilt, view)
    assert passed
    assert values[DIFFERING] == []


def test_a_backfill_of_two_hours_is_one_run_that_records_each(world: World) -> None:
    world.fill(hour(TEN), 7200)
    world.refresh(hour(NOON))
    everything: LiteralString = (
        "select * from rollup_1min union all select * from rollup_1hour order by bucket, series_id"
    )
    before = world.sql(everything)
    result = world.materialise(HOURLY_VIEWS, TEN, ELEVEN)
    assert result.success
    for view, rows in zip(HOURLY_VIEWS, (2 * 60 * 3, 2 * 12 * 3, 2 * 3), strict=True):
        events = world.events(view)
        assert set(events) == {TEN, ELEVEN}
        assert [each["rows_rebuilt"] for found in events.values() for each in found] == [rows, rows]
        assert events[TEN][0]["cause"] == "rebuilt by this run"
        assert verdict(result, view)[0]
    assert world.sql(everything) == before


def test_a_day_is_rebuilt_from_its_hours(world: World) -> None:
    world.fill(hour(TEN), 7200)
    world.refresh(hour("2025-02-04-00:00"))
    world.sql("update rollup_1day set sample_count = 1")
    config = {"ops": {"days_match_raw": {"config": {"keys": ["2025-02-03"]}}}}
    passed, values = verdict(world.run("verify_days", run_config=config), "metrics_1day")
    assert not passed
    assert values["difference"] == 3 - 2160
    result = world.materialise(["metrics_1day"], "2025-02-03")
    assert verdict(result, "metrics_1day")[0]
    (event,) = world.events("metrics_1day")["2025-02-03"]
    assert event["rows_rebuilt"] == 3


def test_late_samples_are_recorded_with_their_cause_and_verified(world: World) -> None:
    world.fill(hour("2025-02-03-22:00"), 7200)
    world.refresh(hour("2025-02-04-00:00"))
    world.tick("closed_hours", None)
    assert isinstance(world.tick("late_samples", None), dg.SkipReason)

    world.clock.advance(600)
    world.load(regular(hour("2025-02-03-22:00") + 5 * MINUTE_US + 1, 60))
    world.refresh()
    ticked = world.tick("late_samples", None)
    assert isinstance(ticked, dg.SensorResult)
    for view in HOURLY_VIEWS:
        closed, late = world.events(view)["2025-02-03-22:00"]
        assert closed["cause"] == "the hour has closed"
        assert late["cause"].startswith("18 late samples of 3 series, loaded from ")
        assert late["late_rows"] == late["cause_samples"] == 18
        assert late["cause_series"] == 3
        assert late["loaded_from"] <= late["refreshed_at"]
        assert "cause_samples" not in closed
        assert late["samples"] == closed["samples"] + 18
        assert len(world.events(view)["2025-02-03-23:00"]) == 1
    assert [each["samples"] for each in world.events("metrics_1day")["2025-02-03"]] == [2160, 2178]
    assert len(world.events("raw_samples")["2025-02-03-22:00"]) == 1
    assert [each.get("cause_samples") for each in world.events("metrics_1day")["2025-02-03"]] == [None, 18]

    # Later ones are a cause of their own; what the partition had before stays counted.
    world.clock.advance(600)
    world.load(regular(hour("2025-02-03-22:00") + 9 * MINUTE_US + 1, 20, series=2))
    world.refresh()
    ticked = world.tick("late_samples", ticked.cursor)
    for view in HOURLY_VIEWS:
        again = world.events(view)["2025-02-03-22:00"][-1]
        assert (again["cause_samples"], again["cause_series"], again["late_rows"]) == (4, 2, 22)
        assert again["samples"] == 1080 + 22
    hours, days = ticked.run_requests
    assert hours.tags["muninn/cause"].startswith("4 late samples of 2 series")
    assert verdict(world.do(hours), "metrics_1min")[0]
    assert verdict(world.do(days), "metrics_1day")[0]
    assert isinstance(world.tick("late_samples", ticked.cursor), dg.SkipReason)


def test_an_import_of_old_hours_moves_the_start_and_is_recorded_in_bounded_ticks(
    world: World, monkeypatch: pytest.MonkeyPatch, dagster_instance: dg.DagsterInstance
) -> None:
    world.fill(hour(TEN), 3600)
    world.refresh(hour(ELEVEN))
    closing = world.tick("closed_hours", None).cursor
    old = hour("2025-02-01-00:00")
    world.load(regular(old, 40 * 3600, series=1, step_s=600))
    world.refresh()
    skipped = world.tick("late_samples", None)
    assert isinstance(skipped, dg.SkipReason)
    assert "loaded anew" in (skipped.skip_message or "")
    assert (Path(os.environ["DAGSTER_HOME"]) / "first_day").read_text() == "2025-02-01\n"
    monkeypatch.setattr(pipelines.sensors, "FIRST_US", old)  # as processes have it that load from now on

    cursor, ticks = None, 0
    while isinstance(ticked := world.tick("late_samples", cursor), dg.SensorResult):
        assert ticked.cursor != cursor
        cursor, ticks = ticked.cursor, ticks + 1
        for request in ticked.run_requests:
            assert all(each.passed for each in world.do(request).get_asset_check_evaluations())
    assert ticks == 2
    assert len(world.events("raw_samples")) == 41
    while isinstance(ticked := world.tick("closed_hours", closing), dg.SensorResult):
        closing = ticked.cursor
    raw = world.events("raw_samples")
    assert len(raw) == 59, "the hours between are recorded as empty"
    assert all(len(events) == 1 for events in raw.values())
    assert sum(events[0]["rows"] for events in raw.values()) == 240 + 1080
    assert world.events("metrics_1day")["2025-02-01"][-1]["samples"] == 144
    assert world.events("metrics_1day")["2025-02-02"][-1]["samples"] == 96


def test_raw_rows_that_retention_took_do_not_fail_the_check(world: World) -> None:
    world.fill(hour(TEN), 3600)
    world.refresh(hour(ELEVEN))
    world.clock.advance(100 * DAY_US / 1_000_000)
    world.refresh()
    world.run("keep_house")
    config = {"ops": {"hours_match_raw": {"config": {"keys": [TEN]}}}}
    passed, values = verdict(world.run("verify_hours", run_config=config), "metrics_1hour")
    assert passed
    assert values["partitions"] == ""
    assert world.database.fetch("lineage_first_hour")[0].hour_us == hour(TEN)
