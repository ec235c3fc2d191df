"""The live board: charts that the browser draws itself, fed by the sidecar's WebSocket, without any rerun.

Belongs here: joining the component's files and mounting it. Does not: which charts there are (presets).
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import streamlit as st

from muninn import settings
from streamlit_app.components.live_board.presets import Chart

HERE = Path(__file__).parent
# One module for the browser: each file may use what those before it define.
SCRIPTS = ("format.js", "stream.js", "lines.js", "chart.js", "board.js")
HINT = (
    "`muninn status` tells whether the sidecar runs. Where this page is opened under another name than localhost, "
    "the sidecar must listen there (MUNINN_SIDECAR_HOST) and let the page in (MUNINN_SIDECAR_ORIGINS); behind a proxy "
    "set MUNINN_SIDECAR_PUBLIC_URL."
).replace("`", "")


def script() -> str:
    """The component's JavaScript as one module."""
    return "\n".join((HERE / name).read_text(encoding="utf-8") for name in SCRIPTS)


_mount = st.components.v2.component(
    "muninn_live_board",
    html='<div class="live-board"></div>',
    css=(HERE / "board.css").read_text(encoding="utf-8"),
    js=script(),
)


def windows(window_s: int) -> list[int]:
    """The spans that a viewer may choose from, in seconds, up to what the sidecar keeps."""
    return [seconds for seconds in (60, 300, 900, 1800) if seconds < window_s] + [window_s]


def live_board(charts: Sequence[Chart], sidecar: settings.Sidecar, columns: int, key: str, ticket: str = "") -> None:
    """Show these charts; the same `key` keeps the connection and what it brought when the charts change.

    ticket: what the sidecar is shown, where it asks.
    """
    data = {
        "charts": [asdict(chart) for chart in charts],
        "columns": columns,
        "url": sidecar.public_url,
        "port": sidecar.port,
        "windows_s": windows(sidecar.window_s),
        "hint": HINT,
        "ticket": ticket,
    }
    _mount(data=data, key=key)
