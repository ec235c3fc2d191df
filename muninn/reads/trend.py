"""A metric over time: which rows to read, and buckets merged into steps.

Belongs here: the trend question; merging counts, sums and sketches in numpy. Does not: time texts, JSON.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muninn import names
from muninn.model import SeriesKey, Window
from muninn.reads import arrays
from muninn.reads.asking import Asker
from muninn.reads.quantiles import grouped
from muninn.reads.series import choose
from muninn.reads.steps import RAW, Kept, Plan, plan
from muninn.reads.values import Trend, TrendSeries

P95 = 0.95
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


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
    rows = {row.series_id: row for row in _fetch(ask, planned, list(chosen.keys))} if chosen.keys else {}
    meta = names.describe(question.metric)
    return Trend(
        metric=question.metric,
        kind=meta.kind,
        unit=meta.unit,
        window=planned.window,
        step_us=planned.step_us,
        resolution=planned.resolution,
        # A series that sent nothing in the window has no row.
        series=tuple(
            _points(key, rows[series_id], planned) for series_id, key in chosen.keys.items() if series_id in rows
        ),
        truncated=chosen.truncated,
    )


def _fetch(ask: Asker, planned: Plan, series: list[int]) -> list[Any]:
    window = planned.window
    limits = {"series": series, "since": window.since, "until": window.until}
    if planned.resolution == RAW:
        return ask.fetch("reads_trend_raw", step=timedelta(microseconds=planned.step_us), **limits)
    return ask.fetch(f"reads_trend_{planned.resolution}", **limits)


def _points(key: SeriesKey, row: Any, planned: Plan) -> TrendSeries:
    at_us = arrays.instants_us(row.at)
    count, total = arrays.int64s(row.sample_count), arrays.float64s(row.sum_value)
    low, high = arrays.float64s(row.min_value), arrays.float64s(row.max_value)
    if planned.resolution == RAW:
        p95 = arrays.float64s(row.p95_value)
        return TrendSeries(key, at_us // 1000, _mean(total, count, low, high), low, high, p95, count)
    lengths = arrays.int64s(row.sketch_length)
    bins = arrays.joined_int64s(row.sketch, lengths)
    step_us = at_us // planned.step_us * planned.step_us
    starts = np.flatnonzero(np.diff(step_us, prepend=step_us[0] - 1))
    count, total = np.add.reduceat(count, starts), np.add.reduceat(total, starts)
    low, high = np.minimum.reduceat(low, starts), np.maximum.reduceat(high, starts)
    lengths = np.add.reduceat(lengths, starts)
    p95 = grouped(bins, lengths, P95, low, high)
    return TrendSeries(key, step_us[starts] // 1000, _mean(total, count, low, high), low, high, p95, count)


def _mean(total: Floats, count: Ints, low: Floats, high: Floats) -> Floats:
    """sum / count, held within [min, max], which rounding alone could leave."""
    return np.clip(total / count, low, high)
