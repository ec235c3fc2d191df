"""Alertmanager's API v2 on the gateway: Prometheus sends its alerts here, amtool and Grafana read and silence.

Belongs here: its routes. Does not: its forms (alertmanager_forms), our own API (api), telling an Alertmanager
(alerting.payloads).
"""

from collections.abc import Callable
from functools import partial
from threading import Lock
from typing import Any

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from muninn import patterns
from muninn.alerting.as_alertmanager import configuration, groups_of, receivers_of, their_name
from muninn.alerting.book import Book
from muninn.alerting.matchers import Matcher, Matchers, to_alertmanager
from muninn.alerting.payloads import rfc3339
from muninn.alerting.silence import Silence
from muninn.clock import DAY_US, Clock
from muninn.errors import Invalid, MuninnError
from muninn.ingest.about import JSON, About, described, text_of
from muninn.operations.alerts.alertmanager_forms import (
    ORIGIN,
    filter_of,
    gettable_alert,
    gettable_silence,
    is_silenced,
    outside_alert,
    silence_of,
    their_labels,
)
from muninn.operations.alerts.api import Body, NotFound, read_json, refusal, route
from muninn.operations.alerts.rulebook import Rulebook
from muninn.reads.alerts import AlertRow
from muninn.reads.facade import Reads
from muninn.settings import Settings
from muninn.store.alerts import AlertStore
from muninn.store.database import Database

ALERTS = "/api/v2/alerts"
_MAX_ALERTS = 5_000
# Patterns look at a thousand of the longest labels in a second, if they are the dearest that are taken.
_MATCHING_S = 5.0
_SHOWN_US = 5 * DAY_US
_FILTERS = ("filter", "active", "silenced", "inhibited", "unprocessed", "receiver")


class AlertmanagerApi:
    """The routes; safe for many requests at once."""

    def __init__(self, settings: Settings, database: Database, reads: Reads, clock: Clock):
        self._store, self._reads, self._clock = AlertStore(database), reads, clock
        self._rulebook, self._lock = Rulebook(settings), Lock()
        self._started_us = clock.now_us()

    def routes(self) -> list[Route]:
        """The routes to mount; amtool asks with parameters that say nothing here."""
        lenient = partial(route, lenient=True, refused=_refused)
        about = About(text_of(self.post), bodies=(JSON,), answer="", plain_refusals=True)
        return [
            described(Route(ALERTS, self.post, methods=["POST"]), about),
            lenient(ALERTS, "GET", self.alerts, _FILTERS),
            lenient("/api/v2/alerts/groups", "GET", self.groups, _FILTERS),
            lenient("/api/v2/silences", "GET", self.silences, ("filter", "active", "pending", "expired")),
            lenient("/api/v2/silences", "POST", self.save_silence),
            lenient("/api/v2/silence/{id}", "GET", self.silence),
            lenient("/api/v2/silence/{id}", "DELETE", self.end_silence),
            lenient("/api/v2/receivers", "GET", self.receivers),
            lenient("/api/v2/status", "GET", self.status),
        ]

    async def post(self, request: Request) -> Response:
        """Alerts that fire, or are over: a list, as Prometheus sends it. Those without a fault are taken."""
        try:
            given = await read_json(request)
            if not isinstance(given, list) or len(given) > _MAX_ALERTS:
                raise Invalid(f"the body is a list of at most {_MAX_ALERTS} alerts")
            await run_in_threadpool(self._take, given)
        except MuninnError as error:
            return _refused(error)
        return Response(status_code=200)

    def alerts(self, request: Request, _: Body) -> Any:
        """Open alerts, those of Muninn's own rules too; `filter` as amtool gives it, name="value"."""
        routes = self._book().routes
        return [gettable_alert(row, receivers_of(row.all_labels, routes)) for row in self._chosen(request)]

    def groups(self, request: Request, _: Body) -> Any:
        """The same alerts by receiver and by the labels that their route groups them by."""
        routes = self._book().routes
        found: dict[tuple[str, tuple[tuple[str, str], ...]], list[Body]] = {}
        for row in self._chosen(request):
            alert = gettable_alert(row, receivers_of(row.all_labels, routes))
            for group in groups_of(row.all_labels, routes):
                found.setdefault(group, []).append(alert)
        return [
            {
                "labels": {their_name(name): value for name, value in alike},
                "routeLabels": {},
                "receiver": {"name": receiver},
                "alerts": alerts,
            }
            for (receiver, alike), alerts in sorted(found.items(), key=lambda each: each[0])
        ]

    def silences(self, request: Request, _: Body) -> Any:
        """Silences that hold, will hold, or ended within five days; `filter`: those that have this very matcher."""
        now_us, query = self._clock.now_us(), request.query_params
        wanted = [filter_of(each) for each in query.getlist("filter")]
        made = [gettable_silence(each, now_us) for each in self._reads.silences(now_us - _SHOWN_US)]
        return [
            each
            for each in made
            if query.get(each["status"]["state"]) != "false" and _has_all(each["matchers"], wanted)
        ]

    def silence(self, request: Request, _: Body) -> Any:
        """One silence."""
        found = self._silence(request.path_params["id"])
        if found is None:
            raise NotFound("there is no silence with this id")
        return gettable_silence(found, self._clock.now_us())

    def save_silence(self, _: Request, body: Body) -> Any:
        """A silence, new or changed."""
        silence = silence_of(body, self._clock.now_us())
        if silence.silence_id and self._silence(silence.silence_id) is None:
            raise NotFound("there is no silence with this id")
        return {"silenceID": self._store.save_silence(silence)}

    def end_silence(self, request: Request, _: Body) -> Any:
        """It ends now."""
        if not self._store.end_silence(request.path_params["id"], self._clock.now_us()):
            raise NotFound("there is no silence with this id that could end")
        return {}

    def receivers(self, _: Request, __: Body) -> Any:
        """The names of receivers in rules files."""
        return [{"name": receiver.name} for receiver in self._book().receivers]

    def status(self, _: Request, __: Body) -> Any:
        """What answers here, and the routes as a configuration of Alertmanager."""
        from muninn import __version__

        return {
            "cluster": {"status": "disabled", "peers": []},
            "versionInfo": {
                "version": f"muninn-{__version__}", "revision": "", "branch": "", "buildUser": "", "buildDate": "",
                "goVersion": "",
            },
            "config": {"original": configuration(self._book())},
            "uptime": rfc3339(self._started_us),
        }  # fmt: skip

    def _take(self, given: list[Any]) -> None:
        now_us = self._clock.now_us()
        open_ = {each.fingerprint: each for each in self._store.outside() if each.origin == ORIGIN}
        made, faults = [], []
        for place, each in enumerate(given):
            try:
                alert = outside_alert(each, open_, now_us)
            except Invalid as error:
                faults.append(f"alert {place}: {error}")
            else:
                if alert is not None:
                    made.append(alert)
        # The last one of an alert that is there twice: one row cannot be written twice at once.
        self._store.save(list({alert.alert_id: alert for alert in made}.values()))
        if faults:
            raise Invalid("; ".join(faults[:10]) + f"; the other {len(given) - len(faults)} are taken")

    def _chosen(self, request: Request) -> list[AlertRow]:
        query, budget = request.query_params, patterns.Budget(_MATCHING_S, self._clock.monotonic)
        wanted = Matchers(tuple(map(filter_of, query.getlist("filter"))))
        rows = [row for row in self._reads.alerts(("firing",), 0, None, _MAX_ALERTS) if _is_shown(row, query.get)]
        held = wanted.of_many([their_labels(row) for row in rows], budget)
        rows = [row for row, holds in zip(rows, held, strict=True) if holds]
        receiver = query.get("receiver")
        if not receiver:
            return rows
        patterns.check(receiver)
        routes = self._book().routes
        named = [receivers_of(row.all_labels, routes) for row in rows]
        matching = patterns.matching(receiver, {name for names in named for name in names}, budget)
        return [row for row, names in zip(rows, named, strict=True) if any(matching[name] for name in names)]

    def _silence(self, wanted: str) -> Silence | None:
        return next((each for each in self._reads.silences(0) if each.silence_id == wanted), None)

    def _book(self) -> Book:
        with self._lock:
            self._rulebook.look()
            return self._rulebook.book


def _is_shown(row: AlertRow, said: Callable[[str], str | None]) -> bool:
    left_out = {"active": not row.muted_by, "silenced": is_silenced(row), "inhibited": row.muted_by == "inhibition"}
    return not any(said(name) == "false" and is_so for name, is_so in left_out.items())


def _has_all(matchers: list[Body], wanted: list[Matcher]) -> bool:
    return all(to_alertmanager(each) in matchers for each in wanted)


def _refused(error: Exception) -> Response:
    """An error as their clients read it: a text in JSON; problem details are nothing that they know."""
    text = str(error) if isinstance(error, MuninnError) else "the request failed; the log of the gateway says why"
    return Response(orjson.dumps(text), refusal(error).status_code, media_type="application/json")
