"""Pipeline: how samples flow from the door to the rollups, what they take on disk, what Dagster did last.

Belongs here: the order of the page. Does not: figures and texts (widgets), data (muninn.reads).
"""

from collections.abc import Sequence

import streamlit as st

from muninn.reads import PartitionInfo, PipelineState
from muninn.reads.dagster_runs import DagsterRuns, last_runs
from streamlit_app import asked, shell
from streamlit_app.widgets import formats, tables, words
from streamlit_app.widgets.charts import CONFIG, Panel, TimeAxis, day_figure, trend_figure

STATE_S = 5
COURSE_S = 20
RUNS_S = 15
RUNS = 10
LETTERS = 50
CHART_HEIGHT = 260
# A longer table scrolls.
TABLE_ROWS = 6
TABLE_HEIGHT = 250
NOT_KNOWN = "Not known while the database is away."


def render() -> None:
    """The whole page."""
    shell.head("Pipeline", help="From the door to the rollups, and what Dagster made of it.")
    shell.auto_refresh(state, STATE_S)
    shell.auto_refresh(courses, COURSE_S)
    shell.auto_refresh(store, COURSE_S)
    shell.auto_refresh(letters, COURSE_S)
    shell.auto_refresh(lineage, RUNS_S)


def state() -> None:
    """The figures of now."""
    pipeline = shell.current_reads().pipeline()
    if pipeline.store_away is not None:
        st.warning(
            f"{pipeline.store_away[:1].upper()}{pipeline.store_away[1:]}. The programs' own figures go on; "
            "those of the store come back with it.",
            icon=":material/cloud_off:",
        )
    elif pipeline.newest_sample_ms is None:
        shell.say_no_data()
    now_us = shell.now_us()
    newest_us = None if pipeline.newest_sample_ms is None else pipeline.newest_sample_ms * 1000
    newest = formats.ago(newest_us, now_us) if pipeline.store_away is None else formats.NOTHING
    with st.grid("auto", min_column_width=145, gap="small"):
        shell.figure("Taken in", formats.quantity(pipeline.ingest_samples_per_s, "/s"), "Samples at the door.")
        shell.figure("Stored", formats.quantity(pipeline.stored_samples_per_s, "/s"), "Samples into the store.")
        shell.figure("Refused", formats.quantity(pipeline.rejected_samples_per_s, "/s"), "Bad samples.")
        shell.figure(
            "In the buffer",
            formats.count(pipeline.buffer_depth_entries),
            f"Entries that are not stored yet; {formats.quantity(pipeline.buffer_bytes, 'B')} in all.",
        )
        shell.figure("Loader lag", formats.duration(pipeline.loader_lag_s), "From taken in to stored.")
        shell.figure("Newest sample", newest, "The latest instant in the store.")
        shell.figure(
            "Late rows",
            formats.count(pipeline.late_rows_waiting),
            "Rows of closed buckets that wait; the next refresh folds them in.",
        )


def courses() -> None:
    """The last hour, from Muninn's own series."""
    window = asked.so_far(asked.INGESTED, asked.OWN)
    axis = TimeAxis(window, shell.viewer_zone())
    rates = [
        asked.summed(asked.INGESTED, window, "taken in", asked.OWN),
        asked.summed(asked.STORED, window, "stored", asked.OWN),
        asked.summed(asked.REJECTED, window, "refused", asked.OWN),
    ]
    with st.grid(2, min_column_width=420, gap="small"):
        _course("Samples per second", Panel("", "/s", [r for r in rates if r.points], from_zero=True), axis)
        lags = [*asked.each(asked.LOADER_LAG, window, "loader"), *asked.each(asked.BUFFER_LAG, window, "buffer")]
        _course("Worst lag of each step", Panel("", "s", lags, from_zero=True), axis)
        depth = asked.each(asked.BUFFER_DEPTH, window, "entries")
        _course("Most entries not stored yet", Panel("", "entries", depth, from_zero=True), axis)
        memory = asked.each(asked.PROGRAM_MEMORY, window, "program")
        _course("Resident memory of Muninn's programs", Panel("", "B", memory, from_zero=True), axis)


def _course(title: str, panel: Panel, axis: TimeAxis) -> None:
    with shell.panel(title):
        if not panel.lines:
            st.caption("Muninn's own series have not come yet: they flow while its programs run.")
            return
        figure = trend_figure([panel], axis, height=CHART_HEIGHT)
        st.plotly_chart(figure, config=CONFIG, key=f"course-{title}", alt=f"{title} over time")


def store() -> None:
    """What lies on disk, and how fresh the rollups are."""
    pipeline = shell.current_reads().pipeline()
    with st.grid(2, min_column_width=440, gap="small"):
        with shell.panel("Bytes by day", help="Partitions that hold one day each."):
            if pipeline.partitions is None:
                st.caption(NOT_KNOWN)
            else:
                _partitions(pipeline.partitions, pipeline.at_ms)
        with st.container(gap="small"):
            with shell.panel("Rollups", help="Buckets before `closed up to` are refreshed; newer ones are read raw."):
                if pipeline.resolutions is None:
                    st.caption(NOT_KNOWN)
                else:
                    st.dataframe(tables.freshness(pipeline.resolutions, shell.viewer_zone()), hide_index=True)
            with shell.panel("Programs"):
                _programs(pipeline)


def _partitions(partitions: Sequence[PartitionInfo], at_ms: int) -> None:
    if not partitions:
        st.caption("No partition yet.")
        return
    daily = tables.daily(partitions, at_ms)
    figure = day_figure(*tables.bytes_by_day(daily), "B", tables.contents_by_day(daily))
    st.plotly_chart(figure, config=CONFIG, key="bytes-by-day", alt="Bytes on disk by day")
    others = sum(one.bytes for one in partitions) - sum(one.bytes for one in daily)
    st.caption(f"{formats.quantity(others, 'B')} more lie in partitions of many days, or of days to come.")
    st.dataframe(
        tables.partitions(partitions, at_ms),
        hide_index=True,
        height=TABLE_HEIGHT if len(partitions) > TABLE_ROWS else "auto",
        column_config={
            "Since (UTC)": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm"),
            "Until (UTC)": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm"),
            "Rows": st.column_config.NumberColumn("Rows, about", format="localized"),
            "B per row": st.column_config.TextColumn(alignment="right"),
            "Size": st.column_config.TextColumn(alignment="right"),
        },
    )


def letters() -> None:
    """What could not be stored, and why."""
    found = shell.current_reads().dead_letters(LETTERS)
    with shell.panel(
        "Dead letters", help="Entries and samples that could not be stored, kept aside with their reason."
    ):
        if not found.count:
            st.caption("None: everything that was taken in could be stored.")
            return
        st.dataframe(
            tables.dead_letters(found.newest, shell.viewer_zone()),
            hide_index=True,
            height=TABLE_HEIGHT if found.count > TABLE_ROWS else "auto",
            column_config={"Samples": st.column_config.NumberColumn(format="localized")},
        )
        st.caption(
            f"{found.count:,} in all. `muninn deadletter show ID` shows one; mend what was wrong, then "
            "`muninn deadletter replay ID` sends it again, once; `muninn deadletter drop ID` forgets it."
        )


def _programs(pipeline: PipelineState) -> None:
    if not pipeline.programs:
        st.caption("No program gives a sign of life: is Redis reachable, and does `muninn up` run?")
        return
    st.dataframe(tables.programs(pipeline.programs, shell.now_us()), hide_index=True)


def lineage() -> None:
    """The last Dagster runs, with the way to each."""
    found = last_runs(shell.current_settings().dagster, RUNS)
    with shell.panel("Last Dagster runs"):
        with st.container(horizontal=True, gap="small"):
            st.link_button("Asset graph", found.graph_url, icon=":material/account_tree:")
            st.link_button("All runs", found.runs_url, icon=":material/list:")
        _runs(found)


def _runs(found: DagsterRuns) -> None:
    if found.trouble:
        st.warning(
            f"{found.trouble}. Samples flow without it; `muninn status` tells whether it should run.",
            icon=":material/cloud_off:",
        )
    elif not found.runs:
        st.caption("Dagster has not run anything yet: schedules and sensors start within the hour.")
    else:
        st.dataframe(
            tables.runs(found.runs, shell.now_us()),
            hide_index=True,
            column_config={
                "Status": st.column_config.MultiselectColumn(
                    options=list(words.RUN_COLORS), color=list(words.RUN_COLORS.values())
                ),
                "Run": st.column_config.LinkColumn(display_text="Open", width="small"),
            },
        )


if __name__ == "__main__":
    render()
