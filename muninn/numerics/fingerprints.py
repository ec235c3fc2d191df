"""128-bit fingerprints to small numbers: an open-addressing table, compiled, without a Python object per entry.

Belongs here: the table. Does not: what the numbers mean.

A slot holds a number and 32 bits of its fingerprint; the fingerprints themselves lie densely in the order of their
numbers. Who asks for many in the order in which they were added, as agents do that send the same series each time,
reads that array alone, from front to back: the cost of a look-up does not grow with the table then.
"""

import os
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from muninn.model.series_set import FINGERPRINT, Fingerprints

MISSING = -1
_FIRST_SLOTS, _FIRST_KEYS = 1 << 12, 1 << 10
# So full a table may be: probes stay short.
_FULL = 0.7
_MIX = np.uint64(0x9E3779B97F4A7C15)


class FingerprintTable:
    """fingerprint -> 0, 1, 2 … in the order in which they were added. For one thread at a time; 40 bytes an entry."""

    def __init__(self) -> None:
        # Nobody who chooses names can choose slots.
        self._seed = np.uint64(int.from_bytes(os.urandom(8), "little"))
        self.clear()

    def __len__(self) -> int:
        return self._count

    @property
    def fingerprints(self) -> Fingerprints:
        """V16[n]: all of them, in the order of their numbers. A view: it holds until the next change."""
        return self._halves[: self._count].view(FINGERPRINT).ravel()

    def clear(self) -> None:
        """Forget everything."""
        self._count = 0
        self._halves = np.zeros((_FIRST_KEYS, 2), np.uint64)
        self._slots = np.zeros(_FIRST_SLOTS, np.uint64)

    def find(self, fingerprints: Fingerprints) -> NDArray[np.int32]:
        """int32[k]: the number of each, MISSING where there is none."""
        found = np.empty(len(fingerprints), np.int32)
        _find(self._slots, self._halves, self._count, self._seed, halves(fingerprints), found)
        return found

    def add(self, fingerprints: Fingerprints) -> NDArray[np.int32]:
        """int32[k]: the number of each; those that are not there yet get the next ones."""
        self._make_room(self._count + len(fingerprints))
        numbers = np.empty(len(fingerprints), np.int32)
        self._count = _add(self._slots, self._halves, self._count, self._seed, halves(fingerprints), numbers)
        return numbers

    def keep(self, which: NDArray[np.bool_]) -> None:
        """Forget all others; those that stay are numbered anew, in their order. which: bool[n]."""
        kept = self._halves[: self._count][which]
        self.clear()
        self.add(kept.view(FINGERPRINT).ravel())

    def _make_room(self, count: int) -> None:
        if count > len(self._halves):
            grown = np.zeros((max(count, len(self._halves) * 3 // 2), 2), np.uint64)
            grown[: self._count] = self._halves[: self._count]
            self._halves = grown
        slots = len(self._slots)
        while count > slots * _FULL:
            slots *= 2
        if slots > len(self._slots):
            self._slots = np.zeros(0, np.uint64)  # the old ones go before the new ones come
            self._slots = np.zeros(slots, np.uint64)
            _index(self._slots, self._halves, self._count, self._seed)


def halves(fingerprints: Fingerprints) -> NDArray[np.uint64]:
    """uint64[k, 2]: the same bytes as numbers."""
    return np.ascontiguousarray(fingerprints).view(np.uint64).reshape(-1, 2)


# A slot: the number plus one in its lower half, 0 where it is free; bits of the fingerprint in its upper half.
_LOW, _HIGH = np.uint64(0xFFFFFFFF), np.uint64(0xFFFFFFFF00000000)
_ONE, _32 = np.uint64(1), np.uint64(32)


@numba.njit(cache=True, inline="always")
def _first(half: Any, seed: Any, mask: Any) -> Any:
    return (((half ^ seed) * _MIX) >> _32) & mask


@numba.njit(cache=True, inline="always")
def _search(slots: Any, table: Any, seed: Any, one: Any, other: Any) -> Any:
    """(the slot of a fingerprint or the free one where it belongs, its number or -1)."""
    mask = np.uint64(len(slots) - 1)
    slot = _first(one, seed, mask)
    while slots[slot] != np.uint64(0):
        held = slots[slot]
        if held & _HIGH == other & _HIGH:
            number = np.int64((held & _LOW) - _ONE)
            if table[number, 0] == one and table[number, 1] == other:
                return slot, number
        slot = (slot + _ONE) & mask
    return slot, np.int64(-1)


@numba.njit(cache=True, nogil=True)
def _find(slots: Any, table: Any, count: Any, seed: Any, wanted: Any, found: Any) -> None:
    following = 0
    for place in range(len(wanted)):
        one, other = wanted[place, 0], wanted[place, 1]
        if following < count and table[following, 0] == one and table[following, 1] == other:
            number = following
        else:
            _, number = _search(slots, table, seed, one, other)
        found[place] = number
        following = number + 1


@numba.njit(cache=True)
def _add(slots: Any, table: Any, count: Any, seed: Any, wanted: Any, numbers: Any) -> Any:
    """How many there are now."""
    for place in range(len(wanted)):
        one, other = wanted[place, 0], wanted[place, 1]
        slot, number = _search(slots, table, seed, one, other)
        if number < 0:
            number = count
            table[number, 0], table[number, 1] = one, other
            slots[slot] = (other & _HIGH) | np.uint64(number + 1)
            count += 1
        numbers[place] = number
    return count


@numba.njit(cache=True)
def _index(slots: Any, table: Any, count: Any, seed: Any) -> None:
    """Fill empty slots."""
    mask = np.uint64(len(slots) - 1)
    for number in range(count):
        slot = _first(table[number, 0], seed, mask)
        while slots[slot] != np.uint64(0):
            slot = (slot + _ONE) & mask
        slots[slot] = (table[number, 1] & _HIGH) | np.uint64(number + 1)
