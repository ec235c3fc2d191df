"""What the series of places showed in a minute, several of one feature to one: a row of columns a place.

Belongs here: who counts, means, sums and greatest values, percentiles of buckets. Does not: places' names and trends
(places), which metric is what (features), features made of others (parts).

Fails: a percentile of buckets is known no better than they are narrow; of the last one its beginning is taken.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from muninn.detection.features import BUCKETS, Combine, ranked
from muninn.detection.parts import COLUMNS
from muninn.detection.state import Floats, Index, Ints
from muninn.model import SeriesKey

_WAYS: tuple[Combine, ...] = ("mean", "max", "sum")
_SUM = _WAYS.index("sum")
# A series that comes seldom is part of a sum for so many minutes.
_HELD_MINUTES = 5
_WORST = np.iinfo(np.int64).max
_P95 = COLUMNS.index("response_p95")
_SHARE = 0.95


@dataclass(frozen=True)
class Part:
    """What a series is for its place: its column, how good it is there (the lower the better), how several are made
    one (a number in _WAYS), and the upper bound of the bucket that it counts, NaN where it counts none."""

    column: int
    rank: int
    way: int
    bound: float


NO_PART = Part(-1, 0, 0, np.nan)


def part_of(key: SeriesKey) -> Part:
    """What a series is for its place; NO_PART for one that no column is made of."""
    feature, rank = ranked(key)
    if feature is None or not feature.fills:
        return NO_PART
    bound = np.nan
    if feature.fills == BUCKETS:
        try:
            bound = float(dict(key.labels).get("le", ""))
        except ValueError:
            return NO_PART
    return Part(COLUMNS.index(feature.fills), rank, _WAYS.index(feature.combine), bound)


class Minutes:
    """Collects one minute of series, which are known by the order in which they are met.

    Of the series of one column of a place only those count that are the best there.
    """

    def __init__(self) -> None:
        # Of each series: place * len(COLUMNS) + column, or -1; the rest as a Part has it.
        self._slot: Index = np.zeros(0, np.intp)
        self._rank: Ints = np.zeros(0, np.int64)
        self._way: Ints = np.zeros(0, np.int64)
        self._bound: Floats = np.zeros(0)
        # In the minute that runs, and what was shown last, so many minutes ago.
        self._sum: Floats = np.zeros(0)
        self._count: Floats = np.zeros(0)
        self._held: Floats = np.zeros(0)
        self._held_for: Ints = np.zeros(0, np.int64)
        # By slot: the best rank that a series of it has.
        self._best: Ints = np.zeros(0, np.int64)

    def __len__(self) -> int:
        return len(self._slot)

    def meet(self, places: Sequence[int], parts: Sequence[Part], n_places: int) -> None:
        """Further series: where each belongs, of so many places."""
        column = np.array([part.column for part in parts], np.intp)
        slot = np.where(column >= 0, np.array(places, np.intp) * len(COLUMNS) + column, -1)
        rank, none = np.array([part.rank for part in parts], np.int64), np.zeros(len(parts))
        self._slot, self._rank = np.concatenate([self._slot, slot]), np.concatenate([self._rank, rank])
        self._way = np.concatenate([self._way, np.array([part.way for part in parts], np.int64)])
        self._bound = np.concatenate([self._bound, [part.bound for part in parts]])
        self._sum, self._count, self._held = (np.append(each, none) for each in (self._sum, self._count, self._held))
        self._held_for = np.concatenate([self._held_for, np.full(len(parts), _HELD_MINUTES + 1)])
        more = n_places * len(COLUMNS) - len(self._best)
        self._best = np.concatenate([self._best, np.full(more, _WORST)])
        np.minimum.at(self._best, slot[slot >= 0], rank[slot >= 0])

    def take(self, index: Index, value: Floats) -> None:
        """Series showed this; NaN is nothing."""
        shown = np.isfinite(value)
        np.add.at(self._sum, index[shown], value[shown])
        np.add.at(self._count, index[shown], 1.0)

    def close(self) -> Floats:
        """float64[places, columns] of the minute that ends; NaN where nothing was shown."""
        came = self._count > 0
        np.divide(self._sum, self._count, out=self._held, where=came)
        self._held_for = np.where(came, 0, self._held_for + 1)
        self._sum[:] = self._count[:] = 0.0
        fresh = self._held_for <= np.where(self._way == _SUM, _HELD_MINUTES, 0)
        rows = np.flatnonzero((self._slot >= 0) & fresh)
        rows = rows[self._rank[rows] == self._best[self._slot[rows]]]
        found = self._combined(rows).reshape(-1, len(COLUMNS))
        buckets = rows[np.isfinite(self._held[rows]) & ~np.isnan(self._bound[rows])]
        p95 = _percentiles(self._slot[buckets] // len(COLUMNS), self._bound[buckets], self._held[buckets], len(found))
        np.copyto(found[:, _P95], p95, where=np.isnan(found[:, _P95]))
        return found

    def _combined(self, rows: Index) -> Floats:
        slot, held, size = self._slot[rows], self._held[rows], len(self._best)
        number, total = np.bincount(slot, minlength=size), np.bincount(slot, held, minlength=size)
        most, way = np.full(size, -np.inf), np.zeros(size, np.int64)
        np.maximum.at(most, slot, held)
        way[slot] = self._way[rows]
        found: Floats = np.where(number > 0, np.choose(way, [total / np.maximum(1, number), most, total]), np.nan)
        return found


def _percentiles(place: Index, bound: Floats, rate: Floats, n_places: int) -> Floats:
    """float64[n_places]: the 95th percentile by how fast cumulative buckets grow; NaN where nothing was counted."""
    found = np.full(n_places, np.nan)
    order = np.lexsort((bound, place))
    place, bound, rate = place[order], bound[order], rate[order]
    if not len(place):
        return found
    first = np.flatnonzero(np.append(True, (place[1:] != place[:-1]) | (bound[1:] != bound[:-1])))
    # Several series of one bucket (a path each) count together.
    place, bound, rate = place[first], bound[first], np.add.reduceat(rate, first)
    for begin, end in _runs(place):
        counted, ends = np.maximum.accumulate(rate[begin:end]), bound[begin:end]
        if counted[-1] <= 0 or end - begin < 2:
            continue
        row = int(np.searchsorted(counted, _SHARE * counted[-1]))
        low, below = (0.0, 0.0) if row == 0 else (ends[row - 1], counted[row - 1])
        inside = (_SHARE * counted[-1] - below) / (counted[row] - below)
        found[place[begin]] = low + inside * (ends[row] - low) if np.isfinite(ends[row]) else low
    return found


def _runs(values: Index) -> list[tuple[int, int]]:
    """(begin, end) of each run of equal values."""
    begins = np.flatnonzero(np.diff(values, prepend=-1)).tolist()
    return list(zip(begins, [*begins[1:], len(values)], strict=True))
