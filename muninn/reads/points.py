"""Buckets of many series as columns: read in one answer, merged into groups and steps without a loop over points.

Belongs here: the packed words of sql/idempotent/055_packed.sql, merging counts, sums, extremes and sketches.
Does not: which series, which steps, what a group means.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from muninn.analytics.cold_file import Columns
from muninn.clock import HOUR_US
from muninn.model import Window
from muninn.numerics import sketch
from muninn.reads import arrays, tiers
from muninn.reads.asking import Asker
from muninn.reads.quantiles import grouped
from muninn.store.arrays import instants_literal, text_literal
from muninn.store.arrays import received as received_array

P95 = 0.95
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Sketches = Literal["none", "open", "all"]

# A bucket as it is sent.
WORDS = 6
BYTES = 8 * WORDS


@dataclass(frozen=True, eq=False)
class Points:
    """n buckets, in any order. series: int64[n], ids. at_us: int64[n], starts. count: int64[n], > 0.

    total, low, high, p95: float64[n]; p95 is NaN where it has to come from the sketch.
    lengths: int64[n], entries of each bucket's sketch (0: not read). bins: int64[sum(lengths)], in the same order.
    """

    series: Ints
    at_us: Ints
    count: Ints
    total: Floats
    low: Floats
    high: Floats
    p95: Floats
    lengths: Ints
    bins: Ints

    def __len__(self) -> int:
        return len(self.at_us)

    @classmethod
    def concat(cls, some: Sequence["Points"]) -> "Points":
        """All of them, one after the other."""
        return cls(*(np.concatenate([getattr(each, name) for each in some]) for name in _COLUMNS))

    def labelled(self, groups: Mapping[int, int]) -> Ints:
        """int64[n]: the group of each bucket's series."""
        ids = np.fromiter(groups.keys(), np.int64, len(groups))
        numbers = np.fromiter(groups.values(), np.int64, len(groups))
        order = np.argsort(ids)
        return numbers[order][np.searchsorted(ids, self.series, sorter=order)] if len(ids) else ids

    def take(self, order: NDArray[np.intp] | NDArray[np.bool_]) -> "Points":
        """The buckets at these places."""
        places = np.flatnonzero(order) if order.dtype == np.bool_ else order
        lengths = self.lengths[places]
        bins = self.bins
        if len(bins):
            starts = (np.cumsum(self.lengths) - self.lengths)[places]
            inside = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
            bins = bins[np.repeat(starts, lengths) + inside]
        return Points(
            self.series[places],
            self.at_us[places],
            self.count[places],
            self.total[places],
            self.low[places],
            self.high[places],
            self.p95[places],
            lengths,
            bins,
        )


@dataclass(frozen=True, eq=False)
class Merged:
    """g groups by step, ordered by both. group: int64[g]. Otherwise as Points; p95 is NaN where no sketch was read."""

    group: Ints
    at_us: Ints
    count: Ints
    total: Floats
    low: Floats
    high: Floats
    p95: Floats

    @property
    def mean(self) -> Floats:
        """sum / count, held within [min, max], which rounding alone could leave."""
        return np.clip(self.total / self.count, self.low, self.high)


@dataclass(frozen=True)
class Piece:
    """A window of whole buckets of one resolution, but for those in the hours that begin at `without_us`."""

    resolution: str
    window: Window
    without_us: tuple[int, ...] = ()

    def holds(self, at_us: Ints) -> NDArray[np.bool_]:
        """Which buckets belong to it."""
        inside: NDArray[np.bool_] = (at_us >= self.window.since_us) & (at_us < self.window.until_us)
        return inside & ~np.isin(at_us // HOUR_US * HOUR_US, self.without_us) if self.without_us else inside


def read(ask: Asker, pieces: Sequence[Piece], series: list[int], sketches: Sketches) -> Points:
    """The buckets of some windows, up to this second, in one question.

    sketches: "none", "all", or "open": of those buckets alone whose p95 is not there already.
    """
    if not series or not pieces:
        return _NONE
    ids = np.array(series, np.int32)
    return received(ask.fetch("reads_points", series=ids, sketches=sketches, **asked(pieces)), pieces)


def asked(pieces: Sequence[Piece]) -> dict[str, object]:
    """The parameters of a query for pieces."""
    return {
        "resolutions": text_literal(piece.resolution for piece in pieces),
        "since": instants_literal(piece.window.since for piece in pieces),
        "until": instants_literal(piece.window.until for piece in pieces),
    }


def raw(ask: Asker, series: list[int], hours: list[datetime]) -> Points:
    """The samples of some hours, each as a bucket, in whichever tier they are."""
    cold, hot = tiers.hours(ask, series, hours)
    rows = ask.fetch("reads_edges_raw", series=series, hours=hot) if hot else []
    found = _joined([_points(row) for row in rows])
    return found if cold is None else Points.concat([found, of_samples(cold)])


def received(rows: Sequence[Any], pieces: Sequence[Piece]) -> Points:
    """What read_points() gave, each row of its piece (from 1): packed buckets come in whole spans."""
    found = []
    for row in rows:
        some = _points(row)
        inside = pieces[row.piece - 1].holds(some.at_us) & (some.at_us >= row.from_us)
        found.append(some if inside.all() else some.take(inside))
    return _joined(found)


def _joined(some: list[Points]) -> Points:
    return some[0] if len(some) == 1 else Points.concat([_NONE, *some])


def of_samples(found: Columns) -> Points:
    """Each sample as a bucket, with its sketch."""
    count, lengths = np.ones(len(found), np.int64), np.ones(len(found), np.int64)
    low, high = found.value.copy(), found.value.copy()
    bins = (sketch.key_of(found.value) << 32) + 1
    if (some := found.distributions) is not None:
        count[some.rows], low[some.rows], high[some.rows] = some.count, some.low, some.high
        lengths[some.rows] = some.lengths
        of_one, bins = bins, np.empty(int(lengths.sum()), np.int64)
        many = np.repeat(np.isin(np.arange(len(found)), some.rows), lengths)
        bins[many], bins[~many] = some.bins, np.delete(of_one, some.rows)
    unknown = np.full(len(found), np.nan)
    series = found.series_id.astype(np.int64)
    return Points(series, found.at_us, count, found.value * count, low, high, unknown, lengths, bins)


def words(sent: bytes) -> Ints:
    """int64[n, WORDS]: buckets as they were sent; figures are doubles of the same bits."""
    return np.frombuffer(sent, ">i8").astype(np.int64).reshape(-1, WORDS)


def stretches(row: Any) -> tuple[Ints, Ints]:
    """int64[s] each: the series of stretches of a row's buckets, and how many buckets each is."""
    series = received_array(row.series, np.int32).astype(np.int64)
    lengths = np.ones_like(series) if row.bytes_each is None else received_array(row.bytes_each, np.int32) // BYTES
    return series, lengths


def series_of(row: Any) -> Ints:
    """int64[n]: the series of each bucket of a row."""
    return np.repeat(*stretches(row))


def _points(row: Any) -> Points:
    found = words(row.points)
    figures = found.view(np.float64)
    lengths = np.zeros(len(found), np.int64) if row.sketch_length is None else arrays.int64s(row.sketch_length)
    return Points(
        series_of(row),
        found[:, 0] + arrays.POSTGRES_EPOCH_US,
        found[:, 1],
        figures[:, 2],
        figures[:, 3],
        figures[:, 4],
        figures[:, 5],
        lengths,
        np.empty(0, np.int64) if row.sketch is None else arrays.joined_int64s(row.sketch, lengths),
    )


_COLUMNS = tuple(field.name for field in fields(Points))
_EMPTY, _EMPTY_FIGURES = np.empty(0, np.int64), np.empty(0, np.float64)
_NONE = Points(_EMPTY, _EMPTY, _EMPTY, _EMPTY_FIGURES, _EMPTY_FIGURES, _EMPTY_FIGURES, _EMPTY_FIGURES, _EMPTY, _EMPTY)


def merge(points: Points, group: Ints, step_us: Ints) -> Merged:
    """The buckets merged by group and step (int64[n] each); p95 is right where one bucket or sketches make a step."""
    place = np.lexsort((step_us, group))
    if (place[1:] < place[:-1]).any():
        points, group, step_us = points.take(place), group[place], step_us[place]
    if not len(points):
        return Merged(_EMPTY, _EMPTY, _EMPTY, _EMPTY_FIGURES, _EMPTY_FIGURES, _EMPTY_FIGURES, _EMPTY_FIGURES)
    begins = np.empty(len(group), np.bool_)
    begins[0] = True
    np.not_equal(group[1:], group[:-1], out=begins[1:])
    begins[1:] |= step_us[1:] != step_us[:-1]
    if begins.all() and not len(points.bins):  # each bucket is a step by itself, with what it needs
        return Merged(group, step_us, points.count, points.total, points.low, points.high, points.p95)
    starts = np.flatnonzero(begins)
    merged = Merged(
        group[starts],
        step_us[starts],
        np.add.reduceat(points.count, starts),
        np.add.reduceat(points.total, starts),
        np.minimum.reduceat(points.low, starts),
        np.maximum.reduceat(points.high, starts),
        points.p95[starts],
    )
    return replace(merged, p95=_p95(points, starts, merged))


def _p95(points: Points, starts: NDArray[np.intp], merged: Merged) -> Floats:
    """From sketches where there are; a bucket that is a step by itself keeps its own."""
    alone = np.diff(np.append(starts, len(points))) == 1
    p95 = np.where(alone, merged.p95, np.nan)
    lengths = np.add.reduceat(points.lengths, starts)
    made = lengths > 0
    if made.any():
        p95[made] = grouped(points.bins, lengths[made], P95, merged.low[made], merged.high[made])
    return p95
