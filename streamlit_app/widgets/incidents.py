"""Incidents as figures and tables. Pure functions of values.

Belongs here: the time line, a series with its expected band, contributions, tables. Does not: reading, Streamlit.
"""

from collections.abc import Sequence
from datetime import tzinfo

import numpy as np
import plotly.graph_objects as go
import polars as pl
from numpy.typing import NDArray

from muninn import names
from muninn.model import SeriesKey
from muninn.reads import AffectedSeries, IncidentInfo, Trend
from streamlit_app.widgets import formats
from streamlit_app.widgets.charts import Panel, TimeAxis, line_color
from streamlit_app.widgets.lines import Line, with_gaps

UNKNOWN = "cause not known"
_BAR_HEIGHT, _FRAME_HEIGHT = 34, 110
_WORDS = {True: "useful", False: "not useful", None: ""}


def cause_of(incident: IncidentInfo) -> str:
    """The most probable cause, in a word."""
    return incident.causes[0].name if incident.causes else UNKNOWN


def timeline_figure(incidents: Sequence[IncidentInfo], axis: TimeAxis) -> go.Figure:
    """A bar for each incident from its start to its end, a row a cause; one that is open reaches to the right edge."""
    rows = sorted({cause_of(each) for each in incidents}, reverse=True)
    figure = go.Figure()
    for name, color, mine in (
        ("over", line_color(0), [each for each in incidents if each.closed_ms is not None]),
        ("open", line_color(1), [each for each in incidents if each.closed_ms is None]),
    ):
        if not mine:
            continue
        ends = np.array([[each.opened_ms, each.closed_ms or axis.window.until_us // 1000] for each in mine], np.int64)
        ends[:, 1] = np.maximum(ends[:, 1], ends[:, 0] + axis.window.length_us // 1000 // 400)
        wall = axis.wall(ends.ravel()).reshape(-1, 2)
        figure.add_trace(
            go.Scatter(
                x=np.insert(wall.astype("datetime64[ms]"), 2, np.datetime64("NaT"), axis=1).ravel(),
                y=[value for each in mine for value in (cause_of(each), cause_of(each), None)],
                customdata=[value for each in mine for value in (_hint(each), _hint(each), "")],
                name=name,
                mode="lines",
                line={"color": color, "width": 14},
                connectgaps=False,
                hovertemplate="%{customdata}<extra></extra>",
            )
        )
    figure.update_layout(
        height=_FRAME_HEIGHT + _BAR_HEIGHT * len(rows),
        margin={"l": 8, "r": 8, "t": 10, "b": 8},
        hovermode="closest",
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 1, "xanchor": "right"},
        uirevision="keep",
    )
    figure.update_xaxes(type="date", range=axis.range, title={"text": axis.title, "standoff": 6}, showgrid=False)
    figure.update_yaxes(
        categoryorder="array", categoryarray=rows, automargin=True, title={"text": "probable cause", "standoff": 24}
    )
    return figure


def _hint(incident: IncidentInfo) -> str:
    return f"{incident.title}<br>score {incident.score:.2f}, {incident.series_count} series"


def band_panel(series: AffectedSeries, trend: Trend | None) -> Panel:
    """The series with its expected value and band; of a counter its rise per second.

    trend: the stored samples around it, of this series alone; None where it has none.
    """
    meta = names.describe(series.key.metric)
    counter = meta.kind == "counter"
    unit = formats.rate_unit(meta.unit) if counter else meta.unit
    seen = Line("as judged", series.at_ms, series.seen)
    if trend is not None and trend.series and not counter:
        found = trend.series[0]
        seen = with_gaps(Line("measured", found.at_ms, found.avg), trend.step_us)
    expected = Line("expected", series.at_ms, series.expected_then, series.low_then, series.high_then)
    return Panel("", unit, [seen, expected])


def contributions_figure(shares: Sequence[tuple[str, float]]) -> go.Figure:
    """A bar a view with its signed share of the score: to the right above its range, to the left below."""
    ordered = list(reversed(shares))
    values: NDArray[np.float64] = np.array([share for _, share in ordered])
    figure = go.Figure(
        go.Bar(
            x=values,
            y=[name for name, _ in ordered],
            orientation="h",
            marker={"color": [line_color(1) if value >= 0 else line_color(0) for value in values]},
            hovertemplate="%{y}: %{x:+.2f}<extra></extra>",
        )
    )
    figure.update_layout(
        height=_FRAME_HEIGHT + 26 * len(ordered), margin={"l": 8, "r": 8, "t": 10, "b": 8}, showlegend=False
    )
    figure.update_xaxes(title={"text": "share of the score (below · above its range)"}, zeroline=True, range=[-1, 1])
    figure.update_yaxes(automargin=True, title={"text": "view"})
    return figure


def incident_table(incidents: Sequence[IncidentInfo], tz: tzinfo, now_us: int) -> pl.DataFrame:
    """One row an incident."""
    return pl.DataFrame(
        {
            "Began": [formats.clock_time(each.opened_ms * 1000, tz) for each in incidents],
            "State": ["open" if each.closed_ms is None else "over" for each in incidents],
            "Lasted": [_lasted(each, now_us) for each in incidents],
            "Score": [each.score for each in incidents],
            "What": [each.title for each in incidents],
            "Probable cause": [cause_of(each) for each in incidents],
            "Series": [each.series_count for each in incidents],
            "Marked": [_WORDS[each.useful] for each in incidents],
        }
    )


def series_table(series: Sequence[AffectedSeries], tz: tzinfo) -> pl.DataFrame:
    """One row a series of an incident, at its peak."""
    units = [_unit(each.key) for each in series]
    return pl.DataFrame(
        {
            "Series": [series_name(each.key) for each in series],
            "Began": [formats.clock_time(each.opened_ms * 1000, tz) for each in series],
            "Score": [each.score for each in series],
            "Seen": [formats.quantity(each.value, unit) for each, unit in zip(series, units, strict=True)],
            "Expected": [formats.quantity(each.expected, unit) for each, unit in zip(series, units, strict=True)],
            "Band": [
                f"{formats.quantity(each.low, unit)} … {formats.quantity(each.high, unit)}"
                for each, unit in zip(series, units, strict=True)
            ],
            "Confidence": [each.confidence for each in series],
            "Over": ["" if each.closed_ms is None else _time(each.closed_ms, tz) for each in series],
        }
    )


def series_name(key: SeriesKey) -> str:
    """A series in one line."""
    labels = {**dict(key.labels), **({"instance": key.instance_id} if key.instance_id else {})}
    return f"{key.metric} {{{', '.join(f'{name}={value}' for name, value in sorted(labels.items()))}}}"


def useful_share(incidents: Sequence[IncidentInfo]) -> str:
    """How many of those that somebody marked were useful."""
    marked = [each.useful for each in incidents if each.useful is not None]
    return f"{sum(marked)} of {len(marked)}" if marked else formats.NOTHING


def _unit(key: SeriesKey) -> str:
    meta = names.describe(key.metric)
    return formats.rate_unit(meta.unit) if meta.kind == "counter" else meta.unit


def _lasted(incident: IncidentInfo, now_us: int) -> str:
    return formats.duration(((incident.closed_ms or now_us // 1000) - incident.opened_ms) / 1000)


def _time(at_ms: int, tz: tzinfo) -> str:
    return formats.clock_time(at_ms * 1000, tz)
