"""Hot answers: bytes under a name, with a time to live and an age.

Belongs here: the cache protocol, Redis and its memory twin. Does not: what is worth caching (reads).
"""

import struct
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from muninn.cache.client import translated
from muninn.clock import SECOND_US, Clock, SystemClock
from muninn.names import cache_key

if TYPE_CHECKING:
    import redis

# Before the value: when it was put, microseconds since the epoch.
_STAMP = struct.Struct("<q")


@dataclass(frozen=True)
class Hot:
    """A cached value and how long ago it was put, in seconds."""

    value: bytes
    age_s: float


class HotCache(Protocol):
    """Get and put by name. Methods raise Unavailable when the server is away: callers go on without."""

    def get(self, name: str) -> Hot | None:
        """The value, or None when it was never put, was dropped or has outlived its time."""
        ...

    def put(self, name: str, value: bytes, ttl_s: float) -> None:
        """Keep the value for `ttl_s` seconds; the last one put wins."""
        ...

    def drop(self, name: str) -> None:
        """Forget the value, if there is one."""
        ...


class MemoryCache:
    """A HotCache in this process's memory."""

    def __init__(self, clock: Clock | None = None):
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[bytes, int, int]] = {}

    def get(self, name: str) -> Hot | None:
        now_us = self._clock.now_us()
        with self._lock:
            value, put_us, until_us = self._kept.get(name, (b"", 0, 0))
        return Hot(value, _age_s(put_us, now_us)) if now_us < until_us else None

    def put(self, name: str, value: bytes, ttl_s: float) -> None:
        now_us = self._clock.now_us()
        with self._lock:
            self._kept = {name: kept for name, kept in self._kept.items() if kept[2] > now_us}
            self._kept[name] = (bytes(value), now_us, now_us + round(ttl_s * SECOND_US))

    def drop(self, name: str) -> None:
        with self._lock:
            self._kept.pop(name, None)


class RedisCache:
    """A HotCache in Redis, shared by all processes: `muninn:cache:<name>`."""

    def __init__(self, client: "redis.Redis", clock: Clock | None = None):
        self._client = client
        self._clock = clock or SystemClock()

    def get(self, name: str) -> Hot | None:
        with translated():
            kept: bytes | None = self._client.get(cache_key(name))  # type: ignore[assignment]
        if kept is None:
            return None
        (put_us,) = _STAMP.unpack_from(kept)
        return Hot(kept[_STAMP.size :], _age_s(put_us, self._clock.now_us()))

    def put(self, name: str, value: bytes, ttl_s: float) -> None:
        stamped = _STAMP.pack(self._clock.now_us()) + value
        with translated():
            self._client.set(cache_key(name), stamped, px=max(1, round(ttl_s * 1000)))

    def drop(self, name: str) -> None:
        with translated():
            self._client.delete(cache_key(name))


def _age_s(put_us: int, now_us: int) -> float:
    # Another machine's clock may be a little ahead of ours.
    return max(0, now_us - put_us) / SECOND_US
