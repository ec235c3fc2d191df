"""Which series are watched: by fingerprint, to the position that the engine knows them by.

Belongs here: who is watched and who is left out, columnar. Does not: what is known of a series (engine, episodes).
"""

import fnmatch
from collections.abc import Callable, Sequence

import numpy as np

from muninn.detection.state import Index
from muninn.model import SeriesKey, SeriesSet
from muninn.model.series_set import fingerprints_of
from muninn.numerics.fingerprints import FingerprintTable

LEFT_OUT = -1
_FIRST_ROOM = 256


class Roster:
    """Series in the order of their positions; further ones than `max_series` are left out, and counted in `left_out`.

    ignored: patterns (fnmatch) of metric names that are not watched. announcer_of: a number for series that announce
    something, -1 for others.
    """

    def __init__(self, max_series: int, ignored: Sequence[str], announcer_of: Callable[[SeriesKey], int]):
        self.max_series = max_series
        self.keys: list[SeriesKey] = []
        self.left_out = 0
        self._ignored, self._announcer_of = tuple(ignored), announcer_of
        self._watched: dict[str, bool] = {}
        self._table = FingerprintTable()
        # By number in the table.
        self._position: Index = np.zeros(_FIRST_ROOM, np.intp)
        self._announcer: Index = np.zeros(_FIRST_ROOM, np.intp)
        self._entries = 0

    def __len__(self) -> int:
        return len(self.keys)

    def find(self, series: SeriesSet) -> tuple[Index, Index]:
        """intp[k] twice: the position of each series or LEFT_OUT, and its number as an announcer or -1."""
        numbers = self._table.find(series.fingerprints)
        unseen = np.flatnonzero(numbers < 0)
        if len(unseen):
            numbers[unseen] = self._table.add(series.fingerprints[unseen])
            for place, number in zip(unseen.tolist(), numbers[unseen].tolist(), strict=True):
                if number >= self._entries:
                    self._meet(series[place])
        found = self._position[numbers], self._announcer[numbers]
        self._forget_left_out()
        return found

    def add(self, key: SeriesKey) -> int:
        """The position of a series, whatever its metric; LEFT_OUT where there is no room."""
        (number,) = self._table.add(fingerprints_of([key.digest])).tolist()
        if number >= self._entries:
            self._note(key, self._seat(key))
        elif self._position[number] == LEFT_OUT:
            self._position[number] = self._seat(key)
        return int(self._position[number])

    def keep(self, positions: Index) -> None:
        """Let go of all but these, which are numbered anew in this order."""
        kept = [self.keys[place] for place in positions.tolist()]
        self.keys, self.left_out, self._entries = [], 0, 0
        self._table.clear()
        for key in kept:
            self.add(key)

    def _meet(self, key: SeriesKey) -> None:
        watched = self._watched.get(key.metric)
        if watched is None:
            watched = not any(fnmatch.fnmatchcase(key.metric, pattern) for pattern in self._ignored)
            self._watched[key.metric] = watched
        self._note(key, self._seat(key) if watched else LEFT_OUT)

    def _seat(self, key: SeriesKey) -> int:
        if len(self.keys) >= self.max_series:
            self.left_out += 1
            return LEFT_OUT
        self.keys.append(key)
        return len(self.keys) - 1

    def _note(self, key: SeriesKey, position: int) -> None:
        if self._entries == len(self._position):
            more = np.zeros(max(len(self._position), _FIRST_ROOM), np.intp)
            self._position, self._announcer = np.append(self._position, more), np.append(self._announcer, more)
        self._position[self._entries], self._announcer[self._entries] = position, self._announcer_of(key)
        self._entries += 1

    def _forget_left_out(self) -> None:
        """What is not watched is remembered as long as that takes no more memory than what is."""
        if self._entries > 2 * self.max_series + _FIRST_ROOM:
            stays = (self._position[: self._entries] != LEFT_OUT) | (self._announcer[: self._entries] >= 0)
            self._position = self._position[: self._entries][stays]
            self._announcer = self._announcer[: self._entries][stays]
            self._table.keep(stays)
            self._entries, self.left_out = len(self._position), 0
