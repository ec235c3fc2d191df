"""The alert API on the gateway: /api/v1/alerts, alert-rules, silences, notifications.

Belongs here: parameters in, JSON and problem details out. Does not: Alertmanager's API (alertmanager), judging.
Reading needs the scope read, everything else admin: the doorkeeper sees to it.
"""

import logging
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from muninn.alerting.book import rule_of
from muninn.alerting.matchers import Matchers
from muninn.alerting.noise import suggest
from muninn.alerting.payloads import alert_json, rfc3339
from muninn.alerting.silence import Silence
from muninn.alerting.timeline import svg
from muninn.clock import DAY_US, Clock
from muninn.errors import Invalid, MuninnError
from muninn.ingest.about import JSON, About, described
from muninn.ingest.about import text_of as description
from muninn.ingest.callers import caller_of
from muninn.ingest.problem import answer_to, problem
from muninn.model import Window
from muninn.operations.alerts import history
from muninn.operations.alerts.rulebook import API, Rulebook
from muninn.reads.facade import Reads
from muninn.reads.http import check_parameters, to_json
from muninn.reads.times import parse_instant, parse_window
from muninn.settings import Settings
from muninn.store.alerts import AlertStore
from muninn.store.database import Database

log = logging.getLogger(__name__)

MAX_BODY_BYTES = 1 << 20
MAX_TEXT = 2_000
_MAX_DIGITS = 9
Body = dict[str, Any]
Answer = Callable[[Request, Body], Any]


class AlertApi:
    """The routes; safe for many requests at once."""

    def __init__(self, settings: Settings, database: Database, reads: Reads, clock: Clock):
        self._store, self._database, self._reads, self._clock = AlertStore(database), database, reads, clock
        self._settings = settings

    def routes(self) -> list[Route]:
        """The routes to mount."""
        return [
            route("/api/v1/alerts", "GET", self.alerts, ("state", "since", "rule", "limit", "before")),
            route("/api/v1/alerts/{id}/acknowledge", "POST", self.acknowledge),
            route("/api/v1/alerts/{id}/feedback", "POST", self.feedback),
            route("/api/v1/alert-rules", "GET", self.rules),
            route("/api/v1/alert-rules", "POST", self.save_rule),
            route("/api/v1/alert-rules/test", "POST", self.try_rule),
            route("/api/v1/alert-rules/{name}", "DELETE", self.delete_rule),
            route("/api/v1/silences", "GET", self.silences, ("since",)),
            route("/api/v1/silences", "POST", self.save_silence),
            route("/api/v1/silences/{id}", "DELETE", self.end_silence),
            route("/api/v1/notifications", "GET", self.notifications, ("since", "limit", "before")),
        ]

    def alerts(self, request: Request, _: Body) -> Any:
        """Alerts, the newest first: ?state=firing,pending&since=-24h&rule=NAME&limit=500&before=OLDER.

        `older` is null, or what `before` takes to go on."""
        query = request.query_params
        states = tuple(filter(None, query.get("state", "pending,firing").split(",")))
        since_us = parse_instant(query.get("since", "-24h"), self._clock.now_us(), "since")
        limit = number_of(query.get("limit", "500"), "limit")
        page = self._reads.alert_page(states, since_us, query.get("rule"), limit, query.get("before"))
        return {"alerts": page.alerts, "older": page.older}

    def acknowledge(self, request: Request, body: Body) -> Any:
        """Someone looks after it, which ends repetition and escalation: {"by": NAME, "on": true}."""
        on = body.get("on", True)
        at_us = self._clock.now_us() if on else None
        if not self._store.acknowledge(request.path_params["id"], at_us, made_by(request, body) if on else ""):
            raise NotFound("there is no open alert with this id")
        return {"acknowledged": bool(on)}

    def feedback(self, request: Request, body: Body) -> Any:
        """Whether it was of use: {"useful": true | false | null, "note": TEXT}."""
        useful = body.get("useful")
        if useful is not None and not isinstance(useful, bool):
            raise Invalid("useful: true, false, or null for no opinion", "useful")
        note = text_of(body, "note")
        if not self._store.feedback(request.path_params["id"], useful, made_by(request, body), note):
            raise NotFound("there is no alert with this id that fired")
        return {"useful": useful}

    def rules(self, _: Request, __: Body) -> Any:
        """Every rule with where it comes from, its record of 30 days, and what might make it less noisy."""
        now_us = self._clock.now_us()
        book = self._book()
        records = {each.rule: each for each in self._reads.alert_records(Window(now_us - 30 * DAY_US, now_us))}
        found = []
        for rule in book.book.rules:
            record = records.get(rule.name)
            hint = suggest(rule, record) if record is not None else None
            found.append(
                {
                    "rule": rule.plain(),
                    "source": (book.book.sources or {}).get(rule.name),
                    "record": None if record is None else {**asdict(record), "precision": record.precision},
                    "suggestion": None
                    if hint is None
                    else {"why": hint.why, "change": hint.change, "rule": hint.changed.plain()},
                }
            )
        return {"rules": found, "faults": [asdict(fault) for fault in book.faults]}

    def save_rule(self, request: Request, body: Body) -> Any:
        """A rule, as a rules file has it; it replaces one of the same name."""
        rule = rule_of(body)
        self._store.save_rule(rule.name, body, made_by(request, {}))
        return {"name": rule.name, "source": API}

    def delete_rule(self, request: Request, _: Body) -> Any:
        """Only what was made through the API can go; a file's rule of the same name comes back."""
        if not self._store.delete_rule(request.path_params["name"]):
            raise NotFound("no rule of this name was made through the API; one in a file is switched off there")
        return {"deleted": request.path_params["name"]}

    def try_rule(self, _: Request, body: Body) -> Any:
        """What a rule would have done: {"rule": {...}, "since": "-24h", "until": "now"}."""
        window = parse_window(str(body.get("since", "-24h")), str(body.get("until", "now")), self._clock.now_us())
        rule = rule_of(body.get("rule"))
        result, kind = history.over_store(self._database, [rule], window)
        return {
            "rule": rule.name,
            "read_from": kind,
            "samples": result.samples,
            "series": result.series,
            "scored_steps": result.scored,
            "since": rfc3339(window.since_us),
            "until": rfc3339(window.until_us),
            "fired": [alert_json(alert) for alert in result.fired],
            "pending_only": len(result.episodes) - len(result.fired),
            "picture": svg(result.fired, window),
        }

    def silences(self, request: Request, _: Body) -> Any:
        """Silences; ?since=-7d shows those of the past too."""
        since_us = parse_instant(request.query_params.get("since", "now"), self._clock.now_us(), "since")
        return {"silences": [silence_json(each) for each in self._reads.silences(since_us)]}

    def save_silence(self, request: Request, body: Body) -> Any:
        """A silence: {"match": {...}, "until": "+2h", "since": "now", "comment": TEXT, "id": to change one}."""
        silence = silence_from(body, self._clock.now_us(), made_by(request, body))
        return {"id": self._store.save_silence(silence)}

    def end_silence(self, request: Request, _: Body) -> Any:
        """It ends now."""
        if not self._store.end_silence(request.path_params["id"], self._clock.now_us()):
            raise NotFound("there is no silence with this id that could end")
        return {"ended": request.path_params["id"]}

    def notifications(self, request: Request, _: Body) -> Any:
        """The notify log, the newest first: ?since=-24h&limit=200&before=OLDER, as of alerts."""
        query = request.query_params
        since_us = parse_instant(query.get("since", "-24h"), self._clock.now_us(), "since")
        page = self._reads.notifications(since_us, number_of(query.get("limit", "200"), "limit"), query.get("before"))
        return {"notifications": page.notifications, "older": page.older}

    def _book(self) -> Rulebook:
        book = Rulebook(self._settings)
        book.look(self._store.rules())
        return book


class NotFound(MuninnError):
    """There is no such thing."""


def refusal(error: Exception) -> Response:
    """What a request is answered that failed."""
    if isinstance(error, NotFound):
        return problem(404, str(error))
    if isinstance(error, MuninnError):
        return answer_to(error)
    return problem(500, "the request failed; the log of the gateway says why")


def route(
    path: str,
    method: str,
    answer: Answer,
    parameters: tuple[str, ...] = (),
    *,
    lenient: bool = False,
    refused: Callable[[Exception], Response] = refusal,
) -> Route:
    """A route whose answer is made in the thread pool. lenient: other parameters are passed over, else they are 400."""
    sends = method in ("POST", "PUT")

    async def handle(request: Request) -> Response:
        try:
            _check_texts([*request.path_params.values(), *request.query_params.values()])
            if not lenient:
                check_parameters(request.query_params, parameters)
            body = await read_json(request) if sends else {}
            if not isinstance(body, dict):
                raise Invalid("the body is a JSON object")
            found = await run_in_threadpool(answer, request, body)
        except MuninnError as error:
            return refused(error)
        except Exception as error:
            log.exception("%s failed", request.url.path)
            return refused(error)
        return Response(to_json(found), media_type="application/json", headers={"Cache-Control": "no-store"})

    bodies = (JSON,) if sends else ()
    about = About(description(answer), parameters, bodies=bodies, plain_refusals=refused is not refusal)
    return described(Route(path, handle, methods=[method]), about)


async def read_json(request: Request) -> Any:
    """The body; Invalid where it is none or too long."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BODY_BYTES:
            raise Invalid(f"the body may have {MAX_BODY_BYTES} bytes")
    return parse_json(bytes(body))


def parse_json(body: bytes) -> Any:
    """What a body says, an empty one an empty object; Invalid where it is none, or has texts that no database keeps."""
    try:
        found = orjson.loads(body or b"{}")
    except ValueError as error:
        raise Invalid(f"not JSON: {error}") from None
    if b"\\u0000" in body:
        _check_texts([found])
    return found


def _check_texts(found: list[Any]) -> None:
    """Invalid where a text, at any depth, holds a NUL character."""
    while found:
        each = found.pop()
        if isinstance(each, str) and "\0" in each:
            raise Invalid(f"{each[:40]!r} holds a NUL character")
        if isinstance(each, dict):
            found += [*each.keys(), *each.values()]
        elif isinstance(each, list):
            found += each


def silence_from(body: Body, now_us: int, by: str) -> Silence:
    """A silence from our API's form; Invalid names the field."""
    match = body.get("match")
    if not isinstance(match, dict) or not match:
        raise Invalid(
            'match: an object such as {"host": "web1"}; a silence of everything has {"rule": "=~.+"}', "match"
        )
    if "until" not in body:
        raise Invalid('until: a silence has an end, such as "+2h"', "until")
    starts_us = parse_instant(str(body.get("since", "now")), now_us, "since")
    ends_us = parse_instant(str(body["until"]), now_us, "until")
    if ends_us <= max(starts_us, now_us):
        raise Invalid("until: must be later than now and than since", "until")
    return Silence(str(body.get("id") or ""), Matchers.of(match), starts_us, ends_us, by, text_of(body, "comment"))


def silence_json(silence: Silence) -> Body:
    """A silence in our API's form."""
    return {
        "id": silence.silence_id,
        "match": silence.matchers.as_mapping(),
        "since": rfc3339(silence.starts_us),
        "until": rfc3339(silence.ends_us),
        "by": silence.created_by,
        "comment": silence.comment,
    }


def made_by(request: Request, body: Body) -> str:
    """Who asks: who they say they are, and the token's name where there is one: the dashboards ask for others."""
    caller, said = caller_of(request), text_of(body, "by")
    if caller is None:
        return said
    return f"{said} via {caller.token.name}" if said not in ("", caller.token.name) else caller.token.name


def text_of(body: Body, name: str) -> str:
    """A text in a body, or an empty one; Invalid names it."""
    found = body.get(name, "")
    if not isinstance(found, str) or len(found) > MAX_TEXT:
        raise Invalid(f"{name}: a text of at most {MAX_TEXT} characters", name)
    return found


def number_of(text: str, name: str) -> int:
    """A parameter that is a whole number; Invalid names it."""
    if not text.isascii() or not text.isdigit() or len(text) > _MAX_DIGITS:
        raise Invalid(f"{name}: a whole number of at most {_MAX_DIGITS} digits", name)
    return int(text)
