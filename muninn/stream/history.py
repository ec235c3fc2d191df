"""What was sent and seen lately, in bounded memory.

Belongs here: a ring of points per series; the last deltas of a channel, for recovery. Does not: who reads them.
"""

from collections import deque

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.int64]
Values = NDArray[np.float64]


class Ring:
    """The newest points of one series in order of time, one per millisecond, at most `limit` of them."""

    __slots__ = ("_at", "_end", "_limit", "_start", "_value")

    def __init__(self, limit: int):
        self._limit = limit
        self._at: Times = np.empty(16, np.int64)
        self._value: Values = np.empty(16, np.float64)
        self._start = self._end = 0

    def __len__(self) -> int:
        return self._end - self._start

    @property
    def newest_ms(self) -> int | None:
        """The time of the newest point."""
        return int(self._at[self._end - 1]) if self._end > self._start else None

    @property
    def latest(self) -> float | None:
        """The value of the newest point."""
        return float(self._value[self._end - 1]) if self._end > self._start else None

    def points(self, since_ms: int | None = None, limit: int | None = None) -> tuple[Times, Values]:
        """Views of (at_ms int64[n], value float64[n]), oldest first, from `since_ms` on, at most the newest `limit`."""
        start = self._start
        if since_ms is not None:
            start += int(np.searchsorted(self._at[start : self._end], since_ms))
        if limit is not None:
            start = max(start, self._end - limit)
        return self._at[start : self._end], self._value[start : self._end]

    def take(self, at_ms: Times, value: Values) -> None:
        """Add points in any order; a point at a known time replaces the old one, later rows the earlier."""
        if len(at_ms) == 0:
            return
        newest = self.newest_ms
        first = int(at_ms[0])
        if (newest is None or first > newest) and (len(at_ms) == 1 or bool(np.all(at_ms[1:] > at_ms[:-1]))):
            self._append(at_ms, value)
        else:
            old_at, old_value = self.points()
            self._merge(np.concatenate([old_at, at_ms]), np.concatenate([old_value, value]))

    def fill(self, at_ms: Times, value: Values) -> None:
        """Add stored points under the live ones: at a known time the point that is here stays."""
        if len(at_ms):
            here_at, here_value = self.points()
            self._merge(np.concatenate([at_ms, here_at]), np.concatenate([value, here_value]))

    def drop_before(self, at_ms: int) -> None:
        """Forget points older than `at_ms`."""
        self._start += int(np.searchsorted(self._at[self._start : self._end], at_ms))

    def _merge(self, at_ms: Times, value: Values) -> None:
        order = np.argsort(at_ms, kind="stable")
        at_ms, value = at_ms[order], value[order]
        last = np.append(at_ms[1:] != at_ms[:-1], True)
        self._start = self._end = 0
        self._append(at_ms[last], value[last])

    def _append(self, at_ms: Times, value: Values) -> None:
        at_ms, value = at_ms[-self._limit :], value[-self._limit :]
        self._start = max(self._start, self._end + len(at_ms) - self._limit)
        if self._end + len(at_ms) > len(self._at):
            self._make_room(len(at_ms))
        end = self._end + len(at_ms)
        self._at[self._end : end] = at_ms
        self._value[self._end : end] = value
        self._end = end

    def _make_room(self, extra: int) -> None:
        """Move the points to the front of arrays that hold twice as many, so that moving is rare."""
        kept = slice(min(self._start, self._end), self._end)
        count = kept.stop - kept.start
        size = max(16, 2 * (count + extra))
        at_ms, value = np.empty(size, np.int64), np.empty(size, np.float64)
        at_ms[:count], value[:count] = self._at[kept], self._value[kept]
        self._at, self._value = at_ms, value
        self._start, self._end = self._start - kept.start, count


class DeltaLog:
    """The last deltas of a channel as they were sent, bounded in number and in bytes."""

    __slots__ = ("_bytes", "_frames", "_max_bytes", "_max_frames", "offset")

    def __init__(self, max_frames: int, max_bytes: int):
        self._frames: deque[bytes] = deque()
        self._bytes = 0
        self._max_frames = max_frames
        self._max_bytes = max_bytes
        self.offset = 0

    def append(self, frame: bytes) -> None:
        """Keep the delta of `offset` + 1; the oldest ones fall out."""
        self.offset += 1
        self._frames.append(frame)
        self._bytes += len(frame)
        while len(self._frames) > self._max_frames or self._bytes > self._max_bytes:
            self._bytes -= len(self._frames.popleft())

    def after(self, offset: int) -> list[bytes] | None:
        """The deltas after `offset`, oldest first; None where they are no longer here, or never were."""
        missed = self.offset - offset
        if missed < 0 or missed > len(self._frames):
            return None
        return list(self._frames)[len(self._frames) - missed :]
