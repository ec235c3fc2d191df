"""A metric over time: which rows to read, and buckets merged into steps, of each series or of groups of them.

Belongs here: the trend question. Does not: merging buckets (points), local days (zones, spans), time texts, JSON.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from muninn import names
from muninn.clock import DAY_US
from muninn.model import RESOLUTIONS, SeriesKey, Window
from muninn.reads import arrays, points, spans, tiers, zones
from muninn.reads.asking import Asker
from muninn.reads.points import Merged, Piece, Points
from muninn.reads.series import MAX_MERGED, MAX_SERIES, Chosen, Groups, Wanted, choose_points, grouped_by
from muninn.reads.steps import RAW, Kept, Plan, plan
from muninn.reads.values import Trend, TrendSeries
from muninn.reads.zones import Period

_NOMINAL_US = {"day": DAY_US, "week": 7 * DAY_US, "month": 30 * DAY_US}
_WIDTHS_US = {resolution.name: resolution.width_us for resolution in RESOLUTIONS}


@dataclass(frozen=True)
class Question:
    """What is asked of a trend; see Reads.trend."""

    metric: str
    window: Window
    step_us: int | None
    labels: Mapping[str, str] | None
    max_series: int
    max_points: int
    by: str | None = None
    p95: bool = True


def trend(ask: Asker, question: Question, now_us: int, kept: Kept) -> Trend:
    """Answer it; UnknownMetric, Invalid, Unavailable."""
    planned = planned_of(question, now_us, kept)
    if planned.resolution == RAW:
        chosen = _chosen(ask, question, planned.window)
        series = _of_samples(ask, planned, grouped_by(chosen, question.metric, None), now_us)
    else:
        wanted = _wanted(question, (question.metric,), planned.window)
        every, found = choose_points(ask, wanted, _pieces(planned), _sketches(planned, question))
        chosen = every[question.metric]
        series = _of_buckets(found, planned, grouped_by(chosen, question.metric, question.by), question)
    return _told(question, planned.window, planned.step_us, planned.resolution, series, chosen)


def pair(ask: Asker, question: Question, before: Plan, now: Plan, now_us: int, kept: Kept) -> tuple[Trend, Trend]:
    """The question over two windows by the same steps, the earlier one first: at once, where that gives the same."""
    chosen: Chosen | None = None
    if RAW != before.resolution == now.resolution and before.step_us == now.step_us:
        wanted = _wanted(question, (question.metric,), before.window)
        every, found = choose_points(ask, wanted, _both(before, now), _sketches(now, question))
        chosen = every[question.metric]
    # Of more series than are shown, others may be the first of the later window.
    if chosen is None or chosen.truncated:
        each = (replace(question, window=planned.window, step_us=planned.step_us) for planned in (before, now))
        earlier, later = (trend(ask, one, now_us, kept) for one in each)
        return earlier, later
    groups = grouped_by(chosen, question.metric, question.by)
    merged = points.merge(found, found.labelled(groups.of), found.at_us // now.step_us)
    at_us = merged.step * now.step_us
    told = []
    for planned in (before, now):
        inside = Piece(planned.resolution, planned.window).holds(at_us)
        series = _cut(merged.take(inside), groups, at_us[inside], question)
        told.append(_told(question, planned.window, planned.step_us, planned.resolution, series, chosen))
    return told[0], told[1]


def _both(before: Plan, now: Plan) -> tuple[Piece, ...]:
    """What two windows hold, no bucket twice."""
    if now.window.since_us > before.window.until_us:
        return (*_pieces(before), *_pieces(now))
    return (Piece(now.resolution, Window(before.window.since_us, now.window.until_us)),)


def planned_of(question: Question, now_us: int, kept: Kept) -> Plan:
    """What a trend is answered from."""
    return plan(question.window, question.step_us, question.max_points, now_us, kept, raw=question.by is None)


def trends(ask: Asker, metrics: Sequence[str], question: Question, now_us: int, kept: Kept) -> list[Trend]:
    """The same of several metrics, in one query or two however many; one that nobody sends has no series."""
    planned = plan(question.window, question.step_us, question.max_points, now_us, kept, raw=False)
    wanted = _wanted(question, metrics, planned.window)
    chosen, found = choose_points(ask, wanted, _pieces(planned), _sketches(planned, question))
    every = {ident: key for one in chosen.values() for ident, key in one.keys.items()}
    groups = Groups({ident: place for place, ident in enumerate(every)}, tuple(every.values()))
    series = _of_buckets(found, planned, groups, question)
    return [
        _told(
            replace(question, metric=metric),
            planned.window,
            planned.step_us,
            planned.resolution,
            [one for one in series if one.key.metric == metric],
            chosen[metric],
        )
        for metric in metrics
    ]


def calendar(ask: Asker, question: Question, period: Period, tz: ZoneInfo, now_us: int, kept: Kept) -> Trend:
    """The same by local days, weeks or months; the window is whole ones, each exact to the sample."""
    bounds_us = zones.bounds_us(question.window, period, tz)
    window = Window(bounds_us[0], bounds_us[-1])
    planned = spans.plan(bounds_us, now_us, kept)
    sketches: points.Sketches = "all" if question.p95 else "none"
    most = spans.most_series(planned, bounds_us) if question.p95 else MAX_MERGED
    wanted = _wanted(question, (question.metric,), window)
    every, found = choose_points(ask, wanted, spans.pieces(planned, bounds_us), sketches, most)
    chosen = every[question.metric]
    spans.check_size(len(chosen.keys), planned, bounds_us, sketches)
    groups = grouped_by(chosen, question.metric, question.by)
    whole = spans.with_samples(ask, list(groups.of), planned, bounds_us, found)
    merged = spans.merged(whole, groups.of, bounds_us)
    at_us = np.asarray(bounds_us, np.int64)
    series = _cut(merged, groups, at_us[merged.step], question)
    return _told(question, window, _NOMINAL_US[period], planned.core, series, chosen)


def _wanted(question: Question, metrics: Sequence[str], window: Window) -> Wanted:
    merged = question.by is not None
    at_most = MAX_MERGED if merged else MAX_SERIES
    return Wanted(metrics, question.labels, window, at_most if merged else question.max_series, at_most)


def _chosen(ask: Asker, question: Question, window: Window) -> Chosen:
    wanted = _wanted(question, (question.metric,), window)
    return choose_points(ask, wanted, (), "none")[0][question.metric]


def _told(
    question: Question,
    window: Window,
    step_us: int,
    resolution: str,
    series: Sequence[TrendSeries],
    chosen: Chosen,
) -> Trend:
    meta = names.describe(question.metric)
    return Trend(question.metric, meta.kind, meta.unit, window, step_us, resolution, tuple(series), chosen.truncated)


def _of_samples(ask: Asker, planned: Plan, groups: Groups, now_us: int) -> list[TrendSeries]:
    """Each series from its samples, in whichever tier they are; one that sent nothing in the window is none."""
    found = tiers.samples(ask, list(groups.of), planned.window, now_us)
    if found is not None:
        made = {ident: tiers.steps(of_series, planned.step_us) for ident, of_series in tiers.parts(found)}
        return [_stepped(groups.keys[place], made[ident]) for ident, place in groups.of.items() if ident in made]
    limits = {"series": list(groups.of), "since": planned.window.since, "until": planned.window.until}
    step = timedelta(microseconds=planned.step_us)
    rows = {row.series_id: row for row in ask.fetch("reads_trend_raw", step=step, **limits)} if groups.of else {}
    return [_sampled(groups.keys[place], rows[ident]) for ident, place in groups.of.items() if ident in rows]


def _stepped(key: SeriesKey, made: tiers.Steps) -> TrendSeries:
    return TrendSeries(key, made.at_us // 1000, made.mean, made.low, made.high, made.p95, made.count)


def _sampled(key: SeriesKey, row: Any) -> TrendSeries:
    low, high = arrays.float64s(row.min_value), arrays.float64s(row.max_value)
    count = arrays.int64s(row.sample_count)
    mean = np.clip(arrays.float64s(row.sum_value) / count, low, high)
    return TrendSeries(key, arrays.instants_us(row.at) // 1000, mean, low, high, arrays.float64s(row.p95_value), count)


def _pieces(planned: Plan) -> tuple[Piece, ...]:
    return (Piece(planned.resolution, planned.window),)


def _sketches(planned: Plan, question: Question) -> points.Sketches:
    # A bucket that is a step of one series by itself has its p95 packed with it.
    own = question.by is None and planned.step_us == _WIDTHS_US[planned.resolution]
    return "none" if not question.p95 else "open" if own else "all"


def _of_buckets(found: Points, planned: Plan, groups: Groups, question: Question) -> list[TrendSeries]:
    merged = points.merge(found, found.labelled(groups.of), found.at_us // planned.step_us)
    return _cut(merged, groups, merged.step * planned.step_us, question)


def _cut(merged: Merged, groups: Groups, at_us: points.Ints, question: Question) -> list[TrendSeries]:
    """One answer a group, in their order; one without samples is none."""
    ends = [*(np.flatnonzero(np.diff(merged.group)) + 1).tolist(), len(merged.group)] if len(merged.group) else []
    mean, at_ms = merged.mean, at_us // 1000
    tails = merged.p95 if question.p95 else np.full(len(at_ms), np.nan)
    found = []
    for start, end in zip([0, *ends], ends, strict=False):
        part = slice(start, end)
        key = groups.keys[int(merged.group[start])]
        low, high = merged.low[part], merged.high[part]
        found.append(TrendSeries(key, at_ms[part], mean[part], low, high, tails[part], merged.count[part]))
    return found
