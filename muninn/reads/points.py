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

from muninn.clock import HOUR_US, MINUTE_US
from muninn.model import Window
from muninn.model.window import as_us
from muninn.reads import arrays
from muninn.reads.asking import Asker
from muninn.reads.quantiles import grouped
from muninn.reads.steps import RAW

P95 = 0.95
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Sketches = Literal["none", "open", "all"]

# A bucket as it is sent.
WORDS = 6
BYTES = 8 * WORDS
# Of a number of minutes since 1970, until 2225.
_MINUTE_BITS = 27


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
        return cls(*(np.concatenate([getattr(each, field.name) for each in some]) for field in fields(cls)))

    def labelled(self, groups: Mapping[int, int]) -> Ints:
        """int64[n]: the group of each bucket's series."""
        ids = np.array(sorted(groups), np.int64)
        numbers = np.array([groups[int(ident)] for ident in ids], np.int64)
        return numbers[np.searchsorted(ids, self.series)] if len(ids) else np.empty(0, np.int64)

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


def read(ask: Asker, resolution: str, series: list[int], window: Window, sketches: Sketches) -> Points:
    """The buckets of a window of whole ones, up to this second.

    sketches: "none", "all", or "open": of those buckets alone whose p95 is not there already.
    """
    limits = {"since": window.since, "until": window.until}
    rows = (
        ask.fetch("reads_points", resolution=resolution, series=series, sketches=sketches, **limits) if series else []
    )
    found = _columns(rows)
    inside = (found.at_us >= window.since_us) & (found.at_us < window.until_us)
    return found if inside.all() else found.take(inside)


def edges(ask: Asker, resolution: str, series: list[int], hours: list[datetime], sketches: Sketches) -> Points:
    """The buckets ("raw": the samples) of some hours."""
    if resolution == RAW:
        return _columns(ask.fetch("reads_edges_raw", series=series, hours=hours))
    found = _columns(ask.fetch("reads_edges", resolution=resolution, series=series, hours=hours, sketches=sketches))
    # What is packed comes in whole spans, so that hours may bring each other's buckets.
    starts_us = np.array([as_us(hour) for hour in hours])
    found = found.take(np.isin(found.at_us // HOUR_US * HOUR_US, starts_us))
    if resolution != "5min":  # a span of minutes lies within an hour
        return found
    _, first = np.unique((found.series << _MINUTE_BITS) + found.at_us // MINUTE_US, return_index=True)
    return found.take(np.sort(first))


def words(sent: bytes) -> Ints:
    """int64[n, WORDS]: buckets as they were sent; figures are doubles of the same bits."""
    return np.frombuffer(sent, ">i8").astype(np.int64).reshape(-1, WORDS)


def _columns(rows: list[Any]) -> Points:
    found = words(b"".join(row.points for row in rows))
    held = np.fromiter((len(row.points) for row in rows), np.int64, len(rows)) // BYTES
    lengths = [_lengths(row.sketch_length, count) for row, count in zip(rows, held, strict=True)]
    bins = [arrays.joined_int64s(row.sketch, some) for row, some in zip(rows, lengths, strict=True) if row.sketch]
    figures = found.view(np.float64)
    return Points(
        np.repeat(np.fromiter((row.series_id for row in rows), np.int64, len(rows)), held),
        found[:, 0] + arrays.POSTGRES_EPOCH_US,
        found[:, 1],
        figures[:, 2],
        figures[:, 3],
        figures[:, 4],
        figures[:, 5],
        np.concatenate([*lengths, np.empty(0, np.int64)]),
        np.concatenate([*bins, np.empty(0, np.int64)]),
    )


def _lengths(sent: bytes | None, count: int) -> Ints:
    return np.zeros(count, np.int64) if sent is None else arrays.int64s(sent)


def merge(points: Points, group: Ints, step_us: Ints) -> Merged:
    """The buckets merged by group and step (int64[n] each); p95 is right where one bucket or sketches make a step."""
    place = np.lexsort((step_us, group))
    if not (place[1:] > place[:-1]).all():
        points, group, step_us = points.take(place), group[place], step_us[place]
    if not len(points):
        none, nothing = np.empty(0, np.int64), np.empty(0, np.float64)
        return Merged(none, none, none, nothing, nothing, nothing, nothing)
    starts = np.flatnonzero((np.diff(group, prepend=group[0] - 1) != 0) | (np.diff(step_us, prepend=step_us[0]) != 0))
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
