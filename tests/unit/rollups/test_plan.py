"""Which buckets are rebuilt, from what, in which pieces."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from muninn.clock import DAY_US, HOUR_US, MINUTE_US
from muninn.model import RESOLUTIONS, Window
from muninn.rollups import plan

DAY = 20_000 * DAY_US
KEEP_ALL = {"raw_samples": 0, "rollup_1min": 0, "rollup_5min": 0, "rollup_1hour": 0, "rollup_1day": 0}


def named(steps: list[plan.Step]) -> list[tuple[str, str, int, int]]:
    """(resolution, source, first minute, last minute) from the day's start."""
    return [
        (
            step.resolution.name,
            step.source,
            (step.window.since_us - DAY) // MINUTE_US,
            (step.window.until_us - DAY) // MINUTE_US,
        )
        for step in steps
    ]


@given(st.integers(0, 5 * DAY_US), st.integers(0, 5 * DAY_US))
def test_days_cover_the_window_and_none_crosses_midnight(since: int, length: int) -> None:
    pieces = list(plan.days(Window(since, since + length)))
    assert sum(piece.length_us for piece in pieces) == length
    assert [piece.until_us for piece in pieces[:-1]] == [piece.since_us for piece in pieces[1:]]
    assert all(piece.since_us // DAY_US == (piece.until_us - 1) // DAY_US for piece in pieces)


@given(st.lists(st.integers(0, 4000), max_size=60, unique=True).map(sorted), st.sampled_from([10, 60]))
def test_late_windows_hold_every_minute_and_split_at_wide_gaps_and_midnights(minutes: list[int], join: int) -> None:
    windows = plan.late_windows([minute * MINUTE_US for minute in minutes], join * MINUTE_US)
    assert all(
        sum(window.since_us <= minute * MINUTE_US < window.until_us for window in windows) == 1 for minute in minutes
    )
    starts = {window.since_us // MINUTE_US for window in windows} | {
        window.until_us // MINUTE_US - 1 for window in windows
    }
    assert starts <= set(minutes)
    for window in windows:
        inside = [m for m in minutes if window.since_us <= m * MINUTE_US < window.until_us]
        assert all(after - before <= join + 1 for before, after in pairwise(inside))
        assert window.since_us // DAY_US == (window.until_us - 1) // DAY_US


def test_a_fresh_minute_closes_what_ends_with_it() -> None:
    window = Window(DAY + 7 * MINUTE_US, DAY + 8 * MINUTE_US)
    assert named(plan.steps(window, window.until_us, KEEP_ALL, fresh=True)) == [("1min", "raw_samples", 7, 8)]
    window = Window(DAY + 59 * MINUTE_US, DAY + 60 * MINUTE_US)
    assert named(plan.steps(window, window.until_us, KEEP_ALL, fresh=True)) == [
        ("1min", "raw_samples", 59, 60),
        ("5min", "rollup_1min", 55, 60),
        ("1hour", "rollup_5min", 0, 60),
    ]
    window = Window(DAY + 23 * HOUR_US, DAY + DAY_US)
    assert named(plan.steps(window, window.until_us, KEEP_ALL, fresh=True))[-1] == ("1day", "rollup_1hour", 0, 1440)


def test_a_late_minute_makes_every_closed_bucket_around_it_due() -> None:
    window = Window(DAY + 63 * MINUTE_US, DAY + 64 * MINUTE_US)
    assert named(plan.steps(window, DAY + 2 * DAY_US, KEEP_ALL)) == [
        ("1min", "raw_samples", 63, 64),
        ("5min", "rollup_1min", 60, 65),
        ("1hour", "rollup_5min", 60, 120),
        ("1day", "rollup_1hour", 0, 1440),
    ]
    assert named(plan.steps(window, DAY + 100 * MINUTE_US, KEEP_ALL)) == [
        ("1min", "raw_samples", 63, 64),
        ("5min", "rollup_1min", 60, 65),
    ]


def test_nothing_is_rebuilt_from_a_day_whose_raw_rows_were_dropped() -> None:
    window = Window(DAY + HOUR_US, DAY + 2 * HOUR_US)
    assert plan.steps(window, DAY + DAY_US, {**KEEP_ALL, "raw_samples": DAY + DAY_US}) == []
    assert len(plan.steps(window, DAY + DAY_US, {**KEEP_ALL, "raw_samples": DAY})) == len(RESOLUTIONS)


def test_a_level_that_was_dropped_is_passed_over() -> None:
    window = Window(DAY + HOUR_US, DAY + 2 * HOUR_US)
    gone = {**KEEP_ALL, "rollup_1min": DAY + DAY_US, "rollup_5min": DAY + DAY_US}
    assert named(plan.steps(window, DAY + DAY_US, gone)) == [
        ("1hour", "raw_samples", 60, 120),
        ("1day", "rollup_1hour", 0, 1440),
    ]
