"""Growth of counters laid beside their trend: by key and step, and nothing where there is none."""

import numpy as np

from muninn.model import SeriesKey, Window
from muninn.reads.rising import Rising, RisingSeries, with_rates
from muninn.reads.values import Trend, TrendSeries

MINUTE_MS = 60_000
WINDOW = Window(0, 4 * MINUTE_MS * 1000)
A, B = SeriesKey.of("requests_total", {"n": "a"}), SeriesKey.of("requests_total", {"n": "b"})


def trend_of(*keys: SeriesKey) -> Trend:
    at_ms = np.arange(4, dtype=np.int64) * MINUTE_MS
    some = np.array([10.0, 70.0, 5.0, 65.0])
    series = tuple(TrendSeries(key, at_ms, some, some, some, some, np.ones(4, np.int64)) for key in keys)
    return Trend("requests_total", "counter", "", WINDOW, MINUTE_MS * 1000, "1min", series, None)


def risen(key: SeriesKey, steps: list[int], rate: list[float]) -> Rising:
    at_ms = np.array(steps, np.int64) * MINUTE_MS
    one = RisingSeries(key, at_ms, np.array(rate) * 60, np.array(rate), sum(rate) * 60, None)
    return Rising("requests_total", "counter", "", WINDOW, MINUTE_MS * 1000, "1min", (one,), None)


def test_each_series_has_its_own_rate_and_a_step_without_growth_none() -> None:
    """The step after a reset has its growth: what the counter is above zero."""
    first, second = with_rates(trend_of(A, B), risen(A, [1, 2, 3], [1.0, 5 / 60, 1.0])).series
    assert first.rate is not None
    np.testing.assert_array_equal(first.rate, [np.nan, 1.0, 5 / 60, 1.0])
    assert second.rate is not None
    assert np.isnan(second.rate).all()


def test_growth_at_steps_that_the_trend_does_not_have_is_left_out() -> None:
    (only,) = with_rates(trend_of(A), risen(A, [3, 9], [2.0, 7.0])).series
    np.testing.assert_array_equal(only.rate, [np.nan, np.nan, np.nan, 2.0])
