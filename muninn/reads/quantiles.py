"""Quantiles of many merged sketches at once.

Belongs here: sketches one after another, as they come from the store, merged into groups. Does not: bins
(numerics.sketch), which sketches make a group (points).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from muninn.numerics import sketch

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Entries = NDArray[np.int64] | NDArray[np.int32]

# Of a table of groups by keys, for each entry that is counted: a larger one costs more than sorting.
_CELLS_A_KEY = 16
# Where keys lie no further apart, a column for each is cheaper than looking which of them there are.
_DENSE = 512


def _tables() -> ModuleType:
    """Compiled, which whoever only imports reads need not load."""
    from muninn.numerics import tables

    return tables


def unpack(words: bytes, keys: NDArray[np.int32], counts: NDArray[np.int32]) -> None:
    """What sketch_packed() of SQL made, four bytes each, into columns of as many."""
    _tables().unpack(np.frombuffer(words, np.uint32), keys, counts)


@dataclass(frozen=True, eq=False)
class SketchSet:
    """k sketches. starts, lengths: int64[k], the entries of each, none where the length is 0. keys, counts: int[e].

    Within a sketch keys rise, or are the same; a count may be 0.
    """

    starts: Ints
    lengths: Ints
    keys: Entries
    counts: Entries

    def __len__(self) -> int:
        return len(self.lengths)

    @classmethod
    def one_after_the_other(cls, lengths: Ints, keys: Entries, counts: Entries) -> "SketchSet":
        """Sketches whose entries lie so."""
        return cls(np.cumsum(lengths) - lengths, lengths, keys, counts)

    @classmethod
    def none(cls, count: int) -> "SketchSet":
        """So many that are none."""
        nothing = np.zeros(count, np.int64)
        return cls(nothing, nothing, np.empty(0, np.int32), np.empty(0, np.int32))

    @classmethod
    def of_entries(cls, lengths: Ints, entries: Ints) -> "SketchSet":
        """entries: int64[e], as numerics.sketch has them."""
        counts = entries & 0xFFFF_FFFF
        narrow = counts.astype(np.int32) if counts.max(initial=0) <= np.iinfo(np.int32).max else counts
        return cls.one_after_the_other(lengths, (entries >> 32).astype(np.int32), narrow)

    @classmethod
    def of_words(cls, lengths: bytes, words: bytes) -> "SketchSet":
        """What sketch_packed() of SQL made, and how many words each sketch is, four bytes each."""
        keys, counts = np.empty((2, len(words) // 4), np.int32)
        unpack(words, keys, counts)
        return cls.one_after_the_other(np.frombuffer(lengths, ">i4").astype(np.int64), keys, counts)

    @classmethod
    def concat(cls, some: Sequence["SketchSet"]) -> "SketchSet":
        """All of them, one after the other."""
        lengths, filled = np.concatenate([each.lengths for each in some]), [each for each in some if len(each.keys)]
        if len(filled) <= 1:  # the others have no entries to stand before its own
            one = (filled or some)[0]
            return cls(np.concatenate([each.starts for each in some]), lengths, one.keys, one.counts)
        before = np.cumsum([0, *(len(each.keys) for each in some)])
        starts = np.concatenate([each.starts + offset for each, offset in zip(some, before, strict=False)])
        keys, counts = (np.concatenate([getattr(each, name) for each in filled]) for name in ("keys", "counts"))
        return cls(starts, lengths, keys, counts)

    def take(self, places: NDArray[np.intp] | NDArray[np.bool_]) -> "SketchSet":
        """Those at these places."""
        return SketchSet(self.starts[places], self.lengths[places], self.keys, self.counts)

    def entries(self, place: int) -> Ints:
        """int64[b]: one of them, as numerics.sketch has it."""
        mine = slice(self.starts[place], self.starts[place] + self.lengths[place])
        return (self.keys[mine].astype(np.int64) << 32) + self.counts[mine]

    def merged(self, group: Ints, groups: int) -> "SketchSet":
        """One sketch for each of so many groups, of which each of these belongs to one (int64[k])."""
        if not self.lengths.any():
            return SketchSet.none(groups)
        tables = _tables()
        lowest, greatest = tables.bounds(self.starts, self.lengths, self.keys)
        column, distinct = np.zeros((2, greatest + 1 - lowest), np.int32)
        if len(column) <= _DENSE:
            column[:] = np.arange(len(column))
            distinct[:] = column + lowest
        else:
            tables.columns(self.starts, self.lengths, self.keys, lowest, column, distinct)
        low, high = np.full(groups, len(column)), np.full(groups, -1)
        tables.reach(self.starts, self.lengths, self.keys, group, lowest, column, low, high)
        low[high < 0] = 0
        width = high + 1 - low
        ends = np.cumsum(width)
        if ends[-1] > _CELLS_A_KEY * self.lengths.sum():
            return self._sorted(group, groups)
        # A table with, for each group, the keys from its least to its greatest.
        starts, table, keys = ends - width, np.zeros(ends[-1], np.int64), np.empty(ends[-1], np.int32)
        tables.fill(starts, low, width, distinct, keys)
        tables.count(self.starts, self.lengths, self.keys, self.counts, group, lowest, column, starts - low, table)
        return SketchSet(starts, width, keys, table)

    def _sorted(self, group: Ints, groups: int) -> "SketchSet":
        begins = np.cumsum(self.lengths) - self.lengths
        entries = np.arange(self.lengths.sum()) + np.repeat(self.starts - begins, self.lengths)
        of, keys, counts = np.repeat(group, self.lengths), self.keys[entries], self.counts[entries]
        order = np.lexsort((keys, of))
        return SketchSet.one_after_the_other(np.bincount(of, minlength=groups), keys[order], counts[order])

    def quantile(self, q: float, low: Floats, high: Floats) -> Floats:
        """float64[k]: the q-quantile (nearest rank) of each, held inside [low, high]; NaN where there is none."""
        if not len(self.keys):
            return np.full(len(self), np.nan)
        found = np.zeros(len(self), np.int64)
        _tables().quantiles(self.starts, self.lengths, self.keys, self.counts, q, found)
        return np.where(self.lengths > 0, np.clip(sketch.value_of(found), low, high), np.nan)
