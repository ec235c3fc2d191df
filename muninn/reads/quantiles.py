"""Quantiles of many merged sketches at once.

Belongs here: sketches one after another, as they come from the store, merged into groups. Does not: bins
(numerics.sketch), which sketches make a group (points).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muninn.numerics import sketch

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Entries = NDArray[np.int64] | NDArray[np.int32]

# Of a packed word: the count's bits below the key; with the flag it counts by so many samples.
_KEY_SHIFT, _FLAG, _LOW_BITS = 14, 1 << 13, 13
# Of a table of groups by keys, for each entry that is counted: a larger one costs more than sorting.
_CELLS_A_KEY = 16


@dataclass(frozen=True, eq=False)
class SketchSet:
    """k sketches. lengths: int64[k], entries of each, 0: none. keys, counts: int[e], of entries, sketch after sketch.

    Within a sketch keys rise, or are the same.
    """

    lengths: Ints
    keys: Entries
    counts: Entries

    def __len__(self) -> int:
        return len(self.lengths)

    @classmethod
    def none(cls, count: int) -> "SketchSet":
        """So many that are none."""
        return cls(np.zeros(count, np.int64), np.empty(0, np.int64), np.empty(0, np.int64))

    @classmethod
    def of_entries(cls, lengths: Ints, entries: Ints) -> "SketchSet":
        """entries: int64[e], as numerics.sketch has them."""
        return cls(lengths, entries >> 32, entries & 0xFFFF_FFFF)

    @classmethod
    def of_words(cls, lengths: bytes, words: bytes) -> "SketchSet":
        """What sketch_packed() of SQL made, and how many words each sketch is, four bytes each."""
        held = np.frombuffer(words, ">i4").astype(np.int32)
        counts = held & (_FLAG - 1)
        if (flags := held & _FLAG).any():
            counts[flags != 0] <<= _LOW_BITS
        return cls(np.frombuffer(lengths, ">i4").astype(np.int64), held >> _KEY_SHIFT, counts)

    @classmethod
    def concat(cls, some: Sequence["SketchSet"]) -> "SketchSet":
        """All of them, one after the other."""
        return cls(*(np.concatenate([getattr(each, name) for each in some]) for name in ("lengths", "keys", "counts")))

    def take(self, places: NDArray[np.intp] | NDArray[np.bool_]) -> "SketchSet":
        """Those at these places."""
        lengths = self.lengths[places]
        if not len(self.keys):
            return SketchSet(lengths, self.keys, self.counts)
        if places.dtype == np.bool_:
            entries: NDArray[Any] = np.repeat(places, self.lengths)
        else:
            starts = (np.cumsum(self.lengths) - self.lengths)[places]
            entries = np.arange(lengths.sum()) + np.repeat(starts - np.cumsum(lengths) + lengths, lengths)
        return SketchSet(lengths, self.keys[entries], self.counts[entries])

    def merged(self, group: Ints, groups: int) -> "SketchSet":
        """One sketch for each of so many groups, of which each of these belongs to one (int64[k])."""
        if not len(self.keys):
            return SketchSet.none(groups)
        distinct, column = self._columns()
        low, width = self._reach(column, group, groups)
        ends = np.cumsum(width)
        if ends[-1] > _CELLS_A_KEY * len(self.keys):
            return self._sorted(np.repeat(group, self.lengths), groups)
        # A table with, for each group, the keys from its least to its greatest. Counts stay far below 2^53, up to which
        # doubles are exact.
        first = ends - width - low
        table = np.bincount(np.repeat(first[group], self.lengths) + column, self.counts, ends[-1])
        held = np.flatnonzero(table)
        lengths = np.diff(np.searchsorted(held, ends), prepend=0)
        keys = distinct[held - np.repeat(first, lengths)]
        return SketchSet(lengths, keys, table[held].astype(np.int64))

    def _columns(self) -> tuple[Entries, Ints]:
        """The distinct keys, rising, and of each entry which of them it has."""
        first = self.keys.min()
        seen = np.zeros(int(np.ptp(self.keys)) + 1, np.bool_)
        places = self.keys - first
        seen[places] = True
        return np.flatnonzero(seen) + first, (np.cumsum(seen) - 1)[places]

    def _reach(self, column: Ints, group: Ints, groups: int) -> tuple[Ints, Ints]:
        """int64[groups] each: the least column of each group, and how many there are up to its greatest."""
        made = self.lengths > 0
        ends = np.cumsum(self.lengths[made])
        low, high = np.full(groups, np.iinfo(np.int64).max), np.full(groups, -1)
        np.minimum.at(low, group[made], column[ends - self.lengths[made]])
        np.maximum.at(high, group[made], column[ends - 1])
        low[high < 0] = 0
        return low, high + 1 - low

    def _sorted(self, group: Ints, groups: int) -> "SketchSet":
        order = np.lexsort((self.keys, group))
        return SketchSet(np.bincount(group, minlength=groups), self.keys[order], self.counts[order])

    def quantile(self, q: float, low: Floats, high: Floats) -> Floats:
        """float64[k]: the q-quantile (nearest rank) of each, held inside [low, high]; NaN where there is none."""
        found = np.full(len(self), np.nan)
        made = self.lengths > 0
        if made.any():
            reached: Ints = np.cumsum(self.counts, dtype=np.int64)
            ends = reached[np.cumsum(self.lengths[made]) - 1]
            before = np.concatenate(([0], ends[:-1]))
            rank = np.maximum(1, np.ceil(q * (ends - before))).astype(np.int64)
            # The running count grows over all sketches, so one search finds every one's bin.
            key = self.keys[np.searchsorted(reached, before + rank)]
            found[made] = np.clip(sketch.value_of(key), low[made], high[made])
        return found
