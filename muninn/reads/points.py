"""Buckets of many series as columns: read in one answer, merged into groups and steps without a loop over points.

Belongs here: the packed words of sql/idempotent/055_packed.sql, merging counts, sums, extremes and sketches.
Does not: which series, which steps, what a group means.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
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
from muninn.reads.quantiles import SketchSet, unpack
from muninn.store.arrays import instants_literal, received_joined, text_literal
from muninn.store.arrays import received as received_array

P95 = 0.95
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Sketches = Literal["none", "open", "all"]

# Ids, or pairs of group and step, that lie no further apart are looked up in a table, others searched or sorted.
_REACH = 1 << 16
_CELLS_A_ROW = 8

# A bucket as it is sent.
WORDS = 6
BYTES = 8 * WORDS


@dataclass(frozen=True, eq=False)
class Points:
    """n buckets, in any order. series: int64[n], ids. at_us: int64[n], starts. count: int64[n], > 0.

    total, low, high, p95: float64[n]; p95 is NaN where it has to come from the sketch. sketches: one of each bucket.
    """

    series: Ints
    at_us: Ints
    count: Ints
    total: Floats
    low: Floats
    high: Floats
    p95: Floats
    sketches: SketchSet

    def __len__(self) -> int:
        return len(self.at_us)

    @classmethod
    def concat(cls, some: Sequence["Points"]) -> "Points":
        """All of them, one after the other."""
        columns: dict[str, Any] = {name: np.concatenate([getattr(each, name) for each in some]) for name in _COLUMNS}
        return cls(**columns, sketches=SketchSet.concat([each.sketches for each in some]))

    def labelled(self, groups: Mapping[int, int]) -> Ints:
        """int64[n]: the group of each bucket's series."""
        return labelled(self.series, groups)

    def take(self, places: NDArray[np.intp] | NDArray[np.bool_]) -> "Points":
        """The buckets at these places."""
        columns: dict[str, Any] = {name: getattr(self, name)[places] for name in _COLUMNS}
        return Points(**columns, sketches=self.sketches.take(places))


def labelled(series: Ints, groups: Mapping[int, int]) -> Ints:
    """int64[n]: the group of each of n ids."""
    ids = np.fromiter(groups.keys(), np.int64, len(groups))
    numbers = np.fromiter(groups.values(), np.int64, len(groups))
    if not len(ids):
        return ids
    lowest, reach = ids.min(), int(np.ptp(ids)) + 1
    if reach > _REACH:
        order = np.argsort(ids)
        return numbers[order][np.searchsorted(ids, series, sorter=order)]
    of = np.zeros(reach, np.int64)
    of[ids - lowest] = numbers
    found: Ints = of[series - lowest]
    return found


@dataclass(frozen=True, eq=False)
class Merged:
    """g groups by step, ordered by both. group, step: int64[g], as merge() was given them. Otherwise as Points; p95 is
    NaN where no sketch was read."""

    group: Ints
    step: Ints
    count: Ints
    total: Floats
    low: Floats
    high: Floats
    p95: Floats
    sketches: SketchSet

    @property
    def mean(self) -> Floats:
        """sum / count, held within [min, max], which rounding alone could leave."""
        return np.clip(self.total / self.count, self.low, self.high)

    def take(self, places: NDArray[np.bool_]) -> "Merged":
        """Those at these places."""
        columns: dict[str, Any] = {
            field.name: getattr(self, field.name)[places] for field in fields(self) if field.name != "sketches"
        }
        return Merged(**columns, sketches=self.sketches.take(places))

    def merged(self, step: Ints) -> "Merged":
        """The same groups by other steps (int64[g], rising within a group), each of whole ones of these."""
        buckets = Points(self.group, self.step, self.count, self.total, self.low, self.high, self.p95, self.sketches)
        return merge(buckets, self.group, step)


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


_EVER = Piece("raw", Window(-(1 << 62), 1 << 62))


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
    found = received(rows, (_EVER,))
    return found if cold is None else Points.concat([found, of_samples(cold)])


def received(rows: Sequence[Any], pieces: Sequence[Piece]) -> Points:
    """What read_points() gave, each row of its piece (from 1): packed buckets come in whole spans."""
    if not rows:
        return _NONE
    from muninn.numerics import tables

    columns = np.empty((4 + WORDS - 1, sum(len(row.points) for row in rows) // BYTES), np.int64)
    sketches = _entries(rows)
    filled = first = 0
    for row, sizes in zip(rows, sketches.sizes, strict=True):
        series, lengths = stretches(row)
        piece = pieces[row.piece - 1]
        since_us = max(piece.window.since_us, row.from_us)
        window = np.array([since_us, piece.window.until_us, arrays.POSTGRES_EPOCH_US])
        without = np.array(piece.without_us, np.int64)
        sent = np.frombuffer(row.points, np.uint64)
        filled = tables.lay(sent, series, lengths, sizes, first, window, without, columns, filled)
        first += int(sizes.sum())
    series, at_us, count, starts, lengths, *bits = columns[:, :filled]
    total, low, high, p95 = (some.view(np.float64) for some in bits)
    held = SketchSet(starts, lengths, sketches.keys, sketches.counts)
    return Points(series, at_us, count, total, low, high, p95, held)


@dataclass(frozen=True, eq=False)
class _Entries:
    """sizes: of each row how many entries each bucket has, or none. keys, counts: of all rows, one after the other."""

    sizes: list[NDArray[np.int32]]
    keys: NDArray[np.int32]
    counts: NDArray[Any]


def _entries(rows: Sequence[Any]) -> _Entries:
    sizes = [_sizes(row) for row in rows]
    keys, counts = np.empty((2, sum(int(some.sum()) for some in sizes)), np.int32)
    begin = 0
    for row, some in zip(rows, sizes, strict=True):
        mine = slice(begin, begin := begin + int(some.sum()))
        if row.sketch is None:
            continue
        if row.bytes_each is not None:
            unpack(row.sketch, keys[mine], counts[mine])
            continue
        entries = received_joined(row.sketch, some.astype(np.int64))
        keys[mine] = entries >> 32
        many = entries & 0xFFFF_FFFF
        if many.max(initial=0) > np.iinfo(np.int32).max:
            counts = counts.astype(np.int64)
        counts[mine] = many
    return _Entries(sizes, keys, counts)


def _sizes(row: Any) -> NDArray[np.int32]:
    if row.sketch is None:
        return _NO_SIZES
    if row.bytes_each is not None:
        return np.frombuffer(row.sketch_length, ">i4").astype(np.int32)
    return arrays.int64s(row.sketch_length).astype(np.int32)


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
    sketches = SketchSet.of_entries(lengths, bins)
    return Points(series, found.at_us, count, found.value * count, low, high, unknown, sketches)


def stretches(row: Any) -> tuple[Ints, Ints]:
    """int64[s] each: the series of stretches of a row's buckets, and how many buckets each is."""
    series = received_array(row.series, np.int32).astype(np.int64)
    if row.bytes_each is None:
        return series, np.ones_like(series)
    return series, received_array(row.bytes_each, np.int32).astype(np.int64) // BYTES


def words(rows: Sequence[Any]) -> NDArray[Any]:
    """>i8[n, WORDS]: buckets as they were sent; figures are doubles of the same bits."""
    return np.frombuffer(b"".join(row.points for row in rows), ">i8").reshape(-1, WORDS)


def column(sent: NDArray[Any], number: int) -> Ints:
    """int64[n]: one of the words of each bucket."""
    found: Ints = sent[:, number].astype(np.int64)
    return found


_COLUMNS = tuple(field.name for field in fields(Points) if field.name != "sketches")
_NO_SIZES = np.empty(0, np.int32)
_EMPTY, _EMPTY_FIGURES = np.empty(0, np.int64), np.empty(0, np.float64)
_NONE = Points(
    _EMPTY, _EMPTY, _EMPTY, _EMPTY_FIGURES, _EMPTY_FIGURES, _EMPTY_FIGURES, _EMPTY_FIGURES, SketchSet.none(0)
)


def merge(points: Points, group: Ints, step: Ints) -> Merged:
    """The buckets merged by group and step (int64[n] each); p95 is right where one bucket or sketches make a step."""
    if not len(points):
        nothing = _EMPTY_FIGURES
        return Merged(_EMPTY, _EMPTY, _EMPTY, nothing, nothing, nothing, nothing, SketchSet.none(0))
    from muninn.numerics import tables

    place, count = _numbered(group, step)
    rows, last, sums = np.zeros((3, count), np.int64)
    total, low, high = ends = np.empty((3, count))
    total[:], low[:], high[:] = 0.0, np.inf, -np.inf
    tables.gather(place, points.count, points.total, points.low, points.high, rows, last, sums, ends)
    if count < len(place):
        sketches = points.sketches.merged(place, count)
        own = np.where(rows == 1, points.p95[last], np.nan)
    else:  # each bucket is a step by itself
        sketches, own = points.sketches.take(last), points.p95[last]
    return Merged(group[last], step[last], sums, total, low, high, _p95(sketches, low, high, own), sketches)


def _numbered(group: Ints, step: Ints) -> tuple[Ints, int]:
    """int64[n]: the number of each row's pair of group and step among all pairs in order; and how many there are."""
    from muninn.numerics import tables

    place = np.empty(len(group), np.int64)
    cells = (int(np.ptp(group)) + 1) * (int(np.ptp(step)) + 1)
    if cells <= _CELLS_A_ROW * len(group) + _REACH:
        return place, tables.number(group, step, np.zeros(cells, np.int64), place)
    order = np.lexsort((step, group))
    begins = np.ones(len(group), np.bool_)
    begins[1:] = (np.diff(group[order]) != 0) | (np.diff(step[order]) != 0)
    place[order] = np.cumsum(begins) - 1
    return place, int(begins.sum())


def _p95(sketches: SketchSet, low: Floats, high: Floats, own: Floats) -> Floats:
    """From sketches where there are; otherwise its own."""
    return np.where(sketches.lengths > 0, sketches.quantile(P95, low, high), own) if sketches.lengths.any() else own
