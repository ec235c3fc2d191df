"""Alerts in a store and the API before it, for tests of the page."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from servers import eventually, free_port
from starlette.applications import Starlette

from muninn.alerting.alert import Alert, alert_id_of, fingerprint_of
from muninn.alerting.dispatch import Notification
from muninn.alerting.evaluate import Change
from muninn.alerting.matchers import Matchers
from muninn.alerting.outbox import Outcome
from muninn.alerting.silence import Muted, Silence
from muninn.clock import HOUR_US, MINUTE_US, SECOND_US, SystemClock
from muninn.model import BatchHandle, SampleBatch, SeriesKey
from muninn.operations.alerts.alertmanager import AlertmanagerApi
from muninn.operations.alerts.api import AlertApi
from muninn.operations.alerts.incident_api import IncidentApi
from muninn.operations.alerts.maintenance_api import MaintenanceApi
from muninn.reads.facade import Reads
from muninn.settings import load
from muninn.store.alerts import AlertStore
from muninn.store.database import Database
from muninn.store.writer import StoreWriter


def alert(rule: str, host: str, severity: str, summary: str, ago_us: int, lasted_us: int | None = None) -> Alert:
    """One that fired so long ago; it still does where it has no length."""
    now_us = SystemClock().now_us()
    labels = {"host": host, "metric": "cpu_busy_pct"}
    fingerprint, fired_us = fingerprint_of(rule, labels), now_us - ago_us
    return Alert(
        alert_id_of(fingerprint, fired_us), rule, fingerprint, tuple(sorted(labels.items())), severity,
        "firing" if lasted_us is None else "resolved", 93.0, 90.0, fired_us - MINUTE_US, now_us, fired_us=fired_us,
        resolved_us=None if lasted_us is None else fired_us + lasted_us, summary=summary,
        runbook="docs/runbooks/host_cpu_saturated.md",
    )  # fmt: skip


def fill(database: Database) -> None:
    """Three that fire (one of them silenced), one pending, twelve of the past, a silence, a notify log, samples."""
    store, now_us = AlertStore(database), SystemClock().now_us()
    disk = alert("host_disk_full", "db1", "critical", "/ of db1 is 97% full", 14 * MINUTE_US)
    cpu = alert("host_cpu_saturated", "web1", "warning", "CPU of web1 is 93% busy", 3 * MINUTE_US)
    quiet = alert("host_cpu_saturated", "build1", "warning", "CPU of build1 is 99% busy", 40 * MINUTE_US)
    soon = replace(alert("host_memory_pressure", "web2", "warning", "memory of web2 is 91% in use", 0), state="pending")
    soon = replace(soon, fired_us=None, flapping=False)
    past = [
        alert("host_cpu_saturated", f"web{n % 3}", ("warning", "critical")[n % 2], f"CPU of web{n % 3} is 95% busy",
              (n + 1) * 90 * MINUTE_US, (n % 4 + 1) * 3 * MINUTE_US)
        for n in range(12)
    ]  # fmt: skip
    changes = [Change("fired", each) for each in (disk, cpu, quiet, soon, *past)]
    due = Notification("n1", "pager", "g", {"rule": disk.rule}, "new", (disk,), now_us - 14 * MINUTE_US)
    late = Notification("n2", "chat", "g", {"rule": cpu.rule}, "new", (cpu,), now_us - 3 * MINUTE_US)
    store.commit(changes, [], [due, late])
    store.outcomes([Outcome("n1", "sent", 1, now_us, now_us - 14 * MINUTE_US + 400_000, "")])
    store.outcomes([Outcome("n2", "waiting", 4, now_us, None, "HTTP 503")])
    silence = Silence("", Matchers.of({"host": "=~build.*"}), now_us, now_us + 2 * HOUR_US, "ada", "a large build")
    silence_id = store.save_silence(silence)
    store.mute({quiet.alert_id: Muted("silence", silence_id, silence.ends_us)})
    for number, one in enumerate(past[:4]):
        store.feedback(one.alert_id, number == 0, "ada", "")
    key = SeriesKey.of("cpu_busy_pct", {"host": "web1", "cpu": "total"})
    rows = [(key, now_us - n * 5_000_000, 95.0 if n < 200 else 20.0) for n in range(700)]
    StoreWriter(database).load([BatchHandle("s", "1-1", SampleBatch.of(rows))])


@contextmanager
def api(url: str, home: Path) -> Iterator[int]:
    """The port of a gateway that has the alert API alone."""
    with Database(url, pool_size=4) as database:
        given = load({"MUNINN_HOME": str(home), "MUNINN_DATABASE_URL": url}), database, Reads(database), SystemClock()
        app = Starlette(
            routes=[
                *AlertApi(*given).routes(),
                *IncidentApi(*given[2:]).routes(),
                *MaintenanceApi(given[0], database, given[3]).routes(),
                *AlertmanagerApi(*given).routes(),
            ]
        )
        server = uvicorn.Server(uvicorn.Config(app, port=free_port(), log_level="error", lifespan="off"))
        thread = threading.Thread(target=server.run)
        thread.start()
        eventually(lambda: server.started, 30, "the API answers")
        try:
            yield server.config.port
        finally:
            server.should_exit = True
            thread.join()


class Api:
    """The routes on a port, and the store behind."""

    def __init__(self, url: str, database: Database):
        self.url, self.database = url, database
        self.client = httpx.Client(base_url=url, timeout=30)

    def get(self, path: str, **query: str) -> Any:
        answer = self.client.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, body: Any, status: int = 200) -> Any:
        answer = self.client.post(path, json=body)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None


def fired(api: Api, queue: str = "mail") -> Alert:
    now_us = SystemClock().now_us()
    fingerprint = fingerprint_of("queue_long", {"queue": queue})
    alert = Alert(
        alert_id_of(fingerprint, now_us), "queue_long", fingerprint, (("queue", queue),), "warning", "firing", 20.0,
        10.0, now_us - 60 * SECOND_US, now_us, fired_us=now_us - 30 * SECOND_US, summary="long",
    )  # fmt: skip
    AlertStore(api.database).commit([Change("fired", alert)], [], [])
    return alert
