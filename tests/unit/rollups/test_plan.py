"""In which pieces buckets are rebuilt."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from muninn.clock import DAY_US, MINUTE_US
from muninn.model import Window
from muninn.rollups import plan


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
