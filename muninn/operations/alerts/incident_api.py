"""Incidents on the gateway: /api/v1/incidents, one of them with its series, and what people think of it.

Belongs here: parameters in, values out. Does not: finding incidents (detection), answering (reads.incidents).
Reading needs the scope read, marking admin: the doorkeeper sees to it.
"""

from dataclasses import asdict
from typing import Any, get_args

import numpy as np
from starlette.requests import Request
from starlette.routing import Route

from muninn.clock import Clock
from muninn.errors import Invalid
from muninn.operations.alerts.api import Body, NotFound, number_of, route, text_of
from muninn.reads.facade import Reads
from muninn.reads.incidents import AffectedSeries, IncidentInfo, IncidentState, UnknownIncident
from muninn.reads.times import parse_window

MAX_INCIDENTS = 1_000


class IncidentApi:
    """The routes; safe for many requests at once."""

    def __init__(self, reads: Reads, clock: Clock):
        self._reads, self._clock = reads, clock

    def routes(self) -> list[Route]:
        """The routes to mount."""
        return [
            route("/api/v1/incidents", "GET", self.incidents, ("since", "until", "state", "limit")),
            route("/api/v1/incidents/{id}", "GET", self.incident),
            route("/api/v1/incidents/{id}/feedback", "POST", self.feedback),
        ]

    def incidents(self, request: Request, _: Body) -> Any:
        """Those open at some time in it, the newest first: ?since=-24h&until=now&state=open|closed|all&limit=200."""
        query = request.query_params
        window = parse_window(query.get("since", "-24h"), query.get("until", "now"), self._clock.now_us())
        state = query.get("state", "all")
        if state not in get_args(IncidentState):
            raise Invalid(f"state: {', '.join(get_args(IncidentState))}, not {state[:40]!r}", "state")
        limit = number_of(query.get("limit", "200"), "limit")
        if not 1 <= limit <= MAX_INCIDENTS:
            raise Invalid(f"limit: from 1 to {MAX_INCIDENTS}", "limit")
        return {"incidents": [_incident(each) for each in self._reads.incidents(window, state, limit)]}  # type: ignore[arg-type]

    def incident(self, request: Request, _: Body) -> Any:
        """One with its series, the head first, each with its track: what was seen, what was expected, the band."""
        try:
            found = self._reads.incident(request.path_params["id"])
        except UnknownIncident as error:
            raise NotFound(str(error)) from None
        return {**_incident(found.incident), "series": [_series(each) for each in found.series]}

    def feedback(self, request: Request, body: Body) -> Any:
        """Whether it was of use: {"useful": true | false | null, "note": TEXT}; null takes it back."""
        useful = body.get("useful")
        if "useful" not in body or (useful is not None and not isinstance(useful, bool)):
            raise Invalid("useful: true, false, or null for no opinion", "useful")
        try:
            self._reads.mark_incident(request.path_params["id"], useful, text_of(body, "note") or None)
        except UnknownIncident as error:
            raise NotFound(str(error)) from None
        return {"useful": useful}


def _incident(incident: IncidentInfo) -> dict[str, Any]:
    found = asdict(incident)
    for cause in found["causes"]:
        cause["evidence"] = [{"says": says, "series": series} for says, series in cause["evidence"]]
    return {**found, "state": "open" if incident.closed_ms is None else "closed"}


def _series(series: AffectedSeries) -> dict[str, Any]:
    plain = ("is_head", "opened_ms", "closed_ms", "peak_ms", "score", "value", "expected", "low", "high", "confidence")
    return {
        "metric": series.key.metric,
        "labels": dict(series.key.labels),
        "source_agent_id": series.key.source_agent_id,
        "instance_id": series.key.instance_id,
        **{name: getattr(series, name) for name in plain},
        "contributions": dict(series.contributions),
        "track": {
            # Each is a column of one array, which lies in memory row by row.
            "at_ms": series.at_ms,
            "value": np.ascontiguousarray(series.seen),
            "expected": np.ascontiguousarray(series.expected_then),
            "low": np.ascontiguousarray(series.low_then),
            "high": np.ascontiguousarray(series.high_then),
        },
    }
