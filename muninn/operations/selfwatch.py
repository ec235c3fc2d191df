"""Muninn watches itself: programs put their figures on the board, the collector sends them like any client.

Belongs here: the heartbeat thread, and the board as samples. Does not: counting (meter), the board (cache).
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from muninn.cache.board import BoardEntry
from muninn.clock import SECOND_US, Clock, SystemClock
from muninn.errors import Unavailable
from muninn.meter import Meter
from muninn.model import SampleBatch, SeriesKey
from muninn.names import OWN_AGENT, OWN_PREFIX

log = logging.getLogger(__name__)

INTERVAL_S = 1.0

Figure = tuple[str, dict[str, str], float]


class Publisher(Protocol):
    """Where heartbeats go."""

    def publish(self, program: str, instance: str, snapshot: Sequence[Figure], ttl_s: float = 15.0) -> None: ...
    def withdraw(self, program: str, instance: str) -> None: ...


class Readable(Protocol):
    """Where heartbeats are read."""

    def read_all(self) -> Sequence[BoardEntry]: ...


class Heartbeat:
    """Publishes a program's meter each second until stopped, then withdraws it. Survives an absent board.

    refresh: called before each publication, to set gauges; what it raises as Unavailable is left for the next time.
    """

    def __init__(
        self,
        board: Publisher,
        program: str,
        instance: str,
        meter: Meter,
        clock: Clock | None = None,
        *,
        refresh: Callable[[], None] | None = None,
    ):
        self._board = board
        self._program, self._instance = program, instance
        self._meter = meter
        self._clock = clock or SystemClock()
        self._refresh = refresh
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._away = False

    def start(self) -> "Heartbeat":
        """Start the thread."""
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self._thread.start()
        return self

    def stop(self, timeout_s: float = 3.0) -> None:
        """End the thread and take the entry down, so that a program that ended on purpose is not missed."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout_s)
        try:
            self._board.withdraw(self._program, self._instance)
        except Unavailable as error:
            log.debug("the heartbeat could not be withdrawn: %s", error)

    def __enter__(self) -> "Heartbeat":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def beat(self) -> None:
        """Publish once; an absent board is told of once, not each second."""
        try:
            if self._refresh is not None:
                self._refresh()
        except Unavailable as error:
            log.debug("some figures are not fresh: %s", error)
        try:
            self._board.publish(self._program, self._instance, [*self._meter.snapshot(), *own_process()])
        except Unavailable as error:
            if not self._away:
                log.warning("the heartbeat cannot be published: %s", error)
            self._away = True
        else:
            self._away = False

    def _run(self) -> None:
        while True:
            self.beat()
            if self._clock.wait(INTERVAL_S, self._stop):
                return


def own_process() -> list[Figure]:
    """CPU time and resident memory of this process."""
    figures: list[Figure] = [("muninn_process_cpu_seconds_total", {}, time.process_time())]
    try:
        with open("/proc/self/statm", "rb") as file:
            pages = int(file.read().split()[1])
    except OSError:  # not Linux
        return figures
    return [*figures, ("muninn_process_resident_bytes", {}, float(pages * os.sysconf("SC_PAGE_SIZE")))]


class OwnMetrics:
    """The board as a source of samples: what was put up since the last reading, each at the time of its heartbeat.

    Series have the labels `program` and `instance` besides their own, agent "muninn", and the program's instance id.
    Figures whose names are not Muninn's own are left out.
    """

    def __init__(self, board: Readable, clock: Clock | None = None):
        self._board = board
        self._clock = clock or SystemClock()
        self._seen_us: dict[tuple[str, str], int] = {}

    def read(self) -> SampleBatch:
        """New samples; Unavailable when the board is away."""
        entries = self._board.read_all()
        now_us = self._clock.now_us()
        rows: list[tuple[SeriesKey, int, float]] = []
        for entry in entries:
            rows.append((_key(entry, "muninn_heartbeat_age_s", {}), now_us, max(0, now_us - entry.at_us) / SECOND_US))
            # A heartbeat that was read before would be sent twice.
            if entry.at_us > self._seen_us.get((entry.program, entry.instance), -1):
                rows += [(_key(entry, name, labels), entry.at_us, value) for name, labels, value in _own(entry)]
        self._seen_us = {(entry.program, entry.instance): entry.at_us for entry in entries}
        return SampleBatch.of(rows)


def _own(entry: BoardEntry) -> list[Figure]:
    return [figure for figure in entry.metrics if figure[0].startswith(OWN_PREFIX)]


def _key(entry: BoardEntry, name: str, labels: dict[str, str]) -> SeriesKey:
    return SeriesKey.of(
        name, {**labels, "program": entry.program, "instance": entry.instance}, OWN_AGENT, entry.instance
    )
