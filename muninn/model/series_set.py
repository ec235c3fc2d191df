"""The series of a batch as columns: a fingerprint for each, and names where they are known.

Belongs here: the set itself. Does not: who knows a name (ingest.buffer, store).
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from muninn.errors import Invalid
from muninn.model.series import SeriesKey

# A fingerprint as 16 opaque bytes.
FINGERPRINT = np.dtype("V16")
Fingerprints = NDArray[np.void]
# The series fall into so many lanes, by fingerprint: what is split by series is split along them.
LANES = 16
# A place in the set -> the canonical form of the series there, or None where it is not known here.
NameOf = Callable[[int], bytes | None]


def _nameless(place: int) -> bytes | None:  # noqa: ARG001
    return None


class SeriesSet(Sequence[SeriesKey]):
    """k series, as a rule distinct: `fingerprints` are always there, a key is made only when it is asked for.

    Equal to any sequence of the same series in the same order.
    """

    __slots__ = ("_fingerprints", "_keys", "_name_of", "_parse")

    def __init__(
        self,
        fingerprints: Fingerprints,
        name_of: NameOf = _nameless,
        parse: Callable[[bytes], SeriesKey] = SeriesKey.parse,
    ):
        self._fingerprints: Fingerprints | None = fingerprints
        self._name_of = name_of
        self._parse = parse
        self._keys: Sequence[SeriesKey] | None = None

    @classmethod
    def of(cls, keys: "Iterable[SeriesKey]") -> "SeriesSet":
        """Series whose keys are at hand."""
        if isinstance(keys, SeriesSet):
            return keys
        made = cls.__new__(cls)
        held = tuple(keys)
        made._keys, made._fingerprints, made._name_of = held, None, lambda place: held[place].canonical
        made._parse = SeriesKey.parse
        return made

    @classmethod
    def stacked(cls, sets: "Sequence[SeriesSet]") -> "SeriesSet":
        """All series of all sets in order; one that is in several comes several times."""
        if len(sets) == 1:
            return sets[0]
        starts = np.cumsum([0, *map(len, sets)])

        def name_of(place: int) -> bytes | None:
            number = int(np.searchsorted(starts, place, "right")) - 1
            return sets[number].name(place - int(starts[number]))

        return cls(np.concatenate([np.empty(0, FINGERPRINT), *(each.fingerprints for each in sets)]), name_of)

    @property
    def fingerprints(self) -> Fingerprints:
        """V16[k]: SeriesKey.digest of each."""
        if self._fingerprints is None:
            self._fingerprints = fingerprints_of([key.digest for key in self._keys or ()])
        return self._fingerprints

    def name(self, place: int) -> bytes | None:
        """The canonical form of the series at `place`; None where only its fingerprint is known here."""
        return self._name_of(place)

    def unnamed(self) -> list[int]:
        """The places whose names are not known here."""
        return [] if self._keys is not None else [place for place in range(len(self)) if self._name_of(place) is None]

    def take(self, places: NDArray[np.integer[Any]]) -> "SeriesSet":
        """The series at these places."""
        if self._keys is not None:
            return SeriesSet.of(self._keys[place] for place in places.tolist())
        name_of, chosen = self._name_of, places.tolist()
        return SeriesSet(self.fingerprints[places], lambda place: name_of(chosen[place]), self._parse)

    def __len__(self) -> int:
        return len(self._keys) if self._keys is not None else len(self.fingerprints)

    @overload
    def __getitem__(self, place: int) -> SeriesKey: ...
    @overload
    def __getitem__(self, place: slice) -> "SeriesSet": ...
    def __getitem__(self, place: int | slice) -> "SeriesKey | SeriesSet":
        if isinstance(place, slice):
            return self.take(np.arange(len(self))[place])
        if self._keys is not None:
            return self._keys[place]
        if not -len(self) <= place < len(self):
            raise IndexError(place)
        name = self._name_of(place % len(self))
        if name is None:
            raise Invalid(f"the name of series {bytes(self.fingerprints[place]).hex()} is not known here")
        return self._parse(name)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and bool(np.array_equal(self.fingerprints, SeriesSet.of(other).fingerprints))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"SeriesSet of {len(self)}"


def fingerprints_of(digests: Sequence[bytes]) -> Fingerprints:
    """V16[k] of digests."""
    return np.frombuffer(b"".join(digests), FINGERPRINT)


def lanes_of(fingerprints: Fingerprints) -> NDArray[np.uint8]:
    """uint8[k]: which of the LANES each series is in."""
    lanes: NDArray[np.uint8] = np.ascontiguousarray(fingerprints).view(np.uint8)[::16] % LANES
    return lanes
