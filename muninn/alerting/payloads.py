"""What is said to each kind of receiver: a notification as HTTP requests, a mail, or a line.

Belongs here: shapes, signatures, keys by which a receiver knows a repetition. Does not: sending, retries.
"""

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any
from urllib.parse import quote

import orjson

from muninn.alerting import receivers
from muninn.alerting.alert import Alert, as_given
from muninn.alerting.dispatch import Notification
from muninn.alerting.receivers import Receiver
from muninn.alerting.rules import PLACE
from muninn.alerting.templates import labels_text
from muninn.model.window import as_datetime

SIGNATURE = "X-Muninn-Signature"
TIMESTAMP = "X-Muninn-Timestamp"
_MAX_LISTED = 20
Quote = Callable[[str], str]
_COLOURS = {"critical": "#c62828", "warning": "#ef6c00", "info": "#1565c0"}
_PRIORITY = {"critical": "P1", "warning": "P3", "info": "P5"}


@dataclass(frozen=True)
class Request:
    """One HTTP request. It holds secrets: never log it whole. accepts: other answers that mean it is done."""

    url: str = field(repr=False)
    body: bytes
    headers: Mapping[str, str] = field(repr=False)
    accepts: tuple[int, ...] = ()
    method: str = "POST"


def requests(receiver: Receiver, due: Notification, page_url: str = "") -> list[Request]:
    """The requests that tell it; page_url: where people look at alerts."""
    return _MAKERS[type(receiver)](receiver, due, page_url)


def status_of(due: Notification) -> str:
    """firing while anything in it does, else resolved."""
    return "firing" if due.firing else "resolved"


def title(receiver: Receiver, due: Notification, quoted: Quote = str) -> str:
    """One line: [FIRING 2, critical] rule: labels. quoted: what is done with texts that are not the receiver's own."""
    firing = due.firing
    worst = next((name for name in ("critical", "warning", "info") if any(a.severity == name for a in firing)), "")
    head = f"[{status_of(due).upper()}{f' {len(firing)}, {worst}' if firing else ''}]"
    own = due.alerts[0].summary if len(due.alerts) == 1 else f"{due.alerts[0].rule} and {len(due.alerts) - 1} more"
    plain = f"{head} {own}"
    return _filled(receiver.title, due, plain, quoted) if receiver.title else quoted(plain)


def text(receiver: Receiver, due: Notification, page_url: str, quoted: Quote = str) -> str:
    """Several lines: each alert, its runbook, where to look."""
    if receiver.text:
        return _filled(receiver.text, due, "", quoted)
    lines = [_line(alert) for alert in due.alerts[:_MAX_LISTED]]
    if len(due.alerts) > _MAX_LISTED:
        lines.append(f"... and {len(due.alerts) - _MAX_LISTED} more")
    lines += sorted({f"runbook: {alert.runbook}" for alert in due.alerts if alert.runbook})
    if len(due.alerts) == 1 and due.alerts[0].is_open and due.alerts[0].description:
        lines.append(due.alerts[0].description)
    links = sorted({link for alert in due.alerts if (link := link_of(alert, page_url))})
    return quoted("\n".join([*lines, *links]))


def as_json(due: Notification, page_url: str = "") -> dict[str, Any]:
    """A notification for programs: what webhooks and log files get. Instants are RFC 3339 in UTC."""
    return {
        "key": due.key,
        "status": status_of(due),
        "why": due.why,
        "receiver": due.receiver,
        "group_key": due.group_key,
        "group": dict(due.group_labels),
        "url": page_url,
        "alerts": [alert_json(alert, page_url) for alert in due.alerts],
    }


def link_of(alert: Alert, page_url: str) -> str:
    """Where people look at this alert: of an incident or one of its series, that incident on the page Anomalies."""
    incident = alert.all_labels.get("incident", "")
    if not page_url or not incident or alert.origin != "rule":
        return page_url
    return f"{page_url.rstrip('/').removesuffix('/alerts')}/anomalies?incident={quote(incident)}&range=24h"


def alert_json(alert: Alert, page_url: str = "") -> dict[str, Any]:
    """An alert for programs."""
    return {
        "id": alert.alert_id,
        "fingerprint": alert.fingerprint,
        "rule": alert.rule,
        "severity": alert.severity,
        "state": alert.state,
        "labels": alert.all_labels,
        "value": alert.value,
        "limit": alert.limit,
        "summary": alert.summary,
        "description": alert.description,
        "runbook": alert.runbook,
        "no_data": alert.no_data,
        "flapping": alert.flapping,
        "origin": alert.origin,
        "annotations": dict(alert.annotations),
        "source_url": alert.source_url,
        "url": link_of(alert, page_url),
        "started_at": rfc3339(alert.started_us),
        "fired_at": rfc3339(alert.fired_us),
        "resolved_at": rfc3339(alert.resolved_us),
        "acknowledged_by": alert.acknowledged_by or None,
    }


def rfc3339(at_us: int | None) -> str | None:
    """An instant as text."""
    return None if at_us is None else as_datetime(at_us).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def sign(secret: str, timestamp: str, body: bytes) -> str:
    """What X-Muninn-Signature holds: HMAC-SHA256 over `timestamp.body`, hex, behind "v1="."""
    digest = hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256)
    return f"v1={digest.hexdigest()}"


def mail(receiver: receivers.Email, due: Notification, page_url: str = "") -> EmailMessage:
    """The notification as a mail; a repetition has the same Message-ID."""
    message = EmailMessage()
    message["From"], message["To"] = receiver.sender, ", ".join(receiver.to)
    message["Subject"] = " ".join(title(receiver, due).split())
    message["Date"] = format_datetime(datetime.fromtimestamp(due.created_us / 1e6, UTC))
    message["Message-ID"] = f"<{due.key}@muninn.invalid>"
    message["References"] = f"<{due.group_key}@muninn.invalid>"  # mail programs show a group as one thread
    message["X-Muninn-Key"] = due.key
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no answer of somebody's holidays comes back
    message.set_content(text(receiver, due, page_url))
    return message


def alertmanager_alerts(alerts: tuple[Alert, ...], page_url: str, keep_s: float) -> list[dict[str, Any]]:
    """Alerts as POST /api/v2/alerts takes them; one that fires expires after keep_s unless it is sent again."""
    return [
        {
            "labels": {
                "alertname": alert.rule,
                **{name: value for name, value in as_given(alert.all_labels).items() if name != "rule" and value},
            },
            "annotations": annotations(alert),
            "startsAt": rfc3339(alert.fired_us or alert.started_us),
            "endsAt": rfc3339(alert.resolved_us or alert.at_us + round(keep_s * 1e6)),
            "generatorURL": alert.source_url or link_of(alert, page_url),
        }
        for alert in alerts
    ]


def annotations(alert: Alert) -> dict[str, str]:
    """What Alertmanager calls so: of an alert from outside as they came, of ours its texts."""
    texts = {"summary": alert.summary, "description": alert.description, "runbook_url": alert.runbook}
    return dict(alert.annotations) or {name: value for name, value in texts.items() if value}


def _webhook(receiver: Any, due: Notification, page_url: str) -> list[Request]:
    body = orjson.dumps(as_json(due, page_url))
    headers = {**_JSON, "Idempotency-Key": due.key, **receiver.headers}
    if receiver.secret is not None:
        stamp = str(due.created_us // 1_000_000)
        headers |= {TIMESTAMP: stamp, SIGNATURE: sign(receiver.secret.get_secret_value(), stamp, body)}
    return [Request(receiver.url.get_secret_value(), body, headers)]


def _slack(receiver: Any, due: Notification, page_url: str) -> list[Request]:
    worst = next((each.severity for each in due.firing), "")
    colour = _COLOURS.get(worst, "#2e7d32")
    head = title(receiver, due, _slack_quoted)
    said: dict[str, Any] = {
        "text": head,
        "attachments": [{"color": colour, "text": text(receiver, due, page_url, _slack_quoted), "fallback": head}],
    }
    if receiver.channel:
        said["channel"] = receiver.channel
    return [Request(receiver.url.get_secret_value(), orjson.dumps(said), {**_JSON, "Idempotency-Key": due.key})]


def _slack_quoted(text: str) -> str:
    """Slack reads &, < and > as its own: a label with <!channel> in it would call everybody."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _pagerduty(receiver: Any, due: Notification, page_url: str) -> list[Request]:
    made = []
    for alert in due.alerts:
        said: dict[str, Any] = {
            "routing_key": receiver.routing_key.get_secret_value(),
            "event_action": "trigger" if alert.is_open else "resolve",
            "dedup_key": alert.fingerprint,
        }
        if alert.is_open:
            said["payload"] = {
                "summary": (alert.summary or alert.rule)[:1024],
                "source": labels_text(dict(alert.labels)) or alert.rule,
                "severity": alert.severity,
                "timestamp": rfc3339(alert.fired_us or alert.started_us),
                "group": due.group_key,
                "class": alert.rule,
                "custom_details": alert_json(alert, page_url),
            }
            links = [(alert.runbook, "runbook"), (link_of(alert, page_url), "Muninn")]
            said["links"] = [{"href": href, "text": name} for href, name in links if href.startswith("http")]
        made.append(Request(receiver.url, orjson.dumps(said), _JSON))
    return made


def _opsgenie(receiver: Any, due: Notification, page_url: str) -> list[Request]:
    headers = {**_JSON, "Authorization": f"GenieKey {receiver.api_key.get_secret_value()}"}
    base = receiver.url.rstrip("/")
    made = []
    for alert in due.alerts:
        if not alert.is_open:
            url = f"{base}/v2/alerts/{quote(alert.fingerprint)}/close?identifierType=alias"
            made.append(Request(url, orjson.dumps({"source": "Muninn"}), headers, accepts=(404,)))
            continue
        priority = _PRIORITY.get(alert.severity, "P3")
        said = {
            "message": (alert.summary or alert.rule)[:130],
            "alias": alert.fingerprint,
            "description": f"{alert.description}\n{alert.runbook}\n{link_of(alert, page_url)}".strip()[:15_000],
            "priority": priority,
            "source": "Muninn",
            "entity": alert.rule[:512],
            "tags": [alert.rule[:50], alert.severity],
            "details": _within({name: value for name, value in alert.all_labels.items() if value}, 8_000),
            "responders": list(receiver.responders),
        }
        made.append(Request(f"{base}/v2/alerts", orjson.dumps(said), headers))
        if due.why != "new":
            # Of an alias that is open there it only counts the repetition; a worse severity has to be said.
            url = f"{base}/v2/alerts/{quote(alert.fingerprint)}/priority?identifierType=alias"
            made.append(Request(url, orjson.dumps({"priority": priority}), headers, accepts=(404,), method="PUT"))
    return made


def _within(details: Mapping[str, str], most: int) -> dict[str, str]:
    """As many of them as have room in so many characters together."""
    found, left = {}, most
    for name, value in details.items():
        left -= len(name) + len(value)
        if left < 0:
            break
        found[name] = value
    return found


def _alertmanager(receiver: Any, due: Notification, page_url: str) -> list[Request]:
    url = f"{receiver.url.get_secret_value().rstrip('/')}/api/v2/alerts"
    headers = dict(_JSON)
    if receiver.password is not None:
        both = f"{receiver.user}:{receiver.password.get_secret_value()}".encode()
        headers["Authorization"] = f"Basic {base64.b64encode(both).decode()}"
    # Its end is told. Until then it must not expire there, also where nothing is repeated, because somebody
    # acknowledged it or the route repeats rarely.
    alerts = alertmanager_alerts(due.alerts, page_url, keep_s=7 * 86_400.0)
    return [Request(url, orjson.dumps(alerts), headers)]


_JSON = {"Content-Type": "application/json", "User-Agent": "muninn"}
_MAKERS: dict[type, Callable[[Any, Notification, str], list[Request]]] = {
    receivers.Webhook: _webhook,
    receivers.Slack: _slack,
    receivers.PagerDuty: _pagerduty,
    receivers.Opsgenie: _opsgenie,
    receivers.Alertmanager: _alertmanager,
}


def _line(alert: Alert) -> str:
    state = "" if alert.is_open else "over: "
    notes = [note for note, on in (("no data", alert.no_data), ("flapping", alert.flapping)) if on]
    more = f" ({', '.join(notes)})" if notes else ""
    return f"{state}{alert.severity}: {alert.summary}{more} since {rfc3339(alert.started_us)}"


def _filled(template: str, due: Notification, plain: str, quoted: Quote) -> str:
    first = due.alerts[0]
    known = {
        "title": plain,
        "status": status_of(due),
        "count": str(len(due.alerts)),
        "firing": str(len(due.firing)),
        "why": due.why,
        "rule": first.rule,
        "severity": first.severity,
        "summary": first.summary,
        "description": first.description,
        "runbook": first.runbook,
        "alerts": "\n".join(_line(alert) for alert in due.alerts[:_MAX_LISTED]),
        **{f"group.{name}": value for name, value in due.group_labels.items()},
        **{f"labels.{name}": value for name, value in first.all_labels.items()},
        **{f"annotations.{name}": value for name, value in first.annotations},
    }
    return PLACE.sub(lambda match: quoted(known.get(match[1], "")), template)
