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
    """n minutes, by series and time. place, of the series, at_us, count: int64[n]. total, low: float64[n]."""

    place: Ints
    at_us: Ints
    count: Ints
    total: Floats
    low: Floats


def changes(ask: Asker, now_us: int) -> list[Found]:
    """At most ten, the furthest from their spread first, at most three of a metric."""
    since_us = (now_us - HOUR_US) // MINUTE_US * MINUTE_US
    split_us = (now_us - RECENT_US) // MINUTE_US * MINUTE_US
    known = ask.fetch("reads_compared_series", since=as_datetime(since_us))[0]
    if known.metrics is None:
        return []
    ids, metrics = arrays.int64s(known.series), np.array(known.metrics, dtype=np.str_)
    minutes = _minutes(ask, ids, since_us, now_us)
    compared = compare(minutes, np.char.endswith(metrics, "_total")[minutes.place], split_us)
    names = metrics[compared.place]
    score = scores(compared, np.char.endswith(names, "_pct"))
    return _named(ask, ids, compared, score, chosen(names, score))


def _minutes(ask: Asker, ids: Ints, since_us: int, until_us: int) -> Minutes:
    """Of the series with these ids, which rise; without what is too large to be squared."""
    rows = ask.fetch("reads_minutes", since=as_datetime(since_us), until=as_datetime(until_us))
    rows = [row for row in rows if row.points]
    place = np.concatenate([np.empty(0, np.int64), *(_places(row, ids) for row in rows)])
    words = points.words(rows)
    at_us, count = points.column(words, 0) + arrays.POSTGRES_EPOCH_US, points.column(words, 1)
    total, low, high = (points.column(words, number).view(np.float64) for number in (2, 3, 4))
    usable = (place >= 0) & (at_us >= since_us) & (at_us < until_us) & (low > -_LARGEST) & (high < _LARGEST)
    order = _in_order(place, (at_us - since_us) // MINUTE_US, np.flatnonzero(usable))
    return Minutes(place[order], at_us[order], count[order], total[order], low[order])


def _places(row: Any, ids: Ints) -> Ints:
    """int64[n]: where the series of each minute of a row stands among `ids`; -1: nowhere."""
    series, lengths = points.stretches(row)
    place = np.minimum(np.searchsorted(ids, series), len(ids) - 1)
    return np.repeat(np.where(ids[place] == series, place, -1), lengths)


def _in_order(place: Ints, minute: Ints, some: NDArray[np.intp]) -> NDArray[np.intp]:
    """Those of some rows by place and minute, of which each pair is there once: laid out in a table, not sorted."""
    if not len(some):
        return some
    width = int(minute[some].max()) + 1
    table = np.full((int(place[some].max()) + 1) * width, -1, np.intp)
    table[place[some] * width + minute[some]] = some
    return table[table >= 0]


def compare(minutes: Minutes, counter: NDArray[np.bool_], split_us: int) -> Compared:
    """Each series' recent minutes (from `split_us` on) against those before.

    counter: bool[n], of each minute's series.
    """
    last = np.append(np.diff(minutes.place) != 0, True) if len(minutes.place) else np.empty(0, np.bool_)
    growth, gap_s = np.roll(minutes.low, -1) - minutes.low, (np.roll(minutes.at_us, -1) - minutes.at_us) / SECOND_US
    amount, weight = np.where(counter, growth, minutes.total), np.where(counter, gap_s, minutes.count)
    kept = ~counter | (~last & (growth >= 0))
    place, recent = minutes.place[kept], minutes.at_us[kept] >= split_us
    amount, weight = amount[kept], weight[kept]
    begins = np.diff(place, prepend=-1) != 0
    places, half = place[begins], (np.cumsum(begins) - 1) * 2 + recent
    size = len(places) * 2
    totals, weights, times = (
        np.bincount(half, values, size).reshape(-1, 2) for values in (amount, weight, np.ones(len(half)))
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        means = totals / weights
        rate = amount / weight
        # Around the mean of the minutes, as a standard deviation is.
        centre = (np.bincount(half, rate, size) / times.ravel())[half]
        squares = np.bincount(half, (rate - centre) ** 2, size).reshape(-1, 2)[:, 0]
        spread = np.sqrt(squares / (times[:, 0] - 1))
    enough = (times[:, 0] >= MIN_BEFORE) & (times[:, 1] >= MIN_NOW)
    return Compared(places[enough], means[enough, 0], means[enough, 1], spread[enough])


def scores(compared: Compared, percentage: NDArray[np.bool_]) -> Floats:
    """float64[n]: how many spreads (with a floor) each series moved."""
    size = np.maximum(np.abs(compared.before), np.abs(compared.now))
    least = np.where(percentage, _FLOOR_POINTS, 1e-300)
    floor = np.maximum.reduce([compared.spread, _FLOOR_SHARE * size, least])
    found: Floats = np.abs(compared.now - compared.before) / floor
    return found


def chosen(names: NDArray[np.str_], score: Floats) -> list[int]:
    """Places of the highest scores, at most three of a metric."""
    taken: dict[str, int] = {}
    found: list[int] = []
    for place in np.argsort(-score, kind="stable"):
        if score[place] < MIN_SCORE or len(found) == MAX_CHANGES:
            break
        name = str(names[place])
        taken[name] = taken.get(name, 0) + 1
        if taken[name] <= MAX_CHANGES_PER_METRIC:
            found.append(int(place))
    return found


def _named(ask: Asker, ids: Ints, compared: Compared, score: Floats, places: list[int]) -> list[Found]:
    if not places:
        return []
    wanted = ids[compared.place[places]].tolist()
    keys = {row.series_id: row for row in ask.fetch("reads_series_keys", series=wanted)}
    return [
        Found(
            *(key.metric_name, key.tags, key.source_agent_id, key.instance_id),
            *map(float, (compared.before[place], compared.now[place], compared.spread[place], score[place])),
        )
        for place, ident in zip(places, wanted, strict=True)
        for key in (keys[ident],)
    ]
