"""Figures. Pure functions of values; colours come from the template, so that both themes fit.

Belongs here: lines and bars -> plotly figures with units on their axes. Does not: reading, Streamlit.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta, tzinfo
from typing import Any

import numpy as np
import plotly.graph_objects as go
import plotly.io as pio
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from muninn.clock import DAY_US
from muninn.model import Window
from streamlit_app.widgets import formats
from streamlit_app.widgets.formats import Scale
from streamlit_app.widgets.lines import Line, lonely

# What every chart is drawn with: no logo, and only the buttons that a time chart needs.
CONFIG = {"displaylogo": False, "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d"]}
PANEL_HEIGHT = 270
FIRST_PANEL_HEIGHT = 330
NAME_LIMIT = 36
UNIFIED_HOVER_LINES = 10
FEWEST_DAYS = 7
_DASHES = ("solid", "dot", "dash", "dashdot")
# There is no half of one of these: an axis of a few of them is marked at whole numbers only.
_COUNTED, _FEW = frozenset({"entries", "series"}), 5
_HOVER_TIME = "%a %d %b %Y, %H:%M:%S"


@dataclass(frozen=True)
class Panel:
    """One chart of a stack: lines that share a unit, and so an axis."""

    title: str
    unit: str
    lines: Sequence[Line]
    legend_title: str = ""
    from_zero: bool = False


@dataclass(frozen=True)
class TimeAxis:
    """The span and the zone that a stack's shared time axis shows."""

    window: Window
    tz: tzinfo
    title: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "title", f"Time ({formats.zone_text(self.tz, self.window.until_us)})")

    def wall(self, at_ms: NDArray[np.int64]) -> NDArray[np.datetime64]:
        """Epoch milliseconds as wall-clock times of the zone, all at the offset of the window's end."""
        offset = formats.fixed_zone(self.tz, self.window.until_us).utcoffset(None)
        return (at_ms + offset // timedelta(milliseconds=1)).astype("datetime64[ms]")

    @property
    def range(self) -> list[str]:
        """The two ends as plotly takes them."""
        ends = np.array([self.window.since_us // 1000, self.window.until_us // 1000], np.int64)
        return [str(at) for at in self.wall(ends)]


def trend_figure(
    panels: Sequence[Panel], axis: TimeAxis, *, band: bool = False, height: int = FIRST_PANEL_HEIGHT
) -> go.Figure:
    """The panels one above the other over one time axis; with `band`, least to greatest around each line.

    height: pixels of the first panel with its time axis; each further one adds PANEL_HEIGHT.
    """
    rows = len(panels)
    height += PANEL_HEIGHT * (rows - 1)
    figure = make_subplots(
        rows=rows,
        cols=1,
        shared_xaxes=True,
        vertical_spacing=64 / height if rows > 1 else 0,
        subplot_titles=[panel.title for panel in panels],
    )
    for row, panel in enumerate(panels, start=1):
        _draw_panel(figure, row, panel, axis, band)
    _lay_out(figure, panels, axis, height)
    return figure


def _draw_panel(figure: go.Figure, row: int, panel: Panel, axis: TimeAxis, band: bool) -> None:
    scale = panel_scale(panel, band)
    suffix = f" {scale.suffix}" if scale.suffix else ""
    for index, line in enumerate(panel.lines):
        earlier = line.earlier_of is not None
        color = line_color(index if line.earlier_of is None else line.earlier_of)
        x = axis.wall(line.at_ms)
        if band and line.low is not None and line.high is not None:
            figure.add_trace(_band(x, line.low / scale.divisor, line.high / scale.divisor, color), row=row, col=1)
        alone = lonely(line.y)
        figure.add_trace(
            go.Scatter(
                x=x,
                y=line.y / scale.divisor,
                name=_short(line.name),
                mode="lines+markers" if alone.any() else "lines",
                line={"color": color, "width": 1.6, "dash": "dot" if earlier else _DASHES[index // 10 % len(_DASHES)]},
                opacity=0.6 if earlier else 1.0,
                marker={"size": np.where(alone, 5, 0), "color": color} if alone.any() else None,
                connectgaps=False,
                legend=f"legend{row}" if row > 1 else "legend",
                showlegend=len(panel.lines) > 1,
                hovertemplate=f"%{{y:,.5~r}}{suffix}",
            ),
            row=row,
            col=1,
        )
    figure.update_yaxes(row=row, col=1, **_y_axis(panel, scale))


def panel_scale(panel: Panel, band: bool = False) -> Scale:
    """The scale of a panel's axis: fit for its greatest value; a bare number is left to the axis."""
    if panel.unit == "":
        return Scale(1.0, "")
    return formats.scale_for(panel.unit, _greatest(panel, band))


def _greatest(panel: Panel, band: bool = False) -> float:
    """The greatest distance from zero; 0 where there is nothing."""
    arrays = [values for line in panel.lines for values in ((line.y, line.high, line.low) if band else (line.y,))]
    finite = [float(np.nanmax(np.abs(a))) for a in arrays if a is not None and np.isfinite(a).any()]
    return max(finite, default=0.0)


def _band(x: NDArray[np.datetime64], low: NDArray[np.float64], high: NDArray[np.float64], color: str) -> go.Scatter:
    """One closed shape a stretch without gaps: a fill from line to line would run across them."""
    xs: list[NDArray[np.datetime64]] = []
    ys: list[NDArray[np.float64]] = []
    there = np.isfinite(low) & np.isfinite(high)
    edges = np.flatnonzero(np.diff(there, prepend=False, append=False))
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        stretch = slice(start, end)
        xs += [x[stretch], x[stretch][::-1], np.array(["NaT"], "datetime64[ms]")]
        ys += [high[stretch], low[stretch][::-1], np.array([np.nan])]
    return go.Scatter(
        x=np.concatenate(xs) if xs else [],
        y=np.concatenate(ys) if ys else [],
        mode="lines",
        line={"width": 0, "color": color},
        fill="toself",
        opacity=0.35,
        showlegend=False,
        hoverinfo="skip",
    )


def _y_axis(panel: Panel, scale: Scale) -> dict[str, Any]:
    axis: dict[str, Any] = {"title": {"text": scale.suffix or "value", "standoff": 8}, "automargin": True}
    if panel.unit == "":
        axis["tickformat"] = "~s"
    if panel.unit in _COUNTED and _greatest(panel) <= _FEW:
        axis["dtick"] = 1
    if panel.from_zero or panel.unit == "%":
        axis["rangemode"] = "tozero"
    return axis


def _lay_out(figure: go.Figure, panels: Sequence[Panel], axis: TimeAxis, height: int) -> None:
    most = max((len(panel.lines) for panel in panels), default=0)
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 8, "t": 34 if panels and panels[0].title else 10, "b": 8},
        hovermode="x unified" if most <= UNIFIED_HOVER_LINES else "closest",
        # Zoom and hidden lines stay when the same chart is drawn again with newer points.
        uirevision="keep",
    )
    figure.update_xaxes(type="date", range=axis.range, hoverformat=_HOVER_TIME, showgrid=False)
    figure.update_xaxes(row=len(panels), col=1, title={"text": axis.title, "standoff": 6})
    figure.update_annotations(x=0, xanchor="left", font={"size": 13})
    for row, panel in enumerate(panels, start=1):
        name = "" if row == 1 else str(row)
        top = figure.layout[f"yaxis{name}"].domain[1]
        small = {"size": 12}
        figure.layout[f"legend{name}"] = go.layout.Legend(
            x=1.01, xanchor="left", y=top, yanchor="top", title={"text": panel.legend_title, "font": small}, font=small
        )


def day_figure(days: Sequence[str], values: Sequence[float], unit: str, hover: Sequence[str]) -> go.Figure:
    """One bar a UTC day ("2026-03-01"); the value axis carries the unit, `hover[i]` is added to bar i's tip."""
    scale = formats.scale_for(unit, max(map(abs, values), default=0.0))
    day = np.timedelta64(1, "D")
    starts = np.array(days, "datetime64[D]")
    figure = go.Figure(
        go.Bar(
            x=starts,
            y=[value / scale.divisor for value in values],
            width=0.7 * DAY_US / 1000,
            customdata=list(hover),
            hovertemplate=f"%{{x|%a %d %b %Y}}<br>%{{y:,.4~r}} {scale.suffix}<br>%{{customdata}}<extra></extra>",
            marker={"color": line_color(0)},
        )
    )
    figure.update_layout(height=280, margin={"l": 8, "r": 8, "t": 16, "b": 8}, showlegend=False)
    figure.update_xaxes(type="date", title={"text": "Day (UTC)"}, tickformat="%d %b", minor={"dtick": DAY_US / 1000})
    if len(starts):
        # A few bars stay as narrow as they are among many.
        last = max(starts[-1], starts[0] + FEWEST_DAYS * day)
        figure.update_xaxes(range=[str(starts[0] - day), str(last + day)])
    figure.update_yaxes(title={"text": scale.suffix or "value"}, rangemode="tozero", automargin=True)
    return figure


def line_color(index: int) -> str:
    """The template's colour for the index-th line: Streamlit's template follows the theme."""
    colors = pio.templates[pio.templates.default].layout.colorway
    return str(colors[index % len(colors)])


def _short(name: str) -> str:
    return name if len(name) <= NAME_LIMIT else name[: NAME_LIMIT - 1] + "…"
