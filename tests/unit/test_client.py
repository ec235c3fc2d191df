"""The client for applications, against a real door over HTTP that takes, refuses and says that it is busy."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
import uvicorn
from servers import eventually, free_port
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from muninn.client import Client
from muninn.clock import ManualClock, SystemClock
from muninn.errors import Misconfigured, Rejected, Unavailable
from muninn.ingest.buffer.memory import MemoryBroker
from muninn.ingest.http import IngestDoor
from muninn.model import SampleBatch, SeriesKey


@dataclass
class Door:
    """A real door; `trouble` is what its buffer says to the next requests."""

    broker: MemoryBroker = field(default_factory=MemoryBroker)
    trouble: list[Exception] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    url: str = ""

    def append(self, batch: SampleBatch, idempotency_key: str | None = None) -> str:
        if self.trouble:
            raise self.trouble.pop(0)
        return self.broker.append(batch, idempotency_key)

    def kept(self) -> dict[SeriesKey, list[tuple[int, float]]]:
        found: dict[SeriesKey, list[tuple[int, float]]] = {}
        for handle in self.broker.follow("0-0", 0):
            batch = handle.batch
            for key, at_us, value in zip(batch.key_index, batch.at_us.tolist(), batch.value.tolist(), strict=True):
                found.setdefault(batch.keys[key], []).append((at_us, value))
        return found

    def values(self) -> list[float]:
        return [value for rows in self.kept().values() for _, value in rows]


@pytest.fixture
def door() -> Iterator[Door]:
    made = Door()
    (own, *_) = IngestDoor(made).routes()  # type: ignore[arg-type]

    async def noting(request: Request) -> Response:
        made.kinds.append(request.headers["content-type"])
        response: Response = await own.endpoint(request)
        return response

    app = Starlette()
    app.add_route(own.path, noting, methods=["POST"])
    config = uvicorn.Config(app, port=free_port(), log_config=None, lifespan="off", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    eventually(lambda: server.started, 30, "the door opens")
    made.url = f"http://127.0.0.1:{config.port}"
    yield made
    server.should_exit = True
    thread.join(20)


@pytest.fixture
def connect(door: Door) -> Iterator[Callable[..., Client]]:
    made: list[Client] = []

    def make(**options: Any) -> Client:
        made.append(Client(door.url, **options))
        return made[-1]

    yield make
    for client in made:
        client.close(0.0)


def test_samples_arrive_as_they_were_added(door: Door, connect: Callable[..., Client]) -> None:
    client = connect(labels={"shop": "berlin", "tier": "a"}, source_agent_id="huginn", instance_id="web-1")
    at = datetime.now(UTC)
    at_us = round(at.timestamp() * 1_000_000)
    before_us = SystemClock().now_us()
    client.add("plain", 1)
    client.add("orders", 2.5, {"tier": "b"}, at)
    client.add("orders", 3.5, {"tier": "b"}, at_us // 1000 + 0.5, source_agent_id="", instance_id="web-2")
    assert client.flush()
    found = door.kept()
    plain = found.pop(SeriesKey.of("plain", {"shop": "berlin", "tier": "a"}, "huginn", "web-1"))
    assert [value for _, value in plain] == [1.0]
    assert before_us <= plain[0][0] <= SystemClock().now_us()
    labels = {"shop": "berlin", "tier": "b"}
    assert found == {
        SeriesKey.of("orders", labels, "huginn", "web-1"): [(at_us, 2.5)],
        SeriesKey.of("orders", labels, "", "web-2"): [(at_us // 1000 * 1000 + 500, 3.5)],
    }
    assert client.counts().sent == 3
    assert client.counts().waiting == 0
    assert set(door.kinds) == {"application/vnd.apache.arrow.stream"}


def test_a_batch_goes_when_it_is_full_and_when_its_time_is_up(door: Door, connect: Callable[..., Client]) -> None:
    full = connect(batch_samples=10, interval_s=3600)
    for value in range(25):
        full.add("full", value)
    eventually(lambda: len(door.values()) >= 20, 20, "two full batches arrive without being asked for")
    late = connect(batch_samples=1000, interval_s=0.05)
    late.add("late", 99)
    eventually(lambda: 99.0 in door.values(), 20, "what is not full arrives after its interval")
    assert full.close()
    assert sorted(door.values()) == [*map(float, range(25)), 99.0]


def test_a_door_that_is_busy_or_away_gets_everything_once(door: Door, connect: Callable[..., Client]) -> None:
    door.trouble = [Rejected("full", 7.0), Unavailable("away"), Rejected("full", 3.0)]
    clock = ManualClock(SystemClock().now_us())
    client = connect(clock=clock, interval_s=3600)
    before = clock.monotonic()
    for value in range(100):
        client.add("m", value)
    assert client.flush(30)
    assert sorted(door.values()) == list(map(float, range(100)))
    assert client.counts().retries == 3
    assert clock.monotonic() - before >= 10  # as the door asked


def test_memory_is_bounded_and_what_is_dropped_is_counted(door: Door) -> None:
    client = Client(f"http://127.0.0.1:{free_port()}", batch_samples=10, max_samples=50, interval_s=0.01)
    for value in range(1000):
        client.add("m", value)
    eventually(lambda: client.counts().dropped >= 900, 20, "the oldest are dropped")
    found = client.counts()
    assert found.sent == 0
    assert found.dropped + found.waiting == 1000
    assert found.waiting <= 100  # half of it may be under way
    assert not client.close(0.0)


def test_bad_samples_are_refused_and_the_others_count(
    door: Door, connect: Callable[..., Client], caplog: pytest.LogCaptureFixture
) -> None:
    client = connect()
    client.add("good", 1)
    client.add("no good", 2)
    client.add("nan", float("nan"))
    assert client.flush()
    found = client.counts()
    assert (found.sent, found.refused, found.waiting) == (1, 2, 0)
    assert "is not a name" in caplog.text


@pytest.mark.parametrize(
    ("error", "arguments"),
    [
        (TypeError, ("m", 1, {"n": 1})),
        (TypeError, ("m", 1, {1: "n"})),
        (TypeError, (1, 1)),
        (TypeError, ("m", None)),
        (ValueError, ("m", "one")),
        (ValueError, ("m\ud800", 1)),
        (ValueError, ("m", 1, {"n": "\ud800"})),
        (ValueError, ("m", 1, None, datetime(2026, 1, 1))),
        (ValueError, ("m", 1, None, float("nan"))),
        (ValueError, ("m", 1, None, 1e18)),
    ],
)
def test_what_can_never_be_sent_is_told_at_once(
    door: Door, connect: Callable[..., Client], error: type[Exception], arguments: tuple[Any, ...]
) -> None:
    client = connect()
    with pytest.raises(error):
        client.add(*arguments)
    client.add("fine", 1)
    assert client.flush()
    assert door.values() == [1.0]
    assert client.counts().waiting == 0


def test_many_threads(door: Door, connect: Callable[..., Client]) -> None:
    client = connect(batch_samples=50, interval_s=0.01)

    def work(number: int) -> None:
        for value in range(300):
            client.add("m", number * 1000 + value, {"thread": str(number)})

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert client.close(30)
    assert sorted(door.values()) == [float(number * 1000 + value) for number in range(6) for value in range(300)]


def test_a_closed_client_takes_nothing(door: Door, connect: Callable[..., Client]) -> None:
    with connect(interval_s=3600) as client:
        client.add("m", 1)
    assert door.values() == [1.0]
    with pytest.raises(RuntimeError, match="closed"):
        client.add("m", 2)
    assert client.close()


def test_an_address_that_is_none() -> None:
    with pytest.raises(Misconfigured, match="http://host:port"):
        Client("gateway:8480")


def test_many_values_go_as_one_sample(door: Door) -> None:
    with Client(door.url) as client:
        client.add("plain", 5.0)
        client.add_distribution("response_ms", [10.0, 20.0, 60.0], counts=[2, 1, 1])
        client.add_distribution("response_ms", [7.0], {"host": "b"})
        for values, counts in (([], None), ([float("nan")], None), ([1.0], [0]), ([1.0], [1, 2]), ([1.0], [1.5])):
            with pytest.raises(ValueError, match="must be"):
                client.add_distribution("response_ms", values, counts=counts)
        assert client.flush()
    assert sorted(door.values()) == [5.0, 7.0, 25.0]
    (handle,) = door.broker.follow("0-0", 0)
    some = handle.batch.distributions
    assert some is not None
    assert sorted(zip(some.count.tolist(), some.low.tolist(), some.high.tolist(), strict=True)) == [
        (1, 7.0, 7.0),
        (4, 10.0, 60.0),
    ]
    assert set(door.kinds) == {"application/vnd.apache.arrow.stream"}
