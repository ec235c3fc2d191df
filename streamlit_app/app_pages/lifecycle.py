"""Lifecycle: where each day's samples lie, what that takes, what becomes of them next, and what came late.

Belongs here: the order of the page. Does not: figures and texts (widgets), data (muninn.reads).
"""

from typing import Literal

import streamlit as st

from muninn.reads.lifecycle import LifecycleState
from streamlit_app import shell
from streamlit_app.widgets import formats, tiers
from streamlit_app.widgets.charts import CONFIG

REFRESH_S = 30
TASKS = 30
TABLE_HEIGHT = 300
# A longer table scrolls.
TABLE_ROWS = 8
COUNTED = "Counted when the day's files are written; – until then."


def render() -> None:
    """The whole page."""
    shell.head("Lifecycle", help="From the database to files, and from there to nothing, each day in its time.")
    shell.auto_refresh(body, REFRESH_S)


def body() -> None:
    """All of it, from one answer."""
    state = shell.current_reads().lifecycle(shell.current_settings())
    if not state.days:
        shell.say_no_data()
        return
    _figures(state)
    with shell.panel("Bytes by day and tier", help="Rollups of an hour and a day lie in partitions of many days."):
        figure = tiers.tiers_figure(state.days)
        st.plotly_chart(figure, config=CONFIG, key="tiers", alt="Bytes on disk by day and tier")
        st.caption(_in_words(state))
    with st.grid(2, min_column_width=600, gap="small"):  # as wide as the widest table
        with shell.panel("What happens next"):
            _tasks(state)
        with shell.panel("Days", help="A day in files answers the same questions as one in the database."):
            st.dataframe(
                tiers.days(state.days),
                hide_index=True,
                height=_height(len(state.days)),
                column_config={"Samples": st.column_config.TextColumn(alignment="right", help=COUNTED)},
            )
        with shell.panel("Kept for"):
            st.dataframe(tiers.horizons(state.horizons), hide_index=True)
        with shell.panel("Late samples", help="Samples of closed buckets, and how soon every resolution had them."):
            _late(state)


def _figures(state: LifecycleState) -> None:
    database, files, rollups = tiers.totals(state)
    due = [task for task in state.tasks if task.due]
    with st.grid("auto", min_column_width=165, gap="small"):
        shell.figure("Raw, in the database", formats.quantity(database, "B"), "Partitions with their indexes.")
        shell.figure("In files", formats.quantity(files, "B"), "Raw samples and copies of rollups, in Parquet.")
        shell.figure("Rollups", formats.quantity(rollups, "B"), "In the database, in partitions of one day.")
        ratio = formats.NOTHING if state.ratio is None else f"{state.ratio:.0f}×"
        shell.figure("Smaller in files", ratio, "Raw samples in the database against the same in files.")
        moved = sum(day.moved for day in state.days)
        shell.figure("Days in files only", f"{moved} of {len(state.days)}", "Days whose raw samples left the database.")
        shell.figure("Due now", formats.count(len(due)), "What the next night does.")


def _in_words(state: LifecycleState) -> str:
    if not state.cold_enabled:
        return f"Raw samples are dropped after {state.raw_days} days; MUNINN_COLD_ENABLED has them copied to files."
    if state.hot_days >= state.raw_days:
        return f"Raw samples are dropped after {state.raw_days} days in the database, with a copy in files meanwhile."
    return (
        f"Raw samples stay in the database for {state.hot_days} days, then in files only,"
        f" and are dropped after {state.raw_days} days."
    )


def _tasks(state: LifecycleState) -> None:
    if not state.tasks:
        st.caption("No day has closed yet: the first is exported a day after its end.")
        return
    st.dataframe(
        tiers.tasks(state.tasks[:TASKS], shell.now_us()),
        hide_index=True,
        height=_height(len(state.tasks[:TASKS])),
        column_config={"At (UTC)": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm")},
    )
    if any(task.due for task in state.tasks):
        st.caption("Dagster does it every night; `muninn lifecycle export` and `muninn lifecycle retention` do it now.")


def _late(state: LifecycleState) -> None:
    if not state.late:
        st.caption("No sample came later than its bucket was closed.")
        return
    st.dataframe(tiers.late(state.late, shell.viewer_zone()), hide_index=True, height=_height(len(state.late)))


def _height(rows: int) -> int | Literal["auto"]:
    return TABLE_HEIGHT if rows > TABLE_ROWS else "auto"


if __name__ == "__main__":
    render()
