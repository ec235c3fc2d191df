"""The alerter as a process on real servers: it notifies, and loses and doubles nothing through kill -9."""

import copy
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import receivers
from servers import Postgres, Valkey, eventually

from muninn.ingest.buffer.valkey import ValkeyBroker
from muninn.model import SampleBatch, SeriesKey

# Processes that start on a busy machine; each wait has a limit of its own.
pytestmark = pytest.mark.timeout(420)

ROOT = Path(__file__).parents[2]
RULES = """
  - name: queue_long
    metric: queue_depth
    by: [queue]
    window: 10s
    levels:
      - {severity: warning, above: 10, recover: 5}
      - {severity: critical, above: 100, recover: 50}
receivers:
  - {name: hook, type: webhook, url: "%s", secret: shared, timeout: 5s}
routes:
  - {match: {rule: queue_long}, receivers: [hook], group_by: [rule, queue], group_wait: 0s, group_interval: 0s}
"""


# Shipped rules, with less patience.
AWAY = "".join(
    f"""
  - name: muninn_{part}_away
    metric: muninn_part_up
    match: {{part: {part}}}
    by: [part]
    window: 10s
    levels: [{{severity: critical, below: 0.5}}]
"""
    for part in ("postgres", "redis")
)


class Alerter:
    """`muninn alerter` as a child, and samples for it."""

    def __init__(self, folder: Path, database_url: str, redis_url: str, hook: str):
        (folder / "rules").mkdir()
        (folder / "rules" / "own.yaml").write_text("rules:" + RULES % hook)
        self.log = folder / "alerter.log"
        self.broker = ValkeyBroker(redis_url)
        self.number = 1
        self.database_url = database_url
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MUNINN_")}
        self.environ = {
            **kept,
            "MUNINN_HOME": str(folder),
            "MUNINN_DATABASE_URL": database_url,
            "MUNINN_REDIS_URL": redis_url,
            "MUNINN_ALERTING_EVALUATE_S": "0.5",
            "MUNINN_GATEWAY_PORT": "1",
        }
        self.process: subprocess.Popen[bytes] | None = None

    def another(self, number: int) -> "Alerter":
        """One more of the same."""
        made = copy.copy(self)
        made.number, made.process = number, None
        made.log = self.log.with_name(f"alerter-{number}.log")
        return made

    def leads(self) -> int:
        """How often it has taken the lead."""
        return self.log.read_text().count("leads, term") if self.log.exists() else 0

    def start(self, *instead: str) -> None:
        """instead: of the program, for one that differs."""
        command = instead or ("-m", "muninn.run.programs", "alerter", str(self.number))
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, *command],
                cwd=ROOT, env=self.environ, stdout=output, stderr=output,
            )  # fmt: skip

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        assert self.process is not None
        self.process.wait(10)

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def send(self, **depths: float) -> None:
        now_us = time.time_ns() // 1000
        rows = [(SeriesKey.of("queue_depth", {"queue": queue}), now_us, depth) for queue, depth in depths.items()]
        self.broker.append(SampleBatch.of(rows))

    def rows(self, sql: str) -> list[tuple[object, ...]]:
        with psycopg.connect(self.database_url) as connection:
            return connection.execute(sql.encode()).fetchall()

    def end(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(15)

    def close(self) -> None:
        self.end()
        self.broker.close()


@pytest.fixture
def hook() -> Iterator[receivers.Http]:
    with receivers.http() as server:
        yield server


@pytest.fixture
def alerter(tmp_path: Path, postgres_url: str, redis_url: str, hook: receivers.Http) -> Iterator[Alerter]:
    made = Alerter(tmp_path, postgres_url, redis_url, f"{hook.url}/hook")
    yield made
    made.close()


def told(hook: receivers.Http) -> list[tuple[str, str]]:
    """(queue, severity or "resolved") of each distinct message, in order."""
    distinct = {got.headers["idempotency-key"]: got.json for got in hook.got}
    found = []
    for said in distinct.values():
        for alert in said["alerts"]:
            what = alert["severity"] if alert["state"] == "firing" else "resolved"
            found.append((alert["labels"]["queue"], what))
    return found


def holding(alerter: Alerter, hook: receivers.Http, wanted: list[tuple[str, str]], **depths: float) -> None:
    """Keep sending these depths until the receiver knows what is wanted."""

    def known() -> bool:
        alerter.send(**depths)
        return told(hook) == wanted

    eventually(known, 90, f"{wanted} told; so far {told(hook)}; {alerter.log.read_text()[-1500:]}", 0.3)


def test_an_incident_from_start_to_end_with_its_rows(alerter: Alerter, hook: receivers.Http) -> None:
    alerter.start()
    holding(alerter, hook, [("mail", "warning")], mail=20, other=1)
    holding(alerter, hook, [("mail", "warning"), ("mail", "critical")], mail=200, other=1)
    holding(alerter, hook, [("mail", "warning"), ("mail", "critical"), ("mail", "resolved")], mail=0, other=1)
    assert len(set(hook.keys)) == len(hook.keys) == 3
    done = "select state, severity, value, fired_at < resolved_at from alerts where rule = 'queue_long'"
    eventually(lambda: alerter.rows(done) == [("resolved", "critical", 0.0, True)], 60, "the row says so")
    sent = "select why, state, attempts from notifications where receiver = 'hook' order by created_at"
    expected = [("new", "sent", 1), ("change", "sent", 1), ("resolved", "sent", 1)]
    eventually(lambda: alerter.rows(sent) == expected, 60, "the log says so")


def test_kill_9_loses_and_doubles_nothing(alerter: Alerter, hook: receivers.Http) -> None:
    # The first message is read by the receiver, which dies with it in hand: nobody knows whether it went through.
    hook.answer = lambda number: None if number == 0 else (200, {})
    alerter.start()

    def began() -> bool:
        alerter.send(mail=20)
        return bool(hook.got)

    eventually(began, 90, "the first message is under way", 0.3)
    alerter.kill()
    alerter.start()
    holding(alerter, hook, [("mail", "warning")], mail=20)
    eventually(lambda: len(hook.got) == 2, 90, "it is sent again")
    assert len(set(hook.keys)) == 1  # the receiver knows that it is one
    assert hook.got[0].body == hook.got[1].body
    alerter.kill()  # while it fires: the next one goes on with the same alert
    alerter.start()
    holding(alerter, hook, [("mail", "warning"), ("mail", "resolved")], mail=0)
    assert alerter.rows("select count(*) from alerts where rule = 'queue_long'") == [(1,)]
    assert len(set(hook.keys)) == 2


@pytest.mark.parametrize("step", ["after_commit", "before_mark"])
def test_killed_at_each_step_of_a_notification_it_is_told_once(
    alerter: Alerter, hook: receivers.Http, step: str
) -> None:
    """What was decided and not sent is not lost; what was sent and not noted goes out again, the same to the byte."""
    alerter.start(str(ROOT / "tests" / "alerter_victim.py"), step)
    assert alerter.process is not None

    def died() -> bool:
        alerter.send(mail=20)
        return alerter.process is not None and alerter.process.poll() is not None

    eventually(died, 120, f"it comes to that step; {alerter.log.read_text()[-900:]}", 0.3)
    assert alerter.process.returncode == -signal.SIGKILL
    noted = alerter.rows("select notification_key, state from notifications where receiver = 'hook'")
    assert [state for _, state in noted] == ["waiting"]
    assert len(hook.got) == (step == "before_mark")
    alerter.start()
    holding(alerter, hook, [("mail", "warning")], mail=20)
    done = "select notification_key, state from notifications where receiver = 'hook'"
    eventually(lambda: [state for _, state in alerter.rows(done)] == ["sent"], 60, "it is noted, once")
    assert len({got.body for got in hook.got}) == len(set(hook.keys)) == 1
    assert noted[0][0] == hook.keys[0] == alerter.rows(done)[0][0], "the one that was decided before, not another"
    assert len(hook.got) == (2 if step == "before_mark" else 1)


def test_of_two_one_decides_and_the_other_takes_over(alerter: Alerter, hook: receivers.Http) -> None:
    one, two = alerter, alerter.another(2)
    try:
        one.start()
        eventually(lambda: one.leads() == 1, 90, "the first one leads")
        two.start()
        holding(one, hook, [("mail", "warning")], mail=20)
        since = time.monotonic()
        one.kill()
        holding(two, hook, [("mail", "warning"), ("mail", "critical")], mail=200)
        assert two.leads() == 1
        assert time.monotonic() - since < 90
        one.start()
        # One that was taken for dead decides nothing any more, although it never ended.
        two.signal(signal.SIGSTOP)
        eventually(lambda: one.leads() == 2, 90, f"the other takes over; {one.log.read_text()[-900:]}")
        two.signal(signal.SIGCONT)
        holding(one, hook, [("mail", "warning"), ("mail", "critical"), ("mail", "resolved")], mail=0)
        eventually(lambda: "another alerter has taken the lead" in two.log.read_text(), 60, "it stands by")
        one.end()
        eventually(lambda: two.leads() == 2, 60, "an end is no death: the other leads at once")
        assert one.rows("select count(*) from alerts where rule = 'queue_long'") == [(1,)]
        whys = "select why from notifications where receiver = 'hook' order by created_at"
        assert one.rows(whys) == [("new",), ("change",), ("resolved",)]
        assert one.rows("select term from alert_leader") == [(4,)]
    finally:
        two.end()


def test_alerts_go_on_without_postgres_and_without_redis_they_tell_of_it(
    servers: tuple[Postgres, Valkey], tmp_path: Path, hook: receivers.Http
) -> None:
    postgres, valkey = servers
    alerter = Alerter(tmp_path, postgres.url, valkey.url, f"{hook.url}/hook")
    rules = tmp_path / "rules" / "own.yaml"
    text = RULES.replace("{rule: queue_long}", '{rule: "=~queue_long|.*_away"}') % f"{hook.url}/hook"
    rules.write_text("rules:" + AWAY + text)
    alerter.start()
    holding_known(alerter, hook)
    away = ("postgres", "critical")
    with postgres.hanging():  # it takes connections and answers nothing
        eventually(lambda: said(alerter, hook, 20, away), 120, f"it is missed; {alerter.log.read_text()[-900:]}")
        eventually(lambda: said(alerter, hook, 20, ("mail", "warning")), 60, "what is known goes on")
    eventually(lambda: said(alerter, hook, 20, ("postgres", "resolved")), 90, "its end is told")
    count = "select count(*) from alerts where rule in ('queue_long', 'muninn_postgres_away')"
    eventually(lambda: alerter.rows(count) == [(2,)], 30, "what happened meanwhile is kept")
    assert len(set(hook.keys)) == len(hook.keys)
    valkey.kill()
    eventually(lambda: ("redis", "critical") in seen(hook), 90, "Redis is missed")
    valkey.restart()
    eventually(lambda: ("redis", "resolved") in seen(hook), 90, "and found")
    alerter.close()


def holding_known(alerter: Alerter, hook: receivers.Http) -> None:
    """The series is known before PostgreSQL goes: fill the alerter's memory of names."""

    def known() -> bool:
        alerter.send(mail=1)
        return "goes on with" in alerter.log.read_text()

    eventually(known, 90, "the alerter runs", 0.3)
    alerter.send(mail=1)


def seen(hook: receivers.Http) -> set[tuple[str, str]]:
    found = set()
    for got in list(hook.got):
        for alert in got.json["alerts"]:
            name = alert["labels"].get("queue") or alert["labels"]["part"]
            found.add((name, alert["severity"] if alert["state"] == "firing" else "resolved"))
    return found


def said(alerter: Alerter, hook: receivers.Http, depth: float, wanted: tuple[str, str]) -> bool:
    alerter.send(mail=depth)
    return wanted in seen(hook)
