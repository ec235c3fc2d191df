"""Counting many things into few places, compiled: buckets into groups and steps, sketches into one for each.

Belongs here: passes over arrays, in tables that their caller made. Does not: what is a group, a step, a bin (reads).

Arrays are contiguous and writable, so that each function is compiled once for a kind of entry. Places within loops are
unsigned: a signed one is first looked at whether it counts from the end, which takes longer than the counting.
"""

import math
from typing import Any

import numba
from numba import uint64 as at


@numba.njit(cache=True, nogil=True)
def number(group: Any, step: Any, first: Any, place: Any) -> int:
    """The distinct pairs of group and step, numbered in their order: of each row into `place`; how many there are.

    first: zeros, one for each group and step from the least to the greatest; afterwards the number of each pair + 1.
    """
    group_0, step_0 = group.min(), step.min()
    width = step.max() - step_0 + 1
    for i in range(len(group)):
        first[at((group[i] - group_0) * width + step[i] - step_0)] = 1
    count = 0
    for i in range(len(first)):
        if first[i]:
            count += 1
            first[i] = count
    for i in range(len(group)):
        place[i] = first[at((group[i] - group_0) * width + step[i] - step_0)] - 1
    return count


@numba.njit(cache=True, nogil=True)
def gather(place: Any, count: Any, total: Any, low: Any, high: Any, rows: Any, last: Any, sums: Any, ends: Any) -> None:
    """Rows counted where they belong: how many, the last of them, counts (int64[n]); totals, lows and highs.

    rows, last: int64[p], zeros. sums: int64[p], zeros. ends: float64[3, p]: zeros, infinity, minus infinity.
    """
    for i in range(len(place)):
        p = at(place[i])
        rows[p] += 1
        last[p] = i
        sums[p] += count[i]
        ends[0, p] += total[i]
        ends[1, p] = min(ends[1, p], low[i])
        ends[2, p] = max(ends[2, p], high[i])


@numba.njit(cache=True, nogil=True)
def unpack(words: Any, keys: Any, counts: Any) -> None:
    """What sketch_packed() of SQL made (int32[e]): a key above 14 bits, of which the highest multiplies by 2^13."""
    for i in range(len(words)):
        word = words[i]
        keys[i] = word >> 14
        count = word & 8191
        counts[i] = count << 13 if word & 8192 else count


@numba.njit(cache=True, nogil=True)
def columns(starts: Any, lengths: Any, keys: Any, lowest: int, column: Any, distinct: Any) -> None:
    """Keys of sketches numbered, rising: `column` (zeros, one a key from the lowest on); `distinct`: the key of it."""
    for i in range(len(starts)):
        for j in range(starts[i], starts[i] + lengths[i]):
            column[at(keys[at(j)] - lowest)] = 1
    count = 0
    for i in range(len(column)):
        if column[i]:
            column[i] = count
            distinct[count] = lowest + i
            count += 1


@numba.njit(cache=True, nogil=True)
def bounds(starts: Any, lengths: Any, keys: Any) -> tuple[int, int]:
    """The least and the greatest key of sketches whose keys rise; (0, -1) where there are none."""
    least, greatest = 0, -1
    none = True
    for i in range(len(starts)):
        if lengths[i]:
            low, high = keys[at(starts[i])], keys[at(starts[i] + lengths[i] - 1)]
            least, greatest = (low, high) if none else (min(least, low), max(greatest, high))
            none = False
    return least, greatest


@numba.njit(cache=True, nogil=True)
def reach(starts: Any, lengths: Any, keys: Any, group: Any, lowest: int, column: Any, low: Any, high: Any) -> None:
    """The least and the greatest column of each group, of sketches whose keys rise."""
    for i in range(len(starts)):
        if lengths[i]:
            g = at(group[i])
            low[g] = min(low[g], column[at(keys[at(starts[i])] - lowest)])
            high[g] = max(high[g], column[at(keys[at(starts[i] + lengths[i] - 1)] - lowest)])


@numba.njit(cache=True, nogil=True)
def fill(starts: Any, low: Any, width: Any, distinct: Any, keys: Any) -> None:
    """The key of each cell of a table with so many columns for each group, from its least."""
    for i in range(len(starts)):
        for j in range(width[i]):
            keys[at(starts[i] + j)] = distinct[at(low[i] + j)]


@numba.njit(cache=True, nogil=True)
def count(
    starts: Any, lengths: Any, keys: Any, counts: Any, group: Any, lowest: int, column: Any, first: Any, table: Any
) -> None:
    """Entries counted into the table (int64, zeros), where column 0 of a group would be at `first`."""
    for i in range(len(starts)):
        begin = first[at(group[i])]
        for j in range(starts[i], starts[i] + lengths[i]):
            table[at(begin + column[at(keys[at(j)] - lowest)])] += counts[at(j)]


@numba.njit(cache=True, nogil=True)
def quantiles(starts: Any, lengths: Any, keys: Any, counts: Any, q: float, found: Any) -> None:
    """The key that holds the q-quantile (nearest rank) of each sketch; what has none is left as it is."""
    for i in range(len(starts)):
        end = starts[i] + lengths[i]
        whole = 0
        for j in range(starts[i], end):
            whole += counts[at(j)]
        left = max(1, math.ceil(q * whole))
        for j in range(starts[i], end):
            left -= counts[at(j)]
            if left <= 0:
                found[i] = keys[at(j)]
                break
