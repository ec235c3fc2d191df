"""The gateway's routes as an OpenAPI 3.1 document, from what is mounted.

Belongs here: the form, and one sentence for each parameter. Does not: routes (they say of themselves, ingest.about).
"""

import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import orjson
from pydantic import TypeAdapter
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from muninn import __version__
from muninn.ingest.about import JSON, About, about_of, described
from muninn.ingest.problem import MEDIA_TYPE
from muninn.model import SeriesKey

PATH = "/api/v1/openapi.json"
Json = dict[str, Any]
# (method, path) -> the scope of a token that it takes; None: it takes none.
Needed = Callable[[str, str], str | None]

_TIME = 'epoch milliseconds, RFC 3339, "now", or back from now such as "-6h"'
_SPAN = 'a span of time such as "15m", "1h30m", or seconds'
# What parameters mean, in queries and in paths; one that is missing here is an error of the test.
PARAMETERS: dict[str, str] = {
    "metric": "the name of a metric; GET /api/v1/metrics lists them",
    "match": "only metrics whose names start with this",
    "since": f"from then on: {_TIME}",
    "until": f"before then: {_TIME}",
    "step": f"the width of a step, {_SPAN}; left out, it is chosen by the window",
    "by": "one answer for each value of this label (in DELETE: the name of who asks)",
    "period": "day, week or month, of local time",
    "tz": "a time zone, such as Europe/Berlin",
    "p95": "true or false: whether the 95th percentile is answered too",
    "show": "value, rate or increase",
    "offset": f"how far back the other trend lies, {_SPAN}",
    "figure": "what is ranked: avg, min, max, p95, sum, count or rate",
    "before": "where the page begins: what `older` of the page before said",
    "limit": "at most so many",
    "order": "most or least",
    "silent": f"who has sent nothing for so long is silent: {_SPAN}",
    "state": "only those in this state; alerts take several, separated by commas",
    "rule": "only alerts of this rule",
    "ended": "true: those that are over as well",
    "precision": "the unit of timestamps: ns, us, ms, s, m or h",
    "filter": 'a matcher, such as alertname="Up"',
    "silenced": "false: without those that a silence holds back",
    "inhibited": "false: without those that another alert holds back",
    "active": "false: without those that are in force, or that nothing holds back",
    "unprocessed": "says nothing here, where every alert is judged at once",
    "pending": "false: without those that begin later",
    "expired": "false: without those that are over",
    "receiver": "a pattern of the whole name of a receiver, one of whose alerts it is",
    "id": "the id that a list told",
    "name": "the name that a list told",
}
_LABELS = "label.NAME"
_TEXT: Json = {"type": "string"}
# Which status means what; every one of them has a problem as its body.
_PROBLEMS = {
    "400": "the request makes no sense; `detail` says where, `parameter` names what is wrong",
    "401": "no token, or one that is not known",
    "403": "a token without the scope that is needed",
    "429": "the buffer is full, or the token's rate is used up: again after Retry-After seconds",
    "503": "a part that is needed is away, and is named: again after Retry-After seconds",
}
# As it is written, in the place of the class's own fields.
_SERIES_KEY = {
    "type": "object",
    "required": ["metric", "labels", "source_agent_id", "instance_id"],
    "properties": {
        "metric": {"type": "string"},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "source_agent_id": {"type": "string"},
        "instance_id": {"type": "string"},
    },
}
_PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "parameter": {"type": "string"},
    },
}


def with_document(routes: Sequence[Route], needed: Needed) -> list[Route]:
    """The routes, and one more that answers with the description of all of them."""
    about = About("This description of the gateway's routes, as OpenAPI 3.1.")
    whole: list[Route] = []

    @cache
    def body() -> bytes:
        return orjson.dumps(document(whole, needed))

    def answer(_: Request) -> Response:
        return Response(body(), media_type=JSON)

    whole += [*routes, described(Route(PATH, answer, methods=["GET"]), about)]
    return whole


def document(routes: Sequence[Route], needed: Needed) -> Json:
    """Every route with its parameters, bodies, answers, and the scope of the token that it takes."""
    paths: dict[str, Json] = {}
    components: Json = {"Problem": _PROBLEM}
    for route in routes:
        for method in sorted((route.methods or set()) - {"HEAD"}):
            operation = _operation(route, method, needed(method, route.path), components)
            paths.setdefault(route.path, {})[method.lower()] = operation
    components[SeriesKey.__name__] = _SERIES_KEY
    return {
        "openapi": "3.1.0",
        "info": {"title": "Muninn's gateway", "version": __version__, "description": "See docs/http-api.md."},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(route: Route, method: str, scope: str | None, components: Json) -> Json:
    about = about_of(route)
    summary, _, rest = about.text.partition("\n\n")
    found: Json = {
        "operationId": "_".join([method.lower(), *re.findall(r"\w+", route.path)]),
        "summary": " ".join(summary.split()),
        "parameters": [*map(_in_path, route.param_convertors), *(_in_query(name, about) for name in about.parameters)],
        "responses": {"200" if about.answer else "2XX": _success(about, components), **_problems(about)},
        "security": [{"token": []}] if scope else [],
    }
    if scope:
        found["x-scope"] = scope
    if rest:
        found["description"] = " ".join(rest.split())
    if about.bodies:
        found["requestBody"] = {
            "required": True,
            "content": {each: {} if each != JSON else {"schema": {}} for each in about.bodies},
        }
    if about.encodings:
        found["requestBody"]["description"] = f"Content-Encoding may be {', '.join(about.encodings)}."
    return found


def _in_path(name: str) -> Json:
    return {"name": name, "in": "path", "required": True, "description": PARAMETERS[name], "schema": _TEXT}


def _in_query(name: str, about: About) -> Json:
    if name == _LABELS:
        schema = {"type": "object", "propertyNames": {"pattern": r"^label\."}, "additionalProperties": _TEXT}
        text = "only series with these labels, each as label.NAME=VALUE"
        return {
            "name": "labels",
            "in": "query",
            "description": text,
            "schema": schema,
            "style": "form",
            "explode": True,
        }
    schema = {"type": "array", "items": _TEXT} if name in about.repeated else _TEXT
    return {"name": name, "in": "query", "description": PARAMETERS[name], "schema": schema}


def _success(about: About, components: Json) -> Json:
    if not about.answer:
        return {"description": "taken; there is nothing more to say"}
    schema: Json = {}
    if about.shape is not None:
        schema = TypeAdapter(about.shape).json_schema(mode="serialization", ref_template="#/components/schemas/{model}")
        components |= schema.pop("$defs", {})
    return {"description": "as asked", "content": {about.answer: {"schema": schema}}}


def _problems(about: About) -> Json:
    content: Json = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    if about.plain_refusals:  # but for those of the doorkeeper
        content[JSON] = {"schema": _TEXT}
    return {status: {"description": text, "content": content} for status, text in _PROBLEMS.items()}
