"""Thirteen ways to look at one sample, each a number whose usual range can be remembered.

Belongs here: the views and the smoothing they need. Does not: ranges, scores.

In the metric's unit; what each sees, and when it fails:
- value: the sample itself. Blind to anything inside the range: a night value at noon.
- change: the step from the sample before. Blind to slow change; not judged across a gap.
- surprise: sample minus expected for this hour. As good as the season: weak while that is young, on days off,
  and for loads whose hours move about.
- drift: surprise smoothed over fast_rows: small and lasting. Late by some rows; rings after a real step.
- day: surprise smoothed over a day (at most 2 * slow_rows): a day unlike others. Later still, and recovers slowly.
- trend: fast minus slow mean: a level or slope that leaves its past. Fires once more on the way back.
- departure: the trend again, compared with what it was before it began to leave: a leak. Not seen where the series
  has moved as fast before, or for longer than the slow mean follows.
- floor: the lowest of the last rows, judged upwards: bursts that do not end, a valley that is filled.
- ceiling: the highest of the last rows, judged downwards: peaks that stay away. Both know only fast_rows.
Relative:
- volatility: log of the usual distance of surprise from its own mean: noise that grows, or a line gone flat.
  Coarse: a step raises it too.
- magnitude: log of the sample: the small side of skewed series. growth: fast minus slow mean of that.
- ratio: log of sample over expected: small hours count as much as busy ones.
  These three need a series that was never negative; near zero they lean on the usual step to stay calm.
No view sees samples that do not come (see Engine.overdue), nor what only several series together show.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from muninn.detection.state import VIEWS, Floats, Ints, Rows
from muninn.detection.tuning import Tuning

VALUE, CHANGE, SURPRISE, DRIFT, DAY, TREND, FLOOR, CEILING, VOLATILITY = range(9)
MAGNITUDE, GROWTH, RATIO, DEPARTURE = range(9, len(VIEWS))
SEASONAL = (SURPRISE, DRIFT, DAY, RATIO)
# The same thing in the metric's unit and in logarithms, by two memories, now and smoothed; a step, and the volatility
# that it raises.
TWINS = ((VALUE, MAGNITUDE), (SURPRISE, RATIO), (TREND, GROWTH), (TREND, DEPARTURE), (GROWTH, DEPARTURE),
         (SURPRISE, DRIFT), (RATIO, DRIFT), (TREND, VOLATILITY), (GROWTH, VOLATILITY))  # fmt: skip
# A block of the rolling extremes is this share of fast_rows; the last one and the running one count.
_BLOCK_SHARE = 0.67
_SETTLED_ROWS = 20
# Before, the slow mean moves about as fast as the fast one.
_TREND_ROWS = 100
_LEAST_INTERVAL_PULL = 0.02
_SPREAD_NOISE = 0.3

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Sight:
    """What m samples look like: for each view its number, whether it can be judged, and the least width of a range.

    number, least_width: float64[views, m]; judged: bool[views, m].
    """

    number: Floats
    judged: Bools
    least_width: Floats


def keep_time(rows: Rows, at_us: Ints, tuning: Tuning) -> Bools:
    """Note the instants; bool[m]: the sample comes after a gap, or a clock went back."""
    first = rows.seen == 0
    interval = np.where(first, 0.0, (at_us - rows.at_us) / 1e6)
    known = rows.step_s > 0
    gap: Bools = (interval < 0) | (known & (interval > tuning.gap_steps * rows.step_s))
    longer = interval > rows.longest_s
    rows.longest_s[:] = np.where(
        longer, interval, rows.longest_s - np.maximum(0.0, rows.longest_s - rows.step_s) / tuning.memory_rows
    )
    pull = np.maximum(_LEAST_INTERVAL_PULL, 1.0 / (rows.seen + 1))
    learned = np.where(known, rows.step_s + pull * (np.minimum(interval, 3 * rows.step_s) - rows.step_s), interval)
    rows.step_s[:] = np.where(gap | (interval <= 0), rows.step_s, learned)
    rows.first_us[:] = np.where(first, at_us, rows.first_us)
    rows.at_us[:] = at_us
    return gap


def look(rows: Rows, value: Floats, expected: Floats, rows_per_hour: Floats, gap: Bools, tuning: Tuning) -> Sight:
    """Smooth m new samples into `rows` and see them from all sides; `rows.seen` counts them already."""
    first = rows.seen == 1
    step = np.where(first, 0.0, value - rows.value)
    _note_noise(rows, np.where(gap, 0.0, np.abs(step)), tuning)
    rows.has_negative |= value < 0
    surprise = value - expected
    _smooth(rows, value, surprise, rows_per_hour, tuning)
    _roll_extremes(rows, value, first, tuning)
    positive = (rows.has_negative == 0) & (rows.noise > 0)
    magnitude, ratio = _logarithms(rows, value, expected, positive, tuning)
    rows.value[:] = value

    level = _level(rows, value)
    spread = rows.spread + _SPREAD_NOISE * rows.noise + tuning.level_floor * level
    spread_known = (spread > 0) & (rows.seen > _SETTLED_ROWS + 1)
    number = np.empty((len(VIEWS), len(value)))
    number[VALUE], number[CHANGE], number[SURPRISE], number[DRIFT] = value, step, surprise, rows.drift
    number[DAY], number[TREND] = rows.day, rows.fast - rows.slow
    number[FLOOR], number[CEILING] = (
        np.minimum(rows.low_now, rows.low_before),
        np.maximum(rows.high_now, rows.high_before),
    )
    number[VOLATILITY] = np.log(np.where(spread_known, spread, 1.0))
    number[MAGNITUDE], number[GROWTH], number[RATIO] = magnitude, rows.log_fast - rows.log_slow, ratio
    number[DEPARTURE] = number[TREND]

    judged = np.ones(number.shape, bool)
    judged[CHANGE] = ~gap & ~first
    judged[TREND] = rows.seen > _SETTLED_ROWS + 1
    judged[VOLATILITY] = spread_known
    judged[DEPARTURE] = rows.seen > _TREND_ROWS
    judged[MAGNITUDE], judged[RATIO] = positive, positive
    judged[GROWTH] = positive & (rows.log_seen > _SETTLED_ROWS)
    return Sight(number, judged, _least_width(rows, level, positive, tuning))


def _note_noise(rows: Rows, step: Floats, tuning: Tuning) -> None:
    pull = np.maximum(1.0 / tuning.noise_rows, 1.0 / np.maximum(1, rows.seen - 1))
    rows.noise += np.where(rows.seen > 1, pull * (step - rows.noise), 0.0)


def _smooth(rows: Rows, value: Floats, surprise: Floats, rows_per_hour: Floats, tuning: Tuning) -> None:
    """Means over fast_rows, slow_rows and a day; those of a young series are plain means."""
    young = 1.0 / rows.seen
    fast, slow = np.maximum(1.0 / tuning.fast_rows, young), np.maximum(1.0 / tuning.slow_rows, young)
    rows.fast += fast * (value - rows.fast)
    rows.slow += slow * (value - rows.slow)
    rows.drift += fast * (surprise - rows.drift)
    day_rows = np.minimum(2 * tuning.slow_rows, 24 * rows_per_hour)
    rows.day += np.maximum(1.0 / day_rows, young) * (surprise - rows.day)
    away = surprise - rows.centre
    rows.centre += slow * away
    rows.spread += slow * (np.abs(away) - rows.spread)


def _roll_extremes(rows: Rows, value: Floats, first: Bools, tuning: Tuning) -> None:
    """The extremes of the running block and the one before it."""
    begins = rows.block_row == 0
    for now, before, pick in (
        (rows.low_now, rows.low_before, np.minimum),
        (rows.high_now, rows.high_before, np.maximum),
    ):
        before[:] = np.where(first, value, np.where(begins, now, before))
        now[:] = np.where(begins, value, pick(now, value))
    rows.block_row[:] = (rows.block_row + 1) % max(1, round(_BLOCK_SHARE * tuning.fast_rows))


def _logarithms(rows: Rows, value: Floats, expected: Floats, positive: Bools, tuning: Tuning) -> tuple[Floats, Floats]:
    """Log of the sample and log of sample over expected, both raised by the usual step; 0 where not positive."""
    lift = np.where(positive, rows.noise, 1.0)
    magnitude = np.log(np.where(positive, value + lift, 1.0))
    ratio = np.where(positive, magnitude - np.log(np.maximum(expected, 0.0) + lift), 0.0)
    rows.log_seen += positive
    seen = np.maximum(1, rows.log_seen)
    fast = np.maximum(1.0 / tuning.fast_rows, 1.0 / seen)
    slow = np.maximum(1.0 / tuning.slow_rows, 1.0 / seen)
    rows.log_fast += np.where(positive, fast * (magnitude - rows.log_fast), 0.0)
    rows.log_slow += np.where(positive, slow * (magnitude - rows.log_slow), 0.0)
    return magnitude, ratio


def _level(rows: Rows, value: Floats) -> Floats:
    """The greatest size that the remembered range holds; a new series has its first value."""
    level = np.maximum(np.abs(rows.high[VALUE]), np.abs(rows.low[VALUE]))
    return np.where(np.isnan(level), np.abs(value), level)


def _least_width(rows: Rows, level: Floats, positive: Bools, tuning: Tuning) -> Floats:
    """float64[views, m]: some usual steps and a little of the level, so that no range is thinner than noise."""
    width = np.empty((len(VIEWS), len(level)))
    width[:VOLATILITY] = tuning.noise_floor * rows.noise + tuning.level_floor * level
    width[VOLATILITY] = tuning.level_floor
    mean = np.where(positive, np.maximum(rows.slow, 0.0) + rows.noise, 1.0)
    width[DEPARTURE] = width[TREND]
    width[MAGNITUDE:DEPARTURE] = tuning.level_floor + tuning.noise_floor * rows.noise / mean
    return width
