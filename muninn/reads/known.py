"""Keys of series by their numbers, remembered: what was asked for lately is sent as numbers alone.

Belongs here: that memory and its bound. Does not: which series a question is about (series), SQL.

A number's key never changes, so what is remembered of a set of numbers stays true; `edition` tells a table of series
that was emptied or made anew from the one before.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from muninn.model import SeriesKey

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


class Known:
    """Sets of series that were asked for lately; safe for many threads."""

    def __init__(self, most_keys: int = MOST_KEYS):
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
