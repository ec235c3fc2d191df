"""Quantiles of many merged sketches at once.

Belongs here: merging sketches that lie one after another, a group at a time. Does not: bins (numerics.sketch).
"""

import numpy as np
from numpy.typing import NDArray

from muninn.numerics import sketch

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def grouped(bins: Ints, lengths: Ints, q: float, low: Floats, high: Floats) -> Floats:
    """float64[g]: the q-quantile (nearest rank) of each group of sketches, held inside [low, high].

    bins: int64[b], the entries of all sketches, group after group; within a group in any order, keys may repeat.
    lengths: int64[g], entries of each group, > 0. low, high: float64[g], least and greatest sample.
    """
    keys, counts = bins >> 32, bins & 0xFFFF_FFFF
    if not _sorted_within(keys, lengths):
        order = np.lexsort((keys, np.repeat(np.arange(len(lengths)), lengths)))
        keys, counts = keys[order], counts[order]
    reached = np.cumsum(counts)
    ends = reached[np.cumsum(lengths) - 1]
    before = np.concatenate(([0], ends[:-1]))
    rank = np.maximum(1, np.ceil(q * (ends - before))).astype(np.int64)
    # The running count grows over all groups, so one search finds every group's bin.
    return np.clip(sketch.value_of(keys[np.searchsorted(reached, before + rank)]), low, high)


def _sorted_within(keys: Ints, lengths: Ints) -> bool:
    rising = keys[1:] > keys[:-1]
    rising[np.cumsum(lengths)[:-1] - 1] = True
    return bool(rising.all())
