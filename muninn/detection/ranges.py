"""The remembered range of each view, how far a number lies outside it, and what is learned from that.

Belongs here: excess, evidence, growing and forgetting. Does not: what a view is.

A range grows by a share of what exceeds it and sinks back slowly. While a series is in alarm its ranges stand
still and what they would have learned waits: a lasting fault keeps its score for patience_rows, then the same
share of it is taken in, so that a new normal is accepted after a few such spans and a fault that comes back
alarms a few times more, and less each time.
Fails: when the first days already held the worst, nothing smaller is seen until that is forgotten.
"""

from dataclasses import dataclass

import numpy as np

from muninn.clock import DAY_US
from muninn.detection import departures
from muninn.detection.state import VIEWS, Floats, Rows
from muninn.detection.tuning import Tuning
from muninn.detection.views import (
    CEILING,
    DEPARTURE,
    FLOOR,
    GROWTH,
    MAGNITUDE,
    SEASONAL,
    TWINS,
    VALUE,
    VOLATILITY,
    Bools,
    Sight,
)

_SEASONAL = np.zeros((len(VIEWS), 1), bool)
_SEASONAL[list(SEASONAL)] = True
# What a day off changes first: it is lower, by shares, and varies by another measure.
_WEEKLY = _SEASONAL.copy()
_WEEKLY[[MAGNITUDE, GROWTH, VOLATILITY]] = True
_EXTREMES = np.zeros((len(VIEWS), 1), bool)
_EXTREMES[[FLOOR, CEILING]] = True
_FEWEST_ROWS = 10.0


@dataclass(frozen=True)
class Excess:
    """evidence: float64[views, m], >= 0; above: bool[views, m], the number lies above its range, not below."""

    evidence: Floats
    above: Bools


def span_rows(rows: Rows, least_rows: float, least_s: float) -> Floats:
    """float64[m]: so many rows, or as many as `least_s` holds at the series' usual interval, if those are more."""
    known = rows.step_s > 0
    return np.where(known, np.maximum(least_rows, least_s / np.where(known, rows.step_s, 1.0)), least_rows)


def bar(rows: Rows, tuning: Tuning) -> Floats:
    """The excess, in ranges, that is rare for series of this age: ln(return / n) / ln(n), falling with n."""
    memory = span_rows(rows, tuning.memory_rows, tuning.memory_s)
    return _bar(np.minimum(np.maximum(rows.seen, _FEWEST_ROWS), memory), rows, tuning)


def confidence(rows: Rows, tuning: Tuning) -> Floats:
    """float64[m], 0..1: the bar of a series whose memory is full, over the bar of this one."""
    return _bar(span_rows(rows, tuning.memory_rows, tuning.memory_s), rows, tuning) / bar(rows, tuning)


def _bar(remembered: Floats, rows: Rows, tuning: Tuning) -> Floats:
    return_rows = span_rows(rows, tuning.return_rows, tuning.return_s)
    return np.maximum(1.0, np.log(return_rows / remembered)) / np.log(remembered)


def excess(rows: Rows, sight: Sight, new: Bools, tuning: Tuning) -> Excess:
    """How far each view lies outside its remembered range, in bars, at most view_limit.

    new: bool[m], this hour of the week was never seen, or what comes before it.

    Of two views that look at the same thing in two scales only the greater counts: summed up they would say the
    same twice, and a series that may be negative would have a higher bar than one that may not.
    """
    over, under = sight.number - rows.high, rows.low - sight.number
    over[CEILING], under[FLOOR] = 0.0, 0.0
    outside = np.where(sight.judged, np.fmax(np.fmax(over, under), 0.0), 0.0)
    width = rows.high - rows.low + sight.least_width
    unit = width * _bars(rows, tuning) * np.where(_WEEKLY & new, tuning.new_weekday, 1.0)
    evidence = np.where(outside > 0, tuning.view_limit, 0.0)
    np.divide(outside, unit, out=evidence, where=unit > 0)
    evidence = np.minimum(evidence, tuning.view_limit)
    edge = departures.at_edge(rows, sight.number[VALUE], over[DEPARTURE] > 0, tuning)
    np.multiply(evidence[DEPARTURE], edge, out=evidence[DEPARTURE], where=evidence[DEPARTURE] > 0)
    for one, other in TWINS:
        first = evidence[one] >= evidence[other]
        evidence[one], evidence[other] = np.where(first, evidence[one], 0.0), np.where(first, 0.0, evidence[other])
    return Excess(evidence, over > 0)


def _bars(rows: Rows, tuning: Tuning) -> Floats:
    """float64[views, m]: the bar of each view."""
    fast = np.maximum(1.0, tuning.fast_s / np.maximum(1.0, rows.step_s)) ** tuning.fast_power
    days = np.maximum(0.5, (rows.at_us - rows.first_us) / DAY_US)
    young = np.where(_SEASONAL, tuning.young_days, np.where(_EXTREMES, tuning.young_extremes_days, 0.0))
    bars = bar(rows, tuning) * fast * (1.0 + young / days)
    # A smooth view: more samples an hour are no more chances for it.
    bars[DEPARTURE] *= departures.bar_times(rows, tuning) / fast
    return bars


def learn(rows: Rows, sight: Sight, alarmed: Bools, excused: Bools, tuning: Tuning) -> None:
    """Grow and forget the ranges of series in peace; let those in alarm wait; take in what has waited.

    An excused sample is taken in whole. `rows.alarm_left` counts down here.
    """
    number = sight.number
    new = sight.judged & np.isnan(rows.high)
    for range_ in (rows.high, rows.low, rows.high_waiting, rows.low_waiting):
        np.copyto(range_, number, where=new)
    waits = sight.judged & alarmed
    np.copyto(rows.high_waiting, np.fmax(rows.high_waiting, number), where=waits)
    np.copyto(rows.low_waiting, np.fmin(rows.low_waiting, number), where=waits)

    absorb = np.where(excused, 1.0, tuning.absorb)
    forget = 1.0 / span_rows(rows, tuning.memory_rows, tuning.memory_s)
    forgets = np.where(_SEASONAL, np.maximum(forget, tuning.residual_memory / rows.seen), forget)
    sinks = forgets * 0.5 * (rows.high - rows.low)
    # Always sink, then grow: without a step between the two, rounding cannot decide which of them happens.
    high, low = rows.high - sinks, rows.low + sinks
    high += absorb * np.maximum(0.0, number - high)
    low -= absorb * np.maximum(0.0, low - number)
    peace = sight.judged & ~alarmed & ~new
    high[DEPARTURE], low[DEPARTURE] = departures.learn(
        rows,
        number[DEPARTURE],
        (rows.high[DEPARTURE] - sinks[DEPARTURE], rows.low[DEPARTURE] + sinks[DEPARTURE]),
        peace[DEPARTURE],
        new[DEPARTURE] | excused,
        tuning,
    )
    for range_, waiting, learned in ((rows.high, rows.high_waiting, high), (rows.low, rows.low_waiting, low)):
        np.copyto(range_, learned, where=peace)
        np.copyto(waiting, learned, where=peace)

    rows.alarm_left -= alarmed
    ends = alarmed & (rows.alarm_left == 0)
    rows.high[:] = np.where(ends, rows.high + tuning.absorb * (rows.high_waiting - rows.high), rows.high)
    rows.low[:] = np.where(ends, rows.low + tuning.absorb * (rows.low_waiting - rows.low), rows.low)
