"""Explore: any metrics, over any span, as charts, tables and files.

Belongs here: the order of the page. Does not: the controls (view), figures (widgets), data (muninn.reads).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import streamlit as st
from streamlit.elements.lib.column_types import ColumnConfig

from muninn.model import Window
from muninn.reads import MetricInfo, Trend, UnknownMetric
from muninn.reads.rising import with_rates
from streamlit_app import shell, view
from streamlit_app.view import View
from streamlit_app.widgets import formats, tables
from streamlit_app.widgets.charts import CONFIG, TimeAxis, trend_figure
from streamlit_app.widgets.panels import COUNTER, Drawn, drawn, panels_by

FOLLOW_S = 10
SERIES_TAB, POINTS_TAB = "Series", "Points"


def render() -> None:
    """The whole page."""
    catalogue = shell.answer_or_wait(lambda ask: ask.catalogue())
    head = shell.head("Explore", help="The address of this page holds the view: send it to share what you see.")
    if not catalogue:
        shell.say_no_data()
        shell.stop_and_try_again()
    with shell.guard("The controls"):
        chosen = view.controls(catalogue, head)
        if chosen is None:
            st.caption("Pick a metric and a range.")
            return
        shell.auto_refresh(lambda: show(chosen), FOLLOW_S if chosen.follow else None)


def show(chosen: View) -> None:
    """The charts, then what they are drawn from."""
    window = chosen.window_at(shell.now_us())
    trends = [_trend(metric, window, chosen) for metric in chosen.metrics]
    trends = [trend for trend in trends if trend.series]
    if not trends:
        st.info("No samples in this range: widen it, or drop a filter.", icon=":material/search_off:")
        return
    found = [one for trend in trends for one in drawn(trend, chosen.aggregate, shell.now_us())]
    before = _before(trends, window, chosen)
    _facts(trends, found, window, chosen)
    with st.container(border=True):
        shown = window if chosen.period is None else trends[0].window
        figure = trend_figure(panels_by([*found, *before], chosen.by), TimeAxis(shown, chosen.tz), band=chosen.band)
        names = ", ".join(metric.metric_name for metric in chosen.metrics)
        st.plotly_chart(figure, config=CONFIG, key="explore-chart", alt=f"{names} over time")
    _tables(trends, found, chosen)


def _trend(metric: MetricInfo, window: Window, chosen: View) -> Trend:
    """The metric under all chosen combinations of labels, as one trend."""
    return joined([_ask(metric, window, chosen, labels) for labels in chosen.questions(metric)])


def joined(answers: Sequence[Trend]) -> Trend:
    """Answers about one metric as one; what was left out of any is left out of it."""
    series = tuple(one for answer in answers for one in answer.series)
    matching = sum(len(answer.series) if answer.truncated is None else answer.truncated for answer in answers)
    return replace(answers[0], series=series, truncated=matching if matching > len(series) else None)


def _before(trends: Sequence[Trend], window: Window, chosen: View) -> list[Drawn]:
    """The same series some time before, moved onto the axis of now; local days are compared by eye."""
    offset_us = chosen.offset_us
    if offset_us is None:
        return []
    if chosen.period is not None:
        st.caption("A comparison needs steps by range: choose them above.")
        return []
    found = []
    for trend in trends:
        metric = next(one for one in chosen.metrics if one.metric_name == trend.metric)
        for labels in chosen.questions(metric):
            p95 = chosen.aggregate == "p95"
            compared = shell.current_reads().compare(
                metric.metric_name, window, offset_us, trend.step_us, labels, p95=p95
            )
            found += drawn(compared.before, chosen.aggregate, shell.now_us())
    name = f"{formats.duration(offset_us / 1e6)} before"
    if not found:
        st.caption(f"Nothing was sent {name}.")
    return [replace(one, before=name) for one in found]


def _ask(metric: MetricInfo, window: Window, chosen: View, labels: Mapping[str, str]) -> Trend:
    ask = shell.current_reads()
    try:
        if chosen.period is None:
            trend = ask.trend(metric.metric_name, window, labels=labels)
            if metric.kind != COUNTER:
                return trend
            return with_rates(trend, ask.rising(metric.metric_name, trend.window, trend.step_us, labels))
        return ask.calendar(metric.metric_name, window, chosen.period, getattr(chosen.tz, "key", "UTC"), labels)
    except UnknownMetric:
        # Dropped since the catalogue was read: as good as a metric without samples.
        return Trend(metric.metric_name, metric.kind, metric.unit, window, 1, "raw", (), None)


def _facts(trends: Sequence[Trend], found: Sequence[Drawn], window: Window, chosen: View) -> None:
    """What is shown: step, source, how much, over which span; and what is not."""
    one = trends[0]
    step = formats.duration(one.step_us / 1e6) if chosen.period is None else f"a local {chosen.period}"
    source = "raw samples" if one.resolution == "raw" else f"`metrics_{one.resolution}`"
    points = sum(one.line.points for one in found)
    span = f"{formats.clock_time(window.since_us, chosen.tz)} to {formats.clock_time(window.until_us, chosen.tz)}"
    st.caption(
        f"Steps of **{step}** from {source} · "
        f"{formats.count(len(found))} series, {formats.count(points)} points · "
        f"{span} ({formats.zone_text(chosen.tz, window.until_us)})"
    )
    for metric in chosen.metrics:
        if unasked := chosen.unasked(metric):
            st.warning(
                f"`{metric.metric_name}`: {unasked} combinations of the chosen labels are left out, since at most"
                f" {view.MAX_QUESTIONS} are asked for. Choose fewer values.",
                icon=":material/filter_alt:",
            )
    for trend in trends:
        if trend.truncated is not None:
            st.warning(
                f"`{trend.metric}`: {len(trend.series)} of {trend.truncated} series are shown. Filter by a label.",
                icon=":material/filter_alt:",
            )


def _tables(trends: Sequence[Trend], found: Sequence[Drawn], chosen: View) -> None:
    points = tables.points(trends)
    with st.container(border=True, gap="small"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.subheader("What is drawn", anchor=False, width="content")
            st.space("stretch")
            name = f"muninn-{chosen.metrics[0].metric_name}"
            st.download_button(
                "CSV",
                lambda: tables.as_csv(points),
                f"{name}.csv",
                "text/csv",
                icon=":material/download:",
                on_click="ignore",
                help="Every point, with average, least, greatest, p95 and count.",
            )
            st.download_button(
                "Parquet",
                lambda: tables.as_parquet(points),
                f"{name}.parquet",
                "application/vnd.apache.parquet",
                icon=":material/download:",
                on_click="ignore",
            )
        series_tab, points_tab = st.tabs([SERIES_TAB, POINTS_TAB], key="table", on_change="rerun")
        if series_tab.open:
            with series_tab, shell.guard("The table of series"):
                _series_table(found)
        if points_tab.open:
            with points_tab, shell.guard("The table of points"):
                shown = points if points["growth_per_s"].count() else points.drop("growth_per_s")
                st.dataframe(shown, hide_index=True, column_config={"at": _at_column(chosen)})


def _series_table(found: Sequence[Drawn]) -> None:
    course = st.column_config.LineChartColumn("Course", width="medium")
    st.dataframe(tables.series_summary(found), hide_index=True, column_config={"Course": course})


def _at_column(chosen: View) -> ColumnConfig:
    zone = getattr(chosen.tz, "key", "UTC")
    return st.column_config.DatetimeColumn(f"at ({zone})", format="YYYY-MM-DD HH:mm:ss", timezone=zone)


if __name__ == "__main__":
    render()
