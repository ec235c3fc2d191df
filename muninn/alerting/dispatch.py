"""Dispatch: which notifications are due now, given what fires, what is muted, and what was told before.

Belongs here: grouping, waiting, repeating, escalating, telling the end. Does not: sending, texts.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import orjson

from muninn.alerting.alert import Alert
from muninn.alerting.route import Route, routes_of
from muninn.clock import SECOND_US


@dataclass(frozen=True)
class Told:
    """What one receiver knows of one group: alert id -> severity as last told ("" once its end was)."""

    group_key: str
    receiver: str
    alerts: Mapping[str, str] = field(default_factory=dict)
    first_us: int = 0
    told_us: int = 0
    count: int = 0

    @property
    def key(self) -> tuple[str, str]:
        """What it is kept by."""
        return self.group_key, self.receiver


@dataclass(frozen=True)
class Notification:
    """One message to one receiver about one group; the key is the same however often it is made or sent.

    why: "new", "change", "repeat", "escalation", "resolved".
    """

    key: str
    receiver: str
    group_key: str
    group_labels: Mapping[str, str]
    why: str
    alerts: tuple[Alert, ...]
    created_us: int

    @property
    def firing(self) -> tuple[Alert, ...]:
        """Those that are not over."""
        return tuple(alert for alert in self.alerts if alert.is_open)


@dataclass
class _Group:
    key: str
    labels: dict[str, str]
    route: Route
    alerts: list[Alert]


def dispatch(
    alerts: Iterable[Alert],
    muted: Mapping[str, object],
    told: Mapping[tuple[str, str], Told],
    routes: Sequence[Route],
    now_us: int,
) -> tuple[list[Notification], dict[tuple[str, str], Told]]:
    """The notifications that are due, and what is known by whom afterwards (changed entries only).

    alerts: those that fire, and those that ended and whose end somebody may still have to be told.
    An alert's end is told to whoever was told of it, muted or not: what they opened has to close.
    """
    due: list[Notification] = []
    changed: dict[tuple[str, str], Told] = {}
    for group in _groups(alerts, routes):
        for receiver in _receivers(group, muted, told, now_us):
            before = told.get((group.key, receiver)) or Told(group.key, receiver)
            notification, after = _look(group, receiver, before, muted, now_us)
            if notification is not None:
                due.append(notification)
            if after != before:
                changed[after.key] = after
    return due, changed


def _groups(alerts: Iterable[Alert], routes: Sequence[Route]) -> list[_Group]:
    found: dict[str, _Group] = {}
    for alert in alerts:
        labels = alert.all_labels
        for place, route in routes_of(labels, routes):
            common = {name: labels.get(name, "") for name in route.group_by}
            key = _digest([place, route.match, common])
            found.setdefault(key, _Group(key, common, route, [])).alerts.append(alert)
    return list(found.values())


def _receivers(
    group: _Group, muted: Mapping[str, object], told: Mapping[tuple[str, str], Told], now_us: int
) -> list[str]:
    """The route's, and those to whom it was or is escalated."""
    names = list(group.route.receivers)
    unheeded = [
        alert.fired_us
        for alert in group.alerts
        if alert.state == "firing" and alert.fired_us and not alert.acknowledged_us and alert.alert_id not in muted
    ]
    for step in group.route.escalate:
        waited = unheeded and now_us - min(unheeded) >= step.after_s * SECOND_US
        if waited or (group.key, step.receiver) in told:
            names.append(step.receiver)
    return list(dict.fromkeys(names))


def _look(
    group: _Group, receiver: str, before: Told, muted: Mapping[str, object], now_us: int
) -> tuple[Notification | None, Told]:
    firing = [alert for alert in group.alerts if alert.state == "firing" and alert.alert_id not in muted]
    ended = [alert for alert in group.alerts if not alert.is_open and before.alerts.get(alert.alert_id)]
    news = [alert for alert in firing if before.alerts.get(alert.alert_id) != alert.severity]
    if not firing and not ended:
        return None, before
    knows = any(before.alerts.values())
    first_us = before.first_us if knows else _waits_since(before, firing, now_us)
    waiting = replace(before, first_us=first_us)
    why = _why(group.route, receiver, waiting, knows, bool(news), bool(ended), firing, now_us)
    if why is None:
        return None, waiting
    after = _after(waiting, firing, ended, now_us)
    if why == "resolved" and not group.route.resolved:
        return None, after
    alerts = tuple(sorted((*firing, *ended), key=lambda alert: (alert.fired_us or 0, alert.alert_id)))
    key = _key(group, receiver, why, alerts, after.count)
    return Notification(key, receiver, group.key, group.labels, why, alerts, now_us), after


def _waits_since(before: Told, firing: Sequence[Alert], now_us: int) -> int:
    """Since when the first message waits for others: not since that of a group which ended before it was told."""
    if before.first_us <= before.told_us:
        return now_us
    return max(before.first_us, min((alert.fired_us or 0 for alert in firing), default=0))


def _why(
    route: Route,
    receiver: str,
    waiting: Told,
    knows: bool,
    news: bool,
    ended: bool,
    firing: Sequence[Alert],
    now_us: int,
) -> str | None:
    """Why something is due now; None: not yet, or nothing to say."""
    if not knows:
        if not news:
            return None
        escalated = receiver not in route.receivers
        if not escalated and now_us - waiting.first_us < route.group_wait_s * SECOND_US:
            return None
        return "escalation" if escalated else "new"
    since_us = now_us - waiting.told_us
    if (news or ended) and since_us >= route.group_interval_s * SECOND_US:
        return "change" if news or firing else "resolved"
    heeded = all(alert.acknowledged_us for alert in firing)
    if firing and not heeded and since_us >= route.repeat_s * SECOND_US:
        return "repeat"
    return None


def _after(before: Told, firing: Sequence[Alert], ended: Sequence[Alert], now_us: int) -> Told:
    """What the receiver knows once it is told; ends that were told are forgotten."""
    over = {alert.alert_id for alert in ended}
    known = {alert_id: severity for alert_id, severity in before.alerts.items() if alert_id not in over}
    known |= {alert.alert_id: alert.severity for alert in firing}
    return replace(before, alerts=known, told_us=now_us, count=before.count + 1)


def _key(group: _Group, receiver: str, why: str, alerts: Sequence[Alert], count: int) -> str:
    """The same for the same news, so that a message that is made or sent twice is known as one."""
    news = [(alert.alert_id, alert.severity, alert.state) for alert in alerts]
    return _digest([group.key, receiver, why, news, count])


def _digest(value: object) -> str:
    return hashlib.blake2b(orjson.dumps(value, option=orjson.OPT_SORT_KEYS), digest_size=12).hexdigest()
