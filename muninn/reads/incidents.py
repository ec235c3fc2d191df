"""What is wrong, and what was: incidents with their series, causes, and what people said of them.

Belongs here: the incident questions and their answers. Does not: finding incidents (detection), saving them (store).
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from muninn.errors import Invalid
from muninn.model import SeriesKey, Window
from muninn.reads.asking import Asker

IncidentState = Literal["open", "closed", "all"]


class UnknownIncident(Invalid):
    """There is no incident of this id."""


@dataclass(frozen=True)
class ProbableCause:
    """Why, with a confidence of 0..1. evidence: (what it says, the series that shows it). runbook: its page's name."""

    name: str
    title: str
    confidence: float
    evidence: tuple[tuple[str, str], ...]
    actions: tuple[str, ...]
    runbook: str


@dataclass(frozen=True)
class IncidentInfo:
    """One incident. score: the highest of its series. useful: what people said of it; None: nothing."""

    incident_id: str
    opened_ms: int
    closed_ms: int | None
    title: str
    score: float
    series_count: int
    causes: tuple[ProbableCause, ...]
    useful: bool | None
    note: str | None


@dataclass(frozen=True, eq=False)
class AffectedSeries:
    """A series of an incident at its peak, in its unit. contributions: (view, signed share of the score).

    The track while it lasted, all of one length: at_ms int64[n]; seen, expected_then, low_then, high_then float64[n].
    """

    key: SeriesKey
    is_head: bool
    opened_ms: int
    closed_ms: int | None
    peak_ms: int
    score: float
    value: float
    expected: float
    low: float
    high: float
    confidence: float
    contributions: tuple[tuple[str, float], ...]
    at_ms: NDArray[np.int64]
    seen: NDArray[np.float64]
    expected_then: NDArray[np.float64]
    low_then: NDArray[np.float64]
    high_then: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class IncidentDetail:
    """An incident with its series, the head first."""

    incident: IncidentInfo
    series: tuple[AffectedSeries, ...]


def incidents(ask: Asker, window: Window, state: IncidentState, most: int) -> list[IncidentInfo]:
    """Those that were open at some time in the window, the newest first."""
    rows = ask.fetch("reads_incidents", since_us=window.since_us, until_us=window.until_us, state=state, most=most)
    return [_info(row) for row in rows]


def incident(ask: Asker, incident_id: str) -> IncidentDetail:
    """One incident; UnknownIncident where there is none of this id."""
    ident = _parsed(incident_id)
    rows = ask.fetch("reads_incident", incident_id=ident)
    if not rows:
        raise UnknownIncident(f"there is no incident {incident_id}", "incident_id")
    head = rows[0].head
    series = [_series(row, row.fingerprint == head) for row in ask.fetch("reads_incident_series", incident_id=ident)]
    return IncidentDetail(_info(rows[0]), tuple(sorted(series, key=lambda each: not each.is_head)))


def mark(ask: Asker, incident_id: str, useful: bool | None, note: str | None) -> None:
    """Say whether an incident was useful; None takes it back. UnknownIncident where there is none of this id."""
    ident = _parsed(incident_id)
    if not ask.database.execute("reads_mark_incident", incident_id=ident, useful=useful, note=note):
        raise UnknownIncident(f"there is no incident {incident_id}", "incident_id")


def _parsed(incident_id: str) -> uuid.UUID:
    try:
        return uuid.UUID(incident_id)
    except ValueError:
        raise Invalid(f"{incident_id!r} is no incident's id", "incident_id") from None


def _info(row: Any) -> IncidentInfo:
    return IncidentInfo(
        str(row.incident_id),
        row.opened_us // 1000,
        None if row.closed_us is None else row.closed_us // 1000,
        row.title,
        row.score,
        row.series_count,
        tuple(_cause(each) for each in row.causes),
        row.useful,
        row.note,
    )


def _cause(given: Mapping[str, Any]) -> ProbableCause:
    return ProbableCause(
        given["name"],
        given["title"],
        given["confidence"],
        tuple((each["says"], each["series"]) for each in given["evidence"]),
        tuple(given["actions"]),
        given["runbook"],
    )


def _series(row: Any, is_head: bool) -> AffectedSeries:
    shares: Sequence[tuple[str, float]] = sorted(row.contributions.items(), key=lambda share: -abs(share[1]))
    track = np.array(row.track, np.float64).reshape(-1, 5)
    return AffectedSeries(
        SeriesKey.of(row.metric_name, row.tags, row.source_agent_id, row.instance_id),
        is_head,
        row.opened_us // 1000,
        None if row.closed_us is None else row.closed_us // 1000,
        row.peak_us // 1000,
        row.score,
        row.value,
        row.expected,
        row.low,
        row.high,
        row.confidence,
        tuple(shares),
        (track[:, 0] // 1000).astype(np.int64),
        *track[:, 1:].T,
    )
