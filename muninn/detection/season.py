"""What an hour of the day and of the week usually shows, learned from each series itself.

Belongs here: slots of time, the expected value, learning it. Does not: how far from it is too far.

Expected is the mean of the hour of the day, moved by what this hour of the week showed beyond it, the latter
trusted in proportion to the rows it has taught. An hour that was never seen stands at the slow level.
Fails: for cycles that are not a day or a week (a job every 7 hours), for shapes finer than an hour, in series
with fewer samples than one an hour, and when people change their clocks, unless
the time zone that they live by is set.
"""

from dataclasses import dataclass

import numpy as np

from muninn.clock import DAY_US, HOUR_US
from muninn.detection.state import HOURS, WEEK_HOURS, Floats, Index, Ints, Rows, State
from muninn.detection.tuning import Tuning
from muninn.detection.views import Bools
from muninn.detection.wall_clock import local_us

_HOUR_S = 3600.0
_MOST_SEEN = np.iinfo(np.uint16).max
_LEVEL_PULL = 0.02
# 1970-01-01 was a Thursday: weeks are counted from a Monday.
_MONDAY_HOURS = 3 * HOURS
_WEEK_AND_DAY_US = 8 * DAY_US


@dataclass(frozen=True)
class Slots:
    """Where m samples stand in the season: positions in the flat hour and week arrays, and rows in an hour."""

    hour: Index
    week: Index
    rows_per_hour: Floats


def slots_of(index: Index, at_us: Ints, rows: Rows, time_zone: str) -> Slots:
    """The slots of m samples at `at_us` of the series at `index`, by the clocks of a zone."""
    hours = local_us(at_us, time_zone) // HOUR_US
    step_s = np.maximum(rows.step_s, 1e-6)
    per_hour = np.where(rows.step_s > 0, np.maximum(1.0, _HOUR_S / step_s), 1.0)
    return Slots(index * HOURS + hours % HOURS, index * WEEK_HOURS + (hours + _MONDAY_HOURS) % WEEK_HOURS, per_hour)


def expected(state: State, slots: Slots, rows: Rows) -> Floats:
    """float64[m]: what the series should show now, in its unit."""
    base = np.where(state.hour_seen.ravel()[slots.hour] > 0, state.hour.ravel()[slots.hour], rows.level)
    taught = state.week_seen.ravel()[slots.week].astype(np.float64)
    return base + taught / (taught + slots.rows_per_hour) * state.week.ravel()[slots.week]


def first_visit(state: State, slots: Slots, rows: Rows) -> Bools:
    """bool[m]: this hour of the week, or what comes before it, is seen for the first time, by a series a day old.

    What came before its first day is unknown until that day comes again: a way back from days off ends the eighth.
    """
    age_us = rows.at_us - rows.first_us
    new: Bools = (state.week_seen.ravel()[slots.week] < slots.rows_per_hour) | (age_us < _WEEK_AND_DAY_US)
    return new & (age_us >= DAY_US)


def learn(state: State, slots: Slots, rows: Rows, value: Floats, tuning: Tuning) -> None:
    """Move the two slots and the slow level towards `value`; slots are distinct (one sample a series)."""
    pull = 1.0 - (1.0 - tuning.season_pull) ** (1.0 / slots.rows_per_hour)
    hour, week = state.hour.ravel(), state.week.ravel()
    hour_seen, week_seen = state.hour_seen.ravel(), state.week_seen.ravel()
    for seen, slot in ((hour_seen, slots.hour), (week_seen, slots.week)):
        seen[slot] += (seen[slot] < _MOST_SEEN).astype(np.uint16)
    mean = hour[slots.hour]
    mean = mean + np.maximum(pull, 1.0 / hour_seen[slots.hour]) * (value - mean)
    hour[slots.hour] = mean
    beyond = week[slots.week]
    week[slots.week] = beyond + np.maximum(pull, 1.0 / week_seen[slots.week]) * (value - mean - beyond)
    rows.level += _LEVEL_PULL * (value - rows.level)
