"""Figures carry units, keep gaps and tell their lines apart."""

import numpy as np

from muninn.clock import HOUR_US, SECOND_US
from muninn.model import Window
from streamlit_app.widgets import formats
from streamlit_app.widgets.charts import Panel, TimeAxis, day_figure, panel_scale, trend_figure
from streamlit_app.widgets.lines import Line, with_gaps

NOON_US = 1_772_366_400 * SECOND_US  # 2026-03-01T12:00:00Z
WINDOW = Window(NOON_US - HOUR_US, NOON_US)
UTC = TimeAxis(WINDOW, formats.zone("UTC"))


def line(name: str, values: list[float], every_s: int = 60) -> Line:
    at = WINDOW.since_us // 1000 + np.arange(len(values), dtype=np.int64) * every_s * 1000
    y = np.array(values, np.float64)
    return Line(name, at, y, y * 0.5, y * 2)


def test_the_axis_is_scaled_and_says_its_unit() -> None:
    figure = trend_figure([Panel("memory", "B", [line("a", [2**30, 3 * 2**30])])], UTC)
    assert figure.layout.yaxis.title.text == "GiB"
    assert list(figure.data[0].y) == [1.0, 3.0]
    assert figure.data[0].hovertemplate.endswith("GiB")


def test_few_of_what_has_no_halves_are_marked_at_whole_numbers() -> None:
    def marks(unit: str, greatest: float) -> object:
        return trend_figure([Panel("", unit, [line("a", [0.0, greatest])])], UTC).layout.yaxis.dtick

    assert [marks("entries", 2.0), marks("entries", 200.0), marks("ms", 2.0)] == [1, None, None]


def test_units_are_stacked_over_one_time_axis() -> None:
    panels = [Panel("memory", "B", [line("a", [1.0])]), Panel("cpu", "%", [line("b", [5.0]), line("c", [6.0])])]
    figure = trend_figure(panels, UTC)
    assert (figure.layout.yaxis.title.text, figure.layout.yaxis2.title.text) == ("B", "%")
    assert figure.layout.xaxis.matches == "x2" or figure.layout.xaxis2.matches == "x"
    assert figure.layout.xaxis2.title.text == "Time (UTC)"
    assert list(figure.layout.xaxis.range) == ["2026-03-01T11:00:00.000", "2026-03-01T12:00:00.000"]
    assert [trace.showlegend for trace in figure.data] == [False, True, True]
    assert {trace.legend for trace in figure.data[1:]} == {"legend2"}


def test_times_are_wall_clock_of_the_zone_at_one_offset() -> None:
    axis = TimeAxis(WINDOW, formats.zone("Asia/Kolkata"))
    figure = trend_figure([Panel("m", "", [line("a", [1.0])])], axis)
    assert str(figure.data[0].x[0])[:16] == "2026-03-01T16:30"
    assert figure.layout.xaxis.title.text == "Time (Asia/Kolkata, UTC+05:30)"


def test_time_never_runs_back_where_the_clock_is_changed() -> None:
    change_us = 1_792_890_000 * SECOND_US  # 2026-10-25T01:00:00Z: Berlin goes from +02:00 to +01:00
    axis = TimeAxis(Window(change_us - HOUR_US, change_us + HOUR_US), formats.zone("Europe/Berlin"))
    wall = axis.wall(np.arange(axis.window.since_us // 1000, axis.window.until_us // 1000, 60_000))
    assert (np.diff(wall) == np.timedelta64(60_000, "ms")).all()
    assert axis.title == "Time (Europe/Berlin, UTC+01:00)"


def test_gaps_are_not_bridged_and_a_lonely_point_is_marked() -> None:
    at = WINDOW.since_us // 1000 + np.array([0, 1, 2, 10], np.int64) * 60_000
    broken = with_gaps(Line("a", at, np.array([1.0, 2.0, 3.0, 4.0])), 60 * SECOND_US)
    (trace,) = trend_figure([Panel("m", "%", [broken])], UTC).data
    assert trace.connectgaps is False
    assert np.isnan(trace.y).sum() == 1
    assert trace.mode == "lines+markers"
    assert list(np.flatnonzero(trace.marker.size)) == [4]


def test_the_band_lies_behind_its_line_in_the_same_colour() -> None:
    panel = Panel("m", "B", [line("a", [2**20, 2**20])])
    band, middle = trend_figure([panel], UTC, band=True).data
    assert band.fill == "toself"
    assert band.line.color == middle.line.color
    assert list(band.y[:4]) == [2.0, 2.0, 0.5, 0.5]
    assert list(middle.y) == [1.0, 1.0]
    assert len(trend_figure([panel], UTC).data) == 1


def test_the_band_has_one_closed_shape_a_stretch_and_none_across_a_gap() -> None:
    at = WINDOW.since_us // 1000 + np.array([0, 1, 10, 11, 12], np.int64) * 60_000
    y = np.ones(5)
    broken = with_gaps(Line("a", at, y, y - 1, y + 1), 60 * SECOND_US)
    band, _ = trend_figure([Panel("m", "%", [broken])], UTC, band=True).data
    shapes = np.split(np.array(band.y), np.flatnonzero(np.isnan(band.y)))
    assert [int(np.isfinite(shape).sum()) for shape in shapes] == [4, 6, 0]


def test_lines_beyond_the_palette_differ_in_dash() -> None:
    figure = trend_figure([Panel("m", "%", [line(str(n), [1.0]) for n in range(25)])], UTC)
    assert len({(trace.line.color, trace.line.dash) for trace in figure.data}) == 25
    assert figure.layout.hovermode == "closest"


def test_a_long_name_is_shortened_in_the_legend() -> None:
    figure = trend_figure([Panel("m", "%", [line("x" * 80, [1.0]), line("b", [2.0])])], UTC)
    assert figure.data[0].name.endswith("…")
    assert len(figure.data[0].name) <= 36


def test_an_empty_panel_still_has_axes() -> None:
    figure = trend_figure([Panel("m", "B/s", [])], UTC)
    assert figure.layout.yaxis.title.text == "B/s"
    assert panel_scale(Panel("m", "B", [line("a", [np.nan])])).suffix == "B"


def test_days_are_bars_with_their_unit() -> None:
    figure = day_figure(["2026-03-01", "2026-03-02"], [2**20, 3 * 2**20], "B", ["1 row", "2 rows"])
    assert list(figure.data[0].y) == [1.0, 3.0]
    assert figure.layout.yaxis.title.text == "MiB"
    assert figure.layout.xaxis.title.text == "Day (UTC)"
    assert list(figure.layout.xaxis.range) == ["2026-02-28", "2026-03-09"]
    assert list(figure.data[0].customdata) == ["1 row", "2 rows"]


def test_no_day_is_no_bar() -> None:
    assert len(day_figure([], [], "B", []).data[0].y) == 0
