"""Live: charts that move, drawn in the browser from the sidecar's stream.

Belongs here: choosing charts. Does not: drawing and streaming (components.live_board).
"""

from collections.abc import Sequence

import streamlit as st

from muninn.errors import MuninnError
from muninn.guard.tickets import LIFE_S
from muninn.reads import MetricInfo
from streamlit_app import entry, shell
from streamlit_app.components.live_board import live_board
from streamlit_app.components.live_board.presets import FIRST_CHOICE, PRESETS, Chart, chart_of, of_host

ALL_HOSTS = "All hosts"
HOST_METRIC = "cpu_busy_pct"


def render() -> None:
    """The whole page."""
    shell.head("Live", help="Drawn as it comes, once a second; the page itself never runs again.")
    with shell.guard("The live board"):
        with shell.asking():
            catalogue = _catalogue()
        charts, columns = _controls(catalogue)
        if not charts:
            st.info("Pick at least one chart above.", icon=":material/sensors:")
            return
        _board(charts, columns)


def _board(charts: list[Chart], columns: int) -> None:
    """The charts; where the sidecar asks for a ticket, it is renewed while the page is open."""

    def draw() -> None:
        live_board(charts, shell.current_settings().sidecar, columns, key="live-board", ticket=entry.ticket())

    shell.auto_refresh(draw, LIFE_S / 2 if entry.ticket() else None)


def _catalogue() -> list[MetricInfo]:
    """Every metric there is; none while the database is away: the stream goes on without it."""
    try:
        return shell.current_reads().catalogue()
    except MuninnError:
        st.caption("The database does not answer: only the prepared charts are offered. They go on without it.")
        return []


def _controls(catalogue: Sequence[MetricInfo]) -> tuple[list[Chart], int]:
    """What the viewer picked: charts and how many stand side by side. The page's address holds it."""
    with st.container(horizontal=True, gap="small", vertical_alignment="bottom"):
        names = _names(catalogue)
        host = _host(catalogue)
        columns = st.segmented_control(
            "Columns", [1, 2, 3], default=2, key="columns", bind="query-params", width="content"
        )
    charts = [chart_of(name, catalogue) for name in names]
    return (charts if host == ALL_HOSTS else of_host(charts, host, catalogue)), columns or 2


def _names(catalogue: Sequence[MetricInfo]) -> list[str]:
    """Ids of prepared charts, and metrics. The address holds them by id: a binding would have it hold the titles."""
    if "charts" not in st.session_state:
        st.session_state["charts"] = _of_address()
    names = st.multiselect(
        "Charts",
        # What was picked stays while the database is away.
        list(dict.fromkeys([*PRESETS, *(metric.metric_name for metric in catalogue), *st.session_state["charts"]])),
        format_func=lambda name: PRESETS[name].title if name in PRESETS else name,
        placeholder="Pick charts or metrics",
        key="charts",
    )
    if names == list(FIRST_CHOICE):
        st.query_params.pop("charts", None)
    else:
        st.query_params["charts"] = names
    return names


def _of_address() -> list[str]:
    """What a link asks for, also one that was made when it held titles; else the first choice."""
    ids = {chart.title: name for name, chart in PRESETS.items()}
    return [ids.get(each, each) for each in st.query_params.get_all("charts")] or list(FIRST_CHOICE)


def _host(catalogue: Sequence[MetricInfo]) -> str:
    """The host to show, asked for where there is more than one."""
    if not any(metric.metric_name == HOST_METRIC for metric in catalogue):
        return ALL_HOSTS
    try:
        hosts = shell.current_reads().label_values(HOST_METRIC, "host")
    except MuninnError:
        return ALL_HOSTS
    if len(hosts) < 2:
        return ALL_HOSTS
    return st.selectbox("Host", [ALL_HOSTS, *hosts], key="host", bind="query-params", width=220)


if __name__ == "__main__":
    render()
