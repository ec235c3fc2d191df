"""How counters rise over time: their growth and their rate by step, exact on the samples.

Belongs here: the question, which buckets make up a window that begins and ends anywhere. Does not: the rule for
resets (numerics.counters), growth of groups over whole spans (growth).

A window is whole buckets in the middle, finer ones towards its ends, and samples at the ends: what is counted is
exactly the steps between those samples that lie inside it. A step of the answer has the growth up to each of its
samples from the one before, also where that lies in an earlier step; its rate is that growth over the time between
the same samples. Nothing is extrapolated, so all steps together grow as the window does.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from muninn import names
from muninn.clock import SECOND_US
from muninn.model import RESOLUTIONS, SeriesKey, Window
from muninn.reads import arrays, growth, tiers
from muninn.reads.asking import Asker
from muninn.reads.growth import Runs
from muninn.reads.points import Floats, Ints, Piece
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


def rising(ask: Asker, question: Question, now_us: int, kept: Kept) -> Rising:
    """Answer it; UnknownMetric, Invalid, Unavailable."""
    planned = plan(question.window, question.step_us, question.max_points, now_us, kept)
    chosen = choose(ask, question.metric, question.labels, question.window, question.max_series)
    window = _readable(question.window, now_us, kept)
    found = _read(ask, window, planned.resolution, list(chosen.keys), now_us)
    meta = names.describe(question.metric)
    return Rising(
        question.metric,
        meta.kind,
        meta.unit,
        window,
        planned.step_us,
        planned.resolution,
        tuple(_series(found, chosen.keys, planned.step_us)),
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


def _read(ask: Asker, window: Window, coarsest: str, series: list[int], now_us: int) -> Runs:
    """What the window is made of, by series and time: buckets in the middle, samples at its ends."""
    every = [Piece(*piece) for piece in pieces(window, coarsest)]
    found = [growth.read(ask, [piece for piece in every if piece.resolution != RAW], series)]
    for piece in every:
        if piece.resolution == RAW and series:
            found += _samples(ask, series, piece.window, now_us)
    return Runs.concat(found).in_order()


def _samples(ask: Asker, series: list[int], window: Window, now_us: int) -> Iterator[Runs]:
    cold = tiers.samples(ask, series, window, now_us)
    if cold is not None:
        for ident, at_us, value in tiers.by_series(cold):
            yield Runs.of_samples(ident, at_us, value)
        return
    for row in ask.fetch("reads_recent", series=series, since=window.since, until=window.until):
        yield Runs.of_samples(row.series_id, arrays.instants_us(row.at), arrays.float64s(row.value))


def _series(runs: Runs, keys: Mapping[int, SeriesKey], step_us: int) -> Iterator[RisingSeries]:
    """One answer a series that has any sample, in order of the keys."""
    if not len(runs):
        return
    together = np.diff(runs.series) == 0
    grown = runs.increase + runs.from_one_before(together)
    lasting = runs.last_us - np.where(np.append(False, together), np.roll(runs.last_us, 1), runs.first_us)
    step = runs.first_us // step_us * step_us
    begins = np.append(True, ~together)
    starts = np.flatnonzero(begins | np.append(True, np.diff(step) != 0))
    increase, seconds = np.add.reduceat(grown, starts), np.add.reduceat(lasting, starts) / SECOND_US
    firsts = np.flatnonzero(begins)
    total, whole_s = np.add.reduceat(grown, firsts), np.add.reduceat(lasting, firsts) / SECOND_US
    ends = np.append(np.searchsorted(starts, firsts), len(starts)).tolist()
    place = {ident: number for number, ident in enumerate(runs.series[firsts].tolist())}
    told, at_ms = seconds > 0, step[starts] // 1000
    rate = np.divide(increase, seconds, out=np.zeros(len(starts)), where=told)
    for ident, key in keys.items():
        number = place.get(ident)
        if number is not None:
            mine = slice(ends[number], ends[number + 1])
            some = told[mine]
            yield RisingSeries(
                *(key, at_ms[mine][some], increase[mine][some], rate[mine][some], float(total[number])),
                float(total[number] / whole_s[number]) if whole_s[number] else None,
            )
