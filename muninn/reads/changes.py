"""What changed most in the last hour: each series' last ten minutes against the fifty before, by their spread.

Belongs here: that comparison, of all series at once. Does not: sentences (overview), a day and a week (regressions).

A counter counts by its growth: from one minute's least value to the next one's, which is exact as long as it only
grows; a reset drops that minute.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muninn.clock import HOUR_US, MINUTE_US, SECOND_US
from muninn.reads.asking import Asker
from muninn.reads.points import Floats, Ints
from muninn.store.arrays import received as received_array

MAX_CHANGES = 10
MAX_CHANGES_PER_METRIC = 3
RECENT_US = 10 * MINUTE_US
# Minutes with samples that a comparison needs on either side.
MIN_BEFORE = 10
MIN_NOW = 5
# A steady drift over the hour scores 2: its baseline's spread is that of the drift.
MIN_SCORE = 3.0
# A minute of a series as fleet_point() makes it, and what reads_series_kinds says of a series.
_POINT = np.dtype([("series", ">i4"), ("count", ">i8"), ("total", ">f8"), ("low", ">f8")])
_KNOWN, _OWN, _RISING, _PERCENTAGE = 1, 2, 4, 8
# The square of what is larger does not fit a double.
_LARGEST = 1e100
# Series whose keys are asked for at first: mostly, ten are among them.
_NAMED_AT_ONCE = 20
# The floor keeps what was all but constant from winning by a hair.
_FLOOR_SHARE = 0.02
_FLOOR_POINTS = 0.5


@dataclass(frozen=True)
class Found:
    """One series that left its spread; key columns as in the table of series."""

    metric_name: str
    tags: Mapping[str, str]
    source_agent_id: str
    instance_id: str
    before: float
    now: float
    spread: float
    score: float


@dataclass(frozen=True, eq=False)
class Compared:
    """n series. place: int64[n], of each among all. before, now, spread: float64[n], of means or growth per second."""

    place: Ints
    before: Floats
    now: Floats
    spread: Floats


@dataclass(frozen=True, eq=False)
class Minutes:
    """n minutes of series, in any order. series, at_us: int64[n]. amounts: float64[3, n]: counts, totals, lows."""

    series: Ints
    at_us: Ints
    amounts: Floats

    @classmethod
    def received(cls, rows: Sequence[Any]) -> "Minutes":
        """As read_overview() sends them."""
        sent = np.frombuffer(b"".join(row.points for row in rows), _POINT)
        lengths = [len(row.points) // _POINT.itemsize for row in rows]
        at_us = np.repeat(np.array([row.at_us for row in rows], np.int64), lengths)
        amounts = np.empty((3, len(sent)))
        for number, name in enumerate(("count", "total", "low")):
            amounts[number] = sent[name]
        return cls(sent["series"].astype(np.int64), at_us, amounts)

    def samples(self, minute_us: int) -> int:
        """How many samples all series have in one minute."""
        return round(float(self.amounts[0, self.at_us == minute_us].sum()))


def since_us(now_us: int) -> int:
    """Where the minutes begin that changes are found in."""
    return (now_us - HOUR_US) // MINUTE_US * MINUTE_US


def changes(ask: Asker, minutes: Minutes, edition: int, now_us: int) -> list[Found]:
    """At most ten, the furthest from their spread first, at most three of a metric.

    minutes: of all series from since_us() on. edition: of the table of series (known).
    """
    if not len(minutes.series):
        return []
    there = np.zeros(minutes.series.max() + 1, np.bool_)
    there[minutes.series] = True
    ids = np.flatnonzero(there)
    kinds = ask.known.kinds.of(edition, ids, lambda some: _kinds(ask, some))
    compared_too = (kinds & (_KNOWN | _OWN)) == _KNOWN
    ids, kinds = ids[compared_too], kinds[compared_too]
    split = ((now_us - RECENT_US) // MINUTE_US * MINUTE_US - since_us(now_us)) // MINUTE_US
    compared = compare(_table(minutes, ids, now_us), (kinds & _RISING) > 0, split)
    score = scores(compared, (kinds & _PERCENTAGE)[compared.place] > 0)
    return _told(ask, ids, compared, score)


def _kinds(ask: Asker, ids: Ints) -> NDArray[np.uint8]:
    """uint8[n] of these ids, which rise."""
    row = ask.fetch("reads_series_kinds", series=ids.astype(np.int32))[0]
    series, kind = received_array(row.series, np.int32), received_array(row.kind, np.int32)
    found = np.zeros(len(ids), np.uint8)
    found[np.searchsorted(ids, series)] = kind
    return found


def _table(minutes: Minutes, ids: Ints, now_us: int) -> Floats:
    """float64[3, series, minutes]: counts, totals and lows of the series with these ids; without samples zeros."""
    from muninn.reads import _minutes

    first_us = since_us(now_us)
    table = np.zeros((3, len(ids), -(-(now_us - first_us) // MINUTE_US)))
    place = np.full(minutes.series.max() + 1, -1)
    place[ids] = np.arange(len(ids))
    minute = (minutes.at_us - first_us) // MINUTE_US
    _minutes.lay_out(minutes.series, minute, minutes.amounts, place, _LARGEST, table)
    return table


def compare(table: Floats, counter: NDArray[np.bool_], split: int) -> Compared:
    """Each series' recent minutes (from the number `split` on) against those before.

    table: as _table() gives it. counter: bool[series].
    """
    from muninn.reads import _minutes

    times, means = np.zeros((2, len(counter)), np.int64), np.zeros((2, len(counter)))
    spread = np.empty(len(counter))
    _minutes.compare(table, counter, split, MINUTE_US / SECOND_US, times, means, spread)
    place = np.flatnonzero((times[0] >= MIN_BEFORE) & (times[1] >= MIN_NOW))
    return Compared(place, means[0, place], means[1, place], spread[place])


def scores(compared: Compared, percentage: NDArray[np.bool_]) -> Floats:
    """float64[n]: how many spreads (with a floor) each series moved."""
    size = np.maximum(np.abs(compared.before), np.abs(compared.now))
    least = np.where(percentage, _FLOOR_POINTS, 1e-300)
    floor = np.maximum.reduce([compared.spread, _FLOOR_SHARE * size, least])
    found: Floats = np.abs(compared.now - compared.before) / floor
    return found


def _told(ask: Asker, ids: Ints, compared: Compared, score: Floats) -> list[Found]:
    """Those of the highest scores, at most three of a metric."""
    order = np.argsort(-score, kind="stable")
    order = order[score[order] >= MIN_SCORE]
    taken: dict[str, int] = {}
    found: list[Found] = []
    start, length = 0, _NAMED_AT_ONCE
    while start < len(order) and len(found) < MAX_CHANGES:
        some = order[start : start + length]
        start, length = start + length, length * 4
        wanted = ids[compared.place[some]].tolist()
        keys = {row.series_id: row for row in ask.fetch("reads_series_keys", series=wanted)}
        for place, ident in zip(some.tolist(), wanted, strict=True):
            key = keys[ident]
            taken[key.metric_name] = taken.get(key.metric_name, 0) + 1
            if taken[key.metric_name] <= MAX_CHANGES_PER_METRIC and len(found) < MAX_CHANGES:
                found.append(_found(key, compared, score, place))
    return found


def _found(key: Any, compared: Compared, score: Floats, place: int) -> Found:
    figures = (compared.before[place], compared.now[place], compared.spread[place], score[place])
    return Found(key.metric_name, key.tags, key.source_agent_id, key.instance_id, *map(float, figures))
