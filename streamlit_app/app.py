"""The dashboards' entry: `streamlit run streamlit_app/app.py`. Names the pages; each page does its own work."""

from pathlib import Path

import streamlit as st

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
    pages = [
        st.Page("app_pages/overview.py", title="Overview", icon=":material/monitor_heart:", default=True),
        st.Page("app_pages/live.py", title="Live", icon=":material/sensors:"),
        st.Page("app_pages/explore.py", title="Explore", icon=":material/query_stats:"),
        st.Page("app_pages/pipeline.py", title="Pipeline", icon=":material/account_tree:"),
    ]
    st.navigation(pages, position="top").run()


main()
