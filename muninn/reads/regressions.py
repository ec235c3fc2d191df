"""What got worse: the last 24 hours of each series against the 7 days before.

Belongs here: the comparison and its verdicts. Does not: short changes (overview), detectors, alerts.

A change is judged by its share of the baseline, and only where it leaves the baseline's own spread: the same figure
over each single day of the baseline varies too, and what is within three standard deviations of that is no regression.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from muninn import names
from muninn.clock import DAY_US, HOUR_US
from muninn.model import SeriesKey, Window
from muninn.reads import growth, points, spans
from muninn.reads.asking import Asker
from muninn.reads.figures import figure
from muninn.reads.memo import Answer
from muninn.reads.points import Floats
from muninn.reads.rankings import Regression, Regressions, Shift, Verdict
from muninn.reads.series import MAX_MERGED, choose
from muninn.reads.steps import Kept

ANSWER = Answer("regressions", TypeAdapter(Regressions), fresh_s=300.0, keep_s=3600.0)

BASELINE_DAYS = 7
# With fewer days there is no spread to tell a change from.
MIN_DAYS = 3
WARNING_PCT, CRITICAL_PCT = 10.0, 20.0
NOISE_DEVIATIONS = 3.0
# A percentage that moves by less than this is no regression, however steady it was.
MIN_POINTS = 0.5
MAX_LISTED = 1000
# Bounds the sketches of one answer: 192 hours each.
_AT_ONCE = 500
VERDICTS: tuple[Verdict, ...] = ("NORMAL", "WARNING", "CRITICAL")


@dataclass(frozen=True, eq=False)
class _Figure:
    """One figure of n series: before, now: float64[n]; daily: float64[n, 7], NaN for a day without samples."""

    before: Floats
    now: Floats
    daily: Floats

    @cached_property
    def noise(self) -> Floats:
        """float64[n]: how far single days lie apart; NaN where there are fewer than two."""
        there = np.isfinite(self.daily)
        days = there.sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.where(there, self.daily, 0).sum(axis=1) / days
            squares = np.where(there, self.daily - mean[:, None], 0) ** 2
            found: Floats = NOISE_DEVIATIONS * np.sqrt(squares.sum(axis=1) / (days - 1))
        return found

    def shifts(self, floor: Floats) -> "_Shifts":
        """floor: float64[n], what is noise in any case."""
        before, now = self.before, self.now
        # Sums of the same values in another order differ in the last digits.
        least = np.maximum(floor, 1e-9 * np.maximum(np.abs(before), np.abs(now)))
        noise = np.maximum(self.noise, least)
        with np.errstate(invalid="ignore", divide="ignore"):
            pct = np.where(before != 0, (now - before) / np.abs(before) * 100, np.inf)
        return _Shifts(before, now, pct, noise, levels(before, now, noise))


def levels(before: Floats, now: Floats, noise: Floats) -> points.Ints:
    """int64[n], of VERDICTS: CRITICAL over 20 %, WARNING over 10 %, and NORMAL within the noise whatever the share."""
    change, size = np.abs(now - before), np.abs(before)
    found = np.where(change > CRITICAL_PCT / 100 * size, 2, 1)
    found[(change <= noise) | (change <= WARNING_PCT / 100 * size)] = 0
    return found


@dataclass(frozen=True, eq=False)
class _Shifts:
    """As Shift, of n series: float64[n]; pct is infinite where there is none. level: int64[n], of VERDICTS."""

    before: Floats
    now: Floats
    pct: Floats
    noise: Floats
    level: points.Ints

    def at(self, place: int) -> Shift:
        pct = float(self.pct[place])
        verdict = VERDICTS[int(self.level[place])]
        before, now, noise = (float(some[place]) for some in (self.before, self.now, self.noise))
        return Shift(before, now, pct if np.isfinite(pct) else None, noise, verdict)


@dataclass(frozen=True)
class _Judged:
    """One series with enough of a baseline: `place` among those that were judged with it. size: by how much of its
    baseline the figure moved that decided."""

    key: SeriesKey
    level: int
    size: float
    days: int
    place: int
    mean: _Shifts
    p95: _Shifts | None


def bounds_us(now_us: int) -> list[int]:
    """Nine ends of eight spans of 24 hours, the last ending with the last full hour."""
    until_us = now_us // HOUR_US * HOUR_US
    return [until_us - back * DAY_US for back in range(BASELINE_DAYS + 1, -1, -1)]


def of_metric(
    ask: Asker, metric: str, labels: Mapping[str, str] | None, limit: int, now_us: int, kept: Kept
) -> Regressions:
    """Every series of a metric, the worst first; UnknownMetric, Invalid, Unavailable."""
    bounds = bounds_us(now_us)
    chosen = choose(ask, metric, labels, Window(bounds[-2], bounds[-1]), MAX_MERGED, at_most=MAX_MERGED)
    return _summed_up(bounds, list(_judged(ask, chosen.keys, bounds, now_us, kept)), len(chosen.keys), limit)


def of_all(ask: Asker, limit: int, now_us: int, kept: Kept) -> Regressions:
    """Every series but Muninn's own, the worst first."""
    bounds = bounds_us(now_us)
    rows = ask.fetch("reads_all_series", since=Window(bounds[-2], bounds[-1]).since, max_series=MAX_MERGED)
    keys = {row.series_id: _key(row) for row in rows}
    return _summed_up(bounds, list(_judged(ask, keys, bounds, now_us, kept)), len(keys), limit)


def _key(row: Any) -> SeriesKey:
    return SeriesKey.of(row.metric_name, row.tags, row.source_agent_id, row.instance_id)


def _summed_up(bounds: Sequence[int], found: list[_Judged], asked: int, limit: int) -> Regressions:
    found.sort(key=lambda one: (-one.level, -one.size, one.key.canonical))
    levels = Counter(one.level for one in found)
    return Regressions(
        since_ms=bounds[0] // 1000,
        split_ms=bounds[-2] // 1000,
        until_ms=bounds[-1] // 1000,
        judged=len(found),
        unjudged=asked - len(found),
        warning=levels[1],
        critical=levels[2],
        series=tuple(map(_regression, found[:limit])),
    )


def _regression(one: _Judged) -> Regression:
    mean, p95 = one.mean.at(one.place), one.p95.at(one.place) if one.p95 else None
    worst = mean if p95 is None or one.mean.level[one.place] == one.level else p95
    unit = _unit(one.key.metric)
    return Regression(one.key, unit, worst.verdict, mean, p95, one.days, _sentence(one.key, unit, mean, worst))


def _unit(metric: str) -> str:
    """Of a counter its growth is judged."""
    meta = names.describe(metric)
    return f"{meta.unit}/s" if meta.kind == "counter" else meta.unit


def _judged(
    ask: Asker, keys: Mapping[int, SeriesKey], bounds: Sequence[int], now_us: int, kept: Kept
) -> Iterator[_Judged]:
    for counter in (False, True):
        some = {ident: key for ident, key in keys.items() if (names.describe(key.metric).kind == "counter") == counter}
        of_kind = _of_counters if counter else _of_gauges
        for first in range(0, len(some), _AT_ONCE):
            batch = dict(list(some.items())[first : first + _AT_ONCE])
            yield from of_kind(ask, batch, bounds, now_us, kept)


def _of_gauges(
    ask: Asker, keys: Mapping[int, SeriesKey], bounds: Sequence[int], now_us: int, kept: Kept
) -> Iterator[_Judged]:
    found = spans.points_of(ask, list(keys), spans.plan(bounds, now_us, kept), bounds, "all")
    places = {ident: place for place, ident in enumerate(keys)}
    group = found.labelled(places)
    span = np.searchsorted(np.asarray(bounds), found.at_us, side="right") - 1
    mean, p95 = _empty(len(keys)), _empty(len(keys))
    daily = points.merge(found, group, span)
    mean.daily[daily.group, daily.step], p95.daily[daily.group, daily.step] = daily.mean, daily.p95
    halves = daily.merged((daily.step == BASELINE_DAYS).astype(np.int64))
    for figure_, values in ((mean, halves.mean), (p95, halves.p95)):
        figure_.before[halves.group[halves.step == 0]] = values[halves.step == 0]
        figure_.now[halves.group[halves.step == 1]] = values[halves.step == 1]
    yield from _told(keys, _only_baseline(mean), _only_baseline(p95))


def _of_counters(
    ask: Asker, keys: Mapping[int, SeriesKey], bounds: Sequence[int], now_us: int, kept: Kept
) -> Iterator[_Judged]:
    places = {ident: place for place, ident in enumerate(keys)}
    daily = growth.rates(ask, places, bounds, now_us, kept, len(keys))
    before = growth.rates(ask, places, [bounds[0], bounds[-2]], now_us, kept, len(keys))[:, 0]
    yield from _told(keys, _Figure(before, daily[:, -1], daily[:, :-1]), None)


def _empty(count: int) -> _Figure:
    nothing = np.full(count, np.nan)
    return _Figure(nothing, nothing.copy(), np.full((count, BASELINE_DAYS + 1), np.nan))


def _only_baseline(found: _Figure) -> _Figure:
    return _Figure(found.before, found.now, found.daily[:, :BASELINE_DAYS])


def _told(keys: Mapping[int, SeriesKey], mean: _Figure, p95: _Figure | None) -> Iterator[_Judged]:
    units = {metric: _unit(metric) for metric in {key.metric for key in keys.values()}}
    floor = np.array([MIN_POINTS if units[key.metric] == "%" else 0.0 for key in keys.values()])
    means, tails = mean.shifts(floor), p95.shifts(floor) if p95 is not None else None
    level, size = means.level, np.abs(means.pct)
    if tails is not None:
        level = np.maximum(means.level, tails.level)
        size = np.maximum(*(np.where(some.level == level, np.abs(some.pct), 0.0) for some in (means, tails)))
    days = np.isfinite(mean.daily).sum(axis=1)
    enough = (days >= MIN_DAYS) & np.isfinite(mean.now)
    every = zip(keys.values(), enough.tolist(), level.tolist(), size.tolist(), days.tolist(), strict=True)
    for place, (key, judged, worst, moved, there) in enumerate(every):
        if judged:
            yield _Judged(key, worst, moved, there, place, means, tails)


def _sentence(key: SeriesKey, unit: str, mean: Shift, worst: Shift) -> str:
    what = "mean" if worst is mean else "p95"
    verb = "rose" if worst.now > worst.before else "fell"
    share = f" ({worst.change_pct:+.0f} %)" if worst.change_pct is not None else ""
    told = f"{key.metric}: its {what} {verb} from {figure(worst.before, unit)} to {figure(worst.now, unit)}{share}"
    if worst.verdict == "NORMAL":
        return f"{told}; that is within its own spread or under {WARNING_PCT:.0f} %."
    return f"{told}; days of the week before differ by up to {figure(worst.noise, unit)}."
