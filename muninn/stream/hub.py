"""The hub: which channels are open, what changed in them this tick, and to whom it goes.

Belongs here: opening and closing channels, the tick, grouping subscribers so that a message is made once.
Does not: sockets, threads, waiting. One thread calls it.
"""

import logging
import secrets
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from muninn.clock import Clock
from muninn.meter import Meter
from muninn.model import SampleBatch
from muninn.reads.values import RecentSeries
from muninn.stream.channel import Channel, Limits, Phase, Series
from muninn.stream.index import SeriesIndex
from muninn.stream.overview import FIGURES, OverviewChannel
from muninn.stream.protocol import OVERVIEW, ChannelSpec, ProtocolError, message, status

log = logging.getLogger(__name__)
EXPIRE_S = 10.0
# Batches kept for a channel that opens next: what the loader has not stored yet cannot be read from the store.
RECENT_S = 15.0
RECENT_SAMPLES = 100_000


class Subscriber(Protocol):
    """Someone who watches channels."""

    def start(self, channel: Channel) -> None:
        """Send the channel's snapshot: its stored points have come in."""
        ...

    def deliver(self, message: bytes, channels: tuple[int, ...]) -> bool:
        """Send a tick's message about these channels; False where it was held back."""
        ...

    def check(self) -> str | None:
        """Ping a silent client, cut one that is gone; why it was cut."""
        ...


@dataclass(frozen=True, eq=False)
class Delivery:
    """One message, encoded once, for all subscribers that watch the same channels."""

    message: bytes
    channels: tuple[int, ...]
    subscribers: Sequence[Subscriber]


class Hub:
    """Channels and their subscribers. `seed` is asked for a new channel's stored points; answer with `seeded`."""

    def __init__(self, clock: Clock, seed: Callable[[Channel], None], limits: Limits, meter: Meter):
        self.limits = limits
        self.live = False
        self.reason = "starting: not yet connected to the buffer"
        self._clock = clock
        self._seed = seed
        self._meter = meter
        self._run = secrets.token_hex(4)
        self._index = SeriesIndex(limits)
        self._channels: dict[ChannelSpec, Channel] = {}
        self._by_number: dict[int, Channel] = {}
        self._opened = 0
        self._changed: dict[Series, None] = {}
        self._recent: deque[tuple[float, SampleBatch]] = deque()
        self._recent_samples = 0
        self._groups: dict[tuple[int, ...], dict[Subscriber, None]] = {}
        self._group_of: dict[Subscriber, tuple[int, ...]] = {}
        self._status_due = False
        self._expire_at = 0.0

    @property
    def now_ms(self) -> int:
        """The clock, as frames say it."""
        return self._clock.now_us() // 1000

    @property
    def viewers(self) -> int:
        """How many subscribers there are."""
        return len(self._group_of)

    @property
    def channel_count(self) -> int:
        """How many channels are open."""
        return len(self._channels)

    @property
    def series_count(self) -> int:
        """How many series are kept."""
        return len(self._index)

    def join(self, subscriber: Subscriber) -> None:
        """Someone came; they watch nothing yet."""
        self._move(subscriber, ())

    def leave(self, subscriber: Subscriber) -> None:
        """Someone went, whatever they watched."""
        for number in self._group_of.get(subscriber, ()):
            self._release(self._by_number[number])
        self._move(subscriber, None)

    def subscribers(self) -> list[Subscriber]:
        """Everyone."""
        return list(self._group_of)

    def subscribe(self, subscriber: Subscriber, spec: ChannelSpec) -> Channel:
        """Add a channel to what `subscriber` watches, opening it if need be; ProtocolError when there are too many."""
        numbers = self._group_of[subscriber]
        channel = self._channels.get(spec)
        if channel is not None and channel.number in numbers:
            return channel
        if len(numbers) >= self.limits.channels_per_client:
            raise ProtocolError("too_many_channels", f"a client may watch {self.limits.channels_per_client} channels")
        if channel is None and len(self._channels) >= self.limits.channels:
            raise ProtocolError("too_many_channels", f"all {self.limits.channels} channels of this sidecar are open")
        channel = self._hold(spec)
        self._move(subscriber, tuple(sorted((*numbers, channel.number))))
        return channel

    def unsubscribe(self, subscriber: Subscriber, channel: Channel) -> None:
        """Take a channel from what `subscriber` watches."""
        numbers = self._group_of[subscriber]
        if channel.number in numbers:
            self._move(subscriber, tuple(number for number in numbers if number != channel.number))
            self._release(channel)

    def ingest(self, batch: SampleBatch) -> None:
        """Live samples, to be told with the next tick."""
        for series in self._index.route(batch, self._oldest_ms()):
            self._changed[series] = None
        self._recent.append((self._clock.monotonic(), batch))
        self._recent_samples += len(batch)
        self._forget_recent()

    def seeded(self, channel: Channel, found: Iterable[RecentSeries]) -> None:
        """A channel's stored points (none where they cannot be had): its subscribers get their snapshot now."""
        if self._by_number.get(channel.number) is not channel:
            return  # it was closed meanwhile
        found = list(found)
        self._index.fill(found)
        if found or channel.phase is Phase.SEEDING:
            channel.forget_snapshot()
            self._go_live(channel)

    def set_status(self, live: bool, reason: str = "") -> None:
        """Whether samples flow; a change is told with the next tick."""
        if (live, reason) != (self.live, self.reason):
            self._status_due = True
            self.live, self.reason = live, reason

    def tick(self) -> list[Delivery]:
        """What changed since the last tick, one message for each set of channels that someone watches."""
        now_ms = self.now_ms
        for series in self._changed:
            points = series.changes(now_ms)
            for channel in series.channels:
                channel.change(points)
        self._changed.clear()
        self._go_live_overdue()
        self._close_idle()
        self._expire()
        self._forget_recent()
        frames = self._frames(now_ms)
        everyone = [status(now_ms, self.live, self.reason)] if self._status_due else []
        self._status_due = False
        deliveries = []
        for numbers, subscribers in self._groups.items():
            parts = everyone + [frames[number] for number in numbers if number in frames]
            if parts:
                deliveries.append(Delivery(message(parts), numbers, tuple(subscribers)))
        return deliveries

    def _frames(self, now_ms: int) -> dict[int, bytes]:
        frames = {}
        for channel in self._channels.values():
            if channel.phase is Phase.LIVE:
                if isinstance(channel, OverviewChannel):
                    channel.compute(now_ms)
                frame = channel.delta(now_ms)
                if frame is not None:
                    frames[channel.number] = frame
        self._meter.count("muninn_stream_frames_encoded_total", len(frames))
        return frames

    def _hold(self, spec: ChannelSpec) -> Channel:
        channel = self._channels.get(spec) or self._open(spec)
        channel.holders += 1
        channel.idle_since = None
        return channel

    def _release(self, channel: Channel) -> None:
        channel.holders -= 1
        if channel.holders == 0:
            channel.idle_since = self._clock.monotonic()

    def _open(self, spec: ChannelSpec) -> Channel:
        self._opened += 1
        epoch, now = f"{self._run}-{self._opened}", self._clock.monotonic()
        if spec == OVERVIEW:
            channel: Channel = OverviewChannel(self._opened, epoch, now, self.limits)
        else:
            channel = Channel(spec, self._opened, epoch, now, self.limits)
        self._channels[spec] = self._by_number[channel.number] = channel
        self._index.attach(channel)
        if isinstance(channel, OverviewChannel):
            for figure in FIGURES:
                channel.feed_from(figure, self._hold(figure.source))
            self._overview_may_go_live()
        else:
            for _, batch in self._recent:
                self._index.replay(batch, self._oldest_ms(), channel)
            self._seed(channel)
        return channel

    def _close(self, channel: Channel) -> None:
        del self._channels[channel.spec], self._by_number[channel.number]
        self._index.detach(channel)
        if isinstance(channel, OverviewChannel):
            for source in channel.sources:
                self._release(source)

    def _go_live(self, channel: Channel) -> None:
        """From now on the channel has deltas; whoever waits for it gets a snapshot."""
        if channel.phase is Phase.SEEDING:
            channel.go_live()
        for numbers, subscribers in self._groups.items():
            if channel.number in numbers:
                for subscriber in tuple(subscribers):
                    subscriber.start(channel)
        if not isinstance(channel, OverviewChannel):
            self._overview_may_go_live()

    def _overview_may_go_live(self) -> None:
        overview = self._channels.get(OVERVIEW)
        if not isinstance(overview, OverviewChannel) or overview.phase is Phase.LIVE:
            return
        if all(source.phase is Phase.LIVE for source in overview.sources):
            overview.backfill(self.now_ms)
            self._go_live(overview)

    def _go_live_overdue(self) -> None:
        """Stored points that take too long are not waited for; they are sent when they come."""
        deadline = self._clock.monotonic() - self.limits.seed_s
        for channel in list(self._channels.values()):
            waits = channel.phase is Phase.SEEDING and channel.opened_at < deadline
            if waits and not isinstance(channel, OverviewChannel):
                log.warning("stored points for %s are late: starting with live ones", channel.spec)
                self._go_live(channel)

    def _close_idle(self) -> None:
        deadline = self._clock.monotonic() - self.limits.linger_s
        for channel in list(self._channels.values()):
            if channel.idle_since is not None and channel.idle_since < deadline:
                self._close(channel)

    def _expire(self) -> None:
        if self._clock.monotonic() >= self._expire_at:
            self._index.expire(self._oldest_ms())
            self._expire_at = self._clock.monotonic() + EXPIRE_S

    def _forget_recent(self) -> None:
        deadline = self._clock.monotonic() - RECENT_S
        while self._recent and (self._recent[0][0] < deadline or self._recent_samples > RECENT_SAMPLES):
            self._recent_samples -= len(self._recent.popleft()[1])

    def _oldest_ms(self) -> int:
        return self.now_ms - self.limits.window_s * 1000

    def _move(self, subscriber: Subscriber, numbers: tuple[int, ...] | None) -> None:
        """Put a subscriber among those who watch the same channels; None: nowhere."""
        before = self._group_of.pop(subscriber, None)
        if before is not None:
            group = self._groups[before]
            del group[subscriber]
            if not group:
                del self._groups[before]
        if numbers is not None:
            self._group_of[subscriber] = numbers
            self._groups.setdefault(numbers, {})[subscriber] = None
