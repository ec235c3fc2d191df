"""Incidents as figures and tables. Pure functions of values.

Belongs here: the time line, a series with its expected band, contributions, tables. Does not: reading, Streamlit.
"""

from collections.abc import Sequence
from datetime import tzinfo
from html import escape

import numpy as np
import plotly.graph_objects as go
import polars as pl
from numpy.typing import NDArray

from muninn import names
from muninn.model import SeriesKey
from muninn.reads import AffectedSeries, IncidentInfo, Trend
from streamlit_app.widgets import formats
from streamlit_app.widgets.bars import Bar, bars_figure
from streamlit_app.widgets.charts import Panel, TimeAxis, line_color, panel_scale, trend_figure
from streamlit_app.widgets.lines import Line, with_gaps

UNKNOWN = "cause not known"
OPEN_COLOUR = "#d9485f"
_FRAME_HEIGHT = 92
_WORDS = {True: "useful", False: "not useful", None: ""}


def cause_of(incident: IncidentInfo) -> str:
    """The most probable cause, in a word."""
    return incident.causes[0].name if incident.causes else UNKNOWN


def timeline_figure(incidents: Sequence[IncidentInfo], axis: TimeAxis, chosen: str = "") -> go.Figure:
    """A bar for each incident from its start to its end, a row a cause; one that is open reaches to the right edge."""
    until_ms = axis.window.until_us // 1000
    order = sorted(incidents, key=lambda each: (cause_of(each) == UNKNOWN, cause_of(each)))
    bars = [
        Bar(
            cause_of(each), each.opened_ms, each.closed_ms or until_ms, state_of(each), _hint(each, axis.tz),
            each.incident_id,
        )
        for each in order
    ]  # fmt: skip
    return bars_figure(bars, axis, {"open": OPEN_COLOUR, "over": line_color(0)}, "Probable cause", chosen)


def state_of(incident: IncidentInfo) -> str:
    """open or over."""
    return "open" if incident.closed_ms is None else "over"


def _hint(incident: IncidentInfo, tz: tzinfo) -> str:
    more = f"{incident.series_count} series, score {incident.score:.2f}"
    return f"{escape(incident.title)}<br>{formats.clock_time(incident.opened_ms * 1000, tz)}, {more}"


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


def band_figure(series: AffectedSeries, trend: Trend | None, axis: TimeAxis, height: int) -> go.Figure:
    """The series over its expected band; the time in which it was odd is shaded, its worst moment marked."""
    panel = band_panel(series, trend)
    figure = trend_figure([panel], axis, band=True, height=height)
    since_ms, until_ms = series.opened_ms, series.closed_ms or axis.window.until_us // 1000
    since, peak, until = axis.wall(np.array([since_ms, series.peak_ms, until_ms], np.int64))
    figure.add_vrect(x0=str(since), x1=str(until), fillcolor=OPEN_COLOUR, opacity=0.08, line_width=0, layer="below")
    divisor = panel_scale(panel, band=True).divisor
    figure.add_scatter(
        x=[peak], y=[series.value / divisor], name="at its worst", mode="markers",
        marker={"color": OPEN_COLOUR, "size": 9, "symbol": "diamond"}, hovertemplate="%{y:,.5~r}",
    )  # fmt: skip
    if not panel.unit:
        figure.update_yaxes(title={"text": series.key.metric})
    # Room for ticks and title from the beginning: what is found while drawing comes too late for the title.
    figure.update_yaxes(automargin=False, title={"standoff": 16})
    figure.update_layout(
        margin={"l": 72},
        legend={"orientation": "h", "x": 1, "xanchor": "right", "y": 1.02, "yanchor": "bottom"},
        showlegend=True,
    )
    return figure


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
    left = round(6.6 * max((len(name) for name, _ in shares), default=0)) + 40
    figure.update_layout(
        height=_FRAME_HEIGHT + 30 * len(ordered), margin={"l": left, "r": 8, "t": 10, "b": 8}, showlegend=False
    )
    title = "Share of the score (left: too low, right: too high)"
    figure.update_xaxes(title={"text": title}, zeroline=True, range=[-1, 1])
    figure.update_yaxes(automargin=False, title={"text": "View", "standoff": left - 26})
    return figure


def incident_table(incidents: Sequence[IncidentInfo], tz: tzinfo, now_us: int) -> pl.DataFrame:
    """One row an incident."""
    return pl.DataFrame(
        {
            "State": [[state_of(each)] for each in incidents],
            "Began": [formats.clock_time(each.opened_ms * 1000, tz) for each in incidents],
            "Lasted": [lasted(each, now_us) for each in incidents],
            "What": [each.title for each in incidents],
            "Probable cause": [cause_of(each) for each in incidents],
            "Score": [each.score for each in incidents],
            "Series": [each.series_count for each in incidents],
            "Marked": [_WORDS[each.useful] for each in incidents],
        },
        schema_overrides={"State": pl.List(pl.String)},
    )


def story(incident: IncidentInfo, tz: tzinfo, now_us: int) -> str:
    """When, how long, how bad, how many, why: one line."""
    began = formats.clock_time(incident.opened_ms * 1000, tz)
    ending = "so far" if incident.closed_ms is None else f"until {formats.clock_time(incident.closed_ms * 1000, tz)}"
    why = f"probably {cause_of(incident)} ({incident.causes[0].confidence:.0%})" if incident.causes else UNKNOWN
    parts = [
        f"began {began} ({formats.ago(incident.opened_ms * 1000, now_us)})",
        f"{lasted(incident, now_us)} {ending}",
    ]
    parts += [f"score {incident.score:.2f}", f"{formats.count(incident.series_count)} series", why]
    return " · ".join(parts)


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


def lasted(incident: IncidentInfo, now_us: int) -> str:
    """For how long it has been open, or was."""
    return formats.duration(((incident.closed_ms or now_us // 1000) - incident.opened_ms) / 1000)


def _time(at_ms: int, tz: tzinfo) -> str:
    return formats.clock_time(at_ms * 1000, tz)
