"""Overview: is all well, who works hardest, what changed most.

Belongs here: the order of the page. Does not: figures and texts (widgets), data (muninn.reads).
"""

from collections.abc import Sequence
from dataclasses import replace

import streamlit as st
from streamlit.elements.lib.column_types import ColumnConfig

from muninn.clock import HOUR_US, MINUTE_US
from muninn.model import Window
from muninn.reads import Change, Health, Overview, Regressions
from streamlit_app import asked, shell
from streamlit_app.widgets import formats, tables, words
from streamlit_app.widgets.charts import CONFIG, Panel, TimeAxis, trend_figure
from streamlit_app.widgets.lines import Line
from streamlit_app.widgets.panels import sparkline

STATE_S = 5
CHARTS_S = 20
REGRESSIONS_S = 300
REGRESSIONS = 20
CHART_HOSTS = 5
CHANGES = 6
CHART_HEIGHT = 230


def render() -> None:
    """The whole page."""
    shell.auto_refresh(state, STATE_S)
    shell.auto_refresh(courses, CHARTS_S)
    shell.auto_refresh(regressions, REGRESSIONS_S)


def state() -> None:
    """Health, key figures and the busiest hosts."""
    overview = shell.current_reads().overview()
    _head(overview)
    empty = overview.totals.series == 0
    if not empty or overview.health.state != "ok":
        with st.container(border=True), shell.guard("Health"):
            _health(overview.health)
    if empty:
        shell.say_no_data()
        return
    with shell.guard("The key figures"):
        _key_figures(overview)
    with shell.panel("Busiest hosts", help="The latest figures of each host, by CPU."):
        _hosts(overview)


def courses() -> None:
    """The hosts' last hour, and what changed most in it."""
    overview = shell.current_reads().overview()
    if overview.totals.series == 0:
        return
    hosts = [load.host for load in overview.hosts[:CHART_HOSTS]]
    window = asked.so_far("cpu_busy_pct", {"cpu": "total", "host": hosts[0]}) if hosts else asked.last_hour()
    if hosts:
        span = "hour" if window.length_us == HOUR_US else formats.duration(window.length_us // MINUTE_US * 60)
        with shell.panel(f"The last {span} of the busiest hosts"):
            _host_charts(hosts, window)
    with shell.panel(
        "What changed most in the last hour",
        help="The last 10 minutes against the 50 minutes before, by how far the change exceeds the usual wobble.",
    ):
        _changes(overview.changes[:CHANGES])


def regressions() -> None:
    """What got worse over days: slower than what changed in the last hour, and told from the usual ups and downs."""
    if shell.current_reads().overview().totals.series == 0:
        return
    with shell.panel(
        "The last 24 hours against the week before",
        help="Mean and p95 of each series. More than 10 % is a warning, more than 20 % critical; what varies as much"
        " from day to day anyway is neither.",
    ):
        _regressions(shell.current_reads().regressions(limit=REGRESSIONS))


def _regressions(found: Regressions) -> None:
    if not found.judged:
        st.caption("Nothing to compare yet: a series needs three days of samples before the last 24 hours.")
        return
    worse = [one for one in found.series if one.verdict != "NORMAL"]
    st.caption(
        f"{formats.count(found.judged)} series judged: {formats.count(found.critical)} critical, "
        f"{formats.count(found.warning)} warning, the others as usual. "
        f"{formats.count(found.unjudged)} have too short a history. "
        f"Up to {formats.clock_time(found.until_ms * 1000, shell.viewer_zone())}."
    )
    if worse:
        st.dataframe(
            tables.regressions(worse, "/explore"),
            hide_index=True,
            column_config={"Explore": st.column_config.LinkColumn("", display_text="Explore", width="small")},
        )


def _head(overview: Overview) -> None:
    now_us = shell.now_us()
    look = words.STATES[overview.health.state]
    age_us = now_us - overview.at_ms * 1000
    with shell.head("Overview"):
        st.badge(look.text, icon=look.icon, color=look.color)
        st.space("stretch")
        st.caption(
            f"As of {formats.clock_time(overview.at_ms * 1000, shell.viewer_zone())} "
            f"({formats.zone_text(shell.viewer_zone(), now_us)}), {formats.duration(max(0, age_us) / 1e6)} old",
            width="content",
        )


def _health(health: Health) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.subheader("Health", anchor=False, width="content", help="Each part of Muninn as it is now.")
        for part in health.parts:
            look = words.STATES[part.state]
            st.badge(part.part, icon=look.icon, color=look.color, help="; ".join(part.reasons) or "ok")
    if health.state != "ok":
        st.markdown(words.trouble_text(health.parts))


def _stored_by_day() -> list[float]:
    """Bytes of each day up to today."""
    pipeline = shell.current_reads().pipeline()
    return tables.bytes_by_day(tables.daily(pipeline.partitions or (), pipeline.at_ms))[1]


def _key_figures(overview: Overview) -> None:
    window = asked.last_hour()
    taken = sparkline(asked.summed(asked.INGESTED, window, labels=asked.OWN), 60) or []
    lag = sparkline(lines[0]) or [] if (lines := asked.each(asked.BUFFER_LAG, window, "lag")) else []
    days = _stored_by_day()
    with st.grid(4, min_column_width=160, gap="small"):
        shell.figure(
            "Samples per minute",
            formats.count(overview.totals.samples_per_min),
            "Stored in the last whole minute; the course is what came in over the last hour.",
            taken,
            f"peak {formats.quantity(max(taken), '')}" if taken else None,
        )
        shell.figure(
            "Buffer lag",
            formats.duration(lag[-1]) if lag else formats.NOTHING,
            "Age of the oldest sample that is taken in and not stored yet, worst of each minute.",
            lag,
            f"peak {formats.duration(max(lag))}" if lag else None,
        )
        shell.figure(
            "Series",
            formats.count(overview.totals.series),
            "Different combinations of metric, labels and sender that Muninn knows.",
            note=f"{len(shell.current_reads().catalogue())} metrics",
        )
        shell.figure(
            "On disk",
            formats.quantity(overview.totals.bytes_on_disk, "B"),
            "Raw samples and rollups; the course is what each day holds.",
            days if len(days) > 1 else None,
            f"today {formats.quantity(days[-1], 'B')}" if days else None,
            bars=True,
        )


def _hosts(overview: Overview) -> None:
    if not overview.hosts:
        st.caption("No host sends `cpu_busy_pct` with a label `host` yet. The host collector does, once it runs.")
        return
    window = asked.last_hour()
    names = [load.host for load in overview.hosts]
    cpu = {line.name: line for line in asked.by_host("cpu_busy_pct", window, names, {"cpu": "total"})}
    network = {line.name: line for line in asked.network(window, names)}
    st.dataframe(
        tables.hosts(overview.hosts, cpu, network, shell.now_us(), "/explore"),
        hide_index=True,
        column_config={
            "Host": st.column_config.TextColumn(width="medium"),
            "CPU": _share("CPU busy"),
            "Memory": _share("Memory used"),
            "Course": st.column_config.AreaChartColumn("CPU, last hour", y_min=0, y_max=100, color="primary"),
            "Load": st.column_config.NumberColumn("Load, 1 min", format="%.2f"),
            "Network": st.column_config.TextColumn("Network in and out", alignment="right"),
            "Explore": st.column_config.LinkColumn("", display_text="Explore", width="small"),
        },
    )


def _share(label: str) -> ColumnConfig:
    return st.column_config.ProgressColumn(label, min_value=0, max_value=100, format="%.1f %%")


def _host_charts(hosts: list[str], window: Window) -> None:
    axis = TimeAxis(window, shell.viewer_zone())
    received, sent = asked.by_host(asked.RECEIVED, window, hosts), asked.by_host(asked.SENT, window, hosts)
    panels = [
        Panel("CPU busy", "%", asked.by_host("cpu_busy_pct", window, hosts, {"cpu": "total"}), from_zero=True),
        Panel("Memory used", "%", asked.by_host("memory_used_pct", window, hosts), from_zero=True),
        Panel("Network, loopback left out", "B/s", _both_ways(received, sent), from_zero=True),
        Panel("Load over 1 minute", "tasks", asked.by_host("load_1m", window, hosts), from_zero=True),
    ]
    with st.grid(2, min_column_width=420, gap="small"):
        for index, panel in enumerate(panels):
            _host_chart(panel, axis, f"host-chart-{index}")


def _both_ways(received: list[Line], sent: list[Line]) -> list[Line]:
    several = max(len(received), len(sent)) > 1
    return [
        replace(line, name=f"{line.name} {way}" if several else way)
        for way, lines in (("received", received), ("sent", sent))
        for line in lines
    ]


def _host_chart(panel: Panel, axis: TimeAxis, key: str) -> None:
    if not panel.lines:
        st.caption(f"{panel.title}: no host sends this.")
        return
    figure = trend_figure([panel], axis, height=CHART_HEIGHT)
    st.plotly_chart(figure, config=CONFIG, key=key, alt=f"{panel.title} of the busiest hosts over time")


def _changes(changes: Sequence[Change]) -> None:
    if not changes:
        st.caption("Nothing left its usual range in the last hour. Muninn needs some minutes of data to compare.")
        return
    window = asked.last_hour()
    with st.grid(3, min_column_width=300, gap="small"):
        for change in changes:
            with st.container(border=True, height="stretch", gap="xsmall"), shell.guard("This change"):
                _change(change, window)


def _change(change: Change, window: Window) -> None:
    st.metric(
        words.escaped(change.key.metric),
        formats.quantity(change.now, change.unit),
        delta=words.change_delta(change),
        # Whether more is worse depends on the metric: the arrow tells the direction, no colour judges it.
        delta_color="off",
        chart_data=sparkline(asked.summed(change.key.metric, window, labels=dict(change.key.labels))),
        chart_type="area",
    )
    st.caption(words.escaped(change.summary))
    st.page_link(
        shell.EXPLORE_PAGE,
        label="Explore",
        icon=":material/query_stats:",
        query_params=words.explore_params(change.key),
    )


if __name__ == "__main__":
    render()
