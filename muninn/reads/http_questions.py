"""Questions of the JSON read API: parameters of each address, and its answer as values.

Belongs here: /trend, /compare, /top, /regressions, /latest. Does not: routes and problem details (http).
"""

from collections.abc import Mapping
from typing import Any

from starlette.datastructures import QueryParams

from muninn.errors import Invalid
from muninn.model import Window
from muninn.reads.facade import Reads
from muninn.reads.rankings import Latest
from muninn.reads.times import parse_span_us
from muninn.reads.values import Trend, TrendSeries

LABEL = "label."
ANY_LABEL = "label.NAME"
_CHOICE = ("metric", "since", "until")
# Address -> its parameters.
PARAMETERS: Mapping[str, tuple[str, ...]] = {
    "/api/v1/trend": (*_CHOICE, "step", "by", "period", "tz", "p95", "show", ANY_LABEL),
    "/api/v1/compare": (*_CHOICE, "step", "by", "offset", "p95", ANY_LABEL),
    "/api/v1/top": (*_CHOICE, "by", "figure", "limit", "order", ANY_LABEL),
    "/api/v1/regressions": ("metric", "limit", ANY_LABEL),
    "/api/v1/latest": (*_CHOICE, "silent", "limit", ANY_LABEL),
}
# Parameters that may be given several times.
REPEATED: Mapping[str, tuple[str, ...]] = {"/api/v1/latest": ("metric",)}
# Of one question for latest values.
MAX_METRICS = 100


def answer(reads: Reads, path: str, query: QueryParams) -> Any:
    """The answer to a GET of one of these addresses, ready to be written as JSON."""
    answers = {
        "/api/v1/trend": _trend,
        "/api/v1/compare": _compare,
        "/api/v1/top": _top,
        "/api/v1/regressions": _regressions,
        "/api/v1/latest": _latest,
    }
    return answers[path](reads, query)


def _trend(reads: Reads, query: QueryParams) -> dict[str, Any]:
    metric, window, labels = _metric(query), _window(reads, query), _labels(query)
    by, p95 = query.get("by") or None, _flag(query, "p95", default=True)
    period, tz = query.get("period"), query.get("tz")
    if (show := query.get("show") or "value") != "value":
        return _rising(reads, query, show)
    if period is None and tz is None:
        return trend_body(reads.trend(metric, window, _step_us(query), labels, by=by, p95=p95), p95=p95)
    if "step" in query:
        raise Invalid("step: cannot be given together with period or tz, which make whole local days", "step")
    return trend_body(reads.calendar(metric, window, period or "day", tz or "UTC", labels, by=by, p95=p95), p95=p95)


def _rising(reads: Reads, query: QueryParams, show: str) -> dict[str, Any]:
    if show not in ("rate", "increase"):
        raise Invalid(f"show: {show!r} is none of value, rate, increase", "show")
    for name in ("by", "period", "tz", "p95"):
        if name in query:
            raise Invalid(f"{name}: cannot be given together with show={show}", name)
    found = reads.rising(_metric(query), _window(reads, query), _step_us(query), _labels(query))
    return {
        "metric": found.metric,
        "kind": found.kind,
        "unit": found.unit,
        "show": show,
        "since_ms": found.window.since_us // 1000,
        "until_ms": found.window.until_us // 1000,
        "step_ms": found.step_us // 1000,
        "resolution": found.resolution,
        "truncated": found.truncated,
        "series": [
            {
                "labels": dict(series.key.labels),
                "source_agent_id": series.key.source_agent_id,
                "instance_id": series.key.instance_id,
                "increase": series.total,
                "rate_per_s": series.total_rate,
                "points": {"at_ms": series.at_ms, show: getattr(series, show)},
            }
            for series in found.series
        ],
    }


def _compare(reads: Reads, query: QueryParams) -> dict[str, Any]:
    offset_us = parse_span_us(query.get("offset") or "7d", "offset")
    window = _window(reads, query, "-24h")
    by, p95 = query.get("by") or None, _flag(query, "p95", default=True)
    found = reads.compare(_metric(query), window, offset_us, _step_us(query), _labels(query), by=by, p95=p95)
    return {
        "offset_ms": found.offset_us // 1000,
        "now": trend_body(found.now, p95=p95),
        "before": trend_body(found.before, p95=p95),
        "changes": found.changes,
    }


def _top(reads: Reads, query: QueryParams) -> Any:
    order = query.get("order") or "most"
    if order not in ("most", "least"):
        raise Invalid(f"order: {order!r} is neither most nor least", "order")
    return reads.top(
        _metric(query),
        _window(reads, query, "-24h"),
        query.get("figure") or "avg",
        _limit(query, 10),
        _labels(query),
        by=query.get("by") or None,
        least=order == "least",
    )


def _regressions(reads: Reads, query: QueryParams) -> Any:
    labels = _labels(query)
    metric = query.get("metric", "").strip() or None
    if labels and metric is None:
        raise Invalid("metric: give one together with labels", "metric")
    return reads.regressions(metric, labels, _limit(query, 50))


def _latest(reads: Reads, query: QueryParams) -> Any:
    silent_us = parse_span_us(query.get("silent") or "5m", "silent")
    metrics = [metric for metric in map(str.strip, query.getlist("metric")) if metric] or [_metric(query)]
    if len(metrics) > MAX_METRICS:
        raise Invalid(f"metric: at most {MAX_METRICS} may be asked for at once", "metric")
    window, limit = _window(reads, query, "-24h"), _limit(query, 1000)
    found = [_latest_body(one) for one in reads.latest_of(metrics, _labels(query), window, silent_us, limit)]
    return found[0] if len(found) == 1 else {"metrics": found}


def _latest_body(found: Latest) -> dict[str, Any]:
    columns = zip(found.keys, found.at_ms.tolist(), found.value.tolist(), strict=True)
    return {
        "metric": found.metric,
        "unit": found.unit,
        "since_ms": found.since_ms,
        "until_ms": found.until_ms,
        "series": [
            {"key": key, "at_ms": at_ms, "value": value, "state": "silent" if place < found.silent else "ok"}
            for place, (key, at_ms, value) in enumerate(columns)
        ],
        "silent": found.silent,
        "truncated": found.truncated,
    }


def _metric(query: QueryParams) -> str:
    metric = query.get("metric", "").strip()
    if not metric:
        raise Invalid("metric: give the name of a metric; GET /api/v1/metrics lists them", "metric")
    return metric


def _window(reads: Reads, query: QueryParams, since: str = "-1h") -> Window:
    return reads.window(query.get("since") or since, query.get("until") or "now")


def _labels(query: QueryParams) -> dict[str, str]:
    return {name.removeprefix(LABEL): value for name, value in query.items() if name.startswith(LABEL)}


def _step_us(query: QueryParams) -> int | None:
    step = query.get("step")
    return parse_span_us(step, "step") if step else None


def _limit(query: QueryParams, default: int) -> int:
    text = query.get("limit") or str(default)
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise Invalid(f"limit: {text!r} is no whole number", "limit")
    return int(text)


def _flag(query: QueryParams, name: str, *, default: bool) -> bool:
    text = query.get(name) or str(default).lower()
    if text not in ("true", "false"):
        raise Invalid(f"{name}: {text!r} is neither true nor false", name)
    return text == "true"


def trend_body(found: Trend, *, p95: bool = True) -> dict[str, Any]:
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
        "series": [_series_body(series, p95=p95) for series in found.series],
    }


def _series_body(series: TrendSeries, *, p95: bool) -> Mapping[str, Any]:
    points = {"at_ms": series.at_ms, "avg": series.avg, "min": series.min, "max": series.max}
    tails = {"p95": series.p95} if p95 else {}
    return {
        "labels": dict(series.key.labels),
        "source_agent_id": series.key.source_agent_id,
        "instance_id": series.key.instance_id,
        "points": {**points, **tails, "count": series.count},
    }
