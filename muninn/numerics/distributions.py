"""Distributions made from what sources count: values, buckets with bounds, exponential buckets.

Belongs here: their sketches, and what makes a distribution one that rollups can take. Does not: wire formats (ingest).

What the source did not keep can not come back: inside a bucket values are taken to lie evenly, so a percentile is off
by at most the width of the bucket that it falls into, and 1 % of it. Exponential buckets (OpenTelemetry, of base
2^(2^-scale)) are narrower than 1.1 % from scale 6 on, coarser ones are twice as wide with each step.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from muninn.model import Distributions
from muninn.numerics import sketch

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

MAX_COUNT = 10**15
# Into how many parts a bucket is spread at the most.
_PARTS = 64
_COUNT_MASK = 0xFFFF_FFFF
_LARGEST_KEY = int(sketch.key_of(np.array([sketch.LARGEST]))[0])
_SMALLEST_KEY = int(sketch.key_of(np.array([sketch.SMALLEST]))[0])


@dataclass(frozen=True, eq=False)
class Distribution:
    """One of them: `count` values with their mean, least and greatest. bins: int64[b], their sketch."""

    count: int
    mean: float
    low: float
    high: float
    bins: Ints


def columns(rows: Ints, some: list[Distribution]) -> Distributions | None:
    """As columns of a batch, each at its row (ascending)."""
    if not some:
        return None
    return Distributions(
        rows,
        np.array([each.count for each in some], np.int64),
        np.array([each.low for each in some], np.float64),
        np.array([each.high for each in some], np.float64),
        np.array([len(each.bins) for each in some], np.int64),
        np.concatenate([each.bins for each in some]),
    )


def of_values(values: Floats, times: Ints) -> Distribution:
    """Of n values (n > 0), each of which came so many times (> 0)."""
    keys, place = np.unique(sketch.key_of(values), return_inverse=True)
    counts = np.zeros(len(keys), np.int64)
    np.add.at(counts, place, times)
    total = int(times.sum())
    mean = float((values * times).sum() / total)
    low, high = float(values.min()), float(values.max())
    return Distribution(total, min(max(mean, low), high), low, high, _entries(keys, counts))


def of_buckets(edges: Floats, counts: Ints, total: float | None, low: float | None, high: float | None) -> Distribution:
    """Of b buckets between b + 1 ascending finite edges, counts int64[b], at least one of them > 0.

    total, low, high: what the source says of all values; None where it does not, and it is taken from the edges.
    """
    filled = np.flatnonzero(counts > 0)
    below, above = edges[filled].copy(), edges[filled + 1].copy()
    low = float(below[0]) if low is None else low
    high = float(above[-1]) if high is None else high
    low, high = min(low, high), max(low, high)
    below, above = np.clip(below, low, high), np.clip(above, low, high)
    values, times = _spread(below, above, counts[filled])
    whole = of_values(values, times)
    mean = whole.mean if total is None else min(max(total / whole.count, low), high)
    return Distribution(whole.count, mean, low, high, whole.bins)


def faults(some: Distributions) -> Iterator[tuple[NDArray[np.bool_], str]]:
    """(bool[d], what is wrong with those), each kind of fault by itself."""
    yield (some.count < 1) | (some.count > MAX_COUNT), f"count must be from 1 to {MAX_COUNT}"
    yield ~(np.isfinite(some.low) & np.isfinite(some.high) & (some.low <= some.high)), "min must not be above max"
    size = np.maximum(np.abs(some.low), np.abs(some.high))
    yield ~(size <= sketch.LARGEST), f"min and max must be at most {sketch.LARGEST:g} in size"
    empty = some.lengths < 1
    yield empty, "the sketch must hold something"
    for wrong, what in _sketch_faults(some.lengths[~empty], some.count[~empty], some.bins):
        mask = np.zeros(len(some), np.bool_)
        mask[~empty] = wrong
        yield mask, what


def _sketch_faults(lengths: Ints, count: Ints, bins: Ints) -> Iterator[tuple[NDArray[np.bool_], str]]:
    """As `faults`, of sketches that hold something; none where a negative length leaves open whose bins are whose."""
    if not len(lengths) or lengths.sum() != len(bins):
        return
    starts = np.cumsum(lengths) - lengths
    keys, counts = bins >> 32, bins & _COUNT_MASK
    far = (np.abs(keys) > _LARGEST_KEY) | ((np.abs(keys) < _SMALLEST_KEY) & (keys != 0))
    yield np.logical_or.reduceat(far | (counts < 1), starts), "the sketch has a bin that stands for no value"
    yield np.add.reduceat(counts, starts) != count, "the sketch must hold as many values as count says"
    unsorted = np.diff(keys, prepend=keys[0] - 1) <= 0
    unsorted[starts] = False
    yield np.logical_or.reduceat(unsorted, starts), "the bins of a sketch must ascend"


def _spread(below: Floats, above: Floats, counts: Ints) -> tuple[Floats, Ints]:
    """Values that stand for buckets, and how often: parts of equal width, in the middle of each part."""
    parts = np.minimum(np.where(above > below, _PARTS, 1), counts)
    bucket = np.repeat(np.arange(len(counts)), parts)
    part = np.arange(int(parts.sum())) - np.repeat(np.cumsum(parts) - parts, parts)
    share = counts // parts
    times = share[bucket] + (part < (counts - share * parts)[bucket])
    values = below[bucket] + (above - below)[bucket] * (part + 0.5) / parts[bucket]
    return values, times


def _entries(keys: Ints, counts: Ints) -> Ints:
    entries: Ints = (keys << 32) + np.minimum(counts, _COUNT_MASK)
    return entries
