"""Samples as they come to one value a series and step, as columns.

Belongs here: waiting for a step to be whole, the mean or the last of it. Does not: what a value means.

A step that was handed out is over: what comes later for it is left out, and counted.
"""

from dataclasses import dataclass

import numpy as np

from muninn.detection.state import Floats, Index, Ints
from muninn.detection.views import Bools


@dataclass(frozen=True, eq=False)
class Step:
    """The values of one step, each series once, in the order of their index.

    until_us: its end. at_us: int64[n], the instant of the last sample. value: float64[n].
    """

    until_us: int
    index: Index
    at_us: Ints
    value: Floats


class Steps:
    """Collects samples until their step, `step_us` wide, is over."""

    def __init__(self, step_us: int):
        self.step_us = step_us
        self.late = 0
        self._until_us = 0
        self._waiting: list[tuple[Index, Ints, Floats]] = []

    @property
    def until_us(self) -> int:
        """Everything before it was handed out."""
        return self._until_us

    def add(self, index: Index, at_us: Ints, value: Floats) -> None:
        """Take in n samples; those of steps that are over are left out."""
        early = at_us >= self._until_us
        if not early.all():
            self.late += int((~early).sum())
            index, at_us, value = index[early], at_us[early], value[early]
        if len(index):
            self._waiting.append((index, at_us, value))

    def close(self, until_us: int, keeps_last: Bools) -> list[Step]:
        """The steps that end at or before `until_us`, oldest first.

        keeps_last: bool[n_series], series whose last value counts (counters); of the others it is the mean.
        """
        until_us = until_us // self.step_us * self.step_us
        if until_us <= self._until_us:
            return []
        self._until_us = until_us
        if not self._waiting:
            return []
        index, at_us, value = (np.concatenate(column) for column in zip(*self._waiting, strict=True))
        ready = at_us < until_us
        self._waiting = [(index[~ready], at_us[~ready], value[~ready])] if not ready.all() else []
        return self._split(index[ready], at_us[ready], value[ready], keeps_last)

    def start_from(self, until_us: int) -> None:
        """Everything before `until_us` was handed out by somebody else."""
        self._until_us = until_us

    def renumber(self, moved: Index) -> None:
        """The series at i is now at moved[i]; below 0 it is gone."""
        renumbered = [(moved[index], at_us, value) for index, at_us, value in self._waiting]
        self._waiting = [
            (index[index >= 0], at_us[index >= 0], value[index >= 0]) for index, at_us, value in renumbered
        ]

    def _split(self, index: Index, at_us: Ints, value: Floats, keeps_last: Bools) -> list[Step]:
        if not len(index):
            return []
        number = at_us // self.step_us
        order = np.lexsort((at_us, index, number))
        index, at_us, value, number = index[order], at_us[order], value[order], number[order]
        # After a restart some are read twice, from the store and from the buffer.
        again = (np.diff(at_us, append=-1) == 0) & (np.diff(index, append=-1) == 0)
        if again.any():
            index, at_us, value, number = index[~again], at_us[~again], value[~again], number[~again]
        begins = np.flatnonzero(np.diff(index, prepend=-1) | np.diff(number, prepend=-1))
        ends = np.append(begins[1:], len(index)) - 1
        mean = np.add.reduceat(value, begins) / (ends - begins + 1)
        found = np.where(keeps_last[index[ends]], value[ends], mean)
        index, at_us, number = index[ends], at_us[ends], number[ends]
        cuts = np.flatnonzero(np.diff(number)) + 1
        parts = zip(*(np.split(column, cuts) for column in (number, index, at_us, found)), strict=True)
        return [Step((int(numbers[0]) + 1) * self.step_us, *columns) for numbers, *columns in parts]
