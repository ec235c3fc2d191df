"""A quantile sketch with logarithmic bins: mergeable, relative error <= 1 %, the same here and in SQL.

Belongs here: bins, merging, quantiles, over arrays. Does not: where sketches are kept, many groups at once (reads).

The bin of v is idx = ceil(ln|v| / LN_GAMMA), its key sign(v) * (idx + 40,000), and 0 for 0: the order of keys
is the order of values, and every finite double has one. A sketch is int64[b], sorted, each entry
key * 2^32 + count. The estimate of a bin is its harmonic middle, at most tanh(LN_GAMMA / 2) = 0.99 % from any
of its values. Only among subnormals (< 2.2e-308) are doubles so far apart that it may be off by one of them.

The scheme is DDSketch's (Masson, Rim, Lee: DDSketch, VLDB 2019) without collapsing.
sql/idempotent/030_sketch.sql is the same in SQL; tests hold the two together.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# ln(gamma), gamma = (1 + a) / (1 - a), gives a = tanh(LN_GAMMA / 2) = 0.0099: 1 % holds with rounding on top.
LN_GAMMA = 0.0198
OFFSET = 40_000
# What the store takes: sums of 10^18 such values do not overflow, means do not underflow.
LARGEST = 1e290
SMALLEST = 1e-290

_COUNT_BITS = 32
_COUNT_MASK = (1 << _COUNT_BITS) - 1
_COSH_HALF = math.cosh(LN_GAMMA / 2)
_LN_LARGEST_DOUBLE = 709.782712893384
# Closer than this to a bin's edge, numpy's logarithm and the C library's may fall on different sides.
_EDGE = 1e-9

Keys = NDArray[np.int64]
Floats = NDArray[np.float64]


def key_of(values: Floats) -> Keys:
    """int64[n]: the bin of each of n finite values; equal to sketch_key() of SQL."""
    size = np.abs(values)
    nonzero = size > 0
    place = np.log(size, where=nonzero, out=np.zeros(len(size))) / LN_GAMMA
    near = np.abs(place - np.rint(place)) < _EDGE
    for row in np.flatnonzero(near & nonzero & (size != 1)):
        place[row] = math.log(size[row]) / LN_GAMMA
    keys = np.ceil(place).astype(np.int64) + OFFSET
    signed: Keys = np.where(nonzero, np.where(values < 0, -keys, keys), 0)
    return signed


def value_of(keys: Keys) -> Floats:
    """float64[n]: the estimate that each bin stands for; equal to sketch_value() of SQL."""
    middle = (np.abs(keys) - (OFFSET + 0.5)) * LN_GAMMA
    # In the last bin the middle may lie beyond the largest double.
    size = np.exp(np.minimum(middle, _LN_LARGEST_DOUBLE)) / _COSH_HALF
    estimate: Floats = np.sign(keys) * np.where(keys == 0, 0.0, size)
    return estimate


def sketch_of(values: Floats) -> NDArray[np.int64]:
    """int64[b]: the sketch of n finite values, in any order."""
    keys, counts = np.unique(key_of(values), return_counts=True)
    entries: NDArray[np.int64] = (keys << _COUNT_BITS) + counts
    return entries


def merge(sketches: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """int64[b]: the sketch of all samples of all sketches. Counts of a bin stop at 2^32 - 1."""
    entries = np.concatenate([*sketches, np.empty(0, np.int64)])
    keys, place = np.unique(entries >> _COUNT_BITS, return_inverse=True)
    counts = np.zeros(len(keys), np.int64)
    np.add.at(counts, place, entries & _COUNT_MASK)
    merged: NDArray[np.int64] = (keys << _COUNT_BITS) + np.minimum(counts, _COUNT_MASK)
    return merged


def quantile(sketch: NDArray[np.int64], q: float, minimum: float, maximum: float) -> float:
    """The q-quantile by nearest rank, held inside [minimum, maximum]; NaN for an empty sketch.

    Nearest rank: the smallest sample v with count(samples <= v) >= q * n, as percentile_disc in SQL.
    """
    if not len(sketch):
        return math.nan
    reached = np.cumsum(sketch & _COUNT_MASK)
    rank = max(1, math.ceil(q * int(reached[-1])))
    key = sketch[np.searchsorted(reached, rank)] >> _COUNT_BITS
    return float(np.clip(value_of(key), minimum, maximum))


def count(sketch: NDArray[np.int64]) -> int:
    """How many samples it holds."""
    return int((sketch & _COUNT_MASK).sum())
