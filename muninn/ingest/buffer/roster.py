"""Which series the store knows for certain: entries of the buffer go without their names.

A series that is not on the roster goes with its name in every entry, so entries can always be loaded, whoever dies.
The roster asks the store, behind the requests; while the store is away names go along, which takes room and no harm.

Belongs here: that memory. Does not: the store (a function), the layout (codec).
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from muninn.clock import Clock, SystemClock
from muninn.errors import MuninnError
from muninn.model.series_set import Fingerprints
from muninn.numerics.fingerprints import FingerprintTable
from muninn.numerics.lots import by_lot

log = logging.getLogger(__name__)

# fingerprints V16[k] -> bool[k], whether the store has the series; MuninnError while it is away.
Registered = Callable[[Fingerprints], NDArray[np.bool_]]
MAX_SERIES = 5 << 18
_ASK_AT_ONCE = 20_000
_MAX_ASKED = 1 << 20
_EVERY_S = 0.5
# What the store does not have yet will be there when the entry is loaded: it is asked about again after 1 s, 2 s, 4 s …
_MOST_TRIES = 6


@dataclass(frozen=True, eq=False)
class _Question:
    """fingerprints: to be asked about in the `due`-th refresh, for the `tries`-th time."""

    fingerprints: Fingerprints
    due: int
    tries: int = 1


@dataclass
class Roster:
    """For many threads. `registered` is None where nobody can be asked: every name goes along then.

    max_series: beyond it a quarter is asked anew, chosen by lot. epoch: of the last time that somebody wanted all
    names again.
    """

    registered: Registered | None = None
    max_series: int = MAX_SERIES
    epoch: str = "0"
    _known: FingerprintTable = field(default_factory=FingerprintTable)
    _asked: FingerprintTable = field(default_factory=FingerprintTable)
    _waiting: list[_Question] = field(default_factory=list)
    _refreshes: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __len__(self) -> int:
        return len(self._known)

    def wanting(self, fingerprints: Fingerprints) -> tuple[NDArray[np.bool_] | None, str]:
        """(bool[k], which series must go with their names, None: all; the epoch that this is true of)."""
        if self.registered is None:
            return None, self.epoch
        with self._lock:
            unknown = self._known.find(fingerprints) < 0
            if unknown.any():
                self._ask(fingerprints[unknown])
            return unknown, self.epoch

    def forget(self, epoch: str) -> None:
        """Somebody could not name a series: let all names go along until the store has confirmed them again."""
        with self._lock:
            if epoch != self.epoch:
                self.epoch = epoch
                self._known.clear()

    def refresh(self) -> int:
        """Ask the store about series that went with their names; how many it knows now. MuninnError if it is away."""
        with self._lock:
            self._refreshes += 1
            due = [question for question in self._waiting if question.due <= self._refreshes]
            self._waiting = [question for question in self._waiting if question.due > self._refreshes]
            self._asked.clear()
            for question in self._waiting:
                self._asked.add(question.fingerprints)
            epoch = self.epoch
        return sum(
            self._ask_store(each.fingerprints[start : start + _ASK_AT_ONCE], each.tries, epoch)
            for each in due
            for start in range(0, len(each.fingerprints), _ASK_AT_ONCE)
        )

    def _ask_store(self, fingerprints: Fingerprints, tries: int, epoch: str) -> int:
        if self.registered is None:
            return 0
        known = self.registered(fingerprints)
        with self._lock:
            if epoch == self.epoch:
                self._remember(fingerprints[known])
                if tries < _MOST_TRIES and not known.all():
                    self._ask(fingerprints[~known], tries + 1)
        return int(known.sum())

    def run(self, stop: threading.Event, clock: Clock | None = None) -> None:
        """Refresh twice a second until `stop`."""
        clock = clock or SystemClock()
        while not clock.wait(_EVERY_S, stop):
            try:
                self.refresh()
            except MuninnError as error:
                log.debug("names go along: %s", error)

    def _ask(self, fingerprints: Fingerprints, tries: int = 1) -> None:
        new = fingerprints[self._asked.find(fingerprints) < 0]
        if len(new) and len(self._asked) + len(new) <= _MAX_ASKED:
            self._asked.add(new)
            self._waiting.append(_Question(new, self._refreshes + (1 if tries == 1 else 1 << (tries - 1)), tries))

    def _remember(self, fingerprints: Fingerprints) -> None:
        count = len(self._known)
        if count + len(fingerprints) > self.max_series:
            self._known.keep(by_lot(count, min(count - count // 4, self.max_series - len(fingerprints))))
        self._known.add(fingerprints)
