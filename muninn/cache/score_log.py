"""The log of scores: a bounded stream that the detector appends to and others follow.

Belongs here: the log in memory and in Redis. Does not: what an entry holds (model.scores), who follows.
"""

import threading
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from muninn.cache.client import translated
from muninn.clock import Clock, SystemClock
from muninn.errors import Invalid
from muninn.model.scores import ScoreBatch, ScoreHandle, decode, encode
from muninn.names import score_stream

if TYPE_CHECKING:
    import redis

# Two hours of steps of 10 s. The detector sends at most 1,000 rows of about 150 bytes in one.
MAX_ENTRIES = 720
_FOLLOW_ENTRIES = 64
# Under the client's own time-out: a silent server must be told from an empty stream.
_MAX_BLOCK_MS = 1_000


class MemoryScoreLog:
    """A ScoreLog in this process's memory. Safe to share between threads."""

    def __init__(self, clock: Clock | None = None, max_entries: int = MAX_ENTRIES):
        self._clock = clock or SystemClock()
        self._kept: deque[tuple[tuple[int, int], Mapping[bytes, bytes]]] = deque(maxlen=max_entries)
        self._last = (0, 0)
        self._lock = threading.Lock()
        self._arrived = threading.Event()

    def append(self, batch: ScoreBatch) -> str:
        """Keep the batch; see model.ScoreLog."""
        with self._lock:
            self._last = max((self._clock.now_us() // 1000, 0), (self._last[0], self._last[1] + 1))
            self._kept.append((self._last, encode(batch)))
            self._arrived.set()
            return "{}-{}".format(*self._last)

    def follow(self, after_id: str, block_ms: int) -> Sequence[ScoreHandle]:
        """Entries after `after_id`; damaged ones are left out. See model.ScoreLog."""
        after = _place_of(self.last_id() if after_id == "$" else after_id)
        self._arrived.clear()
        found = self._after(after)
        if not found and block_ms > 0 and self._clock.wait(block_ms / 1000, self._arrived):
            found = self._after(after)
        return found

    def last_id(self) -> str:
        """The newest entry ever appended; "0-0" if none."""
        with self._lock:
            return "{}-{}".format(*self._last)

    def _after(self, after: tuple[int, int]) -> list[ScoreHandle]:
        with self._lock:
            entries = [("{}-{}".format(*place), fields) for place, fields in self._kept if place > after]
        return [*_decoded(entries)][:_FOLLOW_ENTRIES]


class RedisScoreLog:
    """A ScoreLog in Redis: the stream `names.score_stream()`, cut to about `max_entries`."""

    def __init__(self, client: "redis.Redis", max_entries: int = MAX_ENTRIES, stream: str | None = None):
        self._client = client
        self._max_entries = max_entries
        self._stream = stream or score_stream()

    def append(self, batch: ScoreBatch) -> str:
        """Keep the batch; see model.ScoreLog."""
        fields: Any = encode(batch)
        with translated():
            # An exact limit: an approximate one keeps whole nodes, which with entries this large is many more.
            entry_id: Any = self._client.xadd(self._stream, fields, maxlen=self._max_entries, approximate=False)
        return str(entry_id.decode())

    def follow(self, after_id: str, block_ms: int) -> Sequence[ScoreHandle]:
        """Entries after `after_id`; damaged ones are left out. See model.ScoreLog."""
        block = min(block_ms, _MAX_BLOCK_MS) if block_ms > 0 else None
        while True:
            with translated():
                answer: Any = self._client.xread({self._stream: after_id}, _FOLLOW_ENTRIES, block)
            entries = _entries(answer)
            handles = [*_decoded(entries)]
            if handles or not entries:
                return handles
            after_id = entries[-1][0]

    def last_id(self) -> str:
        """The newest entry ever appended; "0-0" if none."""
        with translated():
            found: Any = self._client.xinfo_stream(self._stream) if self._client.exists(self._stream) else None
        return "0-0" if found is None else str(found["last-generated-id"].decode())


def _decoded(entries: Iterable[tuple[str, Mapping[bytes, bytes]]]) -> Iterable[ScoreHandle]:
    for entry_id, fields in entries:
        try:
            yield ScoreHandle(entry_id, decode(fields))
        except Invalid:
            continue


def _entries(answer: Any) -> list[tuple[str, dict[bytes, bytes]]]:
    """The entries of XREAD's answer, which is a list of pairs in RESP 2 and a mapping in RESP 3."""
    if not answer:
        return []
    found = next(iter(answer.values()))[0] if isinstance(answer, dict) else answer[0][1]
    return [(entry_id.decode(), fields) for entry_id, fields in found]


def _place_of(entry_id: str) -> tuple[int, int]:
    ms, _, sequence = entry_id.partition("-")
    return int(ms), int(sequence or 0)
