"""Samples that are distributions: many values of one series, counted at the source.

Belongs here: their columns, and picking and joining them. Does not: what a sketch is (muninn.numerics.sketch).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from muninn.errors import Invalid

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Distributions:
    """`d` of a batch's samples: how many values each stands for, and how they lie. The sample's value is their mean.

    rows: int64[d], places in the batch, ascending. count: int64[d], > 0.
    low, high: float64[d], least and greatest value.
    lengths: int64[d], > 0, entries of each sketch. bins: int64[sum(lengths)], the sketches one after another.
    """

    rows: Ints
    count: Ints
    low: Floats
    high: Floats
    lengths: Ints
    bins: Ints

    def __post_init__(self) -> None:
        if not len(self.rows) == len(self.count) == len(self.low) == len(self.high) == len(self.lengths):
            raise Invalid("the columns of distributions differ in length")
        if int(self.lengths.sum()) != len(self.bins):
            raise Invalid("the sketches of distributions are not as long as they say")

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_], samples: int) -> "Distributions | None":
        """Those of the `samples` of a batch that are at `rows` (a mask or indices), placed as they are there."""
        places = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows
        of_row = np.full(samples, -1, np.int64)
        of_row[self.rows] = np.arange(len(self))
        chosen = of_row[places]
        kept = np.flatnonzero(chosen >= 0)
        return self._at(chosen[kept], kept) if len(kept) else None

    def entries(self, places: Ints) -> tuple[Ints, Ints]:
        """(lengths, bins) of the sketches at these places of the columns, in their order."""
        lengths = self.lengths[places]
        starts = (np.cumsum(self.lengths) - self.lengths)[places]
        inside = np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        return lengths, self.bins[np.repeat(starts, lengths) + inside]

    def _at(self, places: Ints, rows: Ints) -> "Distributions":
        lengths, bins = self.entries(places)
        return Distributions(rows, self.count[places], self.low[places], self.high[places], lengths, bins)

    @staticmethod
    def joined(parts: Sequence["Distributions | None"], samples: Sequence[int]) -> "Distributions | None":
        """Those of batches of so many samples, put one after another."""
        starts = np.cumsum([0, *samples])
        found = [(part, start) for part, start in zip(parts, starts, strict=False) if part is not None]
        if not found:
            return None
        return Distributions(
            np.concatenate([part.rows + start for part, start in found]),
            np.concatenate([part.count for part, _ in found]),
            np.concatenate([part.low for part, _ in found]),
            np.concatenate([part.high for part, _ in found]),
            np.concatenate([part.lengths for part, _ in found]),
            np.concatenate([part.bins for part, _ in found]),
        )
