"""128-bit fingerprints to small numbers: an open-addressing table, compiled, without a Python object per entry.

Belongs here: the table. Does not: what the numbers mean.
"""

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from muninn.model.series_set import Fingerprints

MISSING = -1
_FIRST_SLOTS = 1 << 12
# Slots a table has for each entry at the least: probes stay short.
_ROOM = 2


class FingerprintTable:
    """fingerprint -> int32 >= 0. For one thread at a time; about 50 bytes an entry, twice that while it grows."""

    def __init__(self) -> None:
        self.clear()

    def __len__(self) -> int:
        return self._count

    def clear(self) -> None:
        """Forget everything."""
        self._count = 0
        self._halves = np.zeros((_FIRST_SLOTS, 2), np.uint64)
        self._values = np.full(_FIRST_SLOTS, MISSING, np.int32)

    def find(self, fingerprints: Fingerprints) -> NDArray[np.int32]:
        """int32[k]: the number of each, MISSING where there is none."""
        found = np.empty(len(fingerprints), np.int32)
        _find(self._halves, self._values, halves(fingerprints), found)
        return found

    def put(self, fingerprints: Fingerprints, numbers: NDArray[np.int32]) -> None:
        """Remember numbers; of a fingerprint that is known already, the new one stands."""
        while (self._count + len(fingerprints)) * _ROOM > len(self._values):
            self._grow()
        self._count += _put(self._halves, self._values, halves(fingerprints), numbers)

    def _grow(self) -> None:
        held = self._values >= 0
        keys, numbers = self._halves[held], self._values[held]
        slots = len(self._values) * 2
        self._halves, self._values = np.zeros((slots, 2), np.uint64), np.full(slots, MISSING, np.int32)
        _put(self._halves, self._values, keys, numbers)


def halves(fingerprints: Fingerprints) -> NDArray[np.uint64]:
    """uint64[k, 2]: the same bytes as numbers."""
    return np.ascontiguousarray(fingerprints).view(np.uint64).reshape(-1, 2)


@numba.njit(cache=True)
def _find(table: Any, values: Any, wanted: Any, found: Any) -> None:
    mask = np.uint64(len(values) - 1)
    for place in range(len(wanted)):
        slot = wanted[place, 0] & mask
        while values[slot] >= 0 and (table[slot, 0] != wanted[place, 0] or table[slot, 1] != wanted[place, 1]):
            slot = (slot + np.uint64(1)) & mask
        found[place] = values[slot]


@numba.njit(cache=True)
def _put(table: Any, values: Any, keys: Any, numbers: Any) -> int:
    """How many were not there before."""
    mask = np.uint64(len(values) - 1)
    added = 0
    for place in range(len(keys)):
        slot = keys[place, 0] & mask
        while values[slot] >= 0 and (table[slot, 0] != keys[place, 0] or table[slot, 1] != keys[place, 1]):
            slot = (slot + np.uint64(1)) & mask
        if values[slot] < 0:
            added += 1
            table[slot, 0], table[slot, 1] = keys[place, 0], keys[place, 1]
        values[slot] = numbers[place]
    return added
