"""How much counters have grown over spans: exact on the samples, resets included, nothing assumed between them.

Belongs here: joining the growth of buckets. Does not: growth inside a bucket (the rollups), which rows (spans).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muninn.clock import HOUR_US, SECOND_US
from muninn.model import Window
from muninn.numerics import counters
from muninn.reads import arrays, points, spans
from muninn.reads.asking import Asker
from muninn.reads.points import Floats, Ints, Piece
from muninn.reads.steps import RAW, Kept


@dataclass(frozen=True, eq=False)
class Runs:
    """n runs of samples of counters. series: int64[n], ids. at_us: int64[n], starts of their buckets.

    first_us, last_us: int64[n], where each begins and ends. first, last, increase: float64[n], its ends, and its growth
    between them.
    """

    series: Ints
    at_us: Ints
    first_us: Ints
    last_us: Ints
    first: Floats
    last: Floats
    increase: Floats

    def __len__(self) -> int:
        return len(self.series)

    @classmethod
    def concat(cls, some: Sequence["Runs"]) -> "Runs":
        """All of them, one after the other."""
        return cls(*(np.concatenate([getattr(each, name) for each in some]) for name in _COLUMNS))

    @classmethod
    def of_samples(cls, series: int, at_us: Ints, value: Floats) -> "Runs":
        """Each sample of a series as a run."""
        return cls(np.full(len(at_us), series), at_us, at_us, at_us, value, value, np.zeros(len(at_us)))

    def take(self, places: NDArray[np.intp] | NDArray[np.bool_]) -> "Runs":
        """Those at these places."""
        return Runs(*(getattr(self, name)[places] for name in _COLUMNS))

    def in_order(self) -> "Runs":
        """By series and time."""
        return self.take(np.lexsort((self.first_us, self.series)))

    def from_one_before(self, together: NDArray[np.bool_]) -> Floats:
        """float64[n]: growth from the run before, where these two are together (bool[n - 1]); in order."""
        return np.append(0.0, np.where(together, counters.steps(self.last[:-1], self.first[1:]), 0.0))[: len(self)]


_COLUMNS = tuple(field.name for field in fields(Runs))
_NOTHING, _NO_FIGURES = np.empty(0, np.int64), np.empty(0, np.float64)
NONE = Runs(_NOTHING, _NOTHING, _NOTHING, _NOTHING, _NO_FIGURES, _NO_FIGURES, _NO_FIGURES)


def rates(
    ask: Asker, groups: Mapping[int, int], bounds_us: Sequence[int], now_us: int, kept: Kept, count: int
) -> Floats:
    """float64[count, spans]: each group's growth per second over each span [bounds[i], bounds[i + 1]).

    groups: series id -> group, below `count`. NaN where a group sent no counter's sample in a span.
    """
    bounds = np.asarray(bounds_us, np.int64)
    found = read(ask, _pieces(bounds_us, now_us, kept), list(groups))
    found = found.take((found.at_us >= bounds[0]) & (found.at_us < bounds[-1])).in_order()
    span = np.searchsorted(bounds, found.at_us, side="right") - 1
    amount = found.increase + found.from_one_before((np.diff(found.series) == 0) & (np.diff(span) == 0))
    group = points.labelled(found.series, groups)
    cell, shape = group * (len(bounds) - 1) + span, (count, len(bounds) - 1)
    size = shape[0] * shape[1]
    grown = np.where(np.bincount(cell, minlength=size) > 0, np.bincount(cell, amount, size), np.nan)
    rates: Floats = grown.reshape(shape) / (np.diff(bounds) / SECOND_US)
    return rates


def _pieces(bounds_us: Sequence[int], now_us: int, kept: Kept) -> list[Piece]:
    """What makes up the spans; where they begin and end amid a minute, whole minutes."""
    planned = spans.plan(bounds_us, now_us, kept)
    found = spans.pieces(planned, bounds_us)
    if planned.edge == RAW:
        found += [Piece("1min", Window(at_us, at_us + HOUR_US)) for at_us in planned.cut_us]
    return found


def read(ask: Asker, pieces: Sequence[Piece], series: list[int]) -> Runs:
    """What counters grew by in some windows, up to this second, in one question; in any order."""
    if not series or not pieces:
        return NONE
    rows = ask.fetch("reads_growth", series=np.array(series, np.int32), **points.asked(pieces))
    return Runs.concat([NONE, *(_received(row, pieces[row.piece - 1]) for row in rows)])


def _received(row: Any, piece: Piece) -> Runs:
    """A row of read_growth(): what is packed comes in whole spans."""
    series, lengths = points.stretches(row)
    sent = points.words([row])
    at_us, first_us, last_us = (points.column(sent, number) + arrays.POSTGRES_EPOCH_US for number in range(3))
    first, last, increase = (points.column(sent, number).view(np.float64) for number in range(3, points.WORDS))
    found = Runs(np.repeat(series, lengths), at_us, first_us, last_us, first, last, increase)
    return found.take(piece.holds(at_us) & (at_us >= row.from_us))
