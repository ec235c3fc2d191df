"""One channel: its series, its position, and the frames that all its subscribers share.

Belongs here: what a channel holds and how it is encoded, once. Does not: who subscribes, when a tick is.
"""

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from muninn.model import SeriesKey
from muninn.stream.history import DeltaLog, Ring, Times, Values
from muninn.stream.protocol import ChannelSpec, Points, Position, delta, series_entry, snapshot

# Label names that a filter may use for what stands beside the labels.
RESERVED = ("source_agent_id", "instance_id")


@dataclass(frozen=True)
class Limits:
    """What bounds the sidecar's memory."""

    window_s: int = 300
    points_per_series: int = 1_200
    series_per_channel: int = 200
    series: int = 20_000
    channels: int = 2_000
    channels_per_client: int = 64
    snapshot_points: int = 60_000
    deltas: int = 60
    delta_bytes: int = 256 * 1024
    linger_s: float = 15.0
    seed_s: float = 3.0


class Series:
    """One live series, shared by the channels that show it; `ref` stands for it in frames."""

    __slots__ = ("_pending", "channels", "key", "ref", "ring")

    def __init__(self, ref: int, key: SeriesKey, limit: int):
        self.ref = ref
        self.key = key
        self.ring = Ring(limit)
        self.channels: list[Channel] = []
        self._pending: list[tuple[Times, Values]] = []

    def take(self, at_ms: Times, value: Values) -> None:
        """New points: kept, and told with the next tick."""
        self.ring.take(at_ms, value)
        self._pending.append((at_ms, value))

    def changes(self, now_ms: int) -> Points:
        """The points since the last call, as a frame says them."""
        ages = [age for at_ms, _ in self._pending for age in (now_ms - at_ms).tolist()]
        values = [number for _, value in self._pending for number in value.tolist()]
        self._pending.clear()
        return self.ref, ages, values

    def entry(self) -> dict[str, object]:
        """This series' row in the series table."""
        key = self.key
        return series_entry(self.ref, key.metric, dict(key.labels), key.source_agent_id, key.instance_id)


class Phase(enum.Enum):
    """A channel waits for its stored points before the first snapshot, and then is live."""

    SEEDING = enum.auto()
    LIVE = enum.auto()


class Channel:
    """The series that match `spec`, their deltas, and how many hold the channel open."""

    def __init__(self, spec: ChannelSpec, number: int, epoch: str, opened_at: float, limits: Limits):
        self.spec = spec
        self.number = number
        self.epoch = epoch
        self.limits = limits
        self.phase = Phase.SEEDING
        self.opened_at = opened_at
        self.idle_since: float | None = None
        self.holders = 0
        self.left_out = 0
        self.members: dict[int, Series] = {}
        self._log = DeltaLog(limits.deltas, limits.delta_bytes)
        self._fresh: list[Series] = []
        self._gone: list[int] = []
        self._changes: list[Points] = []
        self._snapshot: tuple[Position, bytes] | None = None

    @property
    def position(self) -> Position:
        """Where a client is that has everything sent so far."""
        return Position(self.epoch, self._log.offset)

    def matches(self, key: SeriesKey) -> bool:
        """Whether the filter lets this series in."""
        if key.metric != self.spec.metric:
            return False
        for name, value in self.spec.labels:
            here = getattr(key, name) if name in RESERVED else next((v for n, v in key.labels if n == name), None)
            if here != value:
                return False
        return True

    def add(self, series: Series) -> None:
        """Take a series in and announce it with the next delta; where the channel is full it is left out."""
        if len(self.members) >= self.limits.series_per_channel:
            self.left_out += 1
            return
        self.members[series.ref] = series
        series.channels.append(self)
        self._fresh.append(series)

    def drop(self, series: Series) -> None:
        """A series of which nothing is left in the window."""
        del self.members[series.ref]
        self._gone.append(series.ref)
        self._fresh = [fresh for fresh in self._fresh if fresh is not series]

    def go_live(self) -> None:
        """What there is now will be in the snapshot; from here on deltas count."""
        self.phase = Phase.LIVE
        self._fresh, self._gone, self._changes = [], [], []

    def change(self, points: Points) -> None:
        """A series' new points, to be told with this tick; before the first snapshot nobody has to be told."""
        if self.phase is Phase.LIVE:
            self._changes.append(points)

    def delta(self, now_ms: int) -> bytes | None:
        """The frame of this tick for every subscriber, kept for recovery; None where nothing changed."""
        if not (self._changes or self._fresh or self._gone):
            return None
        entries = [series.entry() for series in self._fresh]
        frame = delta(
            self.number, self._log.offset + 1, now_ms, entries, self._changes, tuple(self._gone), self.left_out
        )
        self._fresh, self._gone, self._changes = [], [], []
        self._log.append(frame)
        return frame

    def snapshot(self, now_ms: int) -> bytes:
        """All points of the window for a new subscriber; encoded once between two deltas."""
        if self._snapshot is None or self._snapshot[0] != self.position:
            entries = [series.entry() for series in self.members.values()]
            frame = snapshot(
                self.number,
                self.position,
                now_ms,
                self.limits.window_s,
                entries,
                self._points(self.members.values(), now_ms),
                self.left_out,
            )
            self._snapshot = self.position, frame
        return self._snapshot[1]

    def forget_snapshot(self) -> None:
        """Stored points came in: the next snapshot is encoded anew."""
        self._snapshot = None

    def missed(self, since: Position) -> Sequence[bytes] | None:
        """The deltas after `since`; None where only a snapshot helps."""
        return self._log.after(since.offset) if since.epoch == self.epoch else None

    def _points(self, members: Iterable[Series], now_ms: int) -> list[Points]:
        members = list(members)
        each = max(1, self.limits.snapshot_points // max(1, len(members)))
        points = []
        for series in members:
            at_ms, value = series.ring.points(now_ms - self.limits.window_s * 1000, each)
            if len(at_ms):
                points.append((series.ref, (now_ms - at_ms).tolist(), value.tolist()))
        return points
