"""Distinct series of a request, each checked once in the life of the process.

Belongs here: from raw parts to SeriesKey, remembered; rows to distinct keys. Does not: what a key may be (validate).
"""

from collections.abc import Sequence

import numpy as np
import orjson
from numpy.typing import NDArray

from muninn.errors import Invalid
from muninn.ingest.validate import Screening, series_key
from muninn.model import SeriesKey


class KeyTable:
    """Series by ident: JSON `[metric, labels, source_agent_id, instance_id]` as it came in.

    Bounded by the bytes of its idents: it forgets everything when full, which costs one request some time.
    Safe to share between threads.
    """

    def __init__(self, max_bytes: int = 16 << 20):
        self._known: dict[bytes, SeriesKey | str] = {}
        self.held_bytes = 0
        self._max_bytes = max_bytes

    def resolve(self, ident: bytes) -> SeriesKey | str:
        """The series, or the reason why it cannot be one."""
        known = self._known.get(ident)
        if known is None:
            known = self._learn(ident)
        return known

    def _learn(self, ident: bytes) -> SeriesKey | str:
        result: SeriesKey | str
        try:
            result = series_key(*orjson.loads(ident))
        except Invalid as error:
            result = str(error)
        if self.held_bytes + len(ident) > self._max_bytes:
            self._known, self.held_bytes = {}, 0
        self._known[ident] = result
        self.held_bytes += len(ident)
        return result


def by_ident(idents: Sequence[bytes]) -> tuple[list[bytes], NDArray[np.int32]]:
    """The distinct idents in order of appearance, and for each row its place among them (int32[n])."""
    distinct = list(dict.fromkeys(idents))
    place = dict(zip(distinct, range(len(distinct)), strict=True))
    return distinct, np.fromiter(map(place.__getitem__, idents), np.int32, len(idents))


def resolve(
    distinct: Sequence[bytes], place: NDArray[np.int32], table: KeyTable, screening: Screening
) -> tuple[NDArray[np.int32], tuple[SeriesKey, ...]]:
    """key_index (int32[n]) and keys of these rows; rows of an impossible key are refused and point at 0.

    Two idents may be one series (labels in another order): they become one key.
    """
    index: dict[SeriesKey, int] = {}
    target = np.zeros(len(distinct), np.int32)
    reasons: dict[int, str] = {}
    for number, ident in enumerate(distinct):
        found = table.resolve(ident)
        if isinstance(found, str):
            reasons[number] = found
        else:
            target[number] = index.setdefault(found, len(index))
    if reasons:
        impossible = np.zeros(len(distinct), np.bool_)
        impossible[list(reasons)] = True
        screening.refuse(impossible[place], lambda row: reasons[int(place[row])])
    return target[place], tuple(index)
