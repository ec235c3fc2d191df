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
        keys, counts, lengths = _in_order(keys, counts, lengths)
    reached = np.cumsum(counts)
    ends = reached[np.cumsum(lengths) - 1]
    before = np.concatenate(([0], ends[:-1]))
    rank = np.maximum(1, np.ceil(q * (ends - before))).astype(np.int64)
    # The running count grows over all groups, so one search finds every group's bin.
    return np.clip(sketch.value_of(keys[np.searchsorted(reached, before + rank)]), low, high)


def _in_order(keys: Ints, counts: Ints, lengths: Ints) -> tuple[Ints, Ints, Ints]:
    """The same groups, keys rising: counted in a table of groups by keys, or sorted where that were too large."""
    group = np.repeat(np.arange(len(lengths)), lengths)
    seen = np.zeros(int(np.ptp(keys)) + 1, np.bool_)
    first = keys.min()
    seen[keys - first] = True
    distinct = np.flatnonzero(seen) + first
    cells = len(lengths) * len(distinct)
    if cells > _CELLS_A_KEY * len(keys):
        order = np.lexsort((keys, group))
        return keys[order], counts[order], lengths
    column = (np.cumsum(seen) - 1)[keys - first]
    # Counts stay far below 2^53, up to which doubles are exact.
    table = np.bincount(group * len(distinct) + column, counts, cells)
    held = np.flatnonzero(table)
    row, column = np.divmod(held, len(distinct))
    return distinct[column], table[held].astype(np.int64), np.bincount(row, minlength=len(lengths))


# Of the table, for each key that is counted: a larger one costs more than sorting.
_CELLS_A_KEY = 16


def _sorted_within(keys: Ints, lengths: Ints) -> bool:
    rising = keys[1:] > keys[:-1]
    rising[np.cumsum(lengths)[:-1] - 1] = True
    return bool(rising.all())
