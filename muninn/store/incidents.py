"""Incidents in the store: saved as they are, and the open ones read back.

Belongs here: rows from and to incidents. Does not: what an incident is (detection), what people ask (reads).
"""

import uuid
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import orjson

from muninn.detection.incidents import Incident, Member
from muninn.model import SeriesKey
from muninn.store.database import Database, Transaction


def save(where: Database | Transaction, incidents: Sequence[Incident]) -> None:
    """Keep these incidents as they are now, all or none; the same again changes nothing."""
    if incidents:
        where.execute(
            "detection_save_incidents",
            incidents=_json([_incident(each) for each in incidents]),
            series=_json([_member(each, member) for each in incidents for member in each.members.values()]),
        )


def load_open(database: Database) -> list[Incident]:
    """The incidents that are not over."""
    rows: dict[uuid.UUID, list[Any]] = defaultdict(list)
    for row in database.fetch("detection_open_incidents"):
        rows[row.incident_id].append(row)
    return [_restored(incident_id, members) for incident_id, members in rows.items()]


def _incident(incident: Incident) -> dict[str, object]:
    return {
        "incident_id": incident.incident_id,
        "opened_us": incident.opened_us,
        "closed_us": incident.closed_us,
        "title": _kept(incident.title),
        "score": incident.score,
        "head": incident.head.key.fingerprint,
        "series_count": len(incident.members) + incident.left_out,
        "causes": [
            {
                "name": each.cause.name,
                "title": each.cause.title,
                "runbook": each.cause.runbook,
                "actions": each.cause.actions,
                "confidence": each.confidence,
                "evidence": [{"says": says, "series": _kept(series)} for says, series in each.evidence],
            }
            for each in incident.causes()
        ],
    }


def _member(incident: Incident, member: Member) -> dict[str, object]:
    return {
        "incident_id": incident.incident_id,
        "fingerprint": member.key.fingerprint,
        "key": orjson.loads(_kept(member.key.canonical.decode().replace("\\u0000", ""))),
        "opened_us": member.opened_us,
        "closed_us": member.closed_us,
        "peak_us": member.peak_us,
        "score": member.score,
        "value": member.value,
        "expected": member.expected,
        "low": member.low,
        "high": member.high,
        "confidence": member.confidence,
        "contributions": member.shares,
        "track": member.track,
    }


def _restored(incident_id: uuid.UUID, rows: Sequence[Any]) -> Incident:
    members = [
        Member(
            SeriesKey.of(row.metric_name, row.tags, row.source_agent_id, row.instance_id),
            row.member_opened_us,
            row.member_closed_us,
            row.peak_us,
            row.score,
            row.value,
            row.expected,
            row.low,
            row.high,
            row.confidence,
            row.contributions,
            [tuple(point) for point in row.track],
        )
        for row in rows
    ]
    joined_us = max(member.opened_us for member in members)
    left_out = rows[0].series_count - len(members)
    deployed = {
        each["series"]
        for cause in rows[0].causes
        for each in cause["evidence"]
        if cause["name"] == "deploy" and "deploy" in each["says"]
    }
    found = {member.key: member for member in members}
    return Incident(incident_id, rows[0].opened_us, None, joined_us, found, left_out, tuple(sorted(deployed)))


def _kept(text: str) -> str:
    """PostgreSQL can not store NUL."""
    return text.replace("\0", "")


def _json(rows: list[dict[str, object]]) -> str:
    return orjson.dumps(rows).decode()
