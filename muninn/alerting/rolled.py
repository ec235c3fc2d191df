"""Rollup buckets of samples at hand, as the store makes them: rules that look far back, in replays and in tests.

Belongs here: samples to buckets. Does not: the store's own rollups, arithmetic on buckets (long).
"""

from collections.abc import Sequence

import numpy as np

from muninn.alerting.long import WIDTH_US, Buckets, Histories, Level, key_of, needs
from muninn.alerting.rules import Rule
from muninn.model import SampleBatch


class Rolled:
    """All of a recording in buckets of each width; `at` gives what rules look at as of an instant."""

    def __init__(self, batch: SampleBatch, rules: Sequence[Rule]):
        self._rules = [rule for rule in rules if rule.is_long]
        self._batch = batch
        self._levels: dict[Level, Buckets] = {}

    def at(self, now_us: int) -> Histories:
        """What the rules need; buckets that are not over by then are in none of it."""
        found = {}
        for need in needs(self._rules, now_us):
            if need.level not in self._levels:
                self._levels[need.level] = buckets_of(self._batch, need.level)
            found[key_of(need, now_us)] = _within(self._levels[need.level], need.window.since_us, need.window.until_us)
        return found


def buckets_of(batch: SampleBatch, level: Level) -> Buckets:
    """Every series of the samples, in buckets of one width."""
    order = np.lexsort((batch.at_us, batch.key_index))
    series, at_us, value = batch.key_index[order].astype(np.int64), batch.at_us[order], batch.value[order]
    if not len(series):
        return Buckets.empty()
    bucket = at_us // WIDTH_US[level] * WIDTH_US[level]
    fresh = (np.diff(series, prepend=-1) != 0) | (np.diff(bucket, prepend=-1) != 0)
    starts = np.flatnonzero(fresh)
    ends = np.append(starts[1:], len(series)) - 1
    step = np.diff(value, prepend=value[0])
    grown = np.where(fresh, 0.0, np.where(step < 0, value, step))  # a counter that fell began anew at 0
    return Buckets(
        tuple(batch.keys), series[starts], bucket[starts], ends - starts + 1, np.add.reduceat(value, starts),
        value[starts], value[ends], np.add.reduceat(grown, starts),
    )  # fmt: skip


def _within(found: Buckets, since_us: int, until_us: int) -> Buckets:
    inside = (found.at_us >= since_us) & (found.at_us < until_us)
    return Buckets(
        found.keys, found.series[inside], found.at_us[inside], found.count[inside], found.total[inside],
        found.first[inside], found.last[inside], found.grown[inside],
    )  # fmt: skip
