"""The JSON read API: /api/v1/metrics, /api/v1/trend, /api/v1/overview, /api/v1/pipeline.

Belongs here: parameters in, JSON and problem details out. Does not: the questions themselves, the server.
"""

import difflib
import logging
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import orjson
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from muninn.errors import Invalid, MuninnError
from muninn.ingest.problem import answer_to, problem
from muninn.model import SeriesKey
from muninn.reads.facade import Reads
from muninn.reads.times import parse_span_us
from muninn.reads.values import Trend, TrendSeries, UnknownMetric

log = logging.getLogger(__name__)

LABEL = "label."
ANY_LABEL = "label.NAME"
Answer = Callable[[QueryParams], Any]


def routes(reads: Reads) -> list[Route]:
    """The routes to mount; handlers are plain functions, which starlette runs in its thread pool."""
    return [
        _route("/api/v1/metrics", ("match",), lambda query: _metrics(reads, query)),
        _route("/api/v1/trend", ("metric", "since", "until", "step", ANY_LABEL), lambda query: _trend(reads, query)),
        _route("/api/v1/overview", (), lambda _: reads.overview()),
        _route("/api/v1/pipeline", (), lambda _: reads.pipeline()),
    ]


def _route(path: str, accepted: tuple[str, ...], answer: Answer) -> Route:
    def handle(request: Request) -> Response:
        try:
            check_parameters(request.query_params, accepted)
            body = to_json(answer(request.query_params))
        except UnknownMetric as error:
            return problem(404, str(error), more={"parameter": error.parameter, "close_matches": list(error.close)})
        except MuninnError as error:
            return answer_to(error)
        except Exception:
            log.exception("%s failed", request.url.path)
            return problem(500, "the question failed; the log of the gateway says why")
        return Response(body, media_type="application/json", headers={"Cache-Control": "no-store"})

    return Route(path, handle, methods=["GET"], name=path.rpartition("/")[2])


def to_json(answer: Any) -> bytes:
    """An answer's values as JSON; a series key as metric, labels, source_agent_id, instance_id."""
    return orjson.dumps(answer, _plain, orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_PASSTHROUGH_DATACLASS)


def _plain(value: Any) -> dict[str, Any]:
    if not is_dataclass(value):
        raise TypeError(type(value))
    found = {field.name: getattr(value, field.name) for field in fields(value)}
    return {**found, "labels": dict(value.labels)} if isinstance(value, SeriesKey) else found


def check_parameters(query: QueryParams, accepted: tuple[str, ...]) -> None:
    """Invalid names a parameter that is unknown or given twice."""
    for name in query:
        is_label = name.startswith(LABEL) and name != LABEL and ANY_LABEL in accepted
        if name not in accepted and not is_label:
            near = difflib.get_close_matches(name, accepted, 1)
            hint = f"did you mean {near[0]}?" if near else f"known are: {', '.join(accepted) or 'none'}"
            raise Invalid(f"{name}: not a parameter of this address; {hint}", name)
        if len(query.getlist(name)) > 1:
            raise Invalid(f"{name}: given more than once", name)


def _metrics(reads: Reads, query: QueryParams) -> dict[str, Any]:
    return {"metrics": reads.catalogue(query.get("match", ""))}


def _trend(reads: Reads, query: QueryParams) -> dict[str, Any]:
    metric = query.get("metric", "").strip()
    if not metric:
        raise Invalid("metric: give the name of a metric; GET /api/v1/metrics lists them", "metric")
    window = reads.window(query.get("since") or "-1h", query.get("until") or "now")
    step = query.get("step")
    labels = {name.removeprefix(LABEL): value for name, value in query.items() if name.startswith(LABEL)}
    found = reads.trend(metric, window, parse_span_us(step, "step") if step else None, labels)
    return trend_body(found)


def trend_body(found: Trend) -> dict[str, Any]:
    """A trend as JSON: `points` holds one array a column, all of one length; a gap has no point."""
    return {
        "metric": found.metric,
        "kind": found.kind,
        "unit": found.unit,
        "since_ms": found.window.since_us // 1000,
        "until_ms": found.window.until_us // 1000,
        "step_ms": found.step_us // 1000,
        "resolution": found.resolution,
        "truncated": found.truncated,
        "series": [_series_body(series) for series in found.series],
    }


def _series_body(series: TrendSeries) -> Mapping[str, Any]:
    return {
        "labels": dict(series.key.labels),
        "source_agent_id": series.key.source_agent_id,
        "instance_id": series.key.instance_id,
        "points": {
            "at_ms": series.at_ms,
            "avg": series.avg,
            "min": series.min,
            "max": series.max,
            "p95": series.p95,
            "count": series.count,
        },
    }
