"""Label sets as they lie in write requests, to series: what came before costs a hash and a comparison of bytes.

Belongs here: the memory of label sets, bounded. Does not: hashing (_labels), the wire format (remote_write).
"""

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from muninn.ingest.body import TooLarge
from muninn.ingest.decode import _labels
from muninn.model import SeriesKey, SeriesSet
from muninn.model.series_set import FINGERPRINT

Parse = Callable[[bytes], SeriesKey | str]
# A million label sets of 160 bytes; beyond either bound everything is learnt anew.
MAX_LABEL_SETS = 1 << 20
MAX_LABEL_BYTES = 160 << 20
# Of how many bytes of names the last are kept: those are wanted again until the store knows the series.
_NAMES_BYTES = 32 << 20
_FIRST_SLOTS = 1 << 12


@dataclass(frozen=True, eq=False)
class Labels:
    """`ordinal` int32[s]: each label set's place in `keys`, -1 where it is no series; reasons: why, by place."""

    ordinal: NDArray[np.int32]
    keys: SeriesSet
    reasons: dict[int, str]


class LabelTable:
    """Remembers label sets by their bytes, `max_sets` of them in at most `max_bytes`. Safe for many threads."""

    def __init__(self, parse: Parse, max_sets: int = MAX_LABEL_SETS, max_bytes: int = MAX_LABEL_BYTES):
        self._parse = parse
        self._max_sets, self._max_bytes = max_sets, max_bytes
        self._lock = threading.Lock()
        self._seed = np.uint64(int.from_bytes(os.urandom(8), "little"))
        # At full size from the start: pages that were never written take no memory.
        self._arena = np.zeros(max_bytes, np.uint8)
        self._bounds = np.zeros(max_sets + 1, np.int64)
        self._digests = np.zeros(max_sets, FINGERPRINT)
        self._slots, self._refs = _empty(_FIRST_SLOTS)
        self._reasons: dict[int, str] = {}
        self._names: dict[int, bytes] = {}
        self._names_bytes = self._count = 0
        self._stamps, self._places, self._stamp = np.zeros(max_sets, np.int64), np.zeros(max_sets, np.int32), 0

    def __len__(self) -> int:
        return self._count

    @property
    def held_bytes(self) -> int:
        """Bytes of the label sets that are remembered, and of names."""
        return int(self._bounds[self._count]) + self._names_bytes

    def resolve(self, message: bytes, start: NDArray[np.int64], end: NDArray[np.int64]) -> Labels:
        """The series of the label sets message[start:end]; TooLarge if they are more than can be remembered."""
        if len(start) > self._max_sets or int((end - start).sum()) > self._max_bytes:
            raise TooLarge(f"a request of {len(start)} series; at most {self._max_sets} are taken at once")
        octets = np.frombuffer(message, np.uint8)
        with self._lock:
            found = self._numbers(message, octets, start, end)
            return self._labels(message, start, end, found)

    def _numbers(
        self, message: bytes, octets: NDArray[np.uint8], start: NDArray[np.int64], end: NDArray[np.int64]
    ) -> NDArray[np.int32]:
        """int32[s]: the number of each label set; unseen ones are learnt."""
        found = self._find(octets, start, end)
        missing = np.flatnonzero(found < 0)
        if len(missing) and not self._has_room(len(missing), int((end - start)[missing].sum())):
            self._forget()
            missing = np.arange(len(start))
        for place in missing.tolist():
            one = slice(place, place + 1)
            known = self._find(octets, start[one], end[one])[0]  # it may come twice in one request
            found[place] = known if known >= 0 else self._learn(message, octets, int(start[place]), int(end[place]))
        return found

    def _find(self, octets: NDArray[np.uint8], start: NDArray[np.int64], end: NDArray[np.int64]) -> NDArray[np.int32]:
        found = np.empty(len(start), np.int32)
        _labels.find(self._slots, self._refs, self._seed, self._bounds, self._arena, octets, start, end, found)
        return found

    def _learn(self, message: bytes, octets: NDArray[np.uint8], start: int, end: int) -> int:
        parsed = self._parse(message[start:end])
        number = self._count
        if 2 * number >= len(self._refs):
            self._grow()
        _labels.put(self._slots, self._refs, self._seed, self._bounds, self._arena, octets, start, end, number)
        self._count += 1
        if isinstance(parsed, str):
            self._reasons[number] = parsed
        else:
            self._digests[number] = np.frombuffer(parsed.digest, FINGERPRINT)[0]
            self._keep_name(number, parsed.canonical)
        return number

    def _labels(
        self, message: bytes, start: NDArray[np.int64], end: NDArray[np.int64], found: NDArray[np.int32]
    ) -> Labels:
        self._stamp += 1
        ordinal, first = np.empty(len(found), np.int32), np.empty(len(found), np.int32)
        count = _labels.distinct(found, self._stamps, self._stamp, self._places, ordinal, first)
        first = first[:count]
        chosen = found[first]
        names = self._names

        def name_of(place: int) -> bytes | None:
            kept = names.get(int(chosen[place]))
            if kept is not None:
                return kept
            parsed = self._parse(message[start[first[place]] : end[first[place]]])
            return None if isinstance(parsed, str) else parsed.canonical

        reasons: dict[int, str] = {}
        if self._reasons:
            for place in np.flatnonzero(np.isin(chosen, [*self._reasons])).tolist():
                ordinals = np.flatnonzero(ordinal == place)
                reasons.update(dict.fromkeys(ordinals.tolist(), self._reasons[int(chosen[place])]))
                ordinal[ordinals] = -1
        return Labels(ordinal, SeriesSet(self._digests[chosen], name_of), reasons)

    def _has_room(self, sets: int, size: int) -> bool:
        return self._count + sets <= self._max_sets and int(self._bounds[self._count]) + size <= self._max_bytes

    def _grow(self) -> None:
        held = np.flatnonzero(self._refs >= 0)
        slots, refs = self._slots[held], self._refs[held]
        self._slots, self._refs = _empty(2 * len(self._refs))
        _labels.put_back(self._slots, self._refs, slots, refs)

    def _keep_name(self, number: int, name: bytes) -> None:
        if self._names_bytes + len(name) > _NAMES_BYTES:
            self._names, self._names_bytes = {}, 0
        self._names[number] = name
        self._names_bytes += len(name)

    def _forget(self) -> None:
        self._slots, self._refs = _empty(_FIRST_SLOTS)
        self._reasons, self._names = {}, {}
        self._names_bytes = self._count = 0


def _empty(slots: int) -> tuple[NDArray[np.uint64], NDArray[np.int32]]:
    return np.zeros(slots, np.uint64), np.full(slots, -1, np.int32)
