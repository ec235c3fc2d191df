"""An application's client, while the real gateway is killed and started again; and the example of the docs."""

import itertools
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from servers import eventually, free_port

from muninn.client import Client
from muninn.clock import SystemClock
from muninn.ingest.buffer.valkey import ValkeyBroker
from muninn.model import SeriesKey
from muninn.run.probes import fetch
from muninn.store.database import Database
from muninn.store.writer import StoreWriter

ROOT = Path(__file__).parents[2]
KILLS = 3


class Gateway:
    """The program as it is started, on one port through all its lives."""

    def __init__(self, database_url: str, redis_url: str, log: Path):
        self._port, self._log = free_port(), log
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MUNINN_")}
        ours = {
            "MUNINN_DATABASE_URL": database_url,
            "MUNINN_REDIS_URL": redis_url,
            "MUNINN_GATEWAY_PORT": str(self._port),
        }
        self._environ = {**kept, **ours}
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        command = [sys.executable, "-m", "muninn.run.programs", "gateway"]
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, env=self._environ, stdout=log, stderr=log)
        eventually(lambda: fetch(f"{self.url}/readyz")[0] == 200, 60, "the gateway is ready")

    def kill(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(10)


@pytest.fixture
def gateway(postgres_url: str, redis_url: str, tmp_path: Path) -> Iterator[Gateway]:
    made = Gateway(postgres_url, redis_url, tmp_path / "log")
    try:
        made.start()
        yield made
    finally:
        made.kill()


def stored(postgres_url: str, redis_url: str) -> list[tuple[int, float]]:
    """(instant in us, value) of everything in the buffer, once it is loaded into the store."""
    broker = ValkeyBroker(redis_url)
    with Database(postgres_url) as database:
        writer = StoreWriter(database)
        while handles := broker.read("test", 100, 10):
            writer.load(handles)
            broker.acknowledge(handles)
    broker.close()
    asked = "select (extract(epoch from timestamp) * 1000000)::bigint, metric_value from performance_metrics"
    with psycopg.connect(postgres_url) as connection:
        return connection.execute(f"{asked} where metric_name = 'restart_test'".encode()).fetchall()


def test_every_acknowledged_sample_is_stored_once(gateway: Gateway, postgres_url: str, redis_url: str) -> None:
    start_us = SystemClock().now_us()
    added: list[tuple[int, float]] = []
    stop = threading.Event()
    with Client(gateway.url, batch_samples=40, interval_s=0.02, timeout_s=5) as client:

        def add() -> None:
            for number in itertools.count():
                if stop.wait(0.001):
                    return
                at_us = start_us + number * 1000
                client.add("restart_test", number / 7, {"n": str(number % 5)}, at_us / 1000)
                added.append((at_us, number / 7))

        thread = threading.Thread(target=add)
        thread.start()
        for _ in range(KILLS):
            sent = client.counts().sent
            eventually(lambda before=sent: client.counts().sent > before + 100, 60, "samples flow")
            gateway.kill()
            retries = client.counts().retries
            eventually(lambda before=retries: client.counts().retries > before, 60, "the client finds it gone")
            gateway.start()
        stop.set()
        thread.join(20)
        assert client.flush(60)
        found = client.counts()
    assert (found.sent, found.refused, found.dropped, found.waiting) == (len(added), 0, 0, 0)
    assert found.retries >= KILLS
    assert sorted(stored(postgres_url, redis_url)) == added


def test_the_example_of_the_docs_runs(door: tuple[str, Callable[[], dict[SeriesKey, list[float]]]]) -> None:
    url, kept = door
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "ingest.md").read_text("utf-8"), re.DOTALL)
    command = [sys.executable, "-c", example, url]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "sent=3, refused=0, dropped=0, waiting=0" in done.stdout
    assert kept() == {
        SeriesKey.of("orders_per_s", {"shop": "berlin"}, "huginn-7", "web-1"): [12.5],
        SeriesKey.of("queue_depth", {"shop": "berlin", "queue": "mail"}, "huginn-7", "web-1"): [3.0],
        SeriesKey.of("response_ms", {"shop": "berlin"}, "huginn-7", "web-1"): [(40 * 12.5 + 7 * 13 + 250) / 48],
    }
