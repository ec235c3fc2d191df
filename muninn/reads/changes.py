"""What changed most in the last hour: each series' last ten minutes against the fifty before, by their spread.

Belongs here: that comparison, of all series at once. Does not: sentences (overview), a day and a week (regressions).

A counter counts by its growth: from one minute's least value to the next one's, which is exact as long as it only
grows; a reset drops that minute.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muninn.clock import HOUR_US, MINUTE_US, SECOND_US
from muninn.model.window import as_datetime
from muninn.reads import arrays, points
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
# The square of what is larger does not fit a double.
_LARGEST = 1e100
# Series whose keys are asked for at first: mostly, ten are among them.
_NAMED_AT_ONCE = 40
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


def changes(ask: Asker, now_us: int) -> list[Found]:
    """At most ten, the furthest from their spread first, at most three of a metric."""
    since_us = (now_us - HOUR_US) // MINUTE_US * MINUTE_US
    split_us = (now_us - RECENT_US) // MINUTE_US * MINUTE_US
    known = ask.fetch("reads_compared_series", since=as_datetime(since_us))[0]
    ids = received_array(known.series, np.int32).astype(np.int64)
    if not len(ids):
        return []
    counter, percentage = (received_array(some, np.int32).astype(np.bool_) for some in (known.rising, known.percentage))
    compared = compare(_minutes(ask, ids, since_us, now_us), counter, (split_us - since_us) // MINUTE_US)
    score = scores(compared, percentage[compared.place])
    return _told(ask, ids, compared, score)


def _minutes(ask: Asker, ids: Ints, since_us: int, until_us: int) -> Floats:
    """float64[3, series, minutes]: counts, totals and lows of the series with these ids; without samples zeros."""
    from muninn.reads import _minutes

    table = np.zeros((3, len(ids), -(-(until_us - since_us) // MINUTE_US)))
    rows = ask.fetch("reads_minutes", since=as_datetime(since_us), until=as_datetime(until_us))
    first = since_us - arrays.POSTGRES_EPOCH_US
    for row in rows:
        if row.points:
            series, lengths = points.stretches(row)
            place = np.minimum(np.searchsorted(ids, series), len(ids) - 1)
            place[ids[place] != series] = -1
            sent = points.words([row]).astype(np.int64)
            _minutes.lay_out(sent, place, lengths, first, MINUTE_US, _LARGEST, table)
    return table


def compare(table: Floats, counter: NDArray[np.bool_], split: int) -> Compared:
    """Each series' recent minutes (from the number `split` on) against those before.

    table: as _minutes() gives it. counter: bool[series].
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
