"""The dashboards' entry: `streamlit run streamlit_app/app.py`. Names the pages; each page does its own work."""

from pathlib import Path

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from streamlit_app import entry, shell

HERE = Path(__file__).parent


def main() -> None:
    """Lay out the window and run the page that was asked for."""
    st.set_page_config(
        page_title="Muninn",
        page_icon=str(HERE / "static" / "icon.svg"),
        layout="wide",
        initial_sidebar_state="collapsed",
    )
    st.logo(str(HERE / "static" / "logo.svg"), size="large")
    let_in = False
    with shell.guard("The entry", again=True):
        let_in = entry.is_let_in()
    page = asked_for(let_in)
    if let_in:
        page.run()


def asked_for(let_in: bool) -> StreamlitPage:
    """The page that was asked for, of all there are; the address keeps it while a token is asked for."""
    found = [
        st.Page("app_pages/overview.py", title="Overview", icon=":material/monitor_heart:", default=True),
        st.Page("app_pages/live.py", title="Live", icon=":material/sensors:"),
        st.Page("app_pages/explore.py", title="Explore", icon=":material/query_stats:"),
        st.Page("app_pages/anomalies.py", title="Anomalies", icon=":material/troubleshoot:"),
        st.Page("app_pages/alerts.py", title="Alerts", icon=":material/notifications_active:"),
        st.Page("app_pages/cardinality.py", title="Cardinality", icon=":material/scatter_plot:"),
        st.Page("app_pages/pipeline.py", title="Pipeline", icon=":material/account_tree:"),
        st.Page("app_pages/lifecycle.py", title="Lifecycle", icon=":material/layers:"),
    ]
    return st.navigation(found, position="top" if let_in else "hidden")


main()
