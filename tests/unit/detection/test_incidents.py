"""Episodes to incidents: what belongs together, the head, causes, the end."""

import itertools
import uuid

import numpy as np

from muninn.detection.incidents import MAX_MEMBERS, Incident, Incidents
from muninn.detection.telling import ALL_VIEWS
from muninn.detection.watch import Findings
from muninn.model import ScoreBatch, SeriesKey

MINUTE = 60_000_000
NOW = 1_767_571_200_000_000


def key(metric: str, instance: str) -> SeriesKey:
    return SeriesKey.of(metric, None, "agent", instance)


def step(
    until_us: int, rows: dict[SeriesKey, float], opened: tuple[SeriesKey, ...] = (), closed: tuple[SeriesKey, ...] = ()
) -> Findings:
    """Findings of one step: series and their signed scores, negative for lower than expected."""
    keys, n = tuple(rows), len(rows)
    signed = np.array(list(rows.values()))
    shares = np.zeros((n, len(ALL_VIEWS)))
    shares[:, 0] = signed
    same = np.full(n, 5.0)
    scores = ScoreBatch(
        until_us, np.full(n, until_us), np.arange(n, dtype=np.int32), keys, np.abs(signed), same, same, same, same,
        same / 5, same < 0, shares, ALL_VIEWS,
    )  # fmt: skip
    where = [np.array([keys.index(each) for each in part], np.intp) for part in (opened, closed)]
    return Findings(scores, *where, n)


def made() -> Incidents:
    numbers = itertools.count(1)
    return Incidents(lambda: uuid.UUID(int=next(numbers)))


def test_series_of_one_place_make_one_incident_with_the_worst_of_the_first_as_head() -> None:
    incidents = made()
    memory, swap, late = key("memory_used_pct", "a"), key("swap_used_pct", "a"), key("gc_pause_ms", "a")
    (first,) = incidents.take(step(NOW, {memory: 0.85, swap: 0.95}, (memory, swap)), {})
    (again,) = incidents.take(step(NOW + 2 * MINUTE, {late: 0.99}, (late,)), {})
    assert first is again
    assert list(first.members) == [memory, swap, late]
    assert first.head.key == swap
    assert first.title == "swap_used_pct {instance=a} higher than expected, and 2 more series"
    assert first.score == 0.99
    (cause, *_) = first.causes()
    assert (cause.cause.name, cause.cause.runbook) == ("memory pressure", "memory-pressure")
    assert cause.confidence > 0.8
    assert ("it began to swap", "swap_used_pct {instance=a}") in cause.evidence


def test_unrelated_places_and_later_ones_are_incidents_of_their_own() -> None:
    incidents = made()
    one, other, late = key("memory_used_pct", "a"), key("queue_depth", "b"), key("cpu_busy_pct", "a")
    changed = incidents.take(step(NOW, {one: 0.9, other: 0.9}, (one, other)), {})
    assert len(changed) == 2
    (third,) = incidents.take(step(NOW + 5 * MINUTE, {late: 0.9}, (late,)), {})
    assert list(third.members) == [late]
    assert len(incidents.open) == 3


def test_one_metric_on_many_hosts_is_one_incident() -> None:
    incidents = made()
    keys = tuple(key("http_error_rate", f"web-{n}") for n in range(5))
    (incident,) = incidents.take(step(NOW, dict.fromkeys(keys, 0.9), keys), {})
    assert len(incident.members) == 5
    assert incident.causes()[0].cause.name == "dependency down"


def test_it_is_over_when_its_last_series_is() -> None:
    incidents = made()
    one, other = key("memory_used_pct", "a"), key("cpu_busy_pct", "a")
    incidents.take(step(NOW, {one: 0.9, other: 0.9}, (one, other)), {})
    (incident,) = incidents.take(step(NOW + MINUTE, {one: 0.1}, (), (one,)), {})
    assert incident.closed_us is None
    (incident,) = incidents.take(step(NOW + 2 * MINUTE, {other: 0.1}, (), (other,)), {})
    assert incident.closed_us == NOW + 2 * MINUTE
    assert incidents.open == {}


def test_it_is_saved_when_it_gets_worse_not_each_step() -> None:
    incidents, one = made(), key("memory_used_pct", "a")
    incidents.take(step(NOW, {one: 0.85}, (one,)), {})
    assert incidents.take(step(NOW + 1, {one: 0.86}), {}) == []
    assert len(incidents.take(step(NOW + 2, {one: 0.95}), {})) == 1
    assert incidents.take(step(NOW + 3, {one: 0.9}), {}) == []
    (incident,) = incidents.open.values()
    assert [point[0] for point in incident.members[one].track] == [NOW, NOW + 1, NOW + 2, NOW + 3]


def test_a_deploy_shortly_before_is_the_likely_cause() -> None:
    incidents, one = made(), key("http_error_rate", "a")
    (incident,) = incidents.take(step(NOW, {one: 0.9}, (one,)), {"a": NOW - 10 * MINUTE, "b": NOW})
    assert incident.causes()[0].cause.runbook == "deploy-regression"
    (other,) = made().take(step(NOW, {one: 0.9}, (one,)), {"a": NOW - 60 * MINUTE})
    assert "deploy" not in [each.cause.name for each in other.causes()]


def test_what_moves_the_other_way_is_no_evidence() -> None:
    fewer, more = key("requests_per_s", "a"), key("requests_per_s", "b")
    names = []
    for one, score in ((fewer, -0.95), (more, 0.95)):
        (incident,) = made().take(step(NOW, {one: score}, (one,)), {})
        names.append([each.cause.name for each in incident.causes()])
    assert "traffic spike" not in names[0]
    assert names[1][0] == "traffic spike"


def test_the_members_of_an_incident_are_bounded() -> None:
    incidents = made()
    keys = tuple(key("cpu_busy_pct", f"host-{n}") for n in range(MAX_MEMBERS + 7))
    (incident,) = incidents.take(step(NOW, dict.fromkeys(keys, 0.9), keys), {})
    assert (len(incident.members), incident.left_out) == (MAX_MEMBERS, 7)
    incidents.take(step(NOW + 1, dict.fromkeys(keys, 0.1), (), keys), {})
    assert incidents.open == {}


def test_restored_incidents_go_on() -> None:
    incidents, one, other = made(), key("memory_used_pct", "a"), key("cpu_busy_pct", "a")
    incidents.take(step(NOW, {one: 0.9, other: 0.9}, (one, other)), {})
    incidents.take(step(NOW + 1, {one: 0.1}, (), (one,)), {})
    (left,) = incidents.open.values()
    restored = made()
    restored.restore([Incident(**vars(left))])
    (incident,) = restored.take(step(NOW + MINUTE, {one: 0.9, other: 0.9}, (one,)), {})
    assert incident.incident_id == left.incident_id
    assert len(restored.open) == 1
    (incident,) = restored.take(step(NOW + 2 * MINUTE, {one: 0.1, other: 0.1}, (), (one, other)), {})
    assert incident.closed_us is not None


def test_a_series_there_is_no_room_for_is_counted_once_however_often_it_begins() -> None:
    incidents = made()
    keys = tuple(key("http_error_rate", f"web-{n}") for n in range(MAX_MEMBERS + 3))
    (incident,) = incidents.take(step(NOW, dict.fromkeys(keys, 0.9), keys), {})
    assert incident.left_out == 3
    for minute in range(1, 4):
        beyond = keys[-2:]
        incidents.take(step(NOW + minute * MINUTE, dict.fromkeys(beyond, 0.9), closed=beyond), {})
        incidents.take(step(NOW + minute * MINUTE + 1, dict.fromkeys(beyond, 0.9), beyond), {})
    assert incident.left_out == 3
    assert incident.title.endswith(f"and {len(keys) - 1} more series")


def test_series_that_nobody_watches_any_more_leave_their_incident_to_the_others() -> None:
    incidents = made()
    one, other = key("memory_used_pct", "a"), key("cpu_busy_pct", "a")
    (incident,) = incidents.take(step(NOW, {one: 0.9, other: 0.9}, (one, other)), {})
    assert incidents.leave([one, key("of_no_incident", "a")], NOW + MINUTE) == [incident]
    assert (incident.members[one].closed_us, incident.closed_us) == (NOW + MINUTE, None)
    assert incidents.leave([other], NOW + MINUTE) == [incident]
    assert incident.closed_us == NOW + MINUTE
    assert not incidents.open
