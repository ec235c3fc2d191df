"""Which resolution and step a window is answered with."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muninn.clock import DAY_US, HOUR_US, MINUTE_US, SECOND_US
from muninn.errors import Invalid
from muninn.model import RESOLUTIONS, Window
from muninn.reads.steps import RAW, Kept, plan
from muninn.settings import Store

NOW_US = 1_800_000_000 * SECOND_US
FOR_EVER = Kept()
WIDTH_US = {RAW: SECOND_US} | {resolution.name: resolution.width_us for resolution in RESOLUTIONS}


def back(length_us: int) -> Window:
    return Window(NOW_US - length_us, NOW_US)


@pytest.mark.parametrize(
    ("length_us", "step_us", "resolution", "chosen_us"),
    [
        # By range alone.
        (5 * MINUTE_US, None, RAW, SECOND_US),
        (15 * MINUTE_US, None, RAW, SECOND_US),
        (16 * MINUTE_US, None, "1min", MINUTE_US),
        (6 * HOUR_US, None, "1min", MINUTE_US),
        (7 * HOUR_US, None, "5min", 5 * MINUTE_US),
        (48 * HOUR_US, None, "5min", 5 * MINUTE_US),
        (3 * DAY_US, None, "1hour", HOUR_US),
        (40 * DAY_US, None, "1hour", HOUR_US),
        (60 * DAY_US, None, "1hour", 2 * HOUR_US),  # 1,440 hours are over the budget
        (61 * DAY_US, None, "1day", DAY_US),
        # A step under a minute reads samples, within the budget.
        (HOUR_US, 10 * SECOND_US, RAW, 10 * SECOND_US),
        (HOUR_US, SECOND_US, RAW, 5 * SECOND_US),
        (6 * HOUR_US, 10 * SECOND_US, RAW, 30 * SECOND_US),
        (HOUR_US, 1_500_000, RAW, 5 * SECOND_US),
        # Further back than that, samples would be too many.
        (48 * HOUR_US, 10 * SECOND_US, "5min", 5 * MINUTE_US),
        # Rounded up to what is kept for that range.
        (6 * HOUR_US, 90 * SECOND_US, "1min", 2 * MINUTE_US),
        (24 * HOUR_US, MINUTE_US, "5min", 5 * MINUTE_US),
        (3 * DAY_US, 5 * MINUTE_US, "1hour", HOUR_US),
        # Wider steps read the widest rows that make them up.
        (6 * HOUR_US, 5 * MINUTE_US, "5min", 5 * MINUTE_US),
        (24 * HOUR_US, 2 * HOUR_US, "1hour", 2 * HOUR_US),
        (10 * MINUTE_US, MINUTE_US, "1min", MINUTE_US),
        (30 * DAY_US, DAY_US, "1day", DAY_US),
    ],
)
def test_by_range_and_step(length_us: int, step_us: int | None, resolution: str, chosen_us: int) -> None:
    found = plan(back(length_us), step_us, 1000, NOW_US, FOR_EVER)
    assert (found.resolution, found.step_us) == (resolution, chosen_us)


def test_what_retention_dropped_is_read_from_what_is_left() -> None:
    kept = Kept.of(Store(raw_days=2, rollup_1min_days=30, rollup_5min_days=180, rollup_1hour_days=730))

    def resolution(days: float, length_us: int) -> str:
        since_us = NOW_US - round(days * DAY_US)
        return plan(Window(since_us, since_us + length_us), None, 1000, NOW_US, kept).resolution

    assert [resolution(days, 10 * MINUTE_US) for days in (1, 3, 31, 181, 731)] == [RAW, "1min", "5min", "1hour", "1day"]
    assert [resolution(days, 3 * HOUR_US) for days in (1, 29, 31)] == ["1min", "1min", "5min"]


@pytest.mark.parametrize(("step_us", "max_points", "parameter"), [(0, 1000, "step"), (None, 0, "max_points")])
def test_nonsense_is_refused(step_us: int | None, max_points: int, parameter: str) -> None:
    with pytest.raises(Invalid) as caught:
        plan(back(HOUR_US), step_us, max_points, NOW_US, FOR_EVER)
    assert caught.value.parameter == parameter


@given(
    length_us=st.integers(SECOND_US, 3000 * DAY_US),
    ago_us=st.integers(0, 1000 * DAY_US),
    step_us=st.none() | st.integers(1, 100 * DAY_US),
    max_points=st.integers(2, 2000),
)
def test_any_plan_is_exact_and_within_budget(length_us: int, ago_us: int, step_us: int | None, max_points: int) -> None:
    asked = Window(NOW_US - ago_us - length_us, NOW_US - ago_us)
    found = plan(asked, step_us, max_points, NOW_US, FOR_EVER)
    assert found.step_us % WIDTH_US[found.resolution] == 0
    assert found.step_us >= (step_us or 0)
    assert found.window == asked.aligned(found.step_us)
    points = found.window.length_us // found.step_us
    # A window shorter than its step may still lie across two of them.
    assert points <= max(max_points, 2)
