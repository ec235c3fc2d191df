"""The detector as a process on real servers: it opens one incident, survives kill -9, and closes it."""

import contextlib
import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import receivers
from servers import Postgres, Valkey, eventually

from muninn.cache import RedisScoreLog, connect
from muninn.clock import SystemClock
from muninn.detection import Tuning
from muninn.detection.incidents import Incident, Member
from muninn.detection.watch import Watch
from muninn.errors import Unavailable
from muninn.ingest.buffer.valkey import ValkeyBroker
from muninn.meter import Meter
from muninn.model import SampleBatch, SeriesKey
from muninn.run import lifeline
from muninn.run.detecting import STATE, Detecting
from muninn.settings import Detection
from muninn.store import detector_state
from muninn.store import incidents as stored
from muninn.store.database import Database

# Processes that start on a busy machine; each wait has a limit of its own.
pytestmark = pytest.mark.timeout(420)

ROOT = Path(__file__).parents[2]
KEYS = tuple(SeriesKey.of("memory_used_pct", {"part": str(part)}, "agent", "web-1") for part in range(5))
OTHER = SeriesKey.of("queue_depth", {"queue": "mail"}, "agent", "db-1")
HISTORY_S = 600
WARM_UP_S = 60.0
SETTINGS: dict[str, float] = {"step_s": 1.0, "settle_s": 0.5, "calm_s": 4.0, "warm_up_s": WARM_UP_S}
RULES = """
receivers:
  - {name: hook, type: webhook, url: "%s", secret: shared, timeout: 5s}
routes:
  - {match: {rule: incident}, receivers: [hook], group_by: [incident], group_wait: 0s, group_interval: 0s}
"""


class World:
    """Processes, and a source whose figures can be made bad."""

    def __init__(self, postgres_url: str, redis_url: str, folder: Path):
        self.urls, self.folder = (postgres_url, redis_url), folder
        self.database = Database(postgres_url, pool_size=2).open()
        self.broker = ValkeyBroker(redis_url)
        self.scores = RedisScoreLog(connect(redis_url))
        self.bad, self.other_bad = threading.Event(), threading.Event()
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
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
        keys = (*KEYS, OTHER)
        level = np.full(len(keys), 90.0 if self.bad.is_set() else 40.0)
        level[-1] = 400.0 if self.other_bad.is_set() else 40.0
        value = level + self._random.normal(size=len(keys))
        return SampleBatch(np.full(len(keys), at_us), value, np.arange(len(keys), dtype=np.int32), keys)

    def launch(self, program: str = "detector") -> None:
        database_url, redis_url = self.urls
        environ = {
            "MUNINN_HOME": str(self.folder),
            "MUNINN_DATABASE_URL": database_url,
            "MUNINN_REDIS_URL": redis_url,
            "MUNINN_BUFFER_LIVE_S": "5",
            "MUNINN_ALERTING_EVALUATE_S": "0.5",
            "MUNINN_GATEWAY_PORT": "1",
            **{f"MUNINN_DETECTION_{name.upper()}": f"{value:g}" for name, value in SETTINGS.items()},
        }
        kept = {key: value for key, value in os.environ.items() if not key.startswith("MUNINN_")}
        with (self.folder / f"{program}.log").open("ab") as log:
            self.processes[program] = subprocess.Popen(
                [sys.executable, "-m", "muninn.run.programs", program],
                env={**kept, **environ},
                cwd=ROOT,
                stdout=log,
                stderr=log,
                preexec_fn=lifeline.dying_with_me(),
            )

    def kill(self, program: str = "detector") -> None:
        self.processes[program].kill()
        self.processes[program].wait(10)

    def end(self) -> int:
        self.processes["detector"].terminate()
        return self.processes["detector"].wait(30)

    def log(self, program: str = "detector") -> str:
        return (self.folder / f"{program}.log").read_text()

    def rows(self) -> list[Any]:
        return self.database.fetch("reads_incidents", since_us=0, until_us=2**60, state="all", most=100)

    def _feed(self) -> None:
        while not self._stop.wait(0.5):
            with contextlib.suppress(Unavailable):
                self.broker.append(self.batch(time.time_ns() // 1000))

    def __enter__(self) -> "World":
        self.learn()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        for program, process in self.processes.items():
            if process.poll() is None:
                self.kill(program)
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


def told(hook: receivers.Http) -> list[tuple[str, str]]:
    """(incident, state) of each distinct message, in order."""
    distinct = {got.headers["idempotency-key"]: got.json for got in hook.got}
    return [(alert["labels"]["incident"], alert["state"]) for said in distinct.values() for alert in said["alerts"]]


def test_kill_9_amid_an_incident_is_told_once_and_what_came_meanwhile_is_judged(world: World) -> None:
    """Nothing is left of what came in the buffer: it is read from the store."""
    with receivers.http() as hook:
        (world.folder / "rules").mkdir()
        (world.folder / "rules" / "own.yaml").write_text(RULES % f"{hook.url}/hook")
        for program in ("loader", "alerter", "detector"):
            world.launch(program)
        eventually(lambda: world.scores.last_id() != "0-0", 90, "the detector judges")
        world.bad.set()
        eventually(lambda: len(told(hook)) == 1, 90, f"the incident is told; {world.log('alerter')[-900:]}")
        (first,) = world.rows()
        world.kill()
        died_us = time.time_ns() // 1000

        world.other_bad.set()
        eventually(lambda: time.time_ns() // 1000 > died_us + 6_000_000, 60, "another place is ill for six seconds")
        world.other_bad.clear()
        well_us = time.time_ns() // 1000

        def gone() -> bool:
            oldest = world.broker.first_id()
            return oldest is not None and int(oldest.partition("-")[0]) > well_us // 1000 + 500

        eventually(gone, 90, "the buffer has nothing of it any more")
        world.launch()
        eventually(lambda: len(world.rows()) == 2, 90, f"what came meanwhile is judged; {world.log()[-900:]}")
        world.bad.clear()
        eventually(lambda: all(row.closed_us for row in world.rows()), 90, "both are over")
        eventually(lambda: len(told(hook)) >= 2, 90, f"and that is told; {world.log('alerter')[-900:]}")

        def open_alerts() -> list[Any]:
            return [row for row in world.database.fetch("alert_open") if row.rule == "incident"]

        eventually(lambda: not open_alerts(), 90, "no incident's alert is open")
    second, again = sorted(world.rows(), key=lambda row: row.incident_id == first.incident_id)
    assert (again.incident_id, again.opened_us) == (first.incident_id, first.opened_us)
    assert again.series_count == len(KEYS)
    assert died_us < second.opened_us < well_us + 2_000_000, "it began while nobody ran"
    assert second.closed_us < well_us + 8_000_000, "and ended when it did"
    assert second.title.startswith("queue_depth")
    # Nobody is told twice, and nobody of what was over before anybody could be told.
    assert told(hook) == [(str(first.incident_id), "firing"), (str(first.incident_id), "resolved")]


class Inside:
    """A detector in this process, turned by hand."""

    def __init__(self, world: World, **options: float):
        self.database = Database(world.urls[0], pool_size=1, connect_timeout_s=1.0).open()
        self.broker = ValkeyBroker(world.urls[1])
        config = Detection.model_validate({**SETTINGS, **options})
        self.it = Detecting(config, self.broker, world.scores, self.database, SystemClock(), Meter())
        self.it.restore()

    def until(self, check: Callable[[], object], what: str) -> None:
        """Turn it until that is so."""

        def turned() -> bool:
            self.it.turn()
            return bool(check())

        eventually(turned, 90, what)

    def __enter__(self) -> "Inside":
        return self

    def __exit__(self, *_: object) -> None:
        self.database.close()
        self.broker.close()


def test_without_postgres_it_finds_and_tells_and_keeps_it_later(
    servers: tuple[Postgres, Valkey], tmp_path: Path
) -> None:
    postgres, valkey = servers
    with World(postgres.url, valkey.url, tmp_path) as world, Inside(world) as inside:
        detecting = inside.it
        begun_us = detecting.watch.steps.until_us
        inside.until(lambda: detecting.watch.steps.until_us > begun_us, "it judges")
        postgres.kill()
        world.bad.set()
        inside.until(lambda: detecting.incidents.open, "it finds an incident without PostgreSQL")
        (found,) = detecting.incidents.open
        said = [handle.batch for handle in world.scores.follow("0-0", 0)]
        assert any((batch.score > 0.8).any() for batch in said), "and tells its scores"
        detecting.save()
        postgres.restart()
        inside.until(world.rows, "what it found is kept when PostgreSQL is back")
        assert [row.incident_id for row in world.rows()] == [found]
        detecting.save()
        assert detector_state.load(world.database, STATE) is not None
        world.bad.clear()
        inside.until(lambda: world.rows()[0].closed_us, "it is over")


def test_without_redis_it_waits_and_goes_on(servers: tuple[Postgres, Valkey], tmp_path: Path) -> None:
    postgres, valkey = servers
    with World(postgres.url, valkey.url, tmp_path) as world, Inside(world) as inside:
        detecting = inside.it
        world.bad.set()
        inside.until(world.rows, "an incident is open")
        valkey.kill()
        before_us = detecting.watch.steps.until_us
        for _ in range(3):
            detecting.turn()
        assert detecting.watch.steps.until_us == before_us, "nothing comes, nothing is judged"
        valkey.restart()
        inside.until(lambda: detecting.watch.steps.until_us > before_us, "it judges again")
        assert len(world.rows()) == 1
        assert world.rows()[0].closed_us is None
        world.bad.clear()
        inside.until(lambda: world.rows()[0].closed_us, "the incident that was open is over")


def test_an_incident_ends_though_its_series_find_no_place_any_more(world: World) -> None:
    now_us = time.time_ns() // 1000
    members = {key: Member(key, now_us, peak_us=now_us, score=0.9) for key in KEYS[3:]}
    stored.save(world.database, [Incident(uuid.uuid4(), now_us, joined_us=now_us, members=members)])
    with Inside(world, max_series=2) as inside:
        inside.until(lambda: world.rows()[0].closed_us, "nobody watches what it is about")
        assert len(inside.it.watch) == 2
        inside.it.save()
    with Inside(world) as inside:
        assert inside.it.modelling.places._minute > 0, "the trends of places go on"
