"""Answers become panels: one unit an axis, names by what differs, counters as growth."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from muninn.clock import MINUTE_US
from muninn.model import SeriesKey, Window
from muninn.reads import Trend, TrendSeries
from streamlit_app.widgets.lines import Line
from streamlit_app.widgets.panels import drawn, panels_by, sparkline, total

LATER_US = 10_000 * MINUTE_US


def series(key: SeriesKey, avg: list[float], minutes: list[int] | None = None) -> TrendSeries:
    at = np.array(minutes if minutes is not None else range(len(avg)), np.int64) * 60_000
    values = np.array(avg, np.float64)
    return TrendSeries(key, at, values, values - 1, values + 1, values + 0.5, np.full(len(avg), 6, np.int64))


def trend(unit: str, *found: TrendSeries, kind: str = "gauge", resolution: str = "1min") -> Trend:
    window = Window(0, 60 * MINUTE_US)
    return Trend(found[0].key.metric, kind, unit, window, MINUTE_US, resolution, found, None)


def host(metric: str, name: str, **labels: str) -> SeriesKey:
    return SeriesKey.of(metric, {"host": name, **labels})


def test_metrics_of_one_unit_share_a_panel_and_others_do_not() -> None:
    trends = [
        trend("%", series(host("cpu", "a"), [1.0, 2.0]), series(host("cpu", "b"), [3.0, 4.0])),
        trend("B", series(host("memory", "a"), [5.0, 6.0])),
        trend("%", series(host("disk", "a"), [7.0, 8.0])),
    ]
    panels = panels_by([one for answer in trends for one in drawn(answer, "avg", LATER_US)])
    assert [panel.unit for panel in panels] == ["%", "B"]
    assert [line.name for line in panels[0].lines] == ["cpu · a", "cpu · b", "disk · a"]
    assert panels[0].title == "cpu, disk · avg"
    assert panels[1].title == "memory{host=a} · avg"


def test_panels_by_label_have_its_value_as_their_title() -> None:
    found = [series(host("cpu", name, mode=mode), [1.0, 2.0]) for name in "ab" for mode in ("user", "idle")]
    panels = panels_by(drawn(trend("%", *found), "avg", LATER_US), "host")
    assert [panel.title for panel in panels] == ["a · cpu · avg", "b · cpu · avg"]
    assert [line.name for line in panels[0].lines] == ["user", "idle"]


def test_panels_by_metric() -> None:
    trends = [trend("%", series(host(name, "a"), [1.0, 2.0])) for name in ("cpu", "disk")]
    panels = panels_by([one for answer in trends for one in drawn(answer, "avg", LATER_US)], "metric")
    assert [panel.title for panel in panels] == ["cpu{host=a} · avg", "disk{host=a} · avg"]


def test_each_aggregate_draws_its_own_figure() -> None:
    answer = trend("%", series(host("cpu", "a"), [1.0, 2.0]))
    firsts = {name: drawn(answer, name, LATER_US)[0] for name in ("avg", "min", "max", "p95", "count")}
    assert {name: float(one.line.y[0]) for name, one in firsts.items()} == {
        "avg": 1.0, "min": 0.0, "max": 2.0, "p95": 1.5, "count": 6.0,
    }  # fmt: skip
    assert {name: one.unit for name, one in firsts.items()} == {
        "avg": "%", "min": "%", "max": "%", "p95": "%", "count": "",
    }  # fmt: skip


def test_the_average_of_a_counter_is_its_growth_per_second() -> None:
    answer = trend("B", series(host("sent_total", "a"), [0.0, 600.0, 1200.0]), kind="counter")
    (one,) = drawn(answer, "avg", LATER_US)
    assert one.unit == "B/s"
    assert one.what == "growth per second"
    assert one.line.y[1:].tolist() == [10.0, 10.0]
    assert drawn(answer, "max", LATER_US)[0].unit == "B"


def test_a_counter_has_no_growth_in_a_step_that_is_not_over() -> None:
    answer = trend("", series(host("n_total", "a"), [0.0, 600.0, 610.0]), kind="counter")
    (one,) = drawn(answer, "avg", 2 * MINUTE_US + 1_000_000)
    assert one.line.at_ms.tolist() == [0, 60_000]


def test_rare_samples_are_joined_and_missing_ones_are_not() -> None:
    every_five = [0, 5, 10, 30, 35]
    (one,) = drawn(trend("%", series(host("cpu", "a"), [1.0] * 5, every_five)), "avg", LATER_US)
    assert np.isnan(one.line.y).tolist() == [False, False, False, True, False, False]


def test_a_raw_sample_that_is_late_is_no_gap() -> None:
    answer = trend("%", series(host("cpu", "a"), [1.0] * 5, [0, 1, 3, 4, 7]), resolution="raw")
    (one,) = drawn(answer, "avg", LATER_US)
    assert np.isnan(one.line.y).tolist() == [False, False, False, False, True, False]


lines = st.lists(st.dictionaries(st.integers(0, 20), st.integers(-100, 100), max_size=10), max_size=4)


@given(lines)
def test_total_is_the_sum_at_every_step_that_has_a_point(found: list[dict[int, int]]) -> None:
    parts = [
        Line("", np.array(sorted(one), np.int64) * 60_000, np.array([one[n] for n in sorted(one)], np.float64))
        for one in found
    ]
    summed = total(parts, "sum", MINUTE_US)
    there = np.isfinite(summed.y)
    expected = {n * 60_000: sum(one.get(n, 0) for one in found) for one in found for n in one}
    assert dict(zip(summed.at_ms[there].tolist(), summed.y[there].tolist(), strict=True)) == expected


def test_a_sparkline_needs_two_points() -> None:
    at = np.array([0, 60_000, 120_000], np.int64)
    assert sparkline(Line("", at, np.array([1.0, np.nan, 3.0])), 60) == [60.0, 180.0]
    assert sparkline(Line("", at[:1], np.array([1.0]))) is None
    assert sparkline(None) is None
