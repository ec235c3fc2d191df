"""What got worse: the last 24 hours of each series against the 7 days before.

Belongs here: the comparison and its verdicts. Does not: short changes (overview), detectors, alerts.

A change is judged by its share of the baseline, and only where it leaves the baseline's own spread: the same figure
over each single day of the baseline varies too, and what is within three standard deviations of that is no regression.
"""

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
_ORDER: Mapping[Verdict, int] = {"CRITICAL": 2, "WARNING": 1, "NORMAL": 0}


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

    def shift(self, place: int, floor: float) -> Shift:
        before, now = float(self.before[place]), float(self.now[place])
        # Sums of the same values in another order differ in the last digits.
        noise = max(float(self.noise[place]), floor, 1e-9 * max(abs(before), abs(now)))
        pct = (now - before) / abs(before) * 100 if before else None
        return Shift(before, now, pct, noise, verdict(before, now, noise))


def verdict(before: float, now: float, noise: float) -> Verdict:
    """CRITICAL over 20 %, WARNING over 10 %, and NORMAL within the noise whatever the share."""
    change = abs(now - before)
    if change <= noise or change <= WARNING_PCT / 100 * abs(before):
        return "NORMAL"
    return "CRITICAL" if change > CRITICAL_PCT / 100 * abs(before) else "WARNING"


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


def _summed_up(bounds: Sequence[int], found: list[Regression], asked: int, limit: int) -> Regressions:
    found.sort(key=lambda one: (-_ORDER[one.verdict], -_size(one), one.key.canonical))
    return Regressions(
        since_ms=bounds[0] // 1000,
        split_ms=bounds[-2] // 1000,
        until_ms=bounds[-1] // 1000,
        judged=len(found),
        unjudged=asked - len(found),
        warning=sum(one.verdict == "WARNING" for one in found),
        critical=sum(one.verdict == "CRITICAL" for one in found),
        series=tuple(found[:limit]),
    )


def _size(one: Regression) -> float:
    """By how much of its baseline the figure moved that decided."""
    deciding = [shift for shift in (one.mean, one.p95) if shift is not None and shift.verdict == one.verdict]
    return max(abs(shift.change_pct) if shift.change_pct is not None else np.inf for shift in deciding)


def _judged(
    ask: Asker, keys: Mapping[int, SeriesKey], bounds: Sequence[int], now_us: int, kept: Kept
) -> Iterator[Regression]:
    for counter in (False, True):
        some = {ident: key for ident, key in keys.items() if (names.describe(key.metric).kind == "counter") == counter}
        of_kind = _of_counters if counter else _of_gauges
        for first in range(0, len(some), _AT_ONCE):
            batch = dict(list(some.items())[first : first + _AT_ONCE])
            yield from of_kind(ask, batch, bounds, now_us, kept)


def _of_gauges(
    ask: Asker, keys: Mapping[int, SeriesKey], bounds: Sequence[int], now_us: int, kept: Kept
) -> Iterator[Regression]:
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
    yield from _told(keys, _only_baseline(mean), _only_baseline(p95), "")


def _of_counters(
    ask: Asker, keys: Mapping[int, SeriesKey], bounds: Sequence[int], now_us: int, kept: Kept
) -> Iterator[Regression]:
    places = {ident: place for place, ident in enumerate(keys)}
    daily = growth.rates(ask, places, bounds, now_us, kept, len(keys))
    before = growth.rates(ask, places, [bounds[0], bounds[-2]], now_us, kept, len(keys))[:, 0]
    yield from _told(keys, _Figure(before, daily[:, -1], daily[:, :-1]), None, "/s")


def _empty(count: int) -> _Figure:
    nothing = np.full(count, np.nan)
    return _Figure(nothing, nothing.copy(), np.full((count, BASELINE_DAYS + 1), np.nan))


def _only_baseline(found: _Figure) -> _Figure:
    return _Figure(found.before, found.now, found.daily[:, :BASELINE_DAYS])


def _told(keys: Mapping[int, SeriesKey], mean: _Figure, p95: _Figure | None, per: str) -> Iterator[Regression]:
    days = np.isfinite(mean.daily).sum(axis=1)
    for place, key in enumerate(keys.values()):
        if days[place] < MIN_DAYS or not np.isfinite(mean.now[place]):
            continue
        unit = f"{names.describe(key.metric).unit}{per}"
        floor = MIN_POINTS if unit == "%" else 0.0
        means = mean.shift(place, floor)
        tails = p95.shift(place, floor) if p95 is not None else None
        worst = max((means, *([tails] if tails else [])), key=lambda shift: _ORDER[shift.verdict])
        yield Regression(key, unit, worst.verdict, means, tails, int(days[place]), _sentence(key, unit, means, worst))


def _sentence(key: SeriesKey, unit: str, mean: Shift, worst: Shift) -> str:
    what = "mean" if worst is mean else "p95"
    verb = "rose" if worst.now > worst.before else "fell"
    share = f" ({worst.change_pct:+.0f} %)" if worst.change_pct is not None else ""
    told = f"{key.metric}: its {what} {verb} from {figure(worst.before, unit)} to {figure(worst.now, unit)}{share}"
    if worst.verdict == "NORMAL":
        return f"{told}; that is within its own spread or under {WARNING_PCT:.0f} %."
    return f"{told}; days of the week before differ by up to {figure(worst.noise, unit)}."
