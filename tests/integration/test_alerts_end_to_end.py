"""From samples to the receiver through the real programs, which are killed, and whose servers go away."""

import asyncio
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np
import orjson
import pytest
import receivers
import websockets
from programs import Programs
from servers import Postgres, Valkey, eventually, free_port

from muninn.alerting.book import maintenance_of
from muninn.cache import RedisScoreLog, connect
from muninn.detection import Tuning
from muninn.detection.watch import Watch
from muninn.ingest.buffer.valkey import ValkeyBroker
from muninn.model import SampleBatch, SeriesKey
from muninn.run.detecting import STATE
from muninn.store import detector_state, maintenance
from muninn.store.database import Database
from muninn.store.migrations import migrate

# Programs that start on a busy machine; each wait has a limit of its own.
pytestmark = pytest.mark.timeout(600)

PARTS = tuple(SeriesKey.of("memory_used_pct", {"part": str(part)}, "agent", "web-1") for part in range(5))
HISTORY_S = 600
WARM_UP_S = 60.0
DETECTION = {
    "DETECTION_STEP_S": "1",
    "DETECTION_SETTLE_S": "0.5",
    "DETECTION_CALM_S": "6",
    "DETECTION_WARM_UP_S": str(WARM_UP_S),
    "ALERTING_EVALUATE_S": "0.5",
}
TO_HOOK = """
receivers: [{{name: hook, type: webhook, url: "{url}"}}]
routes:
  - {{match: {{rule: "=~incident|anomaly"}}, receivers: [hook], group_by: [incident],
     group_wait: 0s, group_interval: 0s}}
"""
# Rules that come with Muninn, with less patience, and one on a queue.
OWN_TROUBLE = """
rules:
  - {{name: muninn_program_silent, kind: absence, metric: muninn_process_resident_bytes, by: [program],
     levels: [{{severity: warning, above: 15s}}], forget: 1h}}
  - {{name: muninn_postgres_away, metric: muninn_part_up, match: {{part: postgres}}, by: [part], window: 10s,
     levels: [{{severity: critical, below: 0.5}}]}}
  - {{name: muninn_redis_away, metric: muninn_part_up, match: {{part: redis}}, by: [part], window: 10s,
     levels: [{{severity: critical, below: 0.5}}]}}
  - {{name: queue_long, metric: queue_depth, by: [queue], window: 10s, levels: [{{severity: warning, above: 10}}]}}
receivers: [{{name: file, type: log, path: "{path}"}}]
routes:
  - {{match: {{rule: "=~muninn_.*_(silent|away)|queue_long"}}, receivers: [file],
     group_by: [rule, part, program, queue], group_wait: 0s, group_interval: 0s}}
"""


class Source:
    """Five series of one host that are fine until `bad` is set; sent twice a second."""

    def __init__(self, redis_url: str):
        self.bad = Event()
        self._broker, self._stop = ValkeyBroker(redis_url), Event()
        self._random = np.random.default_rng(0)
        self._thread = Thread(target=self._feed)

    def learn(self, database: Database) -> None:
        """What a detector knows that has watched for ten minutes, as it would have saved it."""
        watch = Watch(step_s=1.0, max_series=100, tuning=Tuning(warm_up_s=WARM_UP_S))
        start_us = time.time_ns() // 1000 - HISTORY_S * 1_000_000
        for second in range(HISTORY_S):
            watch.take(self._batch(start_us + second * 1_000_000))
            watch.judge(start_us + second * 1_000_000)
        detector_state.save(database, STATE, watch.to_bytes(), start_us)

    def _batch(self, at_us: int) -> SampleBatch:
        value = (90.0 if self.bad.is_set() else 40.0) + self._random.normal(size=len(PARTS))
        return SampleBatch(np.full(len(PARTS), at_us), value, np.arange(len(PARTS), dtype=np.int32), PARTS)

    def _feed(self) -> None:
        while not self._stop.wait(0.5):
            self._broker.append(self._batch(time.time_ns() // 1000))

    def __enter__(self) -> "Source":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._broker.close()


@pytest.fixture
def programs(tmp_path: Path, postgres_url: str, redis_url: str) -> Iterator[Programs]:
    (tmp_path / "rules").mkdir()
    made = Programs(tmp_path, postgres_url, redis_url, **DETECTION, SIDECAR_PORT=str(free_port()), GATEWAY_PORT="1")
    yield made
    made.end()


def judged_on(redis_url: str, times: int) -> Callable[[], bool]:
    """Whether the detector has judged so often since now."""
    scores = RedisScoreLog(connect(redis_url))
    seen = {scores.last_id()}

    def has() -> bool:
        seen.add(scores.last_id())
        return len(seen) > times

    return has


def test_a_detector_killed_in_the_middle_of_an_incident_neither_doubles_nor_loses_a_message(
    programs: Programs, postgres_url: str, redis_url: str
) -> None:
    with receivers.http() as hook, Source(redis_url) as source, Database(postgres_url, pool_size=1) as database:
        source.learn(database)
        (programs.home / "rules" / "own.yaml").write_text(TO_HOOK.format(url=hook.url))
        programs.start("detector", "alerter")
        eventually(lambda: "leads, term" in programs.log("alerter"), 120, "the alerter leads")
        eventually(judged_on(redis_url, 2), 120, "the detector judges")
        source.bad.set()
        eventually(lambda: bool(hook.got), 120, f"the incident is told; {programs.log('detector')[-500:]}")
        programs.kill("detector")
        programs.start("detector")
        eventually(judged_on(redis_url, 6), 120, "the next detector judges, and finds the same thing wrong")
        assert [got.json["why"] for got in hook.got] == ["new"]
        programs.kill("detector")
        programs.kill("alerter")
        programs.start("alerter", "detector")
        eventually(judged_on(redis_url, 6), 120, "both are others now")
        assert len(set(hook.keys)) == len(hook.keys) == 1, "one incident, one message"
        source.bad.clear()
        eventually(lambda: len(hook.got) == 2, 120, "its end is told")
        begun, ended = (got.json["alerts"][0] for got in hook.got)
        assert (begun["state"], ended["state"]) == ("firing", "resolved")
        assert begun["id"] == ended["id"]
        assert len(database.fetch("reads_incidents", since_us=0, until_us=2**60, state="all", most=9)) == 1


def test_open_alerts_reach_a_websocket_client_through_the_sidecar(
    programs: Programs, redis_url: str, tmp_path: Path
) -> None:
    """A client of another make: what docs/stream-protocol.md says is enough to follow the channel `alerts`."""
    (tmp_path / "rules" / "own.yaml").write_text(
        "rules: [{name: queue_long, metric: queue_depth, by: [queue], window: 10s,"
        " levels: [{severity: critical, above: 10}]}]\n"
    )
    programs.start("alerter", "sidecar")
    broker = ValkeyBroker(redis_url)
    depth = {"mail": 50.0}

    def send() -> None:
        now_us = time.time_ns() // 1000
        broker.append(
            SampleBatch.of([(SeriesKey.of("queue_depth", {"queue": q}), now_us, v) for q, v in depth.items()])
        )

    async def follow(url: str) -> list[float]:
        states, named = list[float](), dict[int, dict[str, Any]]()
        async with asyncio.timeout(180), websockets.connect(url) as socket:
            await socket.send('{"op": "subscribe", "id": "a", "channel": "alerts"}')
            while 0.0 not in states:
                send()
                for frame in await frames(socket):
                    named |= {series["ref"]: series["labels"] for series in frame.get("series", ())}
                    for ref, _, values in frame.get("points", ()):
                        if named[ref]["rule"] == "queue_long":
                            assert (named[ref]["queue"], named[ref]["severity"]) == ("mail", "critical")
                            states += values
                            depth["mail"] = 0.0
        return states

    url = f"ws://127.0.0.1:{programs.environ['MUNINN_SIDECAR_PORT']}/stream"
    try:
        eventually(lambda: reachable(url), 120, f"the sidecar listens; {programs.log('sidecar')[-500:]}")
        states = asyncio.run(follow(url))
    finally:
        broker.close()
    assert 2.0 in states
    assert states[-1] == 0.0


async def frames(socket: websockets.ClientConnection) -> list[dict[str, Any]]:
    """What came within a moment: a frame, or several at once."""
    try:
        found = orjson.loads(await asyncio.wait_for(socket.recv(), 0.5))
    except TimeoutError:
        return []
    return found if isinstance(found, list) else [found]


def reachable(url: str) -> bool:
    async def once() -> None:
        async with websockets.connect(url):
            pass

    try:
        asyncio.run(once())
    except OSError:
        return False
    return True


class Told:
    """What stands in the log file."""

    def __init__(self, path: Path):
        self.path = path

    def __call__(self, rule: str, state: str = "firing", **labels: str) -> bool:
        return any(
            (alert["rule"], alert["state"]) == (rule, state) and labels.items() <= alert["labels"].items()
            for alert in self.alerts()
        )

    def alerts(self) -> list[dict[str, Any]]:
        lines = self.path.read_bytes().splitlines() if self.path.exists() else []
        return [alert for line in lines for alert in orjson.loads(line)["alerts"]]

    def keys(self) -> list[str]:
        return [orjson.loads(line)["key"] for line in self.path.read_bytes().splitlines()]


def test_muninns_own_trouble_is_told_in_the_log_file_and_what_is_known_goes_on(tmp_path: Path) -> None:
    postgres, valkey = Postgres(), Valkey()
    told = Told(tmp_path / "alerts.ndjson")
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "own.yaml").write_text(OWN_TROUBLE.format(path=told.path))
    programs = None
    try:
        postgres.start()
        valkey.start()
        with Database(postgres.url, pool_size=1) as database:
            migrate(database)
            everything = {"name": "move", "match": {"queue": "moved"}, "at": "00:00", "duration": "2d"}
            maintenance.save(database, maintenance_of(everything), everything, "ada")
        programs = Programs(
            tmp_path, postgres.url, valkey.url, GATEWAY_PORT=str(free_port()), ALERTING_EVALUATE_S="0.5",
            COLLECTOR_INTERVAL_S="2",
        )  # fmt: skip
        programs.start("gateway", "loader", "collector", "alerter")
        trouble(programs, postgres, valkey, told)
    finally:
        if programs is not None:
            programs.end()
        postgres.close()
        valkey.close()


def trouble(programs: Programs, postgres: Postgres, valkey: Valkey, told: Told) -> None:
    broker = ValkeyBroker(valkey.url)

    def send(depth: float) -> bool:
        now_us = time.time_ns() // 1000
        rows = [(SeriesKey.of("queue_depth", {"queue": queue}), now_us, depth) for queue in ("mail", "moved")]
        broker.append(SampleBatch.of(rows))
        return True

    def after(depth: float, rule: str, state: str = "firing", **labels: str) -> None:
        eventually(
            lambda: send(depth) and told(rule, state, **labels), 150,
            f"{rule} {state} {labels}; {programs.log('alerter')[-800:]}", 0.3,
        )  # fmt: skip

    with Database(postgres.url, pool_size=1) as database:
        known = "muninn_process_resident_bytes"
        eventually(lambda: send(1) and series_known(database, known, "loader"), 150, "the loader is heard of", 0.5)
    programs.kill("loader")  # an absence
    after(1, "muninn_program_silent", program="loader")
    programs.start("loader")
    after(1, "muninn_program_silent", "resolved", program="loader")
    postgres.kill()  # a threshold, on a series of Muninn's own
    after(1, "muninn_postgres_away", part="postgres")
    after(50, "queue_long", queue="mail")
    postgres.restart()
    after(50, "muninn_postgres_away", "resolved")
    broker.close()
    valkey.kill()
    eventually(lambda: told("muninn_redis_away"), 150, "Redis is missed")
    valkey.restart()
    eventually(lambda: told("muninn_redis_away", "resolved"), 150, "and found")
    assert not any(alert["labels"].get("queue") == "moved" for alert in told.alerts()), "it is under maintenance"
    assert len(set(told.keys())) == len(told.keys())


def series_known(database: Database, metric: str, program: str) -> bool:
    return any(
        row.metric_name == metric and row.tags.get("program") == program
        for row in database.fetch("alert_series", metrics=[metric], since=datetime(2020, 1, 1, tzinfo=UTC))
    )
