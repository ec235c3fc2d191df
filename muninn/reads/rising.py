"""How counters rise over time: their growth and their rate by step, exact on the samples.

Belongs here: the question, which buckets make up a window that begins and ends anywhere. Does not: the rule for
resets (numerics.counters), growth of groups over whole spans (growth).

A window is whole buckets in the middle, finer ones towards its ends, and samples at the ends: what is counted is
exactly the steps between those samples that lie inside it. A step of the answer has the growth up to each of its
samples from the one before, also where that lies in an earlier step; its rate is that growth over the time between
the same samples. Nothing is extrapolated, so all steps together grow as the window does.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from muninn import names
from muninn.clock import SECOND_US
from muninn.model import RESOLUTIONS, SeriesKey, Window
from muninn.numerics import counters
from muninn.reads import arrays, tiers
from muninn.reads.asking import Asker
from muninn.reads.points import Floats, Ints
from muninn.reads.series import choose
from muninn.reads.steps import RAW, Kept, pieces, plan
from muninn.reads.trend import Question
from muninn.reads.values import Trend, TrendSeries


@dataclass(frozen=True, eq=False)
class RisingSeries:
    """One counter by step; a step without growth to tell (no sample, or the window's first alone) has no point.

    at_ms: int64[n], start of the step. increase: float64[n]. rate: float64[n], per second.
    total, total_rate: over the window; the rate is None where one instant alone was sampled.
    """

    key: SeriesKey
    at_ms: Ints
    increase: Floats
    rate: Floats
    total: float
    total_rate: float | None


@dataclass(frozen=True, eq=False)
class Rising:
    """A metric's counters over a window, which is as asked for; otherwise as Trend."""

    metric: str
    kind: str
    unit: str
    window: Window
    step_us: int
    resolution: str
    series: tuple[RisingSeries, ...]
    truncated: int | None


@dataclass(frozen=True, eq=False)
class _Runs:
    """n runs of samples of one series, in order of time: where each begins and ends, and its growth inside."""

    first_us: Ints
    last_us: Ints
    first: Floats
    last: Floats
    increase: Floats


def rising(ask: Asker, question: Question, now_us: int, kept: Kept) -> Rising:
    """Answer it; UnknownMetric, Invalid, Unavailable."""
    planned = plan(question.window, question.step_us, question.max_points, now_us, kept)
    chosen = choose(ask, question.metric, question.labels, question.window, question.max_series)
    window = _readable(question.window, now_us, kept)
    found: dict[int, list[_Runs]] = {}
    for level, piece in pieces(window, planned.resolution):
        for ident, runs in _read(ask, level, list(chosen.keys), piece, now_us):
            found.setdefault(ident, []).append(runs)
    meta = names.describe(question.metric)
    there = {key: _joined(found[ident]) for ident, key in chosen.keys.items() if ident in found}
    return Rising(
        question.metric,
        meta.kind,
        meta.unit,
        window,
        planned.step_us,
        planned.resolution,
        tuple(_series(key, runs, planned.step_us) for key, runs in there.items()),
        chosen.truncated,
    )


def with_rates(trend: Trend, risen: Rising) -> Trend:
    """The trend with the growth per second of the same counters by the same step."""
    rates = {one.key: one for one in risen.series}
    return replace(trend, series=tuple(_with_rate(one, rates.get(one.key)) for one in trend.series))


def _with_rate(series: TrendSeries, risen: RisingSeries | None) -> TrendSeries:
    rate = np.full(len(series.at_ms), np.nan)
    if risen is not None:
        _, places, of_risen = np.intersect1d(series.at_ms, risen.at_ms, assume_unique=True, return_indices=True)
        rate[places] = risen.rate[of_risen]
    return replace(series, rate=rate)


def _readable(window: Window, now_us: int, kept: Kept) -> Window:
    """The window; where retention has taken its samples, out to the buckets that are left."""
    if kept.reaches(RAW, window.since_us, now_us):
        return window
    return window.aligned(
        next(each for each in RESOLUTIONS if kept.reaches(each.name, window.since_us, now_us)).width_us
    )


def _read(ask: Asker, level: str, series: list[int], window: Window, now_us: int) -> Iterator[tuple[int, _Runs]]:
    if not series:
        return
    limits = {"series": series, "since": window.since, "until": window.until}
    if level != RAW:
        for row in ask.fetch(f"reads_growth_{level}", **limits):
            yield (
                row.series_id,
                _Runs(
                    arrays.instants_us(row.first_at),
                    arrays.instants_us(row.last_at),
                    arrays.float64s(row.first_value),
                    arrays.float64s(row.last_value),
                    arrays.float64s(row.increase),
                ),
            )
        return
    cold = tiers.samples(ask, series, window, now_us)
    if cold is not None:
        for ident, at_us, value in tiers.by_series(cold):
            yield ident, _Runs(at_us, at_us, value, value, np.zeros(len(value)))
        return
    for row in ask.fetch("reads_recent", **limits):
        at_us, value = arrays.instants_us(row.at), arrays.float64s(row.value)
        yield row.series_id, _Runs(at_us, at_us, value, value, np.zeros(len(value)))


def _joined(some: Sequence[_Runs]) -> _Runs:
    return _Runs(
        np.concatenate([each.first_us for each in some]),
        np.concatenate([each.last_us for each in some]),
        np.concatenate([each.first for each in some]),
        np.concatenate([each.last for each in some]),
        np.concatenate([each.increase for each in some]),
    )


def _series(key: SeriesKey, runs: _Runs, step_us: int) -> RisingSeries:
    grown = runs.increase.copy()
    grown[1:] += counters.steps(runs.last[:-1], runs.first[1:])
    before_us = np.concatenate((runs.first_us[:1], runs.last_us[:-1]))
    step = runs.first_us // step_us * step_us
    starts = np.flatnonzero(np.diff(step, prepend=step[0] - 1))
    increase = np.add.reduceat(grown, starts)
    seconds = np.add.reduceat(runs.last_us - before_us, starts) / SECOND_US
    told = seconds > 0
    total, whole_s = float(grown.sum()), float(runs.last_us[-1] - runs.first_us[0]) / SECOND_US
    return RisingSeries(
        key,
        step[starts][told] // 1000,
        increase[told],
        increase[told] / seconds[told],
        total,
        total / whole_s if whole_s else None,
    )
