"""What the stream's unit tests share: a hub on a manual clock, a wire in memory, and a short way to write samples."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson
import pytest

from muninn.clock import ManualClock
from muninn.meter import Meter
from muninn.model import SampleBatch, SeriesKey
from muninn.reads.values import RecentSeries
from muninn.stream.channel import Channel, Limits
from muninn.stream.hub import Hub
from muninn.stream.session import Session


class MemoryWire:
    """A client that reads as much as the test says: what is sent beyond `room` bytes is queued."""

    def __init__(self) -> None:
        self.room: int | None = None
        self.sent: list[bytes] = []
        self.reading = True
        self.closed: tuple[int, str] | None = None
        self.aborted = False
        self.pings = 0
        self.session: Session | None = None
        self._queued = 0

    def send(self, message: bytes) -> None:
        self.sent.append(message)
        if self.room is not None:
            self._queued += len(message)
            if self._queued > self.room and self.session is not None:
                self.session.blocked()

    def queued(self) -> int:
        return self._queued

    def ping(self) -> None:
        self.pings += 1

    def read(self, on: bool) -> None:
        self.reading = on

    def close(self, code: int, reason: str) -> None:
        self.closed = (code, reason)

    def abort(self) -> None:
        self.aborted = True

    def queue(self, size: int) -> None:
        """The client has this much yet to take."""
        self._queued = size

    def drain(self) -> None:
        """The client reads everything, and keeps up from now on."""
        self.room, self._queued = None, 0
        assert self.session is not None
        self.session.drained()

    def frames(self) -> list[dict[str, Any]]:
        """What was sent since the last call, frame by frame."""
        frames = [frame for message in self.sent for frame in orjson.loads(message)]
        self.sent.clear()
        return frames


@dataclass
class House:
    """A hub with its clock; `seeds` holds the channels whose stored points were asked for."""

    limits: Limits = field(default_factory=Limits)
    answer_seeds: bool = True

    def __post_init__(self) -> None:
        self.clock = ManualClock()
        self.meter = Meter()
        self.seeds: list[Channel] = []
        self.hub = Hub(self.clock, self._seed, self.limits, self.meter)

    def _seed(self, channel: Channel) -> None:
        self.seeds.append(channel)
        if self.answer_seeds:
            self.hub.seeded(channel, ())

    def client(self) -> tuple[Session, MemoryWire]:
        """A session that said hello."""
        wire = MemoryWire()
        wire.session = Session(wire, self.hub, self.clock)
        wire.session.open(1000)
        assert [frame["op"] for frame in wire.frames()] == ["hello"]
        return wire.session, wire

    def ingest(self, *rows: tuple[SeriesKey, float], age_s: float = 0.0) -> None:
        """Samples of this moment, or of `age_s` ago."""
        at_us = self.clock.now_us() - round(age_s * 1e6)
        self.hub.ingest(SampleBatch.of([(key, at_us, value) for key, value in rows]))

    def tick(self, seconds: float = 1.0) -> None:
        """A tick, as the server does it, after `seconds`."""
        self.clock.advance(seconds)
        for delivery in self.hub.tick():
            for subscriber in delivery.subscribers:
                subscriber.deliver(delivery.message, delivery.channels)


def say(session: Session, **message: Any) -> None:
    """A client's message."""
    session.receive(orjson.dumps(message))


def stored(key: SeriesKey, points: Iterable[tuple[int, float]]) -> RecentSeries:
    """A series as reads give it."""
    at_ms, value = zip(*points, strict=True)
    return RecentSeries(key, np.array(at_ms, np.int64), np.array(value, np.float64))


@pytest.fixture
def house() -> House:
    return House()


@pytest.fixture(scope="session")
def make_house() -> Callable[..., House]:
    return House


@pytest.fixture(scope="session", name="say")
def say_fixture() -> Callable[..., None]:
    return say


@pytest.fixture(scope="session", name="stored")
def stored_fixture() -> Callable[..., RecentSeries]:
    return stored
