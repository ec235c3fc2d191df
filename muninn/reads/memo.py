"""Answers remembered in the hot cache, and reads that go on without it.

Belongs here: what happens when Redis is away, fresh and stale, one computation at a time. Does not: the answers.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from muninn.cache import HotCache
from muninn.clock import Clock
from muninn.errors import Unavailable
from muninn.meter import Meter

log = logging.getLogger(__name__)
T = TypeVar("T")

# How long Redis is left alone after it did not answer, so that a hanging one costs one time-out, not one a read.
RETRY_S = 5.0


class Patience:
    """Calls to a server that one can do without: one warning when it goes away, one line when it is back."""

    def __init__(self, what: str, clock: Clock):
        self._what = what
        self._clock = clock
        self._lock = threading.Lock()
        self._away_until: float | None = None

    def ask(self, call: Callable[[], T], otherwise: T) -> T:
        """What the call returns, or `otherwise` while the server is away."""
        away_until = self._away_until
        if away_until is not None and self._clock.monotonic() < away_until:
            return otherwise
        try:
            found = call()
        except Unavailable as error:
            with self._lock:
                first, self._away_until = self._away_until is None, self._clock.monotonic() + RETRY_S
            if first:
                log.warning("reading without %s until it is back: %s", self._what, error)
            return otherwise
        with self._lock:
            back, self._away_until = self._away_until is not None, None
        if back:
            log.warning("%s is back", self._what)
        return found


@dataclass(frozen=True)
class Answer(Generic[T]):
    """One kind of answer: its cache name, how to write and read it, for how many seconds it is fresh and kept.

    A kept answer that is no longer fresh is shown only while the database is away.
    """

    name: str
    adapter: TypeAdapter[T]
    fresh_s: float
    keep_s: float


@dataclass
class _Flight:
    """One answer being computed: by the thread that has the lock. failures: how often that ended in `error`."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    failures: int = 0
    error: str = ""


class Memo:
    """The hot cache as reads use it; without one, or while it is away, every answer is computed."""

    def __init__(self, cache: HotCache | None, patience: Patience, meter: Meter):
        self._cache = cache
        self._patience = patience
        self._meter = meter
        self._lock = threading.Lock()
        self._flights: dict[str, _Flight] = {}

    def answer(self, kind: Answer[T], compute: Callable[[], T]) -> tuple[T, float]:
        """The answer and its age in seconds: from the cache where fresh, otherwise computed and put there.

        One thread computes; the others of this process wait for it, and share its failure: a database that
        is away costs them one time-out, not one after the other.
        """
        flight = self._flight(kind.name)
        failures = flight.failures
        found = self._fresh(kind)
        if found is None:
            with flight.lock:
                if flight.failures != failures:
                    raise Unavailable(flight.error)
                # Whoever waited finds the result here.
                found = self._fresh(kind)
                if found is None:
                    self._meter.count("muninn_cache_misses_total", answer=kind.name)
                    return self._compute(kind, compute, flight), 0.0
        self._meter.count("muninn_cache_hits_total", answer=kind.name)
        return found

    def answer_or_kept(self, kind: Answer[T], compute: Callable[[], T]) -> tuple[T, float, str | None]:
        """The same, and None; while the database is away what is kept, its age, and what the database said."""
        try:
            return (*self.answer(kind, compute), None)
        except Unavailable as error:
            kept = self.recall(kind)
            if kept is None:
                raise
            return (*kept, str(error))

    def _compute(self, kind: Answer[T], compute: Callable[[], T], flight: _Flight) -> T:
        try:
            value = compute()
        except Unavailable as error:
            flight.failures, flight.error = flight.failures + 1, str(error)
            raise
        self.remember(kind, value)
        return value

    def _fresh(self, kind: Answer[T]) -> tuple[T, float] | None:
        found = self.recall(kind)
        return found if found is not None and found[1] <= kind.fresh_s else None

    def recall(self, kind: Answer[T]) -> tuple[T, float] | None:
        """What is kept and its age in seconds, fresh or not; None where nothing is."""
        cache = self._cache
        if cache is None:
            return None
        hot = self._patience.ask(lambda: cache.get(kind.name), None)
        if hot is None:
            return None
        try:
            return kind.adapter.validate_json(hot.value), hot.age_s
        except ValidationError:
            # Another release wrote it in another shape.
            return None

    def remember(self, kind: Answer[T], value: T) -> None:
        """Put the answer into the cache, where there is one."""
        cache = self._cache
        if cache is not None:
            encoded = kind.adapter.dump_json(value)
            self._patience.ask(lambda: cache.put(kind.name, encoded, kind.keep_s), None)

    def _flight(self, name: str) -> _Flight:
        with self._lock:
            return self._flights.setdefault(name, _Flight())
