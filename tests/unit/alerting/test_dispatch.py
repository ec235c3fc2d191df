"""Who is told what and when: groups, waiting, repeating, escalating, ends, silences, inhibition, maintenance."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from muninn.alerting import spans
from muninn.alerting.alert import Alert, alert_id_of, fingerprint_of
from muninn.alerting.dispatch import Told, dispatch
from muninn.alerting.inhibit import Inhibition, inhibited
from muninn.alerting.matchers import Matchers
from muninn.alerting.route import Route
from muninn.alerting.silence import Maintenance, Silence, silenced
from muninn.clock import SECOND_US
from muninn.errors import Invalid
from muninn.model.window import as_us

T0 = 1_700_000_000 * SECOND_US


def alert(rule: str = "cpu", host: str = "a", severity: str = "warning", at_s: float = 0, **more: Any) -> Alert:
    at_us = T0 + round(at_s * SECOND_US)
    fingerprint = fingerprint_of(rule, {"host": host})
    return Alert(
        alert_id_of(fingerprint, at_us), rule, fingerprint, (("host", host),), severity, "firing", 1.0, 0.5, at_us,
        at_us, fired_us=at_us, **more,
    )  # fmt: skip


class Desk:
    """Remembers what was told, as the alerter does."""

    def __init__(self, *routes: dict[str, Any]):
        self.routes = [Route.model_validate({"receivers": ["ops"], "group_wait": 0, **given}) for given in routes]
        self.told: dict[tuple[str, str], Told] = {}

    def at(self, second: float, alerts: Iterable[Alert], muted: Iterable[Alert] = ()) -> list[tuple[str, str, int]]:
        """(receiver, why, how many alerts) of what is due."""
        quiet = {each.alert_id: True for each in muted}
        due, told = dispatch(alerts, quiet, self.told, self.routes, T0 + round(second * SECOND_US))
        self.told |= told
        self.keys = [each.key for each in due]
        return [(each.receiver, each.why, len(each.alerts)) for each in due]


def over(found: Alert, at_s: float) -> Alert:
    return replace(found, state="resolved", resolved_us=T0 + round(at_s * SECOND_US))


def test_a_group_waits_then_tells_changes_and_its_end() -> None:
    desk = Desk({"group_wait": "10s", "group_interval": "60s"})
    one, two = alert(), alert(host="b", at_s=5)
    assert desk.at(0, [one]) == []
    assert desk.at(5, [one, two]) == []
    assert desk.at(10, [one, two]) == [("ops", "new", 2)]
    assert desk.at(15, [one, two]) == []
    three = alert(host="c", at_s=20)
    assert desk.at(20, [one, two, three]) == []
    assert desk.at(70, [one, two, three]) == [("ops", "change", 3)]
    ended = [over(each, 100) for each in (one, two, three)]
    assert desk.at(100, ended) == []
    assert desk.at(130, ended) == [("ops", "resolved", 3)]
    assert desk.at(300, ended) == []


def test_what_is_over_before_the_group_has_waited_is_not_told_and_the_next_one_waits_anew() -> None:
    desk = Desk({"group_wait": "10s"})
    one = alert()
    assert desk.at(0, [one]) == []
    assert desk.at(8, [over(one, 8)]) == []
    assert desk.at(20, [over(one, 8)]) == []
    two, three = alert(host="b", at_s=100), alert(host="c", at_s=104)
    assert desk.at(100, [two]) == []
    assert desk.at(105, [two, three]) == []
    assert desk.at(110, [two, three]) == [("ops", "new", 2)]


def test_it_is_said_again_until_somebody_takes_it() -> None:
    desk = Desk({"repeat": "1h"})
    one = alert()
    assert desk.at(0, [one]) == [("ops", "new", 1)]
    first = desk.keys
    assert desk.at(3599, [one]) == []
    assert desk.at(3600, [one]) == [("ops", "repeat", 1)]
    assert desk.keys != first
    taken = replace(one, acknowledged_us=T0)
    assert desk.at(8000, [taken]) == []
    other = alert(host="b", at_s=8000)
    assert desk.at(8100, [taken, other]) == [("ops", "change", 2)]
    assert desk.at(8100 + 3600, [taken, other]) == [("ops", "repeat", 2)], "of one of them nobody has said anything"


def test_the_same_news_has_the_same_key() -> None:
    one, again = Desk({}), Desk({})
    assert one.at(0, [alert()]) == again.at(7, [alert()])
    assert one.keys == again.keys


def test_a_worse_severity_is_news() -> None:
    desk = Desk({"group_interval": "30s"})
    one = alert()
    desk.at(0, [one])
    assert desk.at(40, [replace(one, severity="critical")]) == [("ops", "change", 1)]
    assert desk.at(80, [replace(one, severity="critical")]) == []


def test_escalation_and_its_end() -> None:
    desk = Desk({"escalate": [{"after": "15m", "receiver": "boss"}], "group_interval": 0})
    one = alert()
    assert desk.at(0, [one]) == [("ops", "new", 1)]
    assert desk.at(899, [one]) == []
    assert desk.at(900, [one]) == [("boss", "escalation", 1)]
    assert sorted(desk.at(1000, [over(one, 1000)])) == [("boss", "resolved", 1), ("ops", "resolved", 1)]
    # What nobody is told of calls nobody: the boss waits for the young one, not for the old one that is silenced.
    quiet, old, young = Desk({"escalate": [{"after": "15m", "receiver": "boss"}]}), alert(host="b"), alert(at_s=800)
    assert quiet.at(800, [old, young], muted=[old]) == [("ops", "new", 1)]
    assert quiet.at(1600, [old, young], muted=[old]) == []
    assert quiet.at(1700, [old, young], muted=[old]) == [("boss", "escalation", 1)]
    heeded = Desk({"escalate": [{"after": "15m", "receiver": "boss"}]})
    heeded.at(0, [one])
    assert heeded.at(2000, [replace(one, acknowledged_us=T0)]) == []


def test_routes_in_order_and_groups_by_labels() -> None:
    desk = Desk(
        {"match": {"severity": "critical"}, "receivers": ["pager"], "continue": True},
        {"match": {"host": "=~a|b"}, "group_by": ["host"]},
    )
    found = desk.at(0, [alert(severity="critical"), alert(host="b"), alert(host="c")])
    assert sorted(found) == [("ops", "new", 1), ("ops", "new", 1), ("pager", "new", 1)]


def test_what_is_muted_is_not_told_but_its_end_is_to_those_who_know() -> None:
    desk = Desk({"group_interval": 0})
    one, two = alert(), alert(host="b")
    assert desk.at(0, [one, two], muted=[two]) == [("ops", "new", 1)]
    assert desk.at(10, [one, two], muted=[one, two]) == []
    assert desk.at(20, [over(one, 20), over(two, 20)], muted=[one, two]) == [("ops", "resolved", 1)]
    quiet = Desk({"resolved": False, "group_interval": 0})
    quiet.at(0, [one])
    assert quiet.at(20, [over(one, 20)]) == []


def test_inhibition() -> None:
    rule = Inhibition.model_validate({"source": {"rule": "down"}, "target": {"rule": "!=down"}, "equal": ["host"]})
    head, same, other = alert("down"), alert("cpu"), alert("cpu", "b")
    assert inhibited([head, same, other], [rule]) == {same.alert_id: head.alert_id}
    assert inhibited([replace(head, state="pending"), same], [rule]) == {}
    # Two that would hold each other back are both told.
    any_two = Inhibition.model_validate({"source": {"rule": "=~down|cpu"}, "target": {"rule": "=~.*"}, "equal": []})
    assert inhibited([head, same], [any_two]) == {}
    third = alert("disk")
    assert inhibited([head, same, third], [any_two]) == {third.alert_id: head.alert_id}


def test_silences_hold_from_start_to_end() -> None:
    one = alert()
    silence = Silence("s1", Matchers.of({"host": "=~a.*", "severity": "!=critical"}), T0, T0 + 60 * SECOND_US)
    assert silenced([one], [silence], [], T0)[one.alert_id].until_us == T0 + 60 * SECOND_US
    assert silenced([one], [silence], [], T0 - 1) == {}
    assert silenced([one], [silence], [], T0 + 60 * SECOND_US) == {}
    assert silenced([replace(one, severity="critical")], [silence], [], T0) == {}


def us(*given: int) -> int:
    return as_us(datetime(*given, tzinfo=UTC))


@pytest.mark.parametrize(
    ("at_us", "on"),
    [
        (us(2026, 7, 4, 21, 59), False),  # a Saturday; Berlin is two hours ahead
        (us(2026, 7, 4, 22, 0), False),  # Sunday, 00:00 there
        (us(2026, 7, 3, 22, 0), True),  # Saturday, 00:00 there
        (us(2026, 7, 4, 1, 59), True),
        (us(2026, 7, 4, 2, 0), False),
        (us(2026, 1, 9, 22, 0), False),  # in winter it is one hour ahead
        (us(2026, 1, 9, 23, 0), True),
    ],
)
def test_maintenance_follows_the_clock_of_its_zone(at_us: int, on: bool) -> None:
    window = Maintenance.model_validate(
        {"name": "w", "at": "00:00", "duration": "4h", "days": ["sat"], "timezone": "Europe/Berlin"}
    )
    assert (window.ends_us(at_us) is not None) == on


def test_maintenance_over_a_change_of_clocks_lasts_as_long_as_it_says() -> None:
    window = Maintenance.model_validate({"name": "w", "at": "01:30", "duration": "2h", "timezone": "Europe/Berlin"})
    # 2026-03-29 02:00 becomes 03:00 there: 01:30 is 00:30 UTC, and two hours later it is 04:30 by the clock.
    assert window.ends_us(us(2026, 3, 29, 0, 30)) == us(2026, 3, 29, 2, 30)
    assert window.ends_us(us(2026, 3, 29, 2, 30)) is None
    over_midnight = Maintenance.model_validate({"name": "w", "at": "23:00", "duration": "3h", "until": "2026-03-02"})
    assert over_midnight.ends_us(us(2026, 3, 2, 1, 0)) == us(2026, 3, 2, 2, 0)
    assert over_midnight.ends_us(us(2026, 3, 2, 23, 30)) is None


@pytest.mark.parametrize(
    ("at", "zone", "day", "begins", "ends"),
    [
        # In spring 02:30 is skipped in Berlin: it counts by the offset from before, 03:30 by the new clock.
        ("02:30", "Europe/Berlin", (2026, 3, 28), us(2026, 3, 28, 1, 30), us(2026, 3, 28, 2, 30)),
        ("02:30", "Europe/Berlin", (2026, 3, 29), us(2026, 3, 29, 1, 30), us(2026, 3, 29, 2, 30)),
        ("02:30", "Europe/Berlin", (2026, 3, 30), us(2026, 3, 30, 0, 30), us(2026, 3, 30, 1, 30)),
        # In autumn 02:30 comes twice: the window is at the first one, once.
        ("02:30", "Europe/Berlin", (2026, 10, 25), us(2026, 10, 25, 0, 30), us(2026, 10, 25, 1, 30)),
        ("02:30", "Europe/Berlin", (2026, 10, 26), us(2026, 10, 26, 1, 30), us(2026, 10, 26, 2, 30)),
        # A day of 25 hours; and a zone that moves by half an hour.
        ("00:00", "America/New_York", (2026, 11, 1), us(2026, 11, 1, 4, 0), us(2026, 11, 1, 5, 0)),
        ("23:30", "America/New_York", (2026, 11, 1), us(2026, 11, 2, 4, 30), us(2026, 11, 2, 5, 30)),
        ("01:00", "Australia/Lord_Howe", (2026, 4, 4), us(2026, 4, 3, 14, 0), us(2026, 4, 3, 15, 0)),
        ("03:00", "Australia/Lord_Howe", (2026, 4, 5), us(2026, 4, 4, 16, 30), us(2026, 4, 4, 17, 30)),
    ],
)
def test_a_window_comes_again_by_the_clock_across_changes_of_it(
    at: str, zone: str, day: tuple[int, int, int], begins: int, ends: int
) -> None:
    """Instants by hand. Once a day, for an hour: a minute before, the first, the last, the end; and nowhere else."""
    window = Maintenance.model_validate({"name": "w", "at": at, "duration": "1h", "timezone": zone})
    minute = 60 * SECOND_US
    assert [window.ends_us(begins + step) for step in (-1, 0, ends - begins - 1)] == [None, ends, ends]
    assert window.ends_us(ends) is None
    assert window.begins_us(begins - 1) == begins
    on = sum(window.ends_us(begins - 12 * 60 * minute + step * minute) == ends for step in range(24 * 60))
    assert on == 60
    local = datetime(*day, tzinfo=ZoneInfo(zone))
    assert datetime.fromtimestamp(begins / SECOND_US, ZoneInfo(zone)).date() == local.date()


def test_matchers_say_what_is_wrong() -> None:
    assert Matchers.of({"a": "!~x|y"}).holds({"a": "z"})
    assert not Matchers.of({"a": "!=x", "b": "1"}).holds({"a": "x", "b": "1"})
    assert Matchers.of({"a": ""}).holds({})
    with pytest.raises(Invalid, match="no regular expression"):
        Matchers.of({"a": "=~("})


def test_a_pattern_takes_no_longer_for_being_nested() -> None:
    """With a backtracking engine this does not end."""
    nested = Matchers.of({"a": "=~(a+)+(b|c)"})
    assert not nested.holds({"a": "a" * 200})
    assert nested.holds({"a": "a" * 200 + "c"})


def test_a_pattern_is_of_the_whole_value_as_it_stands() -> None:
    either = Matchers.of({"a": "=~eu|us-.*"})
    assert [either.holds({"a": value}) for value in ("eu", "us-é", "eu-1", "eu\n")] == [True, True, False, False]
    assert not Matchers.of({"a": "=~x"}).holds({"a": "\ud800"})


@pytest.mark.parametrize("pattern", ["a)|(b", "a(?=b)", r"(a)\1", "x{2000}", "[", "\ud800", "a" * 501])
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(Invalid, match="a: "):
        Matchers.of({"a": f"=~{pattern}"})


def test_a_number_too_long_for_a_float_is_refused_and_not_a_crash() -> None:
    with pytest.raises(ValueError, match="finite"):
        spans.amount(10**400)
