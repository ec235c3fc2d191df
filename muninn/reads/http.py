"""The JSON read API: its addresses under /api/v1, JSON and problem details out.

Belongs here: routes, refused parameters, errors. Does not: each question's parameters (http_questions), the server.
"""

import difflib
import logging
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import partial
from typing import Any

import numpy as np
import orjson
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from muninn.errors import Invalid, MuninnError
from muninn.ingest.about import About, described, text_of
from muninn.ingest.problem import answer_to, problem
from muninn.model import SeriesKey
from muninn.reads.catalogue import Catalogue
from muninn.reads.facade import Reads
from muninn.reads.http_questions import ANY_LABEL, LABEL, PARAMETERS, REPEATED, answer
from muninn.reads.values import Overview, PipelineState, UnknownMetric

log = logging.getLogger(__name__)

Answer = Callable[[QueryParams], Any]
# Of Reads, where it has not the address's own name.
_QUESTIONS = {"/api/v1/metrics": "known_metrics"}


def routes(reads: Reads) -> list[Route]:
    """The routes to mount; handlers are plain functions, which starlette runs in its thread pool."""
    return [
        _route("/api/v1/metrics", ("match",), lambda query: reads.known_metrics(query.get("match", "")), Catalogue),
        _route("/api/v1/overview", (), lambda _: reads.overview(), Overview),
        _route("/api/v1/pipeline", (), lambda _: reads.pipeline(), PipelineState),
        *(_route(path, accepted, partial(answer, reads, path)) for path, accepted in PARAMETERS.items()),
    ]


def _about(path: str, accepted: tuple[str, ...], shape: type[Any] | None) -> About:
    question = getattr(Reads, _QUESTIONS.get(path, path.rpartition("/")[2]))
    return About(text_of(question), accepted, REPEATED.get(path, ()), shape=shape)


def _route(path: str, accepted: tuple[str, ...], ask: Answer, shape: type[Any] | None = None) -> Route:
    def handle(request: Request) -> Response:
        try:
            check_parameters(request.query_params, accepted, REPEATED.get(path, ()))
            body = to_json(ask(request.query_params))
        except UnknownMetric as error:
            return problem(404, str(error), more={"parameter": error.parameter, "close_matches": list(error.close)})
        except MuninnError as error:
            return answer_to(error)
        except Exception:
            log.exception("%s failed", request.url.path)
            return problem(500, "the question failed; the log of the gateway says why")
        return Response(body, media_type="application/json", headers={"Cache-Control": "no-store"})

    route = Route(path, handle, methods=["GET"], name=path.rpartition("/")[2])
    return described(route, _about(path, accepted, shape))


def to_json(answer: Any) -> bytes:
    """An answer's values as JSON; a series key as metric, labels, source_agent_id, instance_id."""
    return orjson.dumps(answer, _plain, orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_PASSTHROUGH_DATACLASS)


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):  # a view with gaps: orjson leaves it to us
        return np.ascontiguousarray(value)
    if not is_dataclass(value):
        raise TypeError(type(value))
    found = {field.name: getattr(value, field.name) for field in fields(value)}
    return {**found, "labels": dict(value.labels)} if isinstance(value, SeriesKey) else found


def check_parameters(query: QueryParams, accepted: tuple[str, ...], repeated: tuple[str, ...] = ()) -> None:
    """Invalid names a parameter that is unknown, or given twice and none of the `repeated`."""
    for name in query:
        is_label = name.startswith(LABEL) and name != LABEL and ANY_LABEL in accepted
        if name not in accepted and not is_label:
            near = difflib.get_close_matches(name, accepted, 1)
            hint = f"did you mean {near[0]}?" if near else f"known are: {', '.join(accepted) or 'none'}"
            raise Invalid(f"{name}: not a parameter of this address; {hint}", name)
        if name not in repeated and len(query.getlist(name)) > 1:
            raise Invalid(f"{name}: given more than once", name)
