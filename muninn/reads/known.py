"""Keys of series by their numbers, remembered: what was asked for lately is sent as numbers alone.

Belongs here: that memory and its bound. Does not: which series a question is about (series), SQL.

A number's key never changes, so what is remembered of a set of numbers, or of one, stays true; `edition` tells a table
of series that was emptied or made anew from the one before.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from muninn.model import SeriesKey

# For how long the size on disk is taken for what it is: asking costs as much as there are partitions.
SIZE_S = 60.0
# Keys that are remembered at most, of all sets together; one takes about 700 bytes.
MOST_KEYS = 40_000


@dataclass(frozen=True, eq=False)
class Ordered:
    """n series in order of metric and key. ids: int64[n]. places: intp[n], where each stands in order of ids."""

    ids: NDArray[np.int64]
    places: NDArray[np.intp]
    keys: tuple[SeriesKey, ...]

    @cached_property
    def spans(self) -> Mapping[str, slice]:
        """Which of them are each metric's."""
        found, start = {}, 0
        for metric, some in groupby(self.keys, lambda key: key.metric):
            found[metric] = slice(start, start := start + sum(1 for _ in some))
        return found

    @cached_property
    def each(self) -> Mapping[str, Mapping[int, SeriesKey]]:
        """id -> key of each metric."""
        return {
            metric: dict(zip(self.ids[span].tolist(), self.keys[span], strict=True))
            for metric, span in self.spans.items()
        }


class Kinds:
    """One byte of each series by its number, found in its key; 0: not known. Safe for many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._edition: int | None = None
        self._of = np.zeros(0, np.uint8)

    def of(
        self, edition: int, ids: NDArray[np.int64], find: Callable[[NDArray[np.int64]], NDArray[np.uint8]]
    ) -> NDArray[np.uint8]:
        """uint8[n] of these ids, which rise; `find` is asked for those that are not known."""
        with self._lock:
            if edition != self._edition:
                self._edition, self._of = edition, np.zeros(0, np.uint8)
            if len(ids) and ids[-1] >= len(self._of):
                self._of = np.append(self._of, np.zeros(ids[-1] + 1 - len(self._of), np.uint8))
            found = self._of[ids]
        unknown = found == 0
        if unknown.any():
            found[unknown] = find(ids[unknown])
            with self._lock:
                if edition == self._edition:
                    self._of[ids] = found
        return found


class Size:
    """A number of bytes that is found out once a minute. Safe for many threads."""

    def __init__(self) -> None:
        self._found: tuple[float, int] | None = None

    def at(self, now_s: float, find: Callable[[], int]) -> int:
        """The bytes at this instant of a clock that never goes back, or up to a minute before."""
        found = self._found
        if found is None or now_s - found[0] >= SIZE_S:
            self._found = found = (now_s, find())
        return found[1]


class Known:
    """Sets of series that were asked for lately; safe for many threads."""

    def __init__(self, most_keys: int = MOST_KEYS):
        self.kinds = Kinds()
        self.size = Size()
        self._most_keys = most_keys
        self._lock = threading.Lock()
        self._sets: dict[tuple[int, bytes], Ordered] = {}
        self._held = 0

    def of(self, edition: int, ids: bytes, find: Callable[[], Ordered]) -> Ordered:
        """What `find` gives for these ids, in their order, asked once while it is remembered."""
        name = (edition, ids)
        with self._lock:
            found = self._sets.pop(name, None)
            if found is not None:
                self._sets[name] = found  # the last one asked for goes last
                return found
        found = find()
        with self._lock:
            if name not in self._sets and len(found.keys) <= self._most_keys:
                self._sets[name] = found
                self._held += len(found.keys)
            while self._held > self._most_keys:
                self._held -= len(self._sets.pop(next(iter(self._sets))).keys)
        return found
