"""From a client's send to committed rows, over real HTTP, Valkey and PostgreSQL, while parts of it crash."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import httpx
import psycopg
import pytest
import uvicorn
from servers import Valkey, eventually
from starlette.applications import Starlette

from muninn.clock import SECOND_US
from muninn.errors import Unavailable
from muninn.ingest.buffer.valkey import ValkeyBroker
from muninn.ingest.http import IngestDoor
from muninn.ingest.loader import Aside, Loader, LoaderLimits
from muninn.meter import Meter
from muninn.model import BatchHandle, SampleBatch, SeriesKey
from muninn.sources.client import GatewayClient
from muninn.sources.host import HostCollector
from muninn.store.database import Database
from muninn.store.writer import LoadResult, StoreWriter

KEYS = tuple(SeriesKey.of("path_test", {"n": str(number)}, "agent", f"i-{number}") for number in range(5))


class Sink:
    """The store, as a loader's sink; `crash_next`: the process dies after the commit, before the acknowledgement."""

    def __init__(self, database: Database):
        self._writer = StoreWriter(database)
        self.crash_next = False

    def load(self, handles: Sequence[BatchHandle], aside: Aside) -> LoadResult:
        result = self._writer.load(handles, aside)
        if self.crash_next:
            self.crash_next = False
            raise Crashed
        return result

    def flush(self) -> None:
        self._writer.flush()

    def prune_entries(self, before_id: str) -> int:
        return self._writer.prune_entries(before_id, "muninn:ingest:0")


class Crashed(BaseException):
    """The end of a process: nobody catches it."""


@contextmanager
def gateway(valkey_url: str) -> Iterator[str]:
    """The door on a port of its own; yields its address."""
    door = IngestDoor(ValkeyBroker(valkey_url, timeout_s=2))
    config = uvicorn.Config(Starlette(routes=door.routes()), port=0, log_config=None, lifespan="off", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    eventually(lambda: server.started, 20, "the gateway listens")
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)


class Loading:
    """A loader on a thread; `crash` ends it between commit and acknowledgement, and another starts in its place."""

    def __init__(self, valkey_url: str, sink: Sink):
        self._broker = ValkeyBroker(valkey_url, timeout_s=2)
        self._sink = sink
        self._stop = threading.Event()
        self.crashes = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                Loader(self._broker, self._sink, "l-1", limits=LoaderLimits(block_ms=50)).run(self._stop)
            except Crashed:
                self.crashes += 1

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(20)
        assert not self._thread.is_alive()


def query(postgres_url: str, sql: str) -> list[Any]:
    with psycopg.connect(postgres_url) as connection:
        return connection.execute(sql.encode()).fetchall()


def test_every_sample_that_was_taken_is_stored_once_through_crashes(valkey: Valkey, postgres_url: str) -> None:
    meter, now_us = Meter(), time.time_ns() // 1000 // SECOND_US * SECOND_US
    sent: dict[tuple[str, int], float] = {}
    with Database(postgres_url, pool_size=2) as database, gateway(valkey.url) as url:
        sink = Sink(database)
        loading = Loading(valkey.url, sink)
        client = GatewayClient(url, meter=meter, timeout_s=5)
        for step in range(60):
            rows = [(key, now_us - step * SECOND_US, step + number / 10) for number, key in enumerate(KEYS)]
            sent |= {(key.instance_id, at_us): value for key, at_us, value in rows}
            client.send(SampleBatch.of(rows))
            if step in (10, 25, 40):
                sink.crash_next = True
            if step in (20, 45):
                valkey.kill()
                valkey.restart()
            time.sleep(0.01)  # so that there are many requests, not one large one
        assert client.flush(30)
        broker = ValkeyBroker(valkey.url)
        eventually(lambda: broker.depth() == 0, 30, "everything is loaded")
        client.close()
        loading.stop()
        counted = {name: value for name, _, value in meter.snapshot()}
        assert counted["muninn_client_sent_total"] == len(sent) == 300
        assert "muninn_client_dropped_total" not in counted
        assert loading.crashes >= 2
        found = query(
            postgres_url,
            'SELECT instance_id, (extract(epoch FROM "timestamp") * 1000000)::bigint, metric_value'
            " FROM performance_metrics WHERE metric_name = 'path_test'",
        )
        assert len(found) == len(sent)
        assert {(instance, at_us): value for instance, at_us, value in found} == sent
        assert (broker.held_bytes(), broker.dead_letters()) == (0, [])


def test_this_machines_own_figures_travel_the_whole_path(valkey: Valkey, postgres_url: str) -> None:
    with Database(postgres_url, pool_size=2) as database, gateway(valkey.url) as url:
        loading = Loading(valkey.url, Sink(database))
        client, host = GatewayClient(url), HostCollector(hostname="h-1")
        batches = []
        for _ in range(2):
            batches.append(host.read())
            client.send(batches[-1])
            time.sleep(0.05)  # rates want some time between readings
        assert client.flush(20)
        broker = ValkeyBroker(valkey.url)
        eventually(lambda: broker.depth() == 0, 20, "everything is loaded")
        client.close()
        loading.stop()
        ((count,),) = query(postgres_url, "SELECT count(*) FROM performance_metrics WHERE tags ->> 'host' = 'h-1'")
        assert count == sum(map(len, batches))


def test_a_client_is_told_when_valkey_is_away(valkey: Valkey) -> None:
    body = [{"metric": "cpu", "timestamp": time.time() * 1000, "value": 1}]
    with gateway(valkey.url) as url:
        valkey.kill()
        answer = httpx.post(f"{url}/api/v1/metrics", json=body)
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) >= 1
        assert "is away" in answer.json()["detail"]
        valkey.restart()
        assert httpx.post(f"{url}/api/v1/metrics", json=body).status_code == 200


def test_the_loader_waits_for_a_store_that_is_away(valkey: Valkey) -> None:
    broker = ValkeyBroker(valkey.url)
    broker.append(SampleBatch.of([(KEYS[0], time.time_ns() // 1000, 1.0)]))
    with Database("postgresql://127.0.0.1:1/nothing?connect_timeout=1", pool_size=1) as database:
        loader = Loader(broker, Sink(database), "l-1", limits=LoaderLimits(block_ms=10))
        with pytest.raises(Unavailable):
            loader.step()
    assert broker.depth() == 1
