"""The buffer: what durability costs, by policy and batch size; Valkey and its writers share the machine."""

import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import redis

from bench.running import free_port, wait_until
from muninn.ingest.buffer import codec
from muninn.ingest.buffer.connection import Durability
from muninn.ingest.buffer.valkey import ValkeyBroker
from muninn.model import SampleBatch, SeriesKey
from muninn.run import embedded

MEASURED_S = 2.0
# samples in a batch, series among them
BATCHES = {"100 samples": (100, 100), "10,000 samples": (10_000, 1_000)}
# The server's settings, what an append waits for, and how many replicas it waits for.
POLICIES: dict[str, tuple[dict[str, str], Durability, int]] = {
    "fsync before each answer, and a replica": ({"appendfsync": "always"}, "fsync", 1),
    "fsync before each answer": ({"appendfsync": "always"}, "fsync", 0),
    "fsync each second, and a replica": ({"appendfsync": "everysec"}, "memory", 1),
    "fsync each second": ({"appendfsync": "everysec"}, "memory", 0),
    "memory only": ({"appendonly": "no"}, "memory", 0),
}


def run() -> dict[str, object]:
    """Batches per second, milliseconds until the answer, and the server's CPU, for one writer and for eight."""
    figures: dict[str, object] = {"fdatasync of 4 KiB, p50 ms": _fdatasync_ms()}
    for policy, (settings, durability, replicas) in POLICIES.items():
        with _server(settings) as url, _replicas(url, replicas):
            open_ = partial(ValkeyBroker, url, durability=durability, replicas=replicas)
            figures[policy] = {
                f"{name}, {writers} writer{'s' if writers > 1 else ''}": _measure(url, open_, _batch(*size), writers)
                for name, size in BATCHES.items()
                for writers in (1, 8)
            }
    return figures


def _fdatasync_ms() -> float:
    with tempfile.NamedTemporaryFile() as file:
        seconds = []
        for _ in range(200):
            os.write(file.fileno(), b"x" * 4096)
            started = time.perf_counter()
            os.fdatasync(file.fileno())
            seconds.append(time.perf_counter() - started)
    return float(np.median(seconds)) * 1000


def _batch(samples: int, series: int) -> SampleBatch:
    keys = tuple(
        SeriesKey.of("cpu_usage_pct", {"host": f"web-{n}", "mode": "user"}, "bench", f"web-{n}") for n in range(series)
    )
    place = np.arange(samples)
    return SampleBatch(
        1_700_000_000_000_000 + place, np.random.default_rng(0).random(samples), (place % series).astype(np.int32), keys
    )


@contextmanager
def _server(settings: dict[str, str]) -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="muninn-bench-") as home:
        server = embedded.valkey(Path(home), settings)
        server.prepare()
        process = server.spawn(subprocess.DEVNULL)
        try:
            _await(server.url)
            yield server.url
        finally:
            process.kill()
            process.wait()


@contextmanager
def _replicas(url: str, count: int) -> Iterator[None]:
    """So many servers that follow the one at `url`, in step with it."""
    with ExitStack() as running, redis.Redis.from_url(url) as client:
        if count:
            client.config_set("bind", "127.0.0.1")
            client.config_set("port", port := free_port())
        for _ in range(count):
            running.enter_context(_server({"replicaof": f"127.0.0.1 {port}"}))
        wait_until(lambda: str(client.info("replication")).count("'online'") == count, 60)
        yield


def _await(url: str) -> None:
    with redis.Redis.from_url(url) as client:
        for _ in range(500):
            try:
                client.ping()
                return
            except redis.ConnectionError:
                time.sleep(0.02)
    raise RuntimeError("Valkey did not start")


def _measure(url: str, open_: Callable[[], ValkeyBroker], batch: SampleBatch, writers: int) -> dict[str, float]:
    seconds: list[float] = []
    with redis.Redis.from_url(url) as client:
        client.flushall()
        cpu_before_s = _cpu_s(client)
        end = time.perf_counter() + MEASURED_S
        threads = [threading.Thread(target=_write, args=(open_, batch, end, seconds)) for _ in range(writers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        cpu_s = _cpu_s(client) - cpu_before_s
    return {
        "batches per s": len(seconds) / MEASURED_S,
        "thousand samples per s": len(seconds) * len(batch) / MEASURED_S / 1000,
        "MB per s": len(seconds) * codec.size_of(codec.encode(batch)) / MEASURED_S / 1e6,
        "p50 ms": float(np.quantile(seconds, 0.5)) * 1000,
        "p99 ms": float(np.quantile(seconds, 0.99)) * 1000,
        "server CPU, us per batch": cpu_s / len(seconds) * 1e6,
    }


def _write(open_: Callable[[], ValkeyBroker], batch: SampleBatch, end: float, seconds: list[float]) -> None:
    broker = open_()
    while time.perf_counter() < end:
        started = time.perf_counter()
        broker.append(batch)
        seconds.append(time.perf_counter() - started)
        if len(seconds) % 50 == 0:  # what is loaded is acknowledged; the buffer must not fill up
            broker.acknowledge(broker.read("bench", 256, 0))
    broker.close()


def _cpu_s(client: redis.Redis) -> float:
    info = client.info("cpu")
    return float(info["used_cpu_sys"]) + float(info["used_cpu_user"])
