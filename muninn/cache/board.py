"""The heartbeat board: each program puts its figures up every second, and anyone reads them all.

Belongs here: publishing and reading snapshots. Does not: what a silent program means (operations, reads).
"""

import math
import os
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from muninn.cache.client import translated
from muninn.clock import SECOND_US, Clock, SystemClock
from muninn.names import board_key

if TYPE_CHECKING:
    import redis

INDEX = "muninn:board"
RATE_WINDOW_US = 10 * SECOND_US
# An index entry outlives its figures by this much, so that clocks which differ a little do no harm.
_INDEX_SLACK_S = 60

Figure = tuple[str, dict[str, str], float]


@dataclass(frozen=True)
class BoardEntry:
    """One program's last heartbeat.

    metrics: (name, labels, value). rates: the same for every `*_total`, as increase per second over the
    publisher's last ten seconds; empty in its first heartbeat.
    """

    program: str
    instance: str
    pid: int
    at_us: int
    started_us: int
    metrics: tuple[Figure, ...]
    rates: tuple[Figure, ...] = ()


class Board(Protocol):
    """Methods raise Unavailable when the server is away."""

    def publish(self, program: str, instance: str, snapshot: Sequence[Figure], ttl_s: float = 15.0) -> None:
        """Put up this process's figures (Meter.snapshot()); they vanish after `ttl_s` unless renewed."""
        ...

    def withdraw(self, program: str, instance: str) -> None:
        """Take the entry down: the program ends on purpose."""
        ...

    def read_all(self) -> list[BoardEntry]:
        """Every live entry, by program and instance."""
        ...


class MemoryBoard:
    """A Board in this process's memory."""

    def __init__(self, clock: Clock | None = None):
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._reporter = _Reporter(self._clock)
        self._up: dict[tuple[str, str], tuple[BoardEntry, int]] = {}

    def publish(self, program: str, instance: str, snapshot: Sequence[Figure], ttl_s: float = 15.0) -> None:
        with self._lock:
            entry = self._reporter.report(program, instance, snapshot)
            self._up[program, instance] = (entry, entry.at_us + round(ttl_s * SECOND_US))

    def withdraw(self, program: str, instance: str) -> None:
        with self._lock:
            self._up.pop((program, instance), None)

    def read_all(self) -> list[BoardEntry]:
        now_us = self._clock.now_us()
        with self._lock:
            live = [entry for entry, until_us in self._up.values() if now_us < until_us]
        return _in_order(live)


class RedisBoard:
    """A Board in Redis: `muninn:board:<program>:<instance>`, and their names in the sorted set `muninn:board`."""

    def __init__(self, client: "redis.Redis", clock: Clock | None = None):
        self._client = client
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._reporter = _Reporter(self._clock)
        self._known: list[bytes] = []

    def publish(self, program: str, instance: str, snapshot: Sequence[Figure], ttl_s: float = 15.0) -> None:
        with self._lock:
            entry = self._reporter.report(program, instance, snapshot)
        member = f"{program}:{instance}"
        now_s = entry.at_us / SECOND_US
        pipe = self._client.pipeline(transaction=False)
        pipe.set(board_key(program, instance), orjson.dumps(asdict(entry)), px=max(1, round(ttl_s * 1000)))
        pipe.zadd(INDEX, {member: now_s + ttl_s})
        pipe.zremrangebyscore(INDEX, "-inf", now_s - _INDEX_SLACK_S)
        with translated():
            pipe.execute()

    def withdraw(self, program: str, instance: str) -> None:
        pipe = self._client.pipeline(transaction=False)
        pipe.delete(board_key(program, instance))
        pipe.zrem(INDEX, f"{program}:{instance}")
        with translated():
            pipe.execute()

    def read_all(self) -> list[BoardEntry]:
        """One round trip while no program was added since the last call; one more where one was."""
        known = self._known
        names, found = self._ask(known)
        if not set(names) <= set(known):
            _, found = self._ask(names)
        self._known = names
        return _in_order([_parse(payload) for payload in found if payload is not None])

    def _ask(self, members: list[bytes]) -> tuple[list[bytes], list[bytes | None]]:
        pipe = self._client.pipeline(transaction=False)
        pipe.zrange(INDEX, 0, -1)
        for member in members:
            pipe.get(INDEX.encode() + b":" + member)
        with translated():
            names, *found = pipe.execute()
        return names, found


class _Reporter:
    """Makes entries, and remembers enough counters to say how fast they grow."""

    def __init__(self, clock: Clock):
        self._clock = clock
        self._started_us = clock.now_us()
        self._past: dict[tuple[str, str], deque[tuple[int, dict[str, float]]]] = {}

    def report(self, program: str, instance: str, snapshot: Sequence[Figure]) -> BoardEntry:
        now_us = self._clock.now_us()
        metrics = tuple((name, dict(labels), float(value)) for name, labels, value in snapshot if math.isfinite(value))
        totals = {_key(name, labels): value for name, labels, value in metrics if name.endswith("_total")}
        past = self._past.setdefault((program, instance), deque())
        while len(past) > 1 and past[1][0] <= now_us - RATE_WINDOW_US:
            past.popleft()
        rates = _rates(metrics, past[0], now_us) if past else ()
        past.append((now_us, totals))
        return BoardEntry(program, instance, os.getpid(), now_us, self._started_us, metrics, rates)


def _rates(metrics: Sequence[Figure], base: tuple[int, dict[str, float]], now_us: int) -> tuple[Figure, ...]:
    since_us, before = base
    seconds = (now_us - since_us) / SECOND_US
    if seconds <= 0:
        return ()
    # A counter that appeared since the base started from zero.
    return tuple(
        (name, labels, (value - before.get(_key(name, labels), 0.0)) / seconds)
        for name, labels, value in metrics
        if name.endswith("_total")
    )


def _key(name: str, labels: dict[str, str]) -> str:
    return f"{name} {sorted(labels.items())}"


def _parse(payload: bytes) -> BoardEntry:
    fields: dict[str, Any] = orjson.loads(payload)
    for figures in ("metrics", "rates"):
        fields[figures] = tuple((name, labels, value) for name, labels, value in fields[figures])
    return BoardEntry(**fields)


def _in_order(entries: list[BoardEntry]) -> list[BoardEntry]:
    return sorted(entries, key=lambda entry: (entry.program, entry.instance))
