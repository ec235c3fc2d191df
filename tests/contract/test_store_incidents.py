"""Incidents and the detector's memory in the real store: saved, read back, asked for, marked."""

import uuid

import numpy as np
import psycopg
import pytest

from muninn.clock import ManualClock
from muninn.detection.incidents import Incident, Member
from muninn.errors import Invalid
from muninn.meter import Meter
from muninn.model import SeriesKey, Window
from muninn.reads import Reads
from muninn.store import detector_state
from muninn.store import incidents as stored
from muninn.store.database import Database

NOW = 1_767_571_200_000_000
SECOND = 1_000_000


def made(number: int = 1, opened_us: int = NOW) -> Incident:
    members = {}
    for name, score in (("memory_used_pct", 0.97), ("swap_used_pct", 0.9)):
        key = SeriesKey.of(name, {"part": 'a"\u0000b'}, "agent", "web-1")
        track = [(opened_us + step * SECOND, 90.0 + step, 40.0, 38.0, 42.5) for step in range(3)]
        members[key] = Member(
            key, opened_us, None, opened_us + SECOND, score, 91.0, 40.0, 38.0, 42.5, 0.75,
            {"value": score - 0.1, "change": -0.1}, track,
        )  # fmt: skip
    return Incident(uuid.UUID(int=number), opened_us, None, opened_us, members, 3, ("web-1",))


@pytest.fixture
def database(postgres_url: str) -> "Database":
    return Database(postgres_url, pool_size=2).open()


def test_an_open_incident_is_read_back_as_it_was(database: Database) -> None:
    incident = made()
    for _ in range(2):
        stored.save(database, [incident])
    (found,) = stored.load_open(database)
    assert (found.incident_id, found.opened_us, found.left_out, found.deployed) == (
        uuid.UUID(int=1),
        NOW,
        3,
        ("web-1",),
    )
    assert [member.key.metric for member in found.members.values()] == ["memory_used_pct", "swap_used_pct"]
    for left, right in zip(found.members.values(), incident.members.values(), strict=True):
        assert left.key.labels == (("part", 'a"b'),), "PostgreSQL keeps no NUL"
        assert {**vars(left), "key": None} == {**vars(right), "key": None}
    assert found.title == incident.title.replace("\0", "")


def test_a_closed_incident_is_open_no_more_and_feedback_survives_saving(database: Database) -> None:
    incident = made()
    stored.save(database, [incident, made(2)])
    with Reads(database, meter=Meter(), clock=ManualClock(NOW)) as ask:
        ask.mark_incident(str(incident.incident_id), True, "it was the deploy")
        incident.closed_us = NOW + 60 * SECOND
        for member in incident.members.values():
            member.closed_us = NOW + 50 * SECOND
        stored.save(database, [incident])
        assert [each.incident_id for each in stored.load_open(database)] == [uuid.UUID(int=2)]
        info = ask.incident(str(incident.incident_id)).incident
        assert (info.useful, info.note, info.closed_ms) == (True, "it was the deploy", NOW // 1000 + 60_000)
        ask.mark_incident(str(incident.incident_id), None)
        assert ask.incident(str(incident.incident_id)).incident.useful is None


def test_people_ask_for_incidents_by_window_and_state(database: Database) -> None:
    old, new = made(1), made(2, NOW + 3600 * SECOND)
    old.closed_us = NOW + 60 * SECOND
    stored.save(database, [old, new])
    with Reads(database, meter=Meter(), clock=ManualClock(NOW)) as ask:
        everything = Window(NOW, NOW + 7200 * SECOND)
        assert [each.incident_id for each in ask.incidents(everything)] == [str(new.incident_id), str(old.incident_id)]
        assert [each.incident_id for each in ask.incidents(everything, "open")] == [str(new.incident_id)]
        assert [each.incident_id for each in ask.incidents(everything, "closed")] == [str(old.incident_id)]
        assert len(ask.incidents(everything, most=1)) == 1
        assert ask.incidents(Window(NOW - 20, NOW - 10)) == []
        assert [each.incident_id for each in ask.incidents(Window(NOW + 61 * SECOND, NOW + 62 * SECOND))] == []


def test_one_incident_with_its_series_band_and_causes(database: Database) -> None:
    incident = made()
    stored.save(database, [incident])
    with Reads(database, meter=Meter(), clock=ManualClock(NOW)) as ask:
        detail = ask.incident(str(incident.incident_id))
        assert detail.incident.series_count == 5
        names = [cause.name for cause in detail.incident.causes]
        assert set(names) >= {"memory pressure", "deploy"}
        assert all(cause.evidence and cause.actions and cause.runbook for cause in detail.incident.causes)
        head, other = detail.series
        assert (head.is_head, other.is_head) == (True, False)
        assert head.contributions[0] == ("value", pytest.approx(0.87))
        assert head.at_ms.tolist() == [NOW // 1000, NOW // 1000 + 1000, NOW // 1000 + 2000]
        assert head.seen.tolist() == [90.0, 91.0, 92.0]
        assert np.unique(head.high_then).tolist() == [42.5]
        for wrong in ("no id", str(uuid.UUID(int=99))):
            with pytest.raises(Invalid, match="incident"):
                ask.incident(wrong)
            with pytest.raises(Invalid, match="incident"):
                ask.mark_incident(wrong, False)


def test_the_detectors_memory_comes_back_whole(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    assert detector_state.load(database, "series") is None
    monkeypatch.setattr(detector_state, "PIECE_BYTES", 1_000)
    large, small = np.random.default_rng(0).bytes(5_500), b"small"
    for data, at_us in ((large, 5), (small, 6), (b"", 7)):
        detector_state.save(database, "series", data, at_us)
        assert detector_state.load(database, "series") == (data, at_us)


def test_a_damaged_memory_is_told(database: Database, postgres_url: str) -> None:
    detector_state.save(database, "series", b"abc" * 100, 5)
    with psycopg.connect(postgres_url) as connection:
        connection.execute("update detector_state set body = '\\x00'")
    with pytest.raises(Invalid, match="damaged"):
        detector_state.load(database, "series")
