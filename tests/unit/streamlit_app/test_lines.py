"""Gaps stay open, counters become rates, no point is lost from sight."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streamlit_app.widgets.lines import GRID_TOLERANCE, Line, lonely, rate_per_s, with_gaps

STEP_US = 60_000_000


def line(minutes: list[int]) -> Line:
    at = np.array(minutes, np.int64) * 60_000
    y = np.arange(len(minutes), dtype=np.float64)
    return Line("m", at, y, y - 1, y + 1)


def test_nothing_is_added_where_no_bucket_is_missing() -> None:
    whole = line([0, 1, 2, 3])
    assert with_gaps(whole, STEP_US) is whole


def test_a_missing_bucket_breaks_line_and_band() -> None:
    broken = with_gaps(line([0, 1, 5, 6]), STEP_US)
    assert broken.at_ms.tolist() == [0, 60_000, 120_000, 300_000, 360_000]
    assert broken.low is not None
    assert broken.high is not None
    for values in (broken.y, broken.low, broken.high):
        assert np.isnan(values).tolist() == [False, False, True, False, False]


@given(st.sets(st.integers(0, 200), max_size=60))
def test_breaks_add_no_point_and_keep_the_order(minutes: set[int]) -> None:
    whole = line(sorted(minutes))
    broken = with_gaps(whole, STEP_US)
    assert broken.points == len(minutes)
    assert broken.y[np.isfinite(broken.y)].tolist() == whole.y.tolist()
    assert (np.diff(broken.at_ms) > 0).all()
    # Nothing is drawn over more than the tolerance of the series' own usual interval.
    drawn = np.isfinite(broken.y[:-1]) & np.isfinite(broken.y[1:])
    apart = sorted(np.diff(whole.at_ms).tolist())
    usual = max(60_000, apart[(len(apart) - 1) // 4]) if apart else 60_000
    assert (np.diff(broken.at_ms)[drawn] <= GRID_TOLERANCE * usual).all()


def test_a_series_that_sends_every_five_minutes_is_one_line() -> None:
    whole = line([0, 5, 10, 15])
    assert with_gaps(whole, STEP_US) is whole
    assert np.isnan(with_gaps(line([0, 5, 10, 30]), STEP_US).y).sum() == 1


def test_rate_of_a_counter() -> None:
    at = np.array([0, 10_000, 20_000, 40_000], np.int64)
    rates = rate_per_s(at, np.array([100.0, 150.0, 150.0, 190.0]))
    assert np.isnan(rates[0])
    assert rates[1:].tolist() == [5.0, 0.0, 2.0]


def test_a_reset_is_a_break_and_not_a_guess() -> None:
    at = np.array([0, 10_000, 20_000, 30_000], np.int64)
    rates = rate_per_s(at, np.array([100.0, 150.0, 3.0, 13.0]))
    assert np.isnan(rates).tolist() == [True, False, True, False]
    assert rates[3] == 1.0


def test_rate_of_nothing_and_of_one_point() -> None:
    assert len(rate_per_s(np.empty(0, np.int64), np.empty(0))) == 0
    assert np.isnan(rate_per_s(np.array([5], np.int64), np.array([1.0]))).all()


def test_lonely_points_are_those_without_a_neighbour() -> None:
    nan = np.nan
    assert lonely(np.array([1.0, nan, 2.0, 3.0, nan, 4.0])).tolist() == [True, False, False, False, False, True]
    assert lonely(np.empty(0)).tolist() == []
