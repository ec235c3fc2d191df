"""What the refresher makes of the database's own refresh: its runs measured, and a warning when it does not come."""

import pytest

from muninn.clock import ManualClock
from muninn.meter import Meter
from muninn.rollups.owner import JobState
from muninn.run.programs.refresher import JobWatch


def counters(meter: Meter) -> dict[str, float]:
    return {name: value for name, _, value in meter.snapshot() if name.endswith("_total")}


def test_runs_and_failures_are_counted_from_the_first_look_on() -> None:
    clock, meter = ManualClock(), Meter()
    watch = JobWatch(clock, meter, 10.0)
    watch.look(JobState(7, 2, clock.now_us(), 0.5))
    assert counters(meter) == {}
    watch.look(JobState(7, 2, clock.now_us(), 0.5))
    watch.look(JobState(8, 2, clock.now_us(), 0.25))
    watch.look(JobState(10, 4, clock.now_us(), 0.75))
    watch.look(None)
    assert counters(meter) == {
        "muninn_refresh_count_total": 2,
        "muninn_refresh_seconds_total": 1.0,
        "muninn_refresh_failures_total": 2,
    }


@pytest.mark.parametrize(("every_s", "patience_s"), [(1.0, 120), (60.0, 360)])
def test_a_job_that_does_not_succeed_is_told_of_once(
    caplog: pytest.LogCaptureFixture, every_s: float, patience_s: int
) -> None:
    caplog.set_level("INFO")
    clock = ManualClock()
    watch = JobWatch(clock, Meter(), every_s)
    started_us = clock.now_us()

    def said() -> list[str]:
        messages = [record.message for record in caplog.records]
        caplog.clear()
        return messages

    clock.advance(patience_s)
    watch.look(JobState(0, 0, None, None))
    assert said() == []
    for expected in (1, 0):
        clock.advance(1)
        watch.look(JobState(5, 5, started_us, 0.1))
        assert len([message for message in said() if "MUNINN_ROLLUPS_REFRESHED_BY" in message]) == expected
    watch.look(JobState(6, 5, clock.now_us(), 0.1))
    assert said() == ["the database refreshes again"]
