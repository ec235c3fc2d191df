"""Alerts in PostgreSQL: their state, the notification outbox, silences, rules made through the API, feedback.

Belongs here: rows to values of muninn.alerting and back. Does not: what an alert is, who is told, sending.
"""

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import orjson

from muninn.alerting.alert import Alert
from muninn.alerting.dispatch import Notification, Told
from muninn.alerting.evaluate import Change
from muninn.alerting.matchers import Matchers, alertmanager_matcher, to_alertmanager
from muninn.alerting.outbox import Outcome, Waiting
from muninn.alerting.silence import Maintenance, Muted, Silence
from muninn.alerting.standing import Cause, Standing
from muninn.errors import Invalid, Unavailable
from muninn.model import SeriesKey, Window
from muninn.model.scores import ScoreHandle
from muninn.model.window import as_datetime
from muninn.store import alert_lead, maintenance, score_history
from muninn.store.database import Database, Transaction


@dataclass(frozen=True)
class Kept:
    """What an alerter goes on with. changes: fingerprint -> when it came or went lately, microseconds."""

    open: tuple[Alert, ...]
    ended: tuple[Alert, ...]
    told: Mapping[tuple[str, str], Told]
    changes: Mapping[str, Sequence[int]]
    waiting: tuple[Waiting, ...]


@dataclass(frozen=True)
class Evaluated:
    """How a rule did since the last time it was told."""

    rule: str
    at_us: int
    evaluations: int
    instances: int
    fired: int
    resolved: int
    seconds: float


class AlertStore:
    """Safe for many threads. Every method raises Unavailable while the database is away.

    term: of an alerter, under which it decides (None: it has none yet). Superseded where that is over.
    """

    def __init__(self, database: Database, term: Callable[[], int | None] | None = None):
        self._database, self._term = database, term

    def load(self, now_us: int, ends_s: float, changes_s: float) -> Kept:
        """Everything as of one instant: ends of the last ends_s seconds, comings and goings of the last changes_s."""
        ended_since, changed_since = (as_datetime(now_us) - timedelta(seconds=span) for span in (ends_s, changes_s))
        with self._database.snapshot(statement_timeout_s=None) as seen:
            return Kept(
                tuple(_alert(row) for row in seen.fetch("alert_open")),
                tuple(_alert(row) for row in seen.fetch("alert_recent_ends", since=ended_since)),
                {told.key: told for told in map(_told, seen.fetch("alert_groups"))},
                {row.fingerprint: tuple(row.instants) for row in seen.fetch("alert_changes", since=changed_since)},
                tuple(_waiting(row) for row in seen.fetch("notify_waiting")),
            )

    def commit(self, changes: Sequence[Change], told: Iterable[Told], due: Sequence[Notification]) -> None:
        """Alerts as they are now and the notifications about it, in one transaction: both are kept, or neither."""
        gone = [change.alert.alert_id for change in changes if change.what == "dropped" and not change.alert.fired_us]
        kept = {change.alert.alert_id: change.alert for change in changes if change.alert.alert_id not in gone}
        groups = [_told_row(each) for each in told]
        with self._database.transaction() as transaction:
            self._check_term(transaction)
            if kept:
                transaction.execute("alert_save", alerts=_json([row_of(alert) for alert in kept.values()]))
            if gone:
                transaction.execute("alert_forget", alert_ids=gone)
            if groups:
                transaction.execute("alert_save_groups", groups=_json(groups))
            if due:
                transaction.execute("notify_add", notifications=_json([_notification_row(each) for each in due]))

    def _check_term(self, transaction: Transaction) -> None:
        if self._term is not None:
            term = self._term()
            if term is None:
                raise Unavailable("the lead among alerters is not taken yet")
            alert_lead.check(transaction, term)

    def save(self, alerts: Sequence[Alert]) -> None:
        """Alerts that came from outside."""
        if alerts:
            self._database.execute("alert_save", alerts=_json([row_of(alert) for alert in alerts]))

    def outcomes(self, outcomes: Sequence[Outcome]) -> None:
        """What became of notifications; one that is sent stays sent."""
        if outcomes:
            self._database.execute("notify_done", outcomes=_json([vars(outcome) for outcome in outcomes]))

    def mute(self, muted: Mapping[str, Muted]) -> None:
        """Why open alerts are not told now."""
        rows = [
            {"alert_id": alert_id, "muted_by": why.by, "muted_which": why.which, "until_us": why.until_us}
            for alert_id, why in muted.items()
        ]
        self._database.execute("alert_muted", muted=_json(rows))

    def outside(self) -> list[Alert]:
        """Open alerts that came from outside or that somebody acknowledged."""
        return [_alert(row) for row in self._database.fetch("alert_outside")]

    def incidents(self, window: Window) -> list[Standing]:
        """Incidents that were open at some time in the window, the oldest first."""
        rows = self._database.fetch("alert_incidents", since_us=window.since_us, until_us=window.until_us)
        return [_standing(row) for row in rows]

    def keep_scores(self, handles: Sequence[ScoreHandle]) -> None:
        """What the detector said, so that rules on it can be run over the past."""
        score_history.save(self._database, handles)

    def prune_scores(self, before_us: int) -> None:
        """Forget what it said before."""
        score_history.prune(self._database, before_us)

    def precision(self, since_us: int) -> float | None:
        """Share of the judged alerts since then that people found useful; None: nobody judged any."""
        row = self._database.fetch("alert_precision", since=as_datetime(since_us))[0]
        judged = row.useful + row.not_useful
        return row.useful / judged if judged else None

    def evaluated(self, counts: Sequence[Evaluated]) -> None:
        """Add to the rules' history."""
        if counts:
            self._database.execute("alert_evaluated", counts=_json([vars(each) for each in counts]))

    def prune(self, before_us: int) -> int:
        """Forget what is over since before; returns how many alerts."""
        return self._database.execute("notify_prune", before=as_datetime(before_us))

    def silences(self, since_us: int) -> list[Silence]:
        """Silences that end after an instant."""
        return [silence_of(row) for row in self._database.fetch("silence_list", since=as_datetime(since_us))]

    def maintenance(self) -> list[Maintenance]:
        """Maintenance windows made through the API."""
        return [kept.window for kept in maintenance.listed(self._database)]

    def save_silence(self, silence: Silence) -> str:
        """Keep a silence, under its id or a new one, which is returned; Invalid where the id is none."""
        silence_id = _uuid(silence.silence_id, "id") if silence.silence_id else str(uuid.uuid4())
        self._database.execute(
            "silence_save",
            silence_id=silence_id,
            matchers=_json([to_alertmanager(matcher) for matcher in silence.matchers.all]),
            starts_us=silence.starts_us,
            ends_us=silence.ends_us,
            created_by=silence.created_by,
            comment=silence.comment,
        )
        return silence_id

    def end_silence(self, silence_id: str, now_us: int) -> bool:
        """End it now; False where there is none that could end."""
        return self._database.execute("silence_end", silence_id=_uuid(silence_id, "id"), now_us=now_us) > 0

    def rules(self) -> dict[str, dict[str, Any]]:
        """Rules made through the API, by name, as they were given."""
        return {row.name: row.body for row in self._database.fetch("alert_rules_list")}

    def save_rule(self, name: str, body: Mapping[str, Any], by: str) -> None:
        """Keep a rule that was checked."""
        self._database.execute("alert_rules_save", name=name, body=_json(body), changed_by=by)

    def delete_rule(self, name: str) -> bool:
        """Forget a rule; False where it was not made through the API."""
        return self._database.execute("alert_rules_delete", name=name) > 0

    def acknowledge(self, alert_id: str, at_us: int | None, by: str) -> bool:
        """Someone looks after an alert; False where it is not open."""
        alert_id = _uuid(alert_id, "id")
        return self._database.execute("alert_acknowledge", alert_id=alert_id, at_us=at_us, by=by) > 0

    def feedback(self, alert_id: str, useful: bool | None, by: str, note: str) -> bool:
        """Whether an alert was useful; False where there is none that fired."""
        given = {"alert_id": _uuid(alert_id, "id"), "useful": useful, "by": by, "note": note}
        return self._database.execute("alert_feedback", **given) > 0


def row_of(alert: Alert) -> dict[str, Any]:
    """An alert as the columns of its row, instants in microseconds: also how a notification remembers it."""
    return {
        "alert_id": alert.alert_id,
        "rule": alert.rule,
        "fingerprint": alert.fingerprint,
        "labels": dict(alert.labels),
        "extra_labels": dict(alert.extra),
        "severity": alert.severity,
        "state": alert.state,
        "origin": alert.origin,
        "value": alert.value,
        "limit_value": alert.limit,
        "summary": alert.summary,
        "description": alert.description,
        "runbook": alert.runbook,
        "no_data": alert.no_data,
        "flapping": alert.flapping,
        "started_us": alert.started_us,
        "fired_us": alert.fired_us,
        "resolved_us": alert.resolved_us,
        "ends_us": alert.ends_us,
        "at_us": alert.at_us,
        "since_us": alert.since_us,
        "clear_since_us": alert.clear_since_us,
        "acknowledged_us": alert.acknowledged_us,
        "acknowledged_by": alert.acknowledged_by,
        "annotations": dict(alert.annotations),
        "source_url": alert.source_url,
    }


def alert_of(row: Mapping[str, Any]) -> Alert:
    """The inverse of `row_of`."""
    given = dict(row)
    labels, extra, annotations = given.pop("labels"), given.pop("extra_labels"), given.pop("annotations")
    return Alert(
        labels=tuple(sorted(labels.items())),
        extra=tuple(sorted(extra.items())),
        annotations=tuple(sorted(annotations.items())),
        limit=given.pop("limit_value"),
        since_us=tuple(given.pop("since_us")),
        **given,
    )


def _alert(row: Any) -> Alert:
    return alert_of(row._asdict())


def _told(row: Any) -> Told:
    return Told(row.group_key, row.receiver, row.alerts, row.first_us, row.told_us or 0, row.told_count)


def _told_row(told: Told) -> dict[str, Any]:
    return {
        "group_key": told.group_key,
        "receiver": told.receiver,
        "alerts": dict(told.alerts),
        "first_us": told.first_us,
        "told_us": told.told_us,
        "told_count": told.count,
    }


def _notification_row(due: Notification) -> dict[str, Any]:
    return {
        "notification_key": due.key,
        "receiver": due.receiver,
        "group_key": due.group_key,
        "group_labels": dict(due.group_labels),
        "why": due.why,
        "alerts": [row_of(alert) for alert in due.alerts],
        "created_us": due.created_us,
    }


def _waiting(row: Any) -> Waiting:
    alerts = tuple(alert_of(each) for each in row.alerts)
    due = Notification(
        row.notification_key, row.receiver, row.group_key, row.group_labels, row.why, alerts, row.created_us
    )
    return Waiting(due, row.attempts, row.next_us)


def _standing(row: Any) -> Standing:
    causes = tuple(
        Cause(
            each["title"],
            each["confidence"],
            tuple((shown["says"], shown["series"]) for shown in each["evidence"]),
            tuple(each["actions"]),
            each["runbook"],
        )
        for each in row.causes
    )
    return Standing(
        row.incident_id, row.opened_us, row.closed_us, row.title, row.score, row.series_count,
        SeriesKey.of(*row.head), tuple(SeriesKey.of(*key) for key in row.members), causes,
    )  # fmt: skip


def silence_of(row: Any) -> Silence:
    """A row of silence_list."""
    matchers = Matchers(tuple(alertmanager_matcher(each) for each in row.matchers))
    return Silence(row.silence_id, matchers, row.starts_us, row.ends_us, row.created_by, row.comment, row.created_us)


def _uuid(text: str, parameter: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise Invalid(f"{parameter}: {text[:60]!r} is no id", parameter) from None


def _json(value: object) -> str:
    return orjson.dumps(value).decode()
