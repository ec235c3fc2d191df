"""The last minutes of the series that rules look at, in buckets of a few seconds: columns, of bounded size.

Belongs here: taking samples in and asking for a figure over a window, many series at once. Does not: rules.
A series takes 52 bytes a bucket however often it sends, and a window begins and ends with a bucket.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from muninn.alerting.rules import Over
from muninn.clock import SECOND_US
from muninn.model import SampleBatch, SeriesKey

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Rows = NDArray[np.intp]
BUCKET_US = 5 * SECOND_US
_FIRST_ROWS = 256
_NOT_WATCHED = -1
# Series that no rule looks at are remembered as such, up to here.
_MAX_REMEMBERED = 500_000


@dataclass(frozen=True, eq=False)
class Seen:
    """A window of n series: value float64[n] (NaN without points), points int64[n], last_us int64[n] (0: never)."""

    value: Floats
    points: Ints
    last_us: Ints


class Windows:
    """Ring of buckets per series. watched: whether a series is kept; max_series: others are counted as left out."""

    def __init__(self, watched: Callable[[SeriesKey], bool], reach_s: float, max_series: int = 50_000):
        self.buckets = math.ceil(reach_s * SECOND_US / BUCKET_US) + 2
        self.keys: list[SeriesKey] = []
        self.left_out = 0
        self._watched = watched
        self._max = max_series
        self._row_of: dict[SeriesKey, int] = {}
        self._last_us = np.zeros(_FIRST_ROWS, np.int64)
        self._first_us = np.zeros(_FIRST_ROWS, np.int64)
        self._stamp = np.full((_FIRST_ROWS, self.buckets), -1, np.int64)
        self._count = np.zeros((_FIRST_ROWS, self.buckets), np.int32)
        self._at = np.zeros((_FIRST_ROWS, self.buckets), np.int64)
        self._sum, self._min, self._max_value, self._last = (np.zeros((_FIRST_ROWS, self.buckets)) for _ in range(4))

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def nbytes(self) -> int:
        """Bytes of all columns, room for series to come included."""
        columns = (self._stamp, self._count, self._at, self._sum, self._min, self._max_value, self._last)
        return sum(column.nbytes for column in columns)

    def reaches(self, reach_s: float) -> bool:
        """Whether a window of this length fits."""
        return math.ceil(reach_s * SECOND_US / BUCKET_US) + 2 <= self.buckets

    def rewatch(self, watched: Callable[[SeriesKey], bool]) -> None:
        """Other series may be of interest from now on; those that are kept stay."""
        self._watched = watched
        self._row_of = {key: row for key, row in self._row_of.items() if row != _NOT_WATCHED}

    def take(self, batch: SampleBatch) -> None:
        """Samples, late ones too as far back as the ring reaches."""
        table = np.fromiter(map(self._row, batch.keys), np.int64, len(batch.keys))
        rows = table[batch.key_index]
        keep = rows != _NOT_WATCHED
        if keep.any():
            self._add(rows[keep], batch.at_us[keep], batch.value[keep])

    def known(self, key: SeriesKey, first_us: int, last_us: int) -> None:
        """A series that was heard of first and last at those times, though its samples are not here."""
        row = self._row(key)
        if row != _NOT_WATCHED:
            self._last_us[row] = max(self._last_us[row], last_us)
            self._first_us[row] = min(self._first_us[row] or first_us, first_us)

    def first_us(self, rows: Rows) -> Ints:
        """When each series was first heard of."""
        return self._first_us[rows]

    def figure(self, rows: Rows, over: Over, since_us: int, until_us: int) -> Seen:
        """The figure of each series over the buckets of [since, until]."""
        slots, mask = self._cut(rows, since_us, until_us)
        count = np.where(mask, self._count[rows][:, slots], 0)
        points = count.sum(axis=1).astype(np.int64)
        value = self._figure(over, rows, slots, mask, points)
        return Seen(np.where(points > 0, value, np.nan), points, self._last_us[rows])

    def growth_per_s(self, rows: Rows, since_us: int, until_us: int, *, counter: bool) -> Seen:
        """Change per second between the first and last point of the window; a counter that fell began anew at 0."""
        slots, mask = self._cut(rows, since_us, until_us)
        last = np.where(mask, self._last[rows][:, slots], np.nan)
        at = np.where(mask, self._at[rows][:, slots], 0)
        points = np.where(mask, self._count[rows][:, slots], 0).sum(axis=1).astype(np.int64)
        filled, steps = _filled(last), mask.sum(axis=1)
        change = np.diff(filled, axis=1)
        if counter:
            change = np.where(change < 0, filled[:, 1:], change)
        total = np.nansum(change, axis=1)
        first_at = np.where(mask, at, np.iinfo(np.int64).max).min(axis=1)
        span_s = (at.max(axis=1) - first_at) / SECOND_US
        usable = (steps >= 2) & (span_s > 0)
        return Seen(np.where(usable, total / np.where(usable, span_s, 1.0), np.nan), points, self._last_us[rows])

    def course(self, row: int, since_us: int, until_us: int) -> tuple[Ints, Floats]:
        """One series' bucket means in order of time: for pictures."""
        rows = np.array([row], np.intp)
        slots, mask = self._cut(rows, since_us, until_us)
        kept = slots[mask[0]]
        at = self._stamp[row, kept] * BUCKET_US
        return at, self._sum[row, kept] / self._count[row, kept]

    def _figure(self, over: Over, rows: Rows, slots: Ints, mask: NDArray[np.bool_], points: Ints) -> Floats:
        if over == "count":
            return points.astype(np.float64)
        if over in ("sum", "mean"):
            total: Floats = np.where(mask, self._sum[rows][:, slots], 0.0).sum(axis=1)
            return total if over == "sum" else total / np.maximum(points, 1)
        if over == "last":
            newest = np.where(mask, self._at[rows][:, slots], -1).argmax(axis=1)
            last: Floats = self._last[rows, slots[newest]]
            return last
        if over == "min":
            return np.where(mask, self._min[rows][:, slots], np.inf).min(axis=1)  # type: ignore[no-any-return]
        return np.where(mask, self._max_value[rows][:, slots], -np.inf).max(axis=1)  # type: ignore[no-any-return]

    def _cut(self, rows: Rows, since_us: int, until_us: int) -> tuple[Ints, NDArray[np.bool_]]:
        """Slots of the window's buckets, oldest first, and bool[n, slots]: which of them hold something."""
        until = until_us // BUCKET_US
        since = max(since_us // BUCKET_US, until - self.buckets + 1)
        numbers = np.arange(since, until + 1, dtype=np.int64)
        slots = numbers % self.buckets
        return slots, self._stamp[rows][:, slots] == numbers

    def _row(self, key: SeriesKey) -> int:
        row = self._row_of.get(key)
        if row is None:
            row = self._new_row(key) if self._watched(key) else _NOT_WATCHED
            if len(self._row_of) >= _MAX_REMEMBERED:
                self.rewatch(self._watched)
            self._row_of[key] = row
        return row

    def _new_row(self, key: SeriesKey) -> int:
        if len(self.keys) >= self._max:
            self.left_out += 1
            return _NOT_WATCHED
        if len(self.keys) == len(self._last_us):
            self._grow()
        self.keys.append(key)
        return len(self.keys) - 1

    def _grow(self) -> None:
        for name in ("_last_us", "_first_us", "_stamp", "_count", "_at", "_sum", "_min", "_max_value", "_last"):
            old = getattr(self, name)
            new = np.zeros((2 * len(old), *old.shape[1:]), old.dtype)
            new[: len(old)] = old
            if name == "_stamp":
                new[len(old) :] = -1
            setattr(self, name, new)

    def _add(self, rows: Ints, at_us: Ints, value: Floats) -> None:
        order = np.lexsort((at_us, rows))
        rows, at_us, value = rows[order], at_us[order], value[order]
        numbers = at_us // BUCKET_US
        starts = np.flatnonzero((np.diff(rows, prepend=-1) != 0) | (np.diff(numbers, prepend=-1) != 0))
        ends = np.append(starts[1:], len(rows)) - 1
        self._heard(rows, at_us)
        self._merge(
            rows[starts],
            numbers[starts],
            (np.diff(np.append(starts, len(rows))), np.add.reduceat(value, starts)),
            (np.minimum.reduceat(value, starts), np.maximum.reduceat(value, starts)),
            (value[ends], at_us[ends]),
        )

    def _heard(self, rows: Ints, at_us: Ints) -> None:
        np.maximum.at(self._last_us, rows, at_us)
        fresh = self._first_us[rows] == 0
        if fresh.any():
            # Sorted by time: written backwards, the earliest is the one that stays.
            self._first_us[rows[fresh][::-1]] = at_us[fresh][::-1]

    def _merge(
        self,
        rows: Ints,
        numbers: Ints,
        sums: tuple[Ints, Floats],
        bounds: tuple[Floats, Floats],
        last: tuple[Floats, Ints],
    ) -> None:
        """One group a (series, bucket), in order: added to a bucket that is there, or in the place of an older one.

        Two buckets of one call that share a slot lie a whole ring apart: the newer of them is written last.
        """
        slots = numbers % self.buckets
        there = self._stamp[rows, slots]
        older = there > numbers
        fresh = there < numbers
        where = (rows[fresh], slots[fresh])
        self._stamp[where] = numbers[fresh]
        self._count[where], self._sum[where] = 0, 0.0
        self._min[where], self._max_value[where] = np.inf, -np.inf
        self._at[where] = -1
        good = ~older & (self._stamp[rows, slots] == numbers)
        where = (rows[good], slots[good])
        self._count[where] += sums[0][good].astype(np.int32)
        self._sum[where] += sums[1][good]
        self._min[where] = np.minimum(self._min[where], bounds[0][good])
        self._max_value[where] = np.maximum(self._max_value[where], bounds[1][good])
        newer = last[1][good] >= self._at[where]
        where = (rows[good][newer], slots[good][newer])
        self._last[where], self._at[where] = last[0][good][newer], last[1][good][newer]


def _filled(value: Floats) -> Floats:
    """Each gap with the value before it; leading gaps stay."""
    places = np.where(np.isnan(value), 0, np.arange(value.shape[1]))
    np.maximum.accumulate(places, axis=1, out=places)
    return value[np.arange(len(value))[:, None], places]


def grouped(value: Floats, group: NDArray[np.intp], count: int, across: str) -> Floats:
    """float64[count]: series' values put together per group; a group without a value is NaN."""
    good = ~np.isnan(value)
    known = np.bincount(group[good], minlength=count)
    result: Floats
    if across in ("mean", "sum"):
        result = np.bincount(group[good], weights=value[good], minlength=count).astype(np.float64)
        if across == "mean":
            result = result / np.maximum(known, 1)
    else:
        start, put = (np.inf, np.minimum) if across == "min" else (-np.inf, np.maximum)
        result = np.full(count, start)
        put.at(result, group[good], value[good])
    return np.where(known > 0, result, np.nan)


def labels_of(key: SeriesKey, by: Sequence[str]) -> dict[str, str]:
    """What an alert on the series is labelled with: `by` of its labels, or all, with agent and instance."""
    found = {**dict(key.labels), "metric": key.metric}
    if key.source_agent_id:
        found.setdefault("source_agent_id", key.source_agent_id)
    if key.instance_id:
        found.setdefault("instance_id", key.instance_id)
    return {name: found.get(name, "") for name in by} if by else found
