"""Alertmanager's API v2 on the gateway: Prometheus sends its alerts here, amtool reads and silences.

Belongs here: its forms to ours and back. Does not: our own API (api), telling an Alertmanager (alerting.payloads).
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from muninn.alerting.alert import ORIGINAL_SEVERITY, Alert, alert_id_of, as_given, fingerprint_of
from muninn.alerting.matchers import Matcher, Matchers, alertmanager_matcher, to_alertmanager
from muninn.alerting.payloads import rfc3339
from muninn.alerting.rules import SEVERITIES
from muninn.alerting.silence import Silence
from muninn.clock import MINUTE_US, Clock
from muninn.errors import Invalid, MuninnError
from muninn.ingest.about import JSON, About, described, text_of
from muninn.ingest.problem import answer_to
from muninn.operations.alerts.api import Body, NotFound, read_json, route
from muninn.operations.alerts.rulebook import Rulebook
from muninn.reads.alerts import AlertRow
from muninn.reads.facade import Reads
from muninn.reads.times import parse_instant
from muninn.settings import Settings
from muninn.store.alerts import AlertStore
from muninn.store.database import Database

ALERTS = "/api/v2/alerts"
ORIGIN = "alertmanager"
# An alert that says no end is over when it was not sent again for so long; Prometheus says one of its own.
RESOLVE_US = 5 * MINUTE_US
_MAX_ALERTS = 5_000


class AlertmanagerApi:
    """The routes; safe for many requests at once."""

    def __init__(self, settings: Settings, database: Database, reads: Reads, clock: Clock):
        self._store, self._reads, self._clock, self._settings = AlertStore(database), reads, clock, settings
        self._started_us = clock.now_us()

    def routes(self) -> list[Route]:
        """The routes to mount; amtool asks with parameters that say nothing here."""
        lenient = partial(route, lenient=True)
        return [
            described(Route(ALERTS, self.post, methods=["POST"]), About(text_of(self.post), bodies=(JSON,), answer="")),
            lenient(ALERTS, "GET", self.alerts, ("filter", "silenced", "inhibited")),
            lenient("/api/v2/silences", "GET", self.silences),
            lenient("/api/v2/silences", "POST", self.save_silence),
            lenient("/api/v2/silence/{id}", "GET", self.silence),
            lenient("/api/v2/silence/{id}", "DELETE", self.end_silence),
            lenient("/api/v2/receivers", "GET", self.receivers),
            lenient("/api/v2/status", "GET", self.status),
        ]

    async def post(self, request: Request) -> Response:
        """Alerts that fire, or are over: a list, as Prometheus sends it."""
        try:
            given = await read_json(request)
            if not isinstance(given, list) or len(given) > _MAX_ALERTS:
                raise Invalid(f"the body is a list of at most {_MAX_ALERTS} alerts")
            await run_in_threadpool(self._take, given)
        except MuninnError as error:
            return answer_to(error)
        return Response(status_code=200)

    def alerts(self, request: Request, _: Body) -> Any:
        """Open alerts, those of Muninn's own rules too; `filter` as amtool gives it, name="value"."""
        query = request.query_params
        matchers = Matchers(tuple(map(_filter, query.getlist("filter"))))
        rows = self._reads.alerts(("firing",), 0, None, _MAX_ALERTS)
        shown = [row for row in rows if matchers.holds(_labels(row))]
        if query.get("silenced") == "false":
            shown = [row for row in shown if row.muted_by not in ("silence", "maintenance")]
        if query.get("inhibited") == "false":
            shown = [row for row in shown if row.muted_by != "inhibition"]
        return [_gettable(row) for row in shown]

    def silences(self, _: Request, __: Body) -> Any:
        """Silences that hold, will hold, or ended within five days."""
        since_us = self._clock.now_us() - 5 * 1440 * MINUTE_US
        return [self._silence(each) for each in self._reads.silences(since_us)]

    def silence(self, request: Request, _: Body) -> Any:
        """One silence."""
        wanted = request.path_params["id"]
        found = next((each for each in self._reads.silences(0) if each.silence_id == wanted), None)
        if found is None:
            raise NotFound("there is no silence with this id")
        return self._silence(found)

    def save_silence(self, _: Request, body: Body) -> Any:
        """A silence, new or changed."""
        now_us = self._clock.now_us()
        given = body.get("matchers")
        if not isinstance(given, list) or not given:
            raise Invalid("matchers: at least one", "matchers")
        matchers = Matchers(tuple(_renamed(alertmanager_matcher(each), "alertname", "rule") for each in given))
        starts_us = parse_instant(str(body.get("startsAt", "now")), now_us, "startsAt")
        ends_us = parse_instant(str(body.get("endsAt", "")), now_us, "endsAt")
        if ends_us <= max(starts_us, now_us):
            raise Invalid("endsAt: must be later than now and than startsAt", "endsAt")
        by, comment = str(body.get("createdBy", ""))[:200], str(body.get("comment", ""))[:2000]
        silence = Silence(str(body.get("id") or ""), matchers, starts_us, ends_us, by, comment)
        return {"silenceID": self._store.save_silence(silence)}

    def end_silence(self, request: Request, _: Body) -> Any:
        """It ends now."""
        if not self._store.end_silence(request.path_params["id"], self._clock.now_us()):
            raise NotFound("there is no silence with this id that could end")
        return {}

    def receivers(self, _: Request, __: Body) -> Any:
        """The names of receivers in rules files."""
        book = Rulebook(self._settings)
        book.look({})
        return [{"name": receiver.name} for receiver in book.book.receivers]

    def status(self, _: Request, __: Body) -> Any:
        """What answers here."""
        from muninn import __version__

        return {
            "cluster": {"status": "disabled", "peers": []},
            "versionInfo": {
                "version": f"muninn-{__version__}", "revision": "", "branch": "", "buildUser": "", "buildDate": "",
                "goVersion": "",
            },
            "config": {"original": ""},
            "uptime": rfc3339(self._started_us),
        }  # fmt: skip

    def _take(self, given: list[Any]) -> None:
        now_us = self._clock.now_us()
        open_ = {each.fingerprint: each for each in self._store.outside() if each.origin == ORIGIN}
        made = [outside_alert(each, open_, now_us) for each in given]
        self._store.save([alert for alert in made if alert is not None])

    def _silence(self, silence: Silence) -> Body:
        now_us = self._clock.now_us()
        state = "active" if silence.is_on(now_us) else "pending" if now_us < silence.starts_us else "expired"
        return {
            "id": silence.silence_id,
            "status": {"state": state},
            "updatedAt": rfc3339(silence.created_us),
            "comment": silence.comment,
            "createdBy": silence.created_by,
            "startsAt": rfc3339(silence.starts_us),
            "endsAt": rfc3339(silence.ends_us),
            "matchers": [to_alertmanager(_renamed(each, "rule", "alertname")) for each in silence.matchers.all],
        }


def outside_alert(given: Any, open_: Mapping[str, Alert], now_us: int) -> Alert | None:
    """An alert from outside as ours; None where the end of one comes that is not open. Invalid says what is wrong."""
    labels = given.get("labels") if isinstance(given, dict) else None
    if not isinstance(labels, dict) or not labels or not all(isinstance(each, str) for each in labels.values()):
        raise Invalid("labels: an object of texts, not empty", "labels")
    notes = given.get("annotations") or {}
    if not isinstance(notes, dict):
        raise Invalid("annotations: an object of texts", "annotations")
    name = labels.get("alertname") or "unnamed"
    own = {key: value for key, value in labels.items() if key not in ("alertname", "severity")}
    said = labels.get("severity", "")
    known = said in SEVERITIES
    fingerprint = fingerprint_of(f"{ORIGIN}:{name}", {**own, "severity": said or "warning"})
    starts_us = _instant(given.get("startsAt"), now_us, now_us)
    ends_us = _instant(given.get("endsAt"), now_us, now_us + RESOLVE_US)
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
        description=str(notes.get("description", ""))[:4000],
        runbook=str(notes.get("runbook_url", ""))[:2000],
        origin=ORIGIN,
        ends_us=ends_us,
    )


def _renamed(matcher: Matcher, theirs: str, ours: str) -> Matcher:
    """What is alertname there is rule here."""
    return replace(matcher, name=ours) if matcher.name == theirs else matcher


def _instant(given: object, now_us: int, otherwise: int) -> int:
    # Go's zero time stands for "not said".
    if not given or str(given).startswith("0001-"):
        return otherwise
    return parse_instant(str(given), now_us, "startsAt or endsAt")


def _filter(text: str) -> Any:
    for op in ("=~", "!~", "!=", "="):
        name, found, value = text.partition(op)
        if found and name and name[-1:] not in "!=~":
            return alertmanager_matcher(
                {
                    "name": name.strip(),
                    "value": value.strip().strip('"'),
                    "isRegex": "~" in op,
                    "isEqual": not op.startswith("!"),
                }
            )
    raise Invalid(f'filter: {text!r} is not of the form name="value"', "filter")


def _labels(row: AlertRow) -> dict[str, str]:
    return {"alertname": row.rule, **as_given({**row.labels, "severity": row.severity})}


def _gettable(row: AlertRow) -> Body:
    silenced = [row.muted_which] if row.muted_by in ("silence", "maintenance") else []
    inhibited = [row.muted_which] if row.muted_by == "inhibition" else []
    ends_ms = row.ends_ms or row.at_ms + RESOLVE_US // 1000
    return {
        "labels": _labels(row),
        "annotations": {"summary": row.summary, "description": row.description, "runbook_url": row.runbook},
        "startsAt": rfc3339((row.fired_ms or row.started_ms) * 1000),
        "endsAt": rfc3339(ends_ms * 1000),
        "updatedAt": rfc3339(row.at_ms * 1000),
        "generatorURL": "",
        "fingerprint": row.fingerprint,
        "receivers": [],
        "status": {
            "state": "suppressed" if row.muted_by else "active",
            "silencedBy": silenced,
            "inhibitedBy": inhibited,
        },
    }
