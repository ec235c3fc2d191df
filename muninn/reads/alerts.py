"""Alerts for people: what is open, what was, silences, the notify log, how each rule did.

Belongs here: these questions. Does not: judging (alerting), changing anything (operations.alerts).
"""

import uuid
from dataclasses import dataclass
from typing import Any

from muninn.alerting.book import rule_of
from muninn.alerting.noise import Record
from muninn.alerting.rules import Rule
from muninn.alerting.silence import Silence
from muninn.errors import Invalid
from muninn.model import Window
from muninn.model.window import as_datetime
from muninn.reads.asking import Asker
from muninn.store.alerts import silence_of

STATES = ("pending", "firing", "resolved")
OPEN = ("pending", "firing")
MAX_ALERTS = 5_000


@dataclass(frozen=True)
class AlertRow:
    """One alert. Instants in epoch milliseconds, None until they happen. labels: those of its series or group
    (series_labels) and those that its rule adds.

    muted_by: "silence", "maintenance", "inhibition" or "" where it is told. useful: what people said, or None.
    annotations, source_url: of one from outside, all that came with it, and where it was made.
    """

    alert_id: str
    rule: str
    fingerprint: str
    labels: dict[str, str]
    series_labels: dict[str, str]
    severity: str
    state: str
    origin: str
    value: float | None
    limit: float | None
    summary: str
    description: str
    runbook: str
    no_data: bool
    flapping: bool
    started_ms: int
    fired_ms: int | None
    resolved_ms: int | None
    ends_ms: int | None
    at_ms: int
    muted_by: str
    muted_which: str
    muted_until_ms: int | None
    acknowledged_ms: int | None
    acknowledged_by: str
    useful: bool | None
    feedback_by: str
    feedback_note: str
    annotations: dict[str, str]
    source_url: str

    @property
    def all_labels(self) -> dict[str, str]:
        """What matchers of silences and routes see."""
        return {**self.labels, "rule": self.rule, "severity": self.severity}


@dataclass(frozen=True)
class NotificationRow:
    """One line of the notify log; state "waiting", "sent" or "failed"."""

    key: str
    receiver: str
    why: str
    state: str
    attempts: int
    last_error: str
    created_ms: int
    sent_ms: int | None
    next_ms: int
    alert_count: int
    summary: str


@dataclass(frozen=True)
class EvaluationRow:
    """How a rule did in one hour."""

    rule: str
    hour_ms: int
    evaluations: int
    instances: int
    fired: int
    resolved: int
    seconds: float


@dataclass(frozen=True)
class AlertPage:
    """Alerts, newest first. older: what `before` takes to go on from the last of them; None: there are no others."""

    alerts: list[AlertRow]
    older: str | None


@dataclass(frozen=True)
class LogPage:
    """Lines of the notify log, newest first. older: as of AlertPage."""

    notifications: list[NotificationRow]
    older: str | None


def alerts(
    ask: Asker,
    states: tuple[str, ...],
    since_us: int,
    rule: str | None = None,
    max_alerts: int = 500,
    before: str | None = None,
) -> AlertPage:
    """Alerts in these states, newest first; `since`: for those that are over, their end. before: an AlertPage's older.

    One that fires while somebody pages on is on no page before it: it is newer than all of them.
    """  # fmt: skip
    unknown = sorted(set(states) - set(STATES))
    if unknown:
        raise Invalid(f"state: {', '.join(STATES)}, not {unknown[0]!r}", "state")
    if not 1 <= max_alerts <= MAX_ALERTS:
        raise Invalid(f"limit: from 1 to {MAX_ALERTS}", "limit")
    before_us, after_id = _place(before)
    if after_id is not None:
        after_id = _uuid(after_id)
    rows = ask.fetch(
        "reads_alerts", states=list(states), since=as_datetime(since_us), rule=rule, max_alerts=max_alerts + 1,
        before_us=before_us, after_id=after_id,
    )  # fmt: skip
    found = [_alert(row) for row in rows[:max_alerts]]
    last = rows[max_alerts - 1] if len(rows) > max_alerts else None
    return AlertPage(found, last and f"{last.started_us if last.fired_us is None else last.fired_us}:{last.alert_id}")


def silences(ask: Asker, since_us: int) -> list[Silence]:
    """Silences that end after an instant: with now those that hold or will, with an earlier one past ones too."""
    return [silence_of(row) for row in ask.fetch("silence_list", since=as_datetime(since_us))]


def notifications(ask: Asker, since_us: int, max_rows: int = 200, before: str | None = None) -> LogPage:
    """The notify log, newest first. before: a LogPage's older."""
    if not 1 <= max_rows <= MAX_ALERTS:
        raise Invalid(f"limit: from 1 to {MAX_ALERTS}", "limit")
    before_us, after_id = _place(before)
    rows = ask.fetch(
        "reads_notifications", since=as_datetime(since_us), max_rows=max_rows + 1, before_us=before_us,
        after_id=after_id,
    )  # fmt: skip
    found = [
        NotificationRow(
            row.notification_key, row.receiver, row.why, row.state, row.attempts, row.last_error,
            row.created_us // 1000, _ms(row.sent_us), row.next_us // 1000, row.alert_count, row.summary or "",
        )
        for row in rows[:max_rows]
    ]  # fmt: skip
    last = rows[max_rows - 1] if len(rows) > max_rows else None
    return LogPage(found, last and f"{last.created_us}:{last.notification_key}")


def records(ask: Asker, window: Window) -> list[Record]:
    """What became of each rule's alerts that fired in the window, the busiest first."""
    rows = ask.fetch("reads_alert_record", since=window.since, until=window.until)
    return [Record(*row) for row in rows]


def evaluations(ask: Asker, window: Window) -> list[EvaluationRow]:
    """How rules did, by rule and hour."""
    rows = ask.fetch("reads_alert_evaluations", since=window.since, until=window.until)
    return [EvaluationRow(row.rule, row.hour_us // 1000, *row[2:]) for row in rows]


def rules(ask: Asker) -> dict[str, Rule]:
    """Rules made through the API; those in files are the alerter's."""
    return {row.name: rule_of(row.body) for row in ask.fetch("alert_rules_list")}


def _alert(row: Any) -> AlertRow:
    given = row._asdict()
    for name in ("started", "fired", "resolved", "ends", "at", "muted_until", "acknowledged"):
        given[f"{name}_ms"] = _ms(given.pop(f"{name}_us"))
    return AlertRow(limit=given.pop("limit_value"), **given)


def _place(before: str | None) -> tuple[int | None, str | None]:
    """(microseconds, id) behind which a page begins."""
    if before is None:
        return None, None
    at_us, colon, ident = before.partition(":")
    if not (colon and ident and at_us.isascii() and at_us.isdigit() and len(at_us) < 18):
        raise Invalid("before: what `older` of the page before said", "before")
    return int(at_us), ident


def _uuid(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise Invalid("before: what `older` of the page before said", "before") from None


def _ms(at_us: int | None) -> int | None:
    return None if at_us is None else at_us // 1000
