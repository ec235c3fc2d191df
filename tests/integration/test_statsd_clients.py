"""Real StatsD clients send to the program as it is started; what it made of that is in the buffer."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import statsd
from datadog.dogstatsd.base import DogStatsd
from servers import eventually, free_port

from muninn.model import SeriesKey

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


def test_the_statsd_client(door: tuple[str, Kept], listener: tuple[int, Callable[[], None]]) -> None:
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
        "shop.orders": 19.0, "shop.stock": 35.0, "shop.visitors": 2.0, "shop.answer_ms_count": 100.0,
        "shop.answer_ms_sum": 5050.0, "shop.answer_ms_min": 1.0, "shop.answer_ms_max": 100.0,
        "shop.answer_ms,quantile=0.5": 50.0, "shop.answer_ms,quantile=0.95": 95.0, "shop.answer_ms,quantile=0.99": 99.0,
    }  # fmt: skip
    assert by_name(door[1]) == {name: [value] for name, value in expected.items()}
    assert {(key.source_agent_id, key.instance_id.rpartition(":")[2]) for key in door[1]()} == {("statsd", str(port))}


@pytest.mark.parametrize("aggregated", [False, True])
def test_the_client_of_datadog(
    door: tuple[str, Kept], listener: tuple[int, Callable[[], None]], aggregated: bool
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
    assert (found["size_bytes_count,env=prod"], found["size_bytes_sum,env=prod"]) == ([3.0], [60.0])
    assert (found["depth_max,env=prod"], found["depth,env=prod,quantile=0.5"]) == ([3.0], [2.0])
    assert (found["level,env=prod"], found["users,env=prod"]) == ([3.5], [1.0])
    assert len(found) == 3 + 2 * 7
