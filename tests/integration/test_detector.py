"""The detector as a process on real servers: it opens one incident, survives kill -9, and closes it."""

import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from servers import eventually

from muninn.cache import RedisScoreLog, connect
from muninn.detection import Tuning
from muninn.detection.watch import Watch
from muninn.ingest.buffer.valkey import ValkeyBroker
from muninn.model import SampleBatch, SeriesKey
from muninn.run import lifeline
from muninn.run.detecting import STATE
from muninn.store import detector_state
from muninn.store import incidents as stored
from muninn.store.database import Database

ROOT = Path(__file__).parents[2]
KEYS = tuple(SeriesKey.of("memory_used_pct", {"part": str(part)}, "agent", "web-1") for part in range(5))
HISTORY_S = 600
WARM_UP_S = 60.0


class World:
    """A detector process, and a source whose figures can be made bad."""

    def __init__(self, postgres_url: str, redis_url: str, folder: Path):
        self.urls, self.folder = (postgres_url, redis_url), folder
        self.database = Database(postgres_url, pool_size=2).open()
        self.broker = ValkeyBroker(redis_url)
        self.scores = RedisScoreLog(connect(redis_url))
        self.bad = threading.Event()
        self.process: subprocess.Popen[bytes] | None = None
        self._stop = threading.Event()
        self._random = np.random.default_rng(0)
        self._thread = threading.Thread(target=self._feed)

    def learn(self) -> None:
        """What a detector knows that has watched for ten minutes, as it would have saved it."""
        watch = Watch(step_s=1.0, max_series=100, tuning=Tuning(warm_up_s=WARM_UP_S))
        start_us = time.time_ns() // 1000 - HISTORY_S * 1_000_000
        for second in range(HISTORY_S):
            watch.take(self.batch(start_us + second * 1_000_000))
            watch.judge(start_us + second * 1_000_000)
        detector_state.save(self.database, STATE, watch.to_bytes(), start_us)

    def batch(self, at_us: int) -> SampleBatch:
        level = 90.0 if self.bad.is_set() else 40.0
        value = level + self._random.normal(size=len(KEYS))
        return SampleBatch(np.full(len(KEYS), at_us), value, np.arange(len(KEYS), dtype=np.int32), KEYS)

    def launch(self) -> None:
        database_url, redis_url = self.urls
        environ = {
            "MUNINN_DATABASE_URL": database_url,
            "MUNINN_REDIS_URL": redis_url,
            "MUNINN_DETECTION_STEP_S": "1",
            "MUNINN_DETECTION_SETTLE_S": "0.5",
            "MUNINN_DETECTION_CALM_S": "4",
            "MUNINN_DETECTION_WARM_UP_S": str(WARM_UP_S),
        }
        kept = {key: value for key, value in os.environ.items() if not key.startswith("MUNINN_")}
        with (self.folder / "detector.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "muninn.run.programs", "detector"],
                env={**kept, **environ},
                cwd=ROOT,
                stdout=log,
                stderr=log,
                preexec_fn=lifeline.dying_with_me(),
            )

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    def end(self) -> int:
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(30)

    def rows(self) -> list[Any]:
        return self.database.fetch("reads_incidents", since_us=0, until_us=2**60, state="all", most=100)

    def _feed(self) -> None:
        while not self._stop.wait(0.5):
            self.broker.append(self.batch(time.time_ns() // 1000))

    def __enter__(self) -> "World":
        self.learn()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        if self.process is not None and self.process.poll() is None:
            self.kill()
        self.broker.close()
        self.database.close()


@pytest.fixture
def world(postgres_url: str, redis_url: str, tmp_path: Path) -> Iterator[World]:
    with World(postgres_url, redis_url, tmp_path) as made:
        yield made


def test_an_incident_survives_kill_9_once_and_whole(world: World) -> None:
    world.launch()
    eventually(lambda: world.scores.last_id() != "0-0", 60, "the detector judges")
    assert world.rows() == []
    world.bad.set()
    eventually(lambda: len(world.rows()) == 1, 60, "an incident is open")
    (first,) = world.rows()
    world.kill()
    world.launch()
    before = world.scores.last_id()
    eventually(lambda: world.scores.last_id() != before, 60, "the next detector judges")
    world.bad.clear()
    eventually(lambda: world.rows()[0].closed_us is not None, 60, "the incident is over")
    (last,) = world.rows()
    assert last.incident_id == first.incident_id
    assert last.series_count == len(KEYS)
    assert last.causes[0]["name"] == "memory pressure"
    assert last.causes[0]["runbook"] == "memory-pressure"
    told = [handle.batch for handle in world.scores.follow("0-0", 0)]
    assert any((batch.score > 0.8).any() for batch in told)
    assert world.end() == 0
    found = detector_state.load(world.database, STATE)
    assert found is not None
    assert found[1] > last.closed_us, "it saved at its end"


def test_a_fault_that_began_while_no_detector_ran_is_found(world: World) -> None:
    world.launch()
    eventually(lambda: world.scores.last_id() != "0-0", 60, "the detector judges")
    world.kill()
    world.bad.set()
    world.launch()
    eventually(lambda: len(world.rows()) == 1, 60, "an incident is open")
    (row,) = world.rows()
    opened = stored.load_open(world.database)
    assert [incident.incident_id for incident in opened] == [uuid.UUID(str(row.incident_id))]
    assert {key.canonical for key in opened[0].members} <= {key.canonical for key in KEYS}
    assert all(member.track for member in opened[0].members.values())
