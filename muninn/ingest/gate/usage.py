"""How many series each metric and each source has here: active ones, and how many are new in the last hour.

Belongs here: counting, and finding the label that makes the numbers grow. Does not: limits (gate), the store.
"""

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from muninn.model import SeriesKey

HOUR_MINUTES = 60
# What is remembered to name the culprit: of so many metrics or sources, so many values of a label.
_MAX_WATCHED, _MAX_LABELS, _MAX_VALUES = 200, 64, 4096
# And so many in all: then the search for culprits begins anew.
_MAX_KEPT = 200_000
# Names beyond this are a blow-up of names: what is counted here begins anew.
_MAX_NAMES = 100_000
_THEN_EVERY = 16
# A group with fewer new series than this has no culprit.
_WORTH_WATCHING = 20


@dataclass
class Usage:
    """Counts of one kind (metrics, or sources), by a small number each. For one thread at a time."""

    _codes: dict[str, int] = field(default_factory=dict)
    _active: Counter[int] = field(default_factory=Counter)
    _new: Counter[int] = field(default_factory=Counter)
    _minutes: deque[tuple[int, Counter[int]]] = field(default_factory=deque)
    _stored: Mapping[str, int] = field(default_factory=dict)
    _since: Counter[int] = field(default_factory=Counter)
    _told: int = 0
    _watched: Counter[int] = field(default_factory=Counter)
    _values: dict[int, dict[str, set[int]]] = field(default_factory=dict)
    _kept: int = 0

    def code(self, name: str) -> int:
        """The number of a metric or source."""
        return self._codes.setdefault(name, len(self._codes))

    @property
    def crowded(self) -> bool:
        """Whether there are more names than should be remembered: forget, and judge every series anew."""
        return len(self._codes) > _MAX_NAMES

    def forget(self) -> None:
        """Forget all names, their numbers and counts; what the store said holds on."""
        for held in (self._codes, self._active, self._new, self._minutes, self._since, self._watched):
            held.clear()
        self._forget_values()

    def _forget_values(self) -> None:
        self._values.clear()
        self._kept = 0

    def active(self, name: str) -> int:
        """Series that sent something within the last hour, as far as this process has seen."""
        return self._active[self.code(name)]

    def new(self, name: str) -> int:
        """Series first seen within the last hour: here, or as the store said and since then here."""
        code = self.code(name)
        return max(self._new[code], self._stored.get(name, 0) + self._since[code] if self._told else 0)

    def add(self, name: str, minute: int, *, new: bool) -> None:
        """One more active series."""
        code = self.code(name)
        self._active[code] += 1
        if new:
            self.turn(minute)
            self._new[code] += 1
            self._since[code] += 1
            self._minutes[-1][1][code] += 1

    def turn(self, minute: int) -> None:
        """Forget what is new no more."""
        while self._minutes and self._minutes[0][0] <= minute - HOUR_MINUTES:
            self._new.subtract(self._minutes.popleft()[1])
        if self._told <= minute - HOUR_MINUTES:
            self._told = 0
        if not self._minutes or self._minutes[-1][0] != minute:
            self._minutes.append((minute, Counter()))

    def recount(self, codes: NDArray[np.int32]) -> None:
        """codes: int32[k], of every series that is active now."""
        self._active = Counter(dict(enumerate(np.bincount(codes, minlength=len(self._codes)).tolist())))

    def take_over(self, new: Mapping[str, int], minute: int) -> None:
        """What the store says is new within the last hour; it holds until it says anew, an hour at the most."""
        self._told = minute
        self._stored = dict(new)
        self._since.clear()

    def watch(self, name: str, key: SeriesKey) -> None:
        """Remember the labels of a new series, admitted or not."""
        code = self.code(name)
        self._watched[code] += 1
        if self._watched[code] > _MAX_VALUES and self._watched[code] % _THEN_EVERY:
            return
        values = self._values.get(code)
        if values is None:
            if self.new(name) < _WORTH_WATCHING:
                return
            if len(self._values) >= _MAX_WATCHED or self._kept >= _MAX_KEPT:
                self._forget_values()
            values = self._values.setdefault(code, {})
        for label, value in parts_of(key):
            seen = values.get(label)
            if seen is None:
                if len(values) >= _MAX_LABELS:
                    continue
                seen = values.setdefault(label, set())
            if len(seen) < _MAX_VALUES and self._kept < _MAX_KEPT:
                before = len(seen)
                seen.add(hash(value))
                self._kept += len(seen) - before

    def culprit(self, name: str) -> tuple[str, int]:
        """The label with the most values among the new series, and how many; ("", 0) where none stands out."""
        values = self._values.get(self.code(name), {})
        label = max(values, key=lambda each: len(values[each]), default="")
        count = len(values[label]) if label else 0
        return (label, count) if count > 1 else ("", 0)


def parts_of(key: SeriesKey) -> Iterable[tuple[str, str]]:
    """What may make a series another one: its labels, and where it comes from."""
    yield from key.labels
    if key.instance_id:
        yield "instance_id", key.instance_id
    if key.source_agent_id:
        yield "source_agent_id", key.source_agent_id
