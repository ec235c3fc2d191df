"""A metric over time: which rows to read, and buckets merged into steps.

Belongs here: the trend question. Does not: merging buckets (points), time texts, JSON.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np

from muninn import names
from muninn.model import RESOLUTIONS, SeriesKey, Window
from muninn.reads import arrays, points
from muninn.reads.asking import Asker
from muninn.reads.points import Merged
from muninn.reads.series import choose
from muninn.reads.steps import RAW, Kept, Plan, plan
from muninn.reads.values import Trend, TrendSeries


@dataclass(frozen=True)
class Question:
    """What is asked of a trend; see Reads.trend."""

    metric: str
    window: Window
    step_us: int | None
    labels: Mapping[str, str] | None
    max_series: int
    max_points: int


def trend(ask: Asker, question: Question, now_us: int, kept: Kept) -> Trend:
    """Answer it; UnknownMetric, Invalid, Unavailable."""
    planned = plan(question.window, question.step_us, question.max_points, now_us, kept)
    chosen = choose(ask, question.metric, question.labels, planned.window, question.max_series)
    meta = names.describe(question.metric)
    return Trend(
        metric=question.metric,
        kind=meta.kind,
        unit=meta.unit,
        window=planned.window,
        step_us=planned.step_us,
        resolution=planned.resolution,
        series=_series(ask, planned, chosen.keys),
        truncated=chosen.truncated,
    )


def _series(ask: Asker, planned: Plan, keys: Mapping[int, SeriesKey]) -> tuple[TrendSeries, ...]:
    """In order of the keys; a series that sent nothing in the window is none."""
    if planned.resolution == RAW:
        limits = {"series": list(keys), "since": planned.window.since, "until": planned.window.until}
        step = timedelta(microseconds=planned.step_us)
        rows = {row.series_id: row for row in ask.fetch("reads_trend_raw", step=step, **limits)} if keys else {}
        return tuple(_of_samples(key, rows[ident]) for ident, key in keys.items() if ident in rows)
    # A bucket that is a step by itself has its p95 packed with it.
    own = planned.step_us == _WIDTHS_US[planned.resolution]
    found = points.read(ask, planned.resolution, list(keys), planned.window, "open" if own else "all")
    merged = points.merge(found, found.series, found.at_us // planned.step_us * planned.step_us)
    ends = np.append(np.flatnonzero(np.diff(merged.group)) + 1, len(merged.group))
    pieces = {
        int(merged.group[end - 1]): slice(start, end) for start, end in zip([0, *ends], ends, strict=False) if end
    }
    return tuple(_of_steps(key, merged, pieces[ident]) for ident, key in keys.items() if ident in pieces)


def _of_samples(key: SeriesKey, row: Any) -> TrendSeries:
    low, high = arrays.float64s(row.min_value), arrays.float64s(row.max_value)
    count = arrays.int64s(row.sample_count)
    mean = np.clip(arrays.float64s(row.sum_value) / count, low, high)
    return TrendSeries(key, arrays.instants_us(row.at) // 1000, mean, low, high, arrays.float64s(row.p95_value), count)


def _of_steps(key: SeriesKey, merged: Merged, piece: slice) -> TrendSeries:
    at_ms = merged.at_us[piece] // 1000
    low, high, p95 = merged.low[piece], merged.high[piece], merged.p95[piece]
    return TrendSeries(key, at_ms, merged.mean[piece], low, high, p95, merged.count[piece])


_WIDTHS_US = {resolution.name: resolution.width_us for resolution in RESOLUTIONS}
