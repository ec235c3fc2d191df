"""Hours as people's clocks show them: equal to the standard library's, and what detection makes of summer time."""

from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_series import DAY_ROWS, Floats, instants, watch_all
from pydantic import ValidationError

from muninn.clock import HOUR_US, SECOND_US
from muninn.detection import ANOMALY, Engine, Tuning
from muninn.detection.wall_clock import local_us
from muninn.detection.watch import Watch
from muninn.model import SampleBatch, SeriesKey
from muninn.settings import Detection

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Apia")
# A Monday at 00:00 UTC, three weeks before Berlin's clocks change on Sunday 2026-03-29.
BEFORE_US = int(datetime(2026, 3, 9, tzinfo=UTC).timestamp()) * SECOND_US
CHANGED_ROW = 20 * DAY_ROWS


@given(st.lists(st.integers(0, 4_000_000_000), max_size=50), st.sampled_from(ZONES))
def test_equal_to_the_standard_library(seconds: list[int], zone: str) -> None:
    told = local_us(np.array(seconds, np.int64) * SECOND_US + 1, zone)
    walls = [datetime.fromtimestamp(each, ZoneInfo(zone)).replace(tzinfo=UTC) for each in seconds]
    assert told.tolist() == [round(wall.timestamp()) * SECOND_US + 1 for wall in walls]


def office(rows: int, n: int) -> Floats:
    """float64[rows, n]: busy from 8 to 17 by Berlin's clocks, ramps of an hour, some noise."""
    walls = [
        datetime.fromtimestamp(at // SECOND_US, ZoneInfo("Europe/Berlin")) for at in instants(rows, 300, BEFORE_US)
    ]
    hour = np.array([wall.hour + wall.minute / 60 for wall in walls])
    busy = np.clip(np.minimum(hour - 7.5, 17.5 - hour), 0, 1)
    return (20 + 60 * busy)[:, None] + np.random.default_rng(0).normal(size=(rows, n))


@pytest.mark.slow
def test_the_change_to_summer_time_is_forgiven_where_the_zone_is_known() -> None:
    value = office(CHANGED_ROW + 2 * DAY_ROWS, 10)
    at_us = instants(len(value), 300, BEFORE_US)
    odd = {
        zone: (watch_all(value, at_us, replace(Tuning(), time_zone=zone))[CHANGED_ROW - DAY_ROWS :] > ANOMALY).sum()
        for zone in ("UTC", "Europe/Berlin")
    }
    assert odd["UTC"] >= 10, "else this shows nothing"
    assert odd["Europe/Berlin"] == 0


def test_another_zone_learns_hours_anew_and_keeps_all_else() -> None:
    key = SeriesKey.of("m")

    def began(zone: str) -> Watch:
        return Watch(step_s=300, max_series=10, tuning=Tuning(warm_up_s=0, time_zone=zone))

    first, at_us = began("UTC"), instants(400)
    first.take(SampleBatch.of([(key, int(at), 50.0 + number % 7) for number, at in enumerate(at_us)]))
    first.judge(int(at_us[-1]) + HOUR_US)
    for zone, kept in (("UTC", True), ("Asia/Tokyo", False)):
        again = began(zone)
        again.restore(first.to_bytes())
        assert bool(again.engine._state.hour_seen.any()) is kept
        assert again.engine.last_us()[0] == at_us[-1]
        assert Engine.from_bytes(again.engine.to_bytes()).old_enough()[0]


def test_a_zone_that_is_none_is_refused() -> None:
    with pytest.raises(ValidationError, match="is no time zone"):
        Detection.model_validate({"time_zone": "Europe/Brlin"})
