"""What the alerter listens to, each in a thread of its own: samples, scores, and whether the platform's parts answer.

Belongs here: following, and keeping what came until the loop takes it. Does not: judging.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from muninn.clock import SECOND_US, Clock
from muninn.errors import MuninnError
from muninn.model import BatchHandle, BatchSource, SampleBatch, SeriesKey
from muninn.model.scores import ScoreHandle, ScoreLog
from muninn.names import OWN_AGENT
from muninn.stream.feed import Feed

log = logging.getLogger(__name__)

PART_UP = "muninn_part_up"
ROLLUP_BEHIND = "muninn_rollup_behind_s"
# What is asked here and not sent by anyone: it is known even while nothing flows.
OWN_METRICS = (PART_UP, ROLLUP_BEHIND)
_MAX_WAITING_SAMPLES = 2_000_000
_SCORES_BLOCK_MS = 1_000
_WAIT_S = 2.0
_ASK_S = 5.0

Probe = Callable[[], object]


class Samples:
    """Batches from the buffer, in order. heard_us: until when we know that nothing was missed."""

    def __init__(self, source: BatchSource, clock: Clock):
        self._clock = clock
        self._feed = Feed(source, self._deliver, self._status, clock)
        self._batches: deque[SampleBatch] = deque()
        self._room = threading.Condition()
        self._stop = threading.Event()
        self.heard_us = 0
        self.live = False

    def run(self, stop: threading.Event) -> None:
        """Follow until stopped."""
        self._stop = stop
        self._feed.run(stop)

    def take(self) -> list[SampleBatch]:
        """What has come since the last call."""
        with self._room:
            found = list(self._batches)
            self._batches.clear()
            self._room.notify_all()
        return found

    def _deliver(self, handles: Sequence[BatchHandle]) -> None:
        with self._room:
            while sum(map(len, self._batches)) > _MAX_WAITING_SAMPLES and not self._stop.is_set():
                self._room.wait(_WAIT_S)
            self._batches.extend(handle.batch for handle in handles)

    def _status(self, live: bool, reason: str) -> None:  # noqa: ARG002 - the part's own rule says why
        self.live = live
        if live:
            self.heard_us = self._clock.now_us()


class Scores:
    """Batches from the detector's log."""

    def __init__(self, source: ScoreLog, clock: Clock):
        self._source, self._clock = source, clock
        self._handles: deque[ScoreHandle] = deque(maxlen=10_000)

    def run(self, stop: threading.Event) -> None:
        """Follow from the last few that are kept until stopped."""
        after = f"{max(0, self._clock.now_us() // 1000 - 120_000)}-0"
        while not stop.is_set():
            try:
                handles = self._source.follow(after, _SCORES_BLOCK_MS)
            except MuninnError:
                self._clock.wait(_WAIT_S, stop)
                continue
            if handles:
                after = handles[-1].entry_id
                self._handles.extend(handles)

    def take(self) -> list[ScoreHandle]:
        """What has come since the last call."""
        found = []
        while self._handles:
            found.append(self._handles.popleft())
        return found


class Parts:
    """Asks each part of the platform whether it answers; a slow one delays nobody but itself and the next round."""

    def __init__(self, probes: Mapping[str, Probe], behind: Callable[[], Mapping[str, float]], clock: Clock):
        self._probes, self._behind, self._clock = probes, behind, clock
        self._rows: list[tuple[SeriesKey, int, float]] = []
        self._lock = threading.Lock()

    def run(self, stop: threading.Event) -> None:
        """Ask every few seconds until stopped."""
        while True:
            self.ask()
            if self._clock.wait(_ASK_S, stop):
                return

    def ask(self) -> None:
        """One round."""
        rows: list[tuple[SeriesKey, int, float]] = []
        for part, probe in self._probes.items():
            up = _answers(part, probe)
            rows.append((SeriesKey.of(PART_UP, {"part": part}, OWN_AGENT), self._clock.now_us(), float(up)))
        try:
            for resolution, behind_s in self._behind().items():
                key = SeriesKey.of(ROLLUP_BEHIND, {"resolution": resolution}, OWN_AGENT)
                rows.append((key, self._clock.now_us(), behind_s))
        except MuninnError as error:
            log.debug("rollups were not asked: %s", error)
        with self._lock:
            self._rows += rows

    def take(self) -> SampleBatch:
        """What was found since the last call."""
        with self._lock:
            rows, self._rows = self._rows, []
        return SampleBatch.of(rows)


def _answers(part: str, probe: Probe) -> bool:
    try:
        probe()
    except Exception as error:
        log.debug("%s does not answer: %s", part, error)
        return False
    return True


def seconds_behind(rows: Sequence[tuple[str, int, int]], now_us: int) -> dict[str, float]:
    """resolution -> how long ago its newest closed bucket should have been followed by the next; 0 where in time.

    rows: (resolution, watermark_us, width_us).
    """
    return {
        resolution: max(0, now_us - watermark_us - width_us) / SECOND_US
        for resolution, watermark_us, width_us in rows
        if watermark_us > 0
    }
