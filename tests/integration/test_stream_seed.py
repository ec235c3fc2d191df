"""A channel that opens starts from what the store has, with the live samples on top and nothing twice."""

import asyncio

from servers import free_port
from streaming import running

from muninn.clock import SystemClock
from muninn.ingest.buffer.memory import MemoryBroker
from muninn.model import BatchHandle, SampleBatch, SeriesKey
from muninn.reads import Reads
from muninn.store.database import Database
from muninn.store.partitions import ensure_ahead
from muninn.store.writer import StoreWriter
from muninn.stream.client import connect

KEY = SeriesKey.of("cpu_busy_pct", {"cpu": "total", "host": "raven"}, "host-collector", "raven")


def test_stored_points_and_live_ones_make_one_line(postgres_url: str) -> None:
    now_us = SystemClock().now_us() // 1_000_000 * 1_000_000
    stored = SampleBatch.of([(KEY, now_us - age * 1_000_000, float(age)) for age in range(60, 0, -1)])
    overlapping = SampleBatch.of([(KEY, now_us - age * 1_000_000, float(age)) for age in (2, 1, 0)])
    broker = MemoryBroker()
    broker.append(overlapping)

    async def points(url: str) -> dict[int, float]:
        async with connect(url) as client:
            client.subscribe("c", "cpu_busy_pct", {"host": "raven"})
            await client.receive_op("snapshot")
            return client.views["c"].series(cpu="total")[KEY]

    with Database(postgres_url) as database:
        ensure_ahead(database, now_us, 1)
        StoreWriter(database).load([BatchHandle("muninn:ingest:0", "1-0", stored)])
        with running(broker, Reads(database)) as sidecar:
            found = asyncio.run(points(sidecar.url))
    assert found == {(now_us - age * 1_000_000) // 1000: float(age) for age in range(60, -1, -1)}


def test_a_metric_that_nobody_knows_is_an_empty_snapshot(postgres_url: str) -> None:
    async def series(url: str) -> int:
        async with connect(url) as client:
            client.subscribe("c", "no_such_metric")
            return len((await client.receive_op("snapshot"))["series"])

    with Database(postgres_url) as database, running(MemoryBroker(), Reads(database)) as sidecar:
        assert asyncio.run(series(sidecar.url)) == 0


def test_without_a_database_the_stream_goes_on() -> None:
    at_us = SystemClock().now_us()
    broker = MemoryBroker()
    broker.append(SampleBatch.of([(KEY, at_us, 5.0)]))

    async def first(url: str) -> dict[int, float]:
        async with connect(url) as client:
            client.subscribe("c", "cpu_busy_pct")
            await client.receive_op("snapshot", 15)
            return client.views["c"].series()[KEY]

    unreachable = f"postgresql://muninn@127.0.0.1:{free_port()}/none"
    with Database(unreachable) as database, running(broker, Reads(database)) as sidecar:
        assert asyncio.run(first(sidecar.url)) == {at_us // 1000: 5.0}
