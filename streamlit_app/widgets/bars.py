"""Bars over time: a row a subject, a bar from begin to end; those that overlap lie side by side in their row.

Belongs here: lanes, labels, the figure. Does not: what a bar stands for (alerts, incidents).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from streamlit_app.widgets.charts import TimeAxis

MAX_LANES = 40
_LANE_PX, _FRAME_PX, _FEWEST_LANES = 24, 104, 2
_CHAR_PX, _TITLE_PX = 6.1, 40
_LABEL_LIMIT = 44
# A bar takes at least this share of the width, so that a short one is still to be seen and hit.
_LEAST_SHARE = 1 / 300
_SEPARATOR = "rgba(128, 128, 128, 0.22)"


@dataclass(frozen=True)
class Bar:
    """kind: what the legend tells apart. ident: what a click on it means. hint: HTML."""

    row: str
    since_ms: int
    until_ms: int
    kind: str
    hint: str
    ident: str


@dataclass(frozen=True)
class Placed:
    """A bar with its lane, counted from the top."""

    bar: Bar
    lane: int


def placed(bars: Sequence[Bar], most: int = MAX_LANES) -> tuple[list[Placed], list[tuple[str, int, int]]]:
    """Every bar in the first lane of its row that is free by then, and (row, first lane, number of lanes) in order.

    Rows come in the order of their first bar; those beyond `most` lanes are left out.
    """
    by_row: dict[str, list[Bar]] = {}
    for bar in bars:
        by_row.setdefault(bar.row, []).append(bar)
    found, rows, first = list[Placed](), list[tuple[str, int, int]](), 0
    for row, own in by_row.items():
        free: list[int] = []
        mine = []
        for bar in sorted(own, key=lambda each: (each.since_ms, each.until_ms)):
            lane = next((place for place, until in enumerate(free) if until <= bar.since_ms), len(free))
            free[lane : lane + 1] = [bar.until_ms]
            mine.append(Placed(bar, first + lane))
        if first + len(free) > most and rows:
            break
        found += mine
        rows.append((row, first, len(free)))
        first += len(free)
    return found, rows


def bars_figure(
    bars: Sequence[Bar], axis: TimeAxis, colours: Mapping[str, str], rows_title: str, chosen: str = ""
) -> go.Figure:
    """The figure; colours: kind -> colour, in the order of the legend. chosen: the bar that has an outline."""
    least_ms = round(axis.window.length_us / 1000 * _LEAST_SHARE)
    since_ms, until_ms = axis.window.since_us // 1000, axis.window.until_us // 1000
    wide = [_within(bar, since_ms, until_ms, least_ms) for bar in bars]
    found, rows = placed(wide)
    figure = go.Figure()
    for kind, colour in colours.items():
        mine = [each for each in found if each.bar.kind == kind]
        if mine:
            figure.add_bar(**_trace(mine, axis, chosen), name=kind, marker_color=colour)
    _lay_out(figure, rows, axis, rows_title)
    return figure


def _within(bar: Bar, since_ms: int, until_ms: int, least_ms: int) -> Bar:
    """The part of it that lies in the window, wide enough to be seen."""
    begin = min(max(bar.since_ms, since_ms), until_ms - least_ms)
    end = max(min(bar.until_ms, until_ms), begin + least_ms)
    return Bar(bar.row, begin, end, bar.kind, bar.hint, bar.ident)


def _trace(found: Sequence[Placed], axis: TimeAxis, chosen: str) -> dict[str, Any]:
    return {
        "orientation": "h",
        "y": [each.lane for each in found],
        "width": 0.62,
        "base": axis.wall(np.array([each.bar.since_ms for each in found], np.int64)),
        "x": [each.bar.until_ms - each.bar.since_ms for each in found],
        "customdata": [[each.bar.ident, each.bar.hint] for each in found],
        "hovertemplate": "%{customdata[1]}<extra></extra>",
        "marker_line_width": [2 if each.bar.ident == chosen else 0 for each in found],
        "marker_line_color": "rgba(128, 128, 128, 0.95)",
    }


def _lay_out(figure: go.Figure, rows: Sequence[tuple[str, int, int]], axis: TimeAxis, rows_title: str) -> None:
    lanes = max(_FEWEST_LANES, sum(count for _, _, count in rows))
    labels = [_short(row) for row, _, _ in rows]
    left = round(_CHAR_PX * max(map(len, labels), default=0)) + _TITLE_PX
    figure.update_layout(
        height=_FRAME_PX + _LANE_PX * lanes,
        barmode="overlay",
        margin={"l": left, "r": 8, "t": 8, "b": 8},
        hovermode="closest",
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 1, "xanchor": "right"},
        showlegend=True,
        uirevision="keep",
        shapes=[
            {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": first - 0.5, "y1": first - 0.5,
             "line": {"color": _SEPARATOR, "width": 1}, "layer": "below"}
            for _, first, _ in rows
        ],
    )  # fmt: skip
    figure.update_xaxes(type="date", range=axis.range, title={"text": axis.title, "standoff": 6}, showgrid=True)
    figure.update_yaxes(
        range=[lanes - 0.5, -0.5],
        tickvals=[first + (count - 1) / 2 for _, first, count in rows],
        ticktext=labels,
        automargin=False,
        showgrid=False,
        zeroline=False,
        fixedrange=True,
        title={"text": rows_title, "standoff": left - _TITLE_PX + 14},
    )


def _short(text: str) -> str:
    return text if len(text) <= _LABEL_LIMIT else f"{text[: _LABEL_LIMIT - 1]}…"
