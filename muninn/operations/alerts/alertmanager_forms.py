"""What Alertmanager's API v2 sends and is sent: alerts, silences, filters, as values of ours and back.

Belongs here: their forms. Does not: routes and the store (alertmanager).
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from muninn.alerting.alert import ORIGINAL_SEVERITY, Alert, alert_id_of, as_given, fingerprint_of
from muninn.alerting.as_alertmanager import our_matcher, their_matcher
from muninn.alerting.matchers import Matcher, Matchers, alertmanager_matcher, to_alertmanager
from muninn.alerting.payloads import rfc3339
from muninn.alerting.rules import SEVERITIES
from muninn.alerting.silence import Silence
from muninn.clock import MINUTE_US
from muninn.errors import Invalid
from muninn.reads.alerts import AlertRow
from muninn.reads.times import parse_instant

ORIGIN = "alertmanager"
# An alert that says no end is over when it was not sent again for so long; Prometheus says one of its own.
RESOLVE_US = 5 * MINUTE_US
_FILTER = re.compile(r'\s*("(?:[^"\\]|\\.)*"|[^\s=!~"{}]+)\s*(=~|!~|!=|=)\s*(.*?)\s*', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


def outside_alert(given: Any, open_: Mapping[str, Alert], now_us: int) -> Alert | None:
    """An alert from outside as ours; None where the end of one comes that is not open. Invalid says what is wrong."""
    labels = _texts(given, "labels")
    if not labels:
        raise Invalid("labels: an object of texts, not empty", "labels")
    notes = _texts(given, "annotations")
    name = labels.get("alertname") or "unnamed"
    own = {key: value for key, value in labels.items() if key not in ("alertname", "severity")}
    said = labels.get("severity", "")
    known = said in SEVERITIES
    fingerprint = fingerprint_of(f"{ORIGIN}:{name}", {**own, "severity": said or "warning"})
    ends_us = _instant(given, "endsAt", now_us, now_us + RESOLVE_US)
    starts_us = _instant(given, "startsAt", now_us, min(now_us, ends_us))
    if ends_us < starts_us:
        raise Invalid("endsAt: is before startsAt", "endsAt")
    before = open_.get(fingerprint)
    over = ends_us <= now_us
    if over and before is None:
        return None
    started_us = before.started_us if before is not None else starts_us
    return Alert(
        alert_id_of(fingerprint, started_us),
        name,
        fingerprint,
        tuple(sorted(own.items())),
        said if known else "warning",
        "resolved" if over else "firing",
        None,
        None,
        started_us,
        now_us,
        fired_us=before.fired_us if before is not None else started_us,
        resolved_us=max(ends_us, started_us) if over else None,
        extra=() if known or not said else ((ORIGINAL_SEVERITY, said),),
        summary=str(notes.get("summary") or notes.get("message") or name)[:2000],
        description=notes.get("description", "")[:4000],
        runbook=notes.get("runbook_url", "")[:2000],
        origin=ORIGIN,
        ends_us=ends_us,
        annotations=tuple(sorted(notes.items())),
        source_url=str(given.get("generatorURL") or "")[:4000],
    )


def gettable_alert(row: AlertRow, receivers: Sequence[str]) -> dict[str, Any]:
    """An open alert."""
    ends_ms = row.ends_ms or row.at_ms + RESOLVE_US // 1000
    ours = {"summary": row.summary, "description": row.description, "runbook_url": row.runbook}
    return {
        "labels": their_labels(row),
        "annotations": row.annotations or {name: value for name, value in ours.items() if value},
        "startsAt": rfc3339((row.fired_ms or row.started_ms) * 1000),
        "endsAt": rfc3339(ends_ms * 1000),
        "updatedAt": rfc3339(row.at_ms * 1000),
        "generatorURL": row.source_url,
        "fingerprint": row.fingerprint,
        "receivers": [{"name": name} for name in receivers],
        "status": {
            "state": "suppressed" if row.muted_by else "active",
            "silencedBy": [row.muted_which] if is_silenced(row) else [],
            "inhibitedBy": [row.muted_which] if row.muted_by == "inhibition" else [],
            "mutedBy": [],
        },
    }


def is_silenced(row: AlertRow) -> bool:
    """Whether a silence or a maintenance window keeps it quiet."""
    return row.muted_by in ("silence", "maintenance")


def their_labels(row: AlertRow) -> dict[str, str]:
    """An alert's labels as Alertmanager has them."""
    return {"alertname": row.rule, **as_given({**row.labels, "severity": row.severity})}


def gettable_silence(silence: Silence, now_us: int) -> dict[str, Any]:
    """A silence."""
    return {
        "id": silence.silence_id,
        "status": {"state": state_of(silence, now_us)},
        "updatedAt": rfc3339(silence.created_us),
        "comment": silence.comment,
        "createdBy": silence.created_by,
        "startsAt": rfc3339(silence.starts_us),
        "endsAt": rfc3339(silence.ends_us),
        "matchers": [to_alertmanager(their_matcher(each)) for each in silence.matchers.all],
        "annotations": {},
    }


def state_of(silence: Silence, now_us: int) -> str:
    """active, pending or expired."""
    return "active" if silence.is_on(now_us) else "pending" if now_us < silence.starts_us else "expired"


def silence_of(body: Mapping[str, Any], now_us: int) -> Silence:
    """A silence that is given; Invalid names the field."""
    given = body.get("matchers")
    if not isinstance(given, list) or not given:
        raise Invalid("matchers: at least one", "matchers")
    matchers = Matchers(tuple(our_matcher(alertmanager_matcher(each)) for each in given))
    if matchers.holds({}):
        raise Invalid("matchers: at least one of them must not match the empty text", "matchers")
    starts_us = parse_instant(str(body.get("startsAt", "now")), now_us, "startsAt")
    ends_us = parse_instant(str(body.get("endsAt", "")), now_us, "endsAt")
    if ends_us <= max(starts_us, now_us):
        raise Invalid("endsAt: must be later than now and than startsAt", "endsAt")
    by, comment = str(body.get("createdBy", ""))[:200], str(body.get("comment", ""))[:2000]
    return Silence(str(body.get("id") or ""), matchers, starts_us, ends_us, by, comment)


def filter_of(given: str) -> Matcher:
    """A condition as amtool and Grafana write it: name="value", name=~pattern; Invalid where it is none."""
    found = _FILTER.fullmatch(given.strip().removeprefix("{").removesuffix("}"))
    if found is None:
        raise Invalid(f'filter: {given!r} is not of the form name="value"', "filter")
    name, op, value = found.groups()
    try:
        return alertmanager_matcher(
            {"name": _unquoted(name), "value": _unquoted(value), "isRegex": "~" in op, "isEqual": op[0] == "="}
        )
    except Invalid as error:
        raise Invalid(f"filter: {error}", "filter") from None


def _unquoted(text: str) -> str:
    if len(text) < 2 or text[0] != '"' or text[-1] != '"':
        return text
    return _ESCAPED.sub(lambda found: "\n" if found[1] == "n" else found[1], text[1:-1])


def _texts(given: Any, field: str) -> dict[str, str]:
    """An object of texts in an alert; those that are empty are as good as not there."""
    found = given.get(field) if isinstance(given, dict) else None
    if found is None:
        return {}
    if not isinstance(found, dict) or not all(isinstance(each, str) for each in found.values()):
        raise Invalid(f"{field}: an object of texts", field)
    return {name: text for name, text in found.items() if text}


def _instant(given: Mapping[str, Any], field: str, now_us: int, otherwise: int) -> int:
    # Go's zero time stands for "not said".
    said = given.get(field)
    return parse_instant(str(said), now_us, field) if said and not str(said).startswith("0001-") else otherwise
