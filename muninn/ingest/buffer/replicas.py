"""Waiting for replicas, once: while they are known to be away, a write is refused before it is made.

A write that is not confirmed in time tells how far the server had got. Until the server says that enough replicas have
got as far, nobody waits for them again: each request is refused at once, and nothing of it is in the buffer.

Belongs here: who has confirmed what. Does not: connections and their errors (connection).
"""

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import redis

from muninn.clock import Clock, SystemClock
from muninn.errors import Unavailable

log = logging.getLogger(__name__)

# A replica that is well answers within a round trip.
_WAIT_MS = 1_000
_LOOK_EVERY_S = 0.25


@dataclass(frozen=True)
class _Away:
    """Since when, and what is to be confirmed: so many bytes of this history of writes."""

    since: float
    history: str
    offset: int


class Replicas:
    """How many replicas must have a write, in memory, before it is answered. For many threads."""

    def __init__(self, wanted: int, shown_url: str, longest_ms: int, clock: Clock | None = None):
        self._wanted, self._shown_url = wanted, shown_url
        self._wait_ms = min(_WAIT_MS, longest_ms)
        self._clock = clock or SystemClock()
        self._away: _Away | None = None
        self._look_at = 0.0
        self._looking = threading.Lock()

    def __bool__(self) -> bool:
        return self._wanted > 0

    def require(self, client: redis.Redis) -> None:
        """Unavailable while they are known to be away; one caller at a time looks whether they are back."""
        away = self._away
        if away is None:
            return
        if self._looking.acquire(blocking=False):
            try:
                if self._is_time() and self._following(client.info("replication"), away) >= self._wanted:
                    log.info("replicas of Valkey at %s have caught up: writes are taken again", self._shown_url)
                    self._away = None
                    return
            finally:
                self._looking.release()
        raise Unavailable(
            f"Valkey at {self._shown_url} has had fewer than {self._wanted} replicas that follow it for "
            f"{self._clock.monotonic() - away.since:.0f} s, so nothing was written: look after them, or lower "
            "MUNINN_BUFFER_REPLICAS"
        )

    def wait(self, one: redis.Redis) -> None:
        """Until enough have all that was written on this connection; Unavailable where that takes too long."""
        confirmed = one.execute_command("WAIT", self._wanted, self._wait_ms)  # type: ignore[no-untyped-call]
        if confirmed >= self._wanted:
            return
        found = one.info("replication")
        with self._looking:
            if self._away is None:
                log.warning("%d of %d replicas of Valkey at %s follow it", confirmed, self._wanted, self._shown_url)
                history, offset = str(found.get("master_replid")), int(found.get("master_repl_offset", 0))
                self._away = _Away(self._clock.monotonic(), history, offset)
        raise Unavailable(
            f"{confirmed} of {self._wanted} replicas of Valkey at {self._shown_url} confirmed the batch within "
            f"{self._wait_ms} ms: look after them, or lower MUNINN_BUFFER_REPLICAS"
        )

    def _is_time(self) -> bool:
        now = self._clock.monotonic()
        if now < self._look_at:
            return False
        self._look_at = now + _LOOK_EVERY_S
        return True

    def _following(self, found: Mapping[str, Any], away: _Away) -> int:
        """How many have confirmed what was missing; all, where the server has begun another history."""
        if found.get("role") != "master" or found.get("master_replid") != away.history:
            return self._wanted
        those = [each for name, each in found.items() if name.startswith("slave") and isinstance(each, Mapping)]
        return sum(each.get("state") == "online" and int(each.get("offset", 0)) >= away.offset for each in those)
