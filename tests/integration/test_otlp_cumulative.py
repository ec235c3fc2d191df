"""OpenTelemetry's SDK with its defaults, which say what was since the start: distributions, each value counted once."""

import itertools
import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import psycopg
import pytest
import uvicorn
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from servers import eventually, free_port
from starlette.applications import Starlette
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from muninn.ingest.buffer.sharded import ShardedBroker, open_buffer
from muninn.ingest.buffer.valkey import ValkeyBroker
from muninn.ingest.http import IngestDoor
from muninn.model import BatchHandle, Distributions, SampleBatch
from muninn.numerics import sketch
from muninn.store.database import Database
from muninn.store.writer import StoreWriter

SDK_BOUNDS = [0, 5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10000]


class Balancer:
    """Hands requests to one gateway after another; some answers get lost: the client hears 503 of what was taken."""

    def __init__(self, redis_url: str, shards: int):
        self._redis_url, self._shards = redis_url, shards
        self._brokers: list[ValkeyBroker | ShardedBroker] = []
        self._turns, self.lose = itertools.count(), 0
        self.gateways: list[ASGIApp] = []

    def start(self) -> ASGIApp:
        """One more gateway, with its own connections to the buffer."""
        broker = open_buffer(self._redis_url, self._shards)
        broker.tallies(())
        self._brokers.append(broker)
        return Starlette(routes=IngestDoor(broker).routes())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        losing, self.lose = self.lose > 0, max(0, self.lose - 1)

        async def told(message: Message) -> None:
            if losing and message["type"] == "http.response.start":
                message = {**message, "status": 503}
            await send(message)

        await self.gateways[next(self._turns) % len(self.gateways)](scope, receive, told)

    def taken(self) -> list[BatchHandle]:
        """Every entry of the buffer."""
        return [*self._brokers[0].follow("0-0", 0)]

    def close(self) -> None:
        for broker in self._brokers:
            broker.close()


@contextmanager
def balanced(redis_url: str, shards: int, gateways: int, port: int | None = None) -> Iterator[tuple[str, Balancer]]:
    app = Balancer(redis_url, shards)
    app.gateways = [app.start() for _ in range(gateways)]
    server = uvicorn.Server(uvicorn.Config(app, port=port or free_port(), log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        eventually(lambda: server.started, 60, "the door opens")
        yield f"http://127.0.0.1:{server.config.port}/v1/metrics", app
    finally:
        server.should_exit = True
        thread.join()
        app.close()


class Application:
    """One process with the SDK: its own exporter, of default temporality, sends when told to."""

    def __init__(self, url: str):
        reader = PeriodicExportingMetricReader(OTLPMetricExporter(endpoint=url), export_interval_millis=3_600_000)
        view = View(instrument_name="fine", aggregation=ExponentialBucketHistogramAggregation())
        self.provider = MeterProvider([reader], Resource({"service.name": "shop"}), views=[view])
        meter = self.provider.get_meter("test")
        self.instruments = [meter.create_histogram(name, unit="ms") for name in ("coarse", "fine")]

    def record(self, values: list[float]) -> None:
        for value in values:
            for instrument in self.instruments:
                instrument.record(value)

    def send(self) -> None:
        assert self.provider.force_flush(60_000)


def distributions(batch: SampleBatch, metric: str) -> Distributions:
    found = batch.take(np.array([batch.keys[key].metric == metric for key in batch.key_index.tolist()]))
    assert found.distributions is not None
    assert len(found.distributions) == len(found)
    return found.distributions


def check_percentiles(some: Distributions, values: list[float], metric: str) -> None:
    bins = sketch.merge([some.entries(np.array([place]))[1] for place in range(len(some))])
    low, high, ordered = float(some.low.min()), float(some.high.max()), np.sort(values)
    for q in (0.5, 0.9, 0.95, 0.99):
        exact = float(ordered[math.ceil(q * len(ordered)) - 1])
        estimate = sketch.quantile(bins, q, low, high)
        if metric == "fine":
            assert estimate == pytest.approx(exact, rel=0.06)  # of scale 4 at the coarsest: buckets of 4.4 %
        else:
            place = int(np.searchsorted(SDK_BOUNDS, exact))
            assert SDK_BOUNDS[place - 1] * 0.99 <= estimate <= SDK_BOUNDS[place] * 1.01


@pytest.mark.parametrize("shards", [1, 3])
def test_each_value_counts_once_through_two_gateways_restarts_and_retries(
    redis_url: str, postgres_url: str, shards: int
) -> None:
    rng = np.random.default_rng(5)
    sent: list[float] = []

    def record(application: Application, count: int) -> None:
        values = rng.lognormal(4, 1, count).tolist()
        application.record(values)
        sent.extend(values)

    with balanced(redis_url, shards, 2) as (url, balancer):
        # Two workers of one service that do not tell themselves apart, as Python's web servers often have them.
        workers = [Application(url), Application(url)]
        for turn in range(4):
            for worker in workers:
                record(worker, 200)
                balancer.lose = int(turn == 1)
                worker.send()
                assert not balancer.lose
            if turn == 2:
                balancer.gateways = [balancer.start(), balancer.start()]  # others in their place
        for worker in workers:
            worker.provider.shutdown()  # sends once more, with nothing new
        anew = Application(url)  # a process that begins anew, and ends before its first report
        record(anew, 50)
        anew.provider.shutdown()
        handles = balancer.taken()
    batch = SampleBatch.concat([handle.batch for handle in handles])
    for metric in ("coarse", "fine"):
        some = distributions(batch, metric)
        assert int(some.count.sum()) == len(sent)
        check_percentiles(some, sent, metric)
    with Database(postgres_url) as database:
        StoreWriter(database).load(handles)
    with psycopg.connect(postgres_url) as connection:
        (found,) = connection.execute(
            "select sum(sample_count), sum(sum_value) from metrics_1min where metric_name = 'fine'"
        ).fetchall()
    assert found == (len(sent), pytest.approx(math.fsum(sent)))


def test_a_process_that_ran_before_counts_from_its_first_report_on(redis_url: str) -> None:
    """Its first point may have been counted by whoever it told before: it is where counting begins."""
    port = free_port()
    application = Application(f"http://127.0.0.1:{port}/v1/metrics")
    application.record([3.0] * 1000)
    with balanced(redis_url, 1, 1, port) as (_, balancer):
        application.send()
        application.record([4.0] * 7)
        application.send()
        application.provider.shutdown()
        batch = SampleBatch.concat([handle.batch for handle in balancer.taken()])
    assert distributions(batch, "fine").count.tolist() == [7]
    counted = batch.value[[batch.keys[key].metric == "fine_count" for key in batch.key_index.tolist()]]
    assert counted.tolist()[:2] == [1000.0, 1007.0]
