"""Arrays of a load, sorted and split: which samples are surely new, which repeat, which are late. Pure."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from muninn.clock import MINUTE_US
from muninn.model import Distributions

# Samples further apart than this are looked up separately: one query over the gap would read all of it.
_GAP_US = 10 * MINUTE_US
_MAX_STRETCHES = 64


@dataclass(frozen=True, eq=False)
class Rows:
    """Samples in order of (series_id, at_us), each pair once. int32[n], int64[n], float64[n]."""

    series_id: NDArray[np.int32]
    at_us: NDArray[np.int64]
    value: NDArray[np.float64]
    distributions: Distributions | None = None

    def __len__(self) -> int:
        return len(self.at_us)

    def take(self, where: NDArray[np.bool_] | NDArray[np.intp]) -> "Rows":
        """The rows at a mask or at ascending indices."""
        some = self.distributions
        kept = None if some is None else some.take(where, len(self))
        return Rows(self.series_id[where], self.at_us[where], self.value[where], kept)

    @property
    def single(self) -> NDArray[np.bool_]:
        """bool[n]: which rows are one value each."""
        single = np.ones(len(self), np.bool_)
        if self.distributions is not None:
            single[self.distributions.rows] = False
        return single

    @classmethod
    def joined(cls, one: "Rows", other: "Rows") -> "Rows":
        """Those of the one and then of the other, in no order but theirs."""
        return cls(
            np.concatenate([one.series_id, other.series_id]),
            np.concatenate([one.at_us, other.at_us]),
            np.concatenate([one.value, other.value]),
            Distributions.joined([one.distributions, other.distributions], [len(one), len(other)]),
        )

    @cached_property
    def starts(self) -> NDArray[np.intp]:
        """intp[s]: where each series begins."""
        if not len(self):
            return np.empty(0, np.intp)
        return np.flatnonzero(np.r_[True, self.series_id[1:] != self.series_id[:-1]])

    @property
    def series(self) -> NDArray[np.int32]:
        """int32[s]: the series in order."""
        return self.series_id[self.starts]

    @property
    def newest(self) -> "Rows":
        """The last row of each series."""
        return self.take(np.r_[self.starts[1:], len(self)].astype(np.intp) - 1) if len(self) else self

    def spread(self, per_series: NDArray[np.int64]) -> NDArray[np.int64]:
        """int64[n]: a figure per series, repeated for each of its rows."""
        return np.repeat(per_series, np.diff(np.r_[self.starts, len(self)]))


def one_of_each(
    series_id: NDArray[np.int32],
    at_us: NDArray[np.int64],
    value: NDArray[np.float64],
    which: Literal["last", "first"] = "last",
    distributions: Distributions | None = None,
) -> Rows:
    """The samples sorted; of those with the same series and instant, the last one given, or the first."""
    order = np.lexsort((at_us, series_id))  # stable: equal pairs stay in the order in which they came
    sorted_too = None if distributions is None else distributions.take(order, len(order))
    rows = Rows(series_id[order], at_us[order], value[order], sorted_too)
    if len(rows) < 2:
        return rows
    new = (rows.series_id[1:] != rows.series_id[:-1]) | (rows.at_us[1:] != rows.at_us[:-1])
    return rows if new.all() else rows.take(np.r_[new, True] if which == "last" else np.r_[True, new])


def late_minutes(rows: Rows, closing_us: int) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int32]]:
    """(series_id int32[m], minute_us int64[m], sample_count int32[m]) of the rows before the closing instant."""
    late = rows.take(rows.at_us < closing_us)
    minute = late.at_us // MINUTE_US * MINUTE_US
    if not len(late):
        return late.series_id, minute, np.empty(0, np.int32)
    first = np.flatnonzero(np.r_[True, (minute[1:] != minute[:-1]) | (late.series_id[1:] != late.series_id[:-1])])
    return late.series_id[first], minute[first], np.diff(np.r_[first, len(late)]).astype(np.int32)


def stretches(at_us: NDArray[np.int64]) -> list[NDArray[np.intp]]:
    """Indices of the samples in groups that lie close together in time, at most 64 groups."""
    order = np.argsort(at_us, kind="stable")
    gaps = np.diff(at_us[order])
    cuts = np.flatnonzero(gaps > _GAP_US)
    if len(cuts) >= _MAX_STRETCHES:
        cuts = np.sort(np.argsort(gaps)[-(_MAX_STRETCHES - 1) :])
    return np.split(order, cuts + 1) if len(at_us) else []
