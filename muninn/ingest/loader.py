"""From the buffer to the store: rows and stream position in one transaction, whatever crashes.

The sink commits an entry's rows together with its id and skips ids that it knows; only then is the entry
acknowledged. So a crash between the two loads an entry again, to no effect.

Belongs here: the loop, its retries and what it does with poison. Does not: SQL (the sink), the stream (the buffer).
"""

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from muninn.clock import SECOND_US, Clock, SystemClock
from muninn.errors import Invalid, MuninnError, Unavailable, Unnamed
from muninn.ingest.buffer.contract import BufferLimits, IngestBuffer, place_of
from muninn.meter import Meter
from muninn.model import BatchHandle, SampleBatch, SeriesKey
from muninn.model.window import as_datetime

log = logging.getLogger(__name__)

_CLAIM_ENTRIES = 8
# Entries that wait for names of their series, and for how long; then they are dead letters.
_MAX_NAMELESS, _NAMING_S = 64, 120.0
# So many entries may have failed in ways that nobody foresaw before it is taken for more than those entries.
_MAX_SUSPECTS, _MAX_REASON = 8, 500
_FIRST_BACKOFF_S, _MAX_BACKOFF_S = 0.1, 5.0
_PRUNE_EVERY_S = 60.0
# A server that lost its last writes may hand out entries again that it had deleted.
_PRUNE_MARGIN_MS = 3_600_000


class Refusal(Protocol):
    """Samples that the sink can never keep, for one reason; `key` and `at_us` are of the first of them."""

    @property
    def reason(self) -> str: ...
    @property
    def samples(self) -> int: ...
    @property
    def key(self) -> SeriesKey: ...
    @property
    def at_us(self) -> int: ...


class Loaded(Protocol):
    """What a load did."""

    @property
    def rows(self) -> int: ...
    @property
    def duplicates(self) -> int: ...
    @property
    def late(self) -> int: ...
    @property
    def refused(self) -> Sequence[Refusal]: ...


# Keeps samples of an entry aside, for a reason; again is no harm.
Aside = Callable[[BatchHandle, str, SampleBatch], None]


class Sink(Protocol):
    """Where batches end up."""

    def load(self, handles: Sequence[BatchHandle], aside: Aside) -> Loaded:
        """Commit these entries in one transaction, skipping those that were committed before.

        Before the commit, what can never be kept is put aside: so a crash loses none of it, wherever it comes.
        Raises Invalid when some entry can never be taken, Unavailable when the server is away.
        """
        ...

    def flush(self) -> None:
        """There is nothing to load now: do what was put off. Unavailable when the server is away."""
        ...

    def prune_entries(self, before_id: str) -> object:
        """Forget entry ids below `before_id`: they will not come again."""
        ...


@dataclass(frozen=True)
class LoaderLimits:
    """How much one transaction takes, how long a read waits, and when a dead loader's entries are taken over.

    pace_s: after a read that was not full the next one begins this much later, counted from its beginning: entries
    gather meanwhile, and a transaction of many costs hardly more than one of few.
    """

    max_entries: int = 256
    max_rows: int = 200_000
    block_ms: int = 1_000
    pace_s: float = 0.1
    takeover_s: float = 15.0


class Loader:
    """One consumer of the buffer. Each loader needs a `consumer` name of its own that it keeps across restarts."""

    def __init__(
        self,
        buffer: IngestBuffer,
        sink: Sink,
        consumer: str,
        *,
        limits: LoaderLimits | None = None,
        clock: Clock | None = None,
        meter: Meter | None = None,
    ):
        self._buffer = buffer
        self._sink = sink
        self._consumer = consumer
        self._limits = limits or LoaderLimits()
        self._clock = clock or SystemClock()
        self._meter = meter or Meter()
        # What was read before a crash, or before a server went away, comes first.
        self._recovering = True
        self._nameless: list[BatchHandle] = []
        self._suspects: list[BatchHandle] = []
        self._sound = False
        self._naming, self._naming_until = _Every(1.0, self._clock), 0.0
        self._claiming = _Every(self._limits.takeover_s / 2, self._clock)
        self._pruning = _Every(_PRUNE_EVERY_S, self._clock)

    def run(self, stop: threading.Event) -> None:
        """Load until `stop` is set; a load under way is finished."""
        backoff_s = _FIRST_BACKOFF_S
        while not stop.is_set():
            try:
                started = self._clock.monotonic()
                entries = self.step()
                backoff_s = _FIRST_BACKOFF_S
                early_s = self._limits.pace_s - (self._clock.monotonic() - started)
                if 0 < entries < self._limits.max_entries and early_s > 0:
                    self._clock.wait(early_s, stop)
            except Unavailable as error:
                self._recovering = True
                self._meter.count("muninn_loader_retries_total")
                log.warning("loading waits %.1f s: %s", backoff_s, error)
                self._clock.wait(backoff_s * random.uniform(0.5, 1.0), stop)  # noqa: S311
                backoff_s = min(backoff_s * 2, _MAX_BACKOFF_S)

    def step(self) -> int:
        """Read once and load what came; how many entries. Unavailable when a server is away."""
        with self._stage("read"):
            handles = self._next()
        for part in _transactions(handles, self._limits.max_rows):
            self._load(part)
        self._retry_nameless()
        self._retry_suspects()
        if not handles:
            self._sink.flush()
            self._meter.gauge("muninn_loader_lag_s", 0.0)
        self._prune()
        return len(handles)

    def _next(self) -> Sequence[BatchHandle]:
        if self._recovering:
            room = self._limits.max_entries + len(self._nameless) + len(self._suspects)
            if left := self._not_waiting(self._buffer.pending(self._consumer, room)):
                return left
            self._recovering = False
        if self._claiming.due():
            idle_ms = round(self._limits.takeover_s * 1000)
            room = _CLAIM_ENTRIES + len(self._nameless) + len(self._suspects)
            if handles := self._not_waiting(self._buffer.claim(self._consumer, idle_ms, room)):
                log.info("took over %d entries that another loader had left", len(handles))
                self._claiming.again()
                return handles
        return self._buffer.read(self._consumer, self._limits.max_entries, self._limits.block_ms)

    def _not_waiting(self, handles: Sequence[BatchHandle]) -> Sequence[BatchHandle]:
        """Those that wait for nothing."""
        waiting = {(handle.stream, handle.entry_id) for handle in (*self._nameless, *self._suspects)}
        return [handle for handle in handles if (handle.stream, handle.entry_id) not in waiting]

    def _load(self, handles: Sequence[BatchHandle]) -> None:
        try:
            with self._stage("load"):
                loaded = self._sink.load(handles, self._aside)
        except Unnamed as error:
            self._wait_for_names(handles, error)
            return
        except Invalid as error:
            self._isolate(handles, error)
            return
        except MuninnError:
            raise
        except Exception as error:
            self._suspect(handles, error)
            return
        self._sound = True
        self._count(handles, loaded)
        with self._stage("acknowledge"):
            self._buffer.acknowledge(handles)

    def _wait_for_names(self, handles: Sequence[BatchHandle], error: Unnamed) -> None:
        """Load the others, and those that hold series without a name when a later entry has named them.

        It takes a store that forgot series, which is one that was restored: the door is asked for all names.
        """
        nameless = [handles[place] for place in error.places]
        if len(self._nameless) + len(nameless) > _MAX_NAMELESS:
            raise error
        if not self._nameless:
            log.warning("the store does not know series that it knew: asking for all names again")
            self._buffer.want_names()
            self._naming_until = self._clock.monotonic() + _NAMING_S
        self._nameless += nameless
        others = [handle for place, handle in enumerate(handles) if place not in set(error.places)]
        if others:
            self._load(others)

    def _retry_nameless(self) -> None:
        if not self._nameless or not self._naming.due():
            return
        waiting, self._nameless = self._nameless, []
        for handle in waiting:
            try:
                loaded = self._sink.load([handle], self._aside)
            except Unnamed as error:
                if self._clock.monotonic() < self._naming_until:
                    self._nameless.append(handle)
                else:
                    self._bury(handle, error)
            except Invalid as error:
                self._bury(handle, error)
            else:
                self._count([handle], loaded)
                self._buffer.acknowledge([handle])

    def _suspect(self, handles: Sequence[BatchHandle], error: Exception) -> None:
        """Nobody foresaw how this failed: each entry is tried alone, and who fails so waits while others are loaded.

        Where too many do it is no entry's fault: the error ends the program, and all of them stay in the buffer.
        """
        if len(handles) > 1:
            middle = len(handles) // 2
            self._load(handles[:middle])
            self._load(handles[middle:])
            return
        if len(self._suspects) >= _MAX_SUSPECTS:
            raise error
        log.error("entry %s cannot be loaded now", handles[0].entry_id, exc_info=error)
        self._suspects.append(handles[0])
        self._sound = False

    def _retry_suspects(self) -> None:
        """Once something was loaded after them: who fails again is a dead letter."""
        if not self._suspects or not self._sound:
            return
        waiting, self._suspects = self._suspects, []
        for handle in waiting:
            try:
                loaded = self._sink.load([handle], self._aside)
            except Unavailable:
                raise
            except Exception as error:
                self._bury(handle, error)
            else:
                self._count([handle], loaded)
                self._buffer.acknowledge([handle])

    def _bury(self, handle: BatchHandle, error: Exception) -> None:
        self._meter.count("muninn_loader_dead_letters_total")
        log.error("entry %s cannot be loaded: %s", handle.entry_id, error)
        self._buffer.bury(handle, str(error) if isinstance(error, MuninnError) else f"{error!r}"[:_MAX_REASON])

    def _isolate(self, handles: Sequence[BatchHandle], error: Invalid) -> None:
        """Find the entry that cannot be loaded by halving; it alone goes to the dead letters."""
        if len(handles) == 1:
            self._bury(handles[0], error)
            return
        middle = len(handles) // 2
        self._load(handles[:middle])
        self._load(handles[middle:])

    def _count(self, handles: Sequence[BatchHandle], loaded: Loaded) -> None:
        self._meter.count("muninn_loader_batches_total")
        self._meter.count("muninn_loader_entries_total", len(handles))
        self._meter.count("muninn_loader_rows_total", loaded.rows)
        self._meter.count("muninn_loader_duplicates_total", loaded.duplicates)
        self._meter.count("muninn_loader_late_total", loaded.late)
        for refusal in loaded.refused:
            self._meter.count("muninn_loader_refused_total", refusal.samples, reason=refusal.reason)
            first = f"{refusal.key.canonical.decode()} at {as_datetime(refusal.at_us).isoformat()}"
            log.warning("%d samples cannot be kept: %s; the first is %s", refusal.samples, refusal.reason, first)
        oldest_ms = min(place_of(handle.entry_id)[0] for handle in handles)
        self._meter.gauge("muninn_loader_lag_s", max(0.0, self._clock.now_us() / SECOND_US - oldest_ms / 1000))

    def _aside(self, handle: BatchHandle, reason: str, batch: SampleBatch) -> None:
        self._buffer.keep_aside(batch, reason, handle.entry_id)

    def _prune(self) -> None:
        if self._pruning.due():
            first = self._buffer.first_id() or self._buffer.last_id()
            before_ms = place_of(first)[0] - _PRUNE_MARGIN_MS
            if before_ms > 0:
                self._sink.prune_entries(f"{before_ms}-0")

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self._meter.duration("muninn_loader_stage", time.perf_counter() - started, stage=name)


class _Every:
    """True the first time, and then once in `seconds`."""

    def __init__(self, seconds: float, clock: Clock):
        self._seconds, self._clock = seconds, clock
        self._next = clock.monotonic()

    def due(self) -> bool:
        """Whether it is time; starts the next wait if so."""
        now = self._clock.monotonic()
        if now < self._next:
            return False
        self._next = now + self._seconds
        return True

    def again(self) -> None:
        """Be due at once: there is probably more."""
        self._next = self._clock.monotonic()


def _transactions(handles: Sequence[BatchHandle], max_rows: int) -> Iterator[Sequence[BatchHandle]]:
    """The handles in runs of at most `max_rows` samples; a larger entry makes a run of its own."""
    start = rows = 0
    for place, handle in enumerate(handles):
        if rows and rows + len(handle.batch) > max_rows:
            yield handles[start:place]
            start, rows = place, 0
        rows += len(handle.batch)
    if handles:
        yield handles[start:]


def consumer_name(host: str, number: int) -> str:
    """A loader's name: the same again after a restart, so that it finds its own pending entries."""
    return f"{host}:{number}"


def measure(buffer: IngestBuffer, meter: Meter, limits: BufferLimits | None = None) -> None:
    """Set the gauges of a buffer; Unavailable when its server is away."""
    gauges: dict[str, Callable[[], float]] = {
        "muninn_buffer_depth_entries": buffer.depth,
        "muninn_buffer_held_bytes": buffer.held_bytes,
        "muninn_buffer_lag_s": buffer.lag_s,
        "muninn_buffer_dead_letters": buffer.dead_letter_count,
    }
    found = {name: read() for name, read in gauges.items()}
    for name, value in found.items():
        meter.gauge(name, value)
    if limits is not None:
        used = found["muninn_buffer_held_bytes"] / limits.max_bytes, found["muninn_buffer_lag_s"] / limits.max_age_s
        meter.gauge("muninn_buffer_used_pct", 100 * max(used))
