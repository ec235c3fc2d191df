"""Keeps a gate up to date: its rules when their file changes, its counts by what the store says.

Belongs here: the thread. Does not: verdicts (gate), the store (a function).
"""

import logging
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from muninn.clock import Clock, SystemClock
from muninn.errors import MuninnError
from muninn.ingest.gate.gate import Gate
from muninn.ingest.gate.rules import load

log = logging.getLogger(__name__)

# "metric" and "source" -> name -> series that were first seen within the last hour; MuninnError while it is away.
NewSeries = Callable[[], Mapping[str, Mapping[str, int]]]
_RULES_EVERY_S, _COUNTS_EVERY_S = 5.0, 30.0


class Keeper:
    """One gate's. A rules file that is broken or gone leaves the rules as they were, and is told once."""

    def __init__(self, gate: Gate, path: Path | None, new_series: NewSeries, clock: Clock | None = None):
        self._gate, self._path, self._new_series, self._clock = gate, path, new_series, clock or SystemClock()
        self._read: tuple[int, int] | None = None if path is None else _stamp(path)
        self._counts_due = self._clock.monotonic()

    def run(self, stop: threading.Event) -> None:
        """Look after the gate until `stop` is set."""
        self.step()
        while not self._clock.wait(_RULES_EVERY_S, stop):
            self.step()

    def step(self) -> None:
        """Look once."""
        self._look_at_rules()
        if self._clock.monotonic() >= self._counts_due:
            self._counts_due = self._clock.monotonic() + _COUNTS_EVERY_S
            try:
                self._gate.take_over(self._new_series())
            except MuninnError as error:
                log.debug("new series are counted here alone: %s", error)

    def _look_at_rules(self) -> None:
        if self._path is None:
            return
        found = _stamp(self._path)
        if found == self._read:
            return
        self._read = found
        try:
            self._gate.use_rules(load(self._path))
        except MuninnError as error:
            log.error("the rules at the door stay as they were: %s", error)
        else:
            log.info("rules at the door read anew from %s", self._path)


def _stamp(path: Path) -> tuple[int, int] | None:
    """What changes when a file does; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
