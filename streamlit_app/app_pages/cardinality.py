"""Cardinality: how many series there are, of what, what makes them grow, and what the door refused.

Belongs here: the order of the page. Does not: figures and texts (widgets), data (muninn.reads).
"""

import numpy as np
import polars as pl
import streamlit as st
from streamlit.elements.lib.column_types import ColumnConfig

from muninn.clock import HOUR_US
from muninn.model import Window
from muninn.reads.cardinality import Cardinality, Growth
from streamlit_app import shell
from streamlit_app.widgets import cardinality as tables
from streamlit_app.widgets import formats
from streamlit_app.widgets.charts import CONFIG, Panel, TimeAxis, trend_figure
from streamlit_app.widgets.lines import Line

AGAIN_S = 30
ROWS = 50
CHART_HEIGHT = 260
# A longer table scrolls.
TABLE_ROWS, TABLE_HEIGHT = 10, 400
# Widths in half a page; a name that is longer can be widened.
_NAME_PX, _FIGURE_PX = 270, 82
ALL_METRICS = "All metrics"


def render() -> None:
    """The whole page."""
    shell.head("Cardinality", help="Series are metric, labels, agent and instance; each one costs memory for ever.")
    shell.auto_refresh(body, AGAIN_S)


def body() -> None:
    """Everything, from one answer."""
    metric = st.session_state.get("labels-of", ALL_METRICS)
    found = shell.current_reads().cardinality(None if metric == ALL_METRICS else metric, ROWS)
    if not found.series:
        shell.say_no_data()
        return
    _figures(found)
    _growth(found.growth)
    with st.grid(2, min_column_width=440, gap="small"):
        with shell.panel("Metrics", help="By series; `new` are those first seen within the last hour and day."):
            _table(tables.groups(found.metrics, "Metric"), narrow=True)
        with shell.panel("Sources", help="By source agent."):
            _table(tables.groups(found.sources, "Source agent"), narrow=True)
    _labels(found)
    _refused(found)


def _figures(found: Cardinality) -> None:
    with st.grid("auto", min_column_width=165, gap="small"):
        shell.figure("Series", formats.count(found.series), "All that were ever seen.")
        shell.figure("Active", formats.count(found.active), "Those that sent something within the last hour.")
        shell.figure("New in an hour", formats.count(found.new_hour), "First seen within the last hour.")
        shell.figure("New in a day", formats.count(found.new_day), "First seen within the last day.")
        times = sum(each.times for each in found.refused)
        shell.figure("Refused", formats.count(times), "New series over a limit, each time that one came.")


def _growth(growth: Growth) -> None:
    window = Window(int(growth.at_ms[0]) * 1000, int(growth.at_ms[-1]) * 1000 + HOUR_US)
    axis = TimeAxis(window, shell.viewer_zone())
    with st.grid(2, min_column_width=420, gap="small"):
        for title, y in (("Series in all", growth.total), ("New series an hour", growth.new)):
            with shell.panel(title, help="The last point is the hour that is not over yet."):
                line = Line(title, growth.at_ms, y.astype(np.float64))
                figure = trend_figure([Panel("", "series", [line], from_zero=True)], axis, height=CHART_HEIGHT)
                st.plotly_chart(figure, config=CONFIG, key=f"growth-{title}", alt=f"{title} over time")


def _table(frame: pl.DataFrame, *, narrow: bool = False) -> None:
    """narrow: of half a page, where one long name would push the figures out of sight."""
    columns: dict[str, ColumnConfig] = {}
    for name, kind in frame.schema.items():
        if kind.is_integer():
            columns[name] = st.column_config.NumberColumn(format="localized", width=_FIGURE_PX if narrow else None)
        elif narrow:
            columns[name] = st.column_config.TextColumn(width=_NAME_PX)
    st.dataframe(
        frame,
        hide_index=True,
        height=TABLE_HEIGHT if len(frame) > TABLE_ROWS else "auto",
        column_config=columns,
    )


def _labels(found: Cardinality) -> None:
    with shell.panel("Labels", help=f"By distinct values among the {found.sampled:,} youngest series."):
        st.selectbox("Labels of", [ALL_METRICS, *(group.name for group in found.metrics)], key="labels-of", width=420)
        if found.labels:
            _table(tables.labels(found.labels))
        else:
            st.caption("These series have no labels.")


def _refused(found: Cardinality) -> None:
    with shell.panel("Refused at the door", help="Since each gateway started. Series that are known flow on."):
        if not found.refused:
            st.caption("Nothing was refused: no metric and no source is over its limit.")
            return
        _table(tables.refused(found.refused))
        st.caption(
            "Leave the label to blame out by a `drop_label` rule (MUNINN_CARDINALITY_RULES), have the sender leave it "
            "out, or raise the limit: MUNINN_CARDINALITY_METRIC_* and MUNINN_CARDINALITY_SOURCE_*."
        )


if __name__ == "__main__":
    render()
