"""What Explore asks for, and what it says that it left out."""

from datetime import UTC

import numpy as np

from muninn.clock import HOUR_US
from muninn.model import SeriesKey, Window
from muninn.reads import MetricInfo, Trend
from muninn.reads.values import TrendSeries
from streamlit_app.app_pages import explore
from streamlit_app.view import MAX_QUESTIONS, View

METRIC = MetricInfo("cpu", "gauge", "%", "", ("host", "rack"), 60, None)


def view_of(**filters: int) -> View:
    chosen = tuple((name, tuple(map(str, range(count)))) for name, count in filters.items())
    return View((METRIC,), chosen, HOUR_US, None, UTC, "avg", "unit", False, False)


def test_combinations_that_are_not_asked_for_are_counted() -> None:
    assert (len(view_of(host=6, rack=5).questions(METRIC)), view_of(host=6, rack=5).unasked(METRIC)) == (24, 6)
    assert (len(view_of(host=6, disk=9).questions(METRIC)), view_of(host=6, disk=9).unasked(METRIC)) == (6, 0)
    assert (view_of().questions(METRIC), view_of().unasked(METRIC)) == ([{}], 0)
    assert MAX_QUESTIONS == 24


def answer(key: SeriesKey, truncated: int | None) -> Trend:
    none = np.empty(0)
    series = TrendSeries(key, none.astype(np.int64), none, none, none, none, none.astype(np.int64))
    return Trend("cpu", "gauge", "%", Window(0, HOUR_US), 1, "raw", (series,), truncated)


def test_how_many_series_match_counts_those_of_every_answer() -> None:
    """One of two series of a host, and the only one of another, are two of three, not two of two."""
    first, second = (SeriesKey.of("cpu", {"host": host}) for host in "ab")
    found = explore.joined([answer(first, 2), answer(second, None)])
    assert (len(found.series), found.truncated) == (2, 3)
    assert explore.joined([answer(first, None), answer(second, None)]).truncated is None
