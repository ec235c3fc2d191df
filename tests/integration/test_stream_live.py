"""The sidecar on a real Valkey: what is appended is seen, also after a lost connection and an outage."""

import asyncio
import threading
import time
from collections.abc import Iterator

import numpy as np
import orjson
import pytest
from servers import Valkey
from streaming import running

from muninn.clock import SystemClock
from muninn.ingest.buffer.valkey import ValkeyBroker
from muninn.model import BatchHandle, SampleBatch, SeriesKey
from muninn.stream.client import StreamClient, connect

CPU = [SeriesKey.of("cpu_busy_pct", {"cpu": cpu, "host": "raven"}, "host-collector", "raven") for cpu in ("0", "total")]


def now_ms() -> int:
    return SystemClock().now_us() // 1000


def append(broker: ValkeyBroker, *values: float, at_ms: int | None = None) -> int:
    """One sample for each of the CPU series; their time in ms."""
    at = at_ms or now_ms()
    broker.append(SampleBatch.of([(key, at * 1000, value) for key, value in zip(CPU, values, strict=False)]))
    return at


def seen(client: StreamClient, cpu: str) -> dict[int, float]:
    """The points that the client has of that core."""
    return next(iter(client.views["c"].series(cpu=cpu).values()), {})


async def until_seen(client: StreamClient, cpu: str, at_ms: int) -> None:
    async with asyncio.timeout(20):
        while at_ms not in seen(client, cpu):
            await client.receive()


@pytest.fixture
def broker(redis_url: str) -> Iterator[ValkeyBroker]:
    made = ValkeyBroker(redis_url, durability="memory")
    yield made
    made.close()


def test_appended_samples_reach_a_subscriber_within_a_second_or_two(broker: ValkeyBroker) -> None:
    async def watch(url: str) -> None:
        async with connect(url) as client:
            client.subscribe("c", "cpu_busy_pct", {"host": "raven"})
            await client.receive_op("snapshot")
            expected = {}
            for value in (10.0, 20.0, 30.0):
                started = time.monotonic()
                at = append(broker, value, value / 2)
                expected[at] = value
                await until_seen(client, "total", at)
                assert time.monotonic() - started < 3.0
                assert seen(client, "0") == expected
                assert seen(client, "total")[at] == value / 2
            late = append(broker, 99.0, at_ms=min(expected) - 5_000)
            await until_seen(client, "0", late)
            assert list(seen(client, "0").items()) == [(late, 99.0), *expected.items()]

    with running(broker) as sidecar:
        asyncio.run(watch(sidecar.url))
        assert sidecar.metered("muninn_stream_frames_total") >= 3


def test_what_was_appended_before_the_channel_opened_is_in_its_snapshot(broker: ValkeyBroker) -> None:
    async def watch(url: str, at: int) -> None:
        async with connect(url) as client:
            client.subscribe("c", "cpu_busy_pct")
            await until_seen(client, "0", at)

    at = append(broker, 7.0)
    with running(broker) as sidecar:
        asyncio.run(watch(sidecar.url, at))


def test_a_client_that_was_away_recovers_what_it_missed(broker: ValkeyBroker) -> None:
    async def watch(url: str) -> None:
        async with connect(url) as client:
            client.subscribe("c", "cpu_busy_pct")
            await client.receive_op("snapshot")
            before = append(broker, 1.0)
            await until_seen(client, "0", before)
        async with connect(url) as other:  # its view tells when the missed delta was sent
            other.subscribe("c", "cpu_busy_pct")
            missed = append(broker, 2.0)
            await until_seen(other, "0", missed)
            async with connect(url) as again:
                again.views.update(client.views)
                again.subscribe("c", "cpu_busy_pct")
                subscribed = await again.receive_op("subscribed")
                assert subscribed["recovered"] is True
                await until_seen(again, "0", missed)
                assert seen(again, "0") == {before: 1.0, missed: 2.0}

    with running(broker) as sidecar:
        asyncio.run(watch(sidecar.url))


def test_valkey_dies_and_comes_back_and_the_clients_stay() -> None:
    server = Valkey()
    try:
        server.start()
        broker = ValkeyBroker(server.url, durability="memory")

        async def watch(url: str) -> None:
            async with connect(url) as client:
                client.subscribe("c", "cpu_busy_pct")
                before = append(broker, 1.0)
                await until_seen(client, "0", before)
                server.kill()
                status = await client.receive_op("status", 15)
                while status["live"]:
                    status = await client.receive_op("status", 15)
                assert "the buffer is away" in status["reason"]
                server.restart()  # not in a thread: the server would end with it
                status = await client.receive_op("status", 15)
                assert status == {"op": "status", "at_ms": status["at_ms"], "live": True, "reason": ""}
                after = append(broker, 2.0)
                await until_seen(client, "0", after)
                assert seen(client, "0") == {before: 1.0, after: 2.0}

        with running(broker) as sidecar:
            asyncio.run(watch(sidecar.url))
            assert orjson.loads(sidecar.get("/healthz")[1])["live"] is True
        broker.close()
    finally:
        server.close()


class OneBad:
    """A buffer whose first entry, once somebody looks, names a series that it has not; those after it are good."""

    def __init__(self) -> None:
        self.looked_at = threading.Event()
        self._bad = [7]

    def follow(self, after_id: str, block_ms: int) -> list[BatchHandle]:
        if not self.looked_at.wait(block_ms / 1000):
            return []
        at_us = SystemClock().now_us()
        good = SampleBatch.of([(CPU[0], at_us, 1.0)])
        if not self._bad:
            return [BatchHandle("s", f"{at_us // 1000}-0", good)]
        key_index = np.array([self._bad.pop()], np.int32)
        return [BatchHandle("s", f"{at_us // 1000}-0", SampleBatch(good.at_us, good.value, key_index, good.keys))]


def test_an_entry_that_nobody_can_read_does_not_stop_those_after_it() -> None:
    source = OneBad()

    async def watch(url: str) -> None:
        async with connect(url) as client:
            client.subscribe("c", "cpu_busy_pct", {"host": "raven"})
            await client.receive_op("snapshot")
            source.looked_at.set()
            async with asyncio.timeout(30):
                while not seen(client, "0"):
                    await client.receive()

    with running(source) as sidecar:
        asyncio.run(watch(sidecar.url))
