"""Answers of muninn.reads as panels: which lines, in which unit, under which names, in which chart.

Belongs here: Trend -> Panel. Does not: figures (charts), reading.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from muninn.model import SeriesKey
from muninn.reads import Trend, TrendSeries
from streamlit_app.widgets import formats
from streamlit_app.widgets.charts import Panel
from streamlit_app.widgets.labels import labels_text, legend, part_of
from streamlit_app.widgets.lines import GRID_TOLERANCE, RAW_TOLERANCE, Aggregate, Line, rate_per_s, with_gaps

COUNTER = "counter"
BY_UNIT, BY_METRIC = "unit", "metric"
TITLE_METRICS = 3


@dataclass(frozen=True, eq=False)
class Drawn:
    """One series with the line that stands for it; `unit` is the line's, so per second for a counter's growth."""

    key: SeriesKey
    unit: str
    what: str
    line: Line
    # How long before: "7 d before"; "" for the series as it is.
    before: str = ""


def drawn(trend: Trend, aggregate: Aggregate, now_us: int) -> list[Drawn]:
    """Every series of the trend as a line, gaps open.

    The `avg` of a counter is its growth per second: the mean of a figure that only grows tells nothing.
    A step that is not over at `now_us` has no growth yet.
    """
    growth = trend.kind == COUNTER and aggregate == "avg"
    unit = formats.rate_unit(trend.unit) if growth else ("" if aggregate == "count" else trend.unit)
    what = {"count": "samples per step", "avg": "growth per second" if growth else "avg"}.get(aggregate, aggregate)
    tolerance = RAW_TOLERANCE if trend.resolution == "raw" else GRID_TOLERANCE
    found = []
    for series in trend.series:
        if growth:
            over = series.at_ms + trend.step_us // 1000 <= now_us // 1000
            rate = rate_per_s(series.at_ms, series.max) if series.rate is None else series.rate
            line = Line("", series.at_ms[over], rate[over])
        elif aggregate == "count":
            line = Line("", series.at_ms, series.count.astype(np.float64))
        else:
            line = Line("", series.at_ms, _values(series, aggregate), series.min, series.max)
        found.append(Drawn(series.key, unit, what, with_gaps(line, trend.step_us, tolerance)))
    return found


def _values(series: TrendSeries, aggregate: Aggregate) -> NDArray[np.float64]:
    return {"avg": series.avg, "min": series.min, "max": series.max, "p95": series.p95}[aggregate]


def panels_by(found: Sequence[Drawn], by: str = BY_UNIT) -> list[Panel]:
    """One panel a unit, a metric, or a value of label `by`; never two units in one."""
    groups: dict[tuple[str, str], list[Drawn]] = {}
    for one in found:
        part = "" if by == BY_UNIT else part_of(one.key, [by])[0]
        groups.setdefault((part, one.unit), []).append(one)
    return [_panel(part if by not in (BY_UNIT, BY_METRIC) else "", group) for (part, _), group in groups.items()]


def _panel(part: str, group: Sequence[Drawn]) -> Panel:
    """Lines of now first; one of before takes the name and the colour of the line that it belongs to."""
    now = [one for one in group if not one.before]
    keys = list(dict.fromkeys(one.key for one in [*now, *group]))
    names = legend(keys)
    called = dict(zip(keys, names.names, strict=True))
    places = {one.key: place for place, one in enumerate(now)}
    lines = [Line(called[one.key], one.line.at_ms, one.line.y, one.line.low, one.line.high) for one in now]
    lines += [
        Line(f"{called[one.key]}, {one.before}", one.line.at_ms, one.line.y, None, None, places.get(one.key, 0))
        for one in group
        if one.before
    ]
    return Panel(_title(part, now or group), group[0].unit, lines, names.title)


def _title(part: str, group: Sequence[Drawn]) -> str:
    """The metrics, the labels that all share, and what is drawn of them: `cpu_usage_pct{host=a} · avg`."""
    metrics = list(dict.fromkeys(one.key.metric for one in group))
    more = f" +{len(metrics) - TITLE_METRICS}" if len(metrics) > TITLE_METRICS else ""
    shared = set(group[0].key.labels).intersection(*(one.key.labels for one in group))
    labels = labels_text(sorted(shared)) if len(group) == 1 else ""
    name = ", ".join(metrics[:TITLE_METRICS]) + more + (f"{{{labels}}}" if labels else "")
    return " · ".join(filter(None, (part, name, ", ".join(dict.fromkeys(one.what for one in group)))))


def total(lines: Sequence[Line], name: str, step_us: int) -> Line:
    """The sum of lines on one grid of steps; a step at which none has a point stays a gap."""
    at = np.concatenate([line.at_ms[np.isfinite(line.y)] for line in lines]) if lines else np.empty(0, np.int64)
    y = np.concatenate([line.y[np.isfinite(line.y)] for line in lines]) if lines else np.empty(0)
    steps, where = np.unique(at, return_inverse=True)
    return with_gaps(Line(name, steps, np.bincount(where, weights=y, minlength=len(steps)).astype(np.float64)), step_us)


def sparkline(line: Line | None, times: float = 1.0) -> list[float] | None:
    """The line's points for a small chart, multiplied; None where there are too few to see a course."""
    if line is None or line.points < 2:
        return None
    return [float(value) * times for value in line.y[np.isfinite(line.y)]]
