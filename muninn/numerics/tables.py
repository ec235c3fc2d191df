"""Counting many things into few places, compiled: buckets into groups and steps, sketches into one for each.

Belongs here: passes over arrays, in tables that their caller made. Does not: what is a group, a step, a bin (reads).

Arrays are contiguous and writable, so that each function is compiled once for a kind of entry. Places within loops are
unsigned: a signed one is first looked at whether it counts from the end, which takes longer than the counting.
"""

import math
from typing import Any

import numba
import numpy as np
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
    """What sketch_packed() of SQL made (uint32[e], as sent): a key above 14 bits, of which the highest multiplies by
    2^13."""
    for i in range(len(words)):
        sent = words[i]
        word = np.int32(sent >> 24 | sent >> 8 & 0xFF00 | (sent & 0xFF00) << 8 | (sent & 0xFF) << 24)
        keys[i] = word >> 14
        count = word & 8191
        counts[i] = count << 13 if word & 8192 else count


@numba.njit(cache=True, nogil=True)
def lay(
    sent: Any, series: Any, stretches: Any, sizes: Any, first: int, window: Any, without: Any, columns: Any, filled: int
) -> int:
    """Buckets as they are sent laid into columns, those of a window; up to where these are filled now.

    sent: uint64[6 n], big-endian words. series, stretches: int64, the series of so many buckets each. sizes: int32[n],
    entries of each bucket's sketch, or int32[0]; first: where they begin. window: int64[3], its begin, its end, and an
    epoch that is added. without: int64[h], hours that do not count. columns: int64[9, m]: series, instant, count, start
    and length of the sketch, and four figures, as the bits of doubles.
    """
    i = 0
    for s in range(len(series)):
        for _ in range(stretches[s]):
            size = sizes[at(i)] if len(sizes) else 0
            instant = np.int64(_swapped(sent[at(6 * i)])) + window[2]
            inside = window[0] <= instant < window[1]
            for hour in without:
                inside &= not hour <= instant < hour + 3_600_000_000
            if inside:
                place = at(filled)
                columns[0, place] = series[s]
                columns[1, place] = instant
                columns[2, place] = np.int64(_swapped(sent[at(6 * i + 1)]))
                columns[3, place] = first
                columns[4, place] = size
                for j in range(4):
                    columns[at(5 + j), place] = np.int64(_swapped(sent[at(6 * i + 2 + j)]))
                filled += 1
            first += size
            i += 1
    return filled


_BYTES, _PAIRS = np.uint64(0x00FF00FF00FF00FF), np.uint64(0x0000FFFF0000FFFF)
_8, _16, _32 = np.uint64(8), np.uint64(16), np.uint64(32)


@numba.njit(cache=True, nogil=True, inline="always")
def _swapped(word: Any) -> Any:
    word = word >> _8 & _BYTES | (word & _BYTES) << _8
    word = word >> _16 & _PAIRS | (word & _PAIRS) << _16
    return word >> _32 | word << _32


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
        # From above: whoever asks for a quantile asks for a high one.
        spare = whole - max(1, math.ceil(q * whole))
        j = end - 1
        while j > starts[i] and counts[at(j)] <= spare:
            spare -= counts[at(j)]
            j -= 1
        if end > starts[i]:
            found[i] = keys[at(j)]
