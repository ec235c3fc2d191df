"""Real StatsD clients send to the program as it is started; what it made of that is in the buffer."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import statsd
from datadog.dogstatsd.base import DogStatsd
from servers import eventually, free_port

from muninn.ingest.buffer.valkey import ValkeyBroker
from muninn.model import Distributions, SeriesKey
from muninn.numerics import sketch

ROOT = Path(__file__).parents[2]
Kept = Callable[[], dict[SeriesKey, list[float]]]


@pytest.fixture
def listener(door: tuple[str, Kept], redis_url: str, tmp_path: Path) -> Iterator[tuple[int, Callable[[], None]]]:
    """The program on a free port with one long flush interval, and what ends it: then it flushes."""
    port = free_port()
    environ = {
        "MUNINN_STATSD_PORT": str(port),
        "MUNINN_STATSD_FLUSH_S": "3600",
        "MUNINN_STATSD_URL": door[0],
        "MUNINN_REDIS_URL": redis_url,
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MUNINN_")}
    command = [sys.executable, "-m", "muninn.run.programs", "statsd"]
    with (tmp_path / "log").open("wb") as log:
        program = subprocess.Popen(command, cwd=ROOT, env={**kept, **environ}, stdout=log, stderr=log)

    def listens() -> bool:
        assert program.poll() is None, (tmp_path / "log").read_text()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return True
        return False

    def end() -> None:
        program.terminate()
        assert program.wait(20) == 0, (tmp_path / "log").read_text()

    eventually(listens, 60, "the program listens")
    try:
        yield port, end
    finally:
        program.kill()
        program.wait(10)


def by_name(kept: Kept) -> dict[str, list[float]]:
    return {",".join([key.metric, *(f"{k}={v}" for k, v in key.labels)]): values for key, values in kept().items()}


def distributions(redis_url: str) -> dict[str, Distributions]:
    """Those in the buffer, by metric."""
    broker, found = ValkeyBroker(redis_url), {}
    for handle in broker.follow("0-0", 0):
        batch = handle.batch
        for row in [] if batch.distributions is None else batch.distributions.rows.tolist():
            some = batch.take(np.array([row])).distributions
            assert some is not None
            found[batch.keys[batch.key_index[row]].metric] = some
    broker.close()
    return found


def test_the_statsd_client(door: tuple[str, Kept], listener: tuple[int, Callable[[], None]], redis_url: str) -> None:
    port, end = listener
    client = statsd.StatsClient("127.0.0.1", port, prefix="shop")
    for _ in range(10):
        client.incr("orders", 2)
    client.decr("orders")
    client.gauge("stock", 40)
    client.gauge("stock", -5, delta=True)
    client.set("visitors", "ann")
    client.set("visitors", "bob")
    client.set("visitors", "ann")
    with client.pipeline() as together:  # several lines in a packet
        for millis in range(1, 101):
            together.timing("answer_ms", millis)
    end()
    expected = {
        "shop.orders": 19.0, "shop.stock": 35.0, "shop.visitors": 2.0, "shop.answer_ms": 50.5,
    }  # fmt: skip
    assert by_name(door[1]) == {name: [value] for name, value in expected.items()}
    assert {(key.source_agent_id, key.instance_id.rpartition(":")[2]) for key in door[1]()} == {("statsd", str(port))}
    some = distributions(redis_url)["shop.answer_ms"]
    assert (int(some.count[0]), float(some.low[0]), float(some.high[0])) == (100, 1.0, 100.0)
    assert some.bins.tolist() == sketch.sketch_of(np.arange(1.0, 101.0)).tolist()


@pytest.mark.parametrize("aggregated", [False, True])
def test_the_client_of_datadog(
    door: tuple[str, Kept], listener: tuple[int, Callable[[], None]], redis_url: str, aggregated: bool
) -> None:
    port, end = listener
    client = DogStatsd(
        "127.0.0.1", port, disable_telemetry=True, disable_buffering=False, constant_tags=["env:prod"],
        disable_aggregation=not aggregated, max_metric_samples_per_context=100 if aggregated else 0,
    )  # fmt: skip
    for value in (1, 2, 3):
        client.increment("jobs", value, tags=["queue:mail", "urgent"])
        client.distribution("size_bytes", value * 10)
        client.histogram("depth", value)
    client.gauge("level", 2.5)
    client.gauge("level", 3.5)
    client.set("users", "ann")
    client.event("deployed", "version 2")
    client.service_check("disk", 0)
    client.flush()
    client.stop()
    end()
    found = by_name(door[1])
    assert found["jobs,env=prod,queue=mail,urgent=true"] == [6.0]
    assert (found["size_bytes,env=prod"], found["depth,env=prod"]) == ([20.0], [2.0])
    some = distributions(redis_url)
    assert {name: (int(one.count[0]), float(one.high[0])) for name, one in some.items()} == {
        "size_bytes": (3, 30.0),
        "depth": (3, 3.0),
    }
    assert (found["level,env=prod"], found["users,env=prod"]) == ([3.5], [1.0])
    assert len(found) == 5
