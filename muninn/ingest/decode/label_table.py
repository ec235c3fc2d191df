"""Label sets as they lie in requests, to series: what came before costs a hash and a look-up in compiled code.

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
from muninn.model.series_set import FINGERPRINT, Fingerprints, fingerprints_of
from muninn.numerics.fingerprints import FingerprintTable
from muninn.numerics.lots import by_lot

Parse = Callable[[bytes], SeriesKey | str]
# About 80 bytes each, however long the label sets are; beyond it a quarter of them is forgotten, by lot.
MAX_LABEL_SETS = 5 << 18
# Of how many bytes of names the last are kept: those are wanted again until the store knows the series.
_NAMES_BYTES = 8 << 20
# Of how many bytes label sets a request may have: some formats let many series share what is written once.
MAX_REQUEST_BYTES = 192 << 20
# So many impossible label sets are remembered with their reasons.
_MAX_REASONS = 10_000


@dataclass(frozen=True, eq=False)
class Labels:
    """`ordinal` int32[s]: each label set's place in `keys`, -1 where it is no series; reasons: why, by place."""

    ordinal: NDArray[np.int32]
    keys: SeriesSet
    reasons: dict[int, str]


@dataclass(frozen=True, eq=False)
class Sets:
    """Label sets of a request: what stands for each one's bytes, V16[s], these bytes, and how many, int64[s]."""

    codes: Fingerprints
    raw_of: Callable[[int], bytes]
    sizes: NDArray[np.int64]


class LabelTable:
    """Remembers label sets by what stands for their bytes, `max_sets` of them. Safe for many threads."""

    def __init__(self, parse: Parse, max_sets: int = MAX_LABEL_SETS):
        self._parse = parse
        self._max_sets = max_sets
        self._lock = threading.Lock()
        self._key = np.frombuffer(os.urandom(16), np.uint64)
        self._table = FingerprintTable()
        # At full size from the start: pages that were never written take no memory.
        self._digests = np.zeros(max_sets, FINGERPRINT)
        self._stamps, self._places, self._stamp = np.zeros(max_sets, np.int64), np.zeros(max_sets, np.int32), 0
        self._reasons: dict[int, str] = {}
        self._names: dict[int, bytes] = {}
        self._names_bytes = 0

    def __len__(self) -> int:
        return len(self._table)

    @property
    def names_bytes(self) -> int:
        """Bytes of the names that are kept."""
        return self._names_bytes

    def resolve(self, message: bytes, start: NDArray[np.int64], end: NDArray[np.int64]) -> Labels:
        """The series of the label sets message[start:end]; TooLarge if they are more than can be remembered."""
        hashes = np.empty((len(start), 2), np.uint64)
        _labels.hashes(np.frombuffer(message, np.uint8), start, end, self._key, hashes)
        return self._resolved(
            Sets(hashes.view(FINGERPRINT).ravel(), lambda at: message[start[at] : end[at]], end - start)
        )

    def resolve_pairs(self, message: bytes, ranges: NDArray[np.int64]) -> tuple[NDArray[np.int32], Labels]:
        """The same for sets in two parts, message[a:b] and message[c:d] with (a, b, c, d) = ranges[i, :4].

        They may come more than once: int32[n], each one's place in the labels, and the labels of the distinct ones.
        `parse` is given both parts with a line feed between them.
        """
        hashes = np.empty((len(ranges), 2), np.uint64)
        _labels.pair_hashes(np.frombuffer(message, np.uint8), ranges, self._key, hashes)
        table = FingerprintTable()
        places = table.add(hashes.view(FINGERPRINT).ravel())
        first = np.empty(len(table), np.int64)
        first[places[::-1]] = np.arange(len(places) - 1, -1, -1)  # of a repeated index the last assignment stays
        chosen = ranges[first]

        def raw_of(at: int) -> bytes:
            a, b, c, d = chosen[at, :4].tolist()
            return message[a:b] + b"\n" + message[c:d]

        sizes = chosen[:, 1] - chosen[:, 0] + chosen[:, 3] - chosen[:, 2]
        return places, self._resolved(Sets(table.fingerprints.copy(), raw_of, sizes))

    def _resolved(self, sets: Sets) -> Labels:
        if len(sets.codes) > self._max_sets:
            raise TooLarge(f"a request of {len(sets.codes)} series; at most {self._max_sets} are taken at once")
        if (size := int(sets.sizes.sum())) > MAX_REQUEST_BYTES:
            raise TooLarge(
                f"the names and labels of its series take {size} bytes; at most {MAX_REQUEST_BYTES} are taken"
            )
        with self._lock:
            return self._labels(sets, self._numbers(sets))

    def _numbers(self, sets: Sets) -> NDArray[np.int32]:
        """int32[s]: the number of each label set; unseen ones are learnt."""
        codes = sets.codes
        found = self._table.find(codes)
        missing = np.flatnonzero(found < 0)
        if not len(missing):
            return found
        if (full := len(self._table) + len(missing) > self._max_sets) or len(self._reasons) > _MAX_REASONS:
            self._forget_some(len(codes) if full else 0)
            found = self._table.find(codes)
            missing = np.flatnonzero(found < 0)
        fresh: dict[bytes, int] = {}  # one may come twice in a request
        for place, code in zip(missing.tolist(), codes[missing].tolist(), strict=True):
            fresh.setdefault(code, place)
        parsed = [self._parse(sets.raw_of(place)) for place in fresh.values()]
        self._learn(self._table.add(fingerprints_of([*fresh])), parsed)
        found[missing] = self._table.find(codes[missing])
        return found

    def _learn(self, numbers: NDArray[np.int32], parsed: list[SeriesKey | str]) -> None:
        for number, series in zip(numbers.tolist(), parsed, strict=True):
            if isinstance(series, str):
                self._reasons[number] = series
            else:
                self._digests[number] = np.frombuffer(series.digest, FINGERPRINT)[0]
                self._keep_name(number, series.canonical)

    def _labels(self, sets: Sets, found: NDArray[np.int32]) -> Labels:
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
            parsed = self._parse(sets.raw_of(int(first[place])))
            return None if isinstance(parsed, str) else parsed.canonical

        reasons: dict[int, str] = {}
        if self._reasons:
            for place in np.flatnonzero(np.isin(chosen, [*self._reasons])).tolist():
                ordinals = np.flatnonzero(ordinal == place)
                reasons.update(dict.fromkeys(ordinals.tolist(), self._reasons[int(chosen[place])]))
                ordinal[ordinals] = -1
        return Labels(ordinal, SeriesSet(self._digests[chosen], name_of), reasons)

    def _keep_name(self, number: int, name: bytes) -> None:
        if self._names_bytes + len(name) > _NAMES_BYTES:
            self._names, self._names_bytes = {}, 0
        self._names[number] = name
        self._names_bytes += len(name)

    def _forget_some(self, coming: int) -> None:
        """What is no series; and where `coming` need room, a quarter of the others by lot, or more."""
        count = len(self._table)
        kept = by_lot(count, min(count - count // 4, self._max_sets - coming) if coming else count)
        kept[[*self._reasons]] = False
        self._table.keep(kept)
        self._digests[: len(self._table)] = self._digests[:count][kept]
        # Numbers are new. A request that is under way has the old names.
        self._reasons, self._names, self._names_bytes = {}, {}, 0
