"""Who may watch the stream, by token, by ticket, and for how long."""

from typing import Any

import pytest

from muninn.clock import SECOND_US, ManualClock
from muninn.guard import tickets
from muninn.guard.judge import Judge, Policy
from muninn.guard.roll import Roll
from muninn.guard.tokens import Token, digest_of
from muninn.stream.entry import NOBODY, WAIT_S, Entry, Waiting
from muninn.stream.session import NOT_ALLOWED, Session

KEY = b"k" * 32
ELSEWHERE = {"host": "10.0.0.1:8481"}


class Guarded:
    """A house whose sidecar asks; `kept` are its tokens."""

    def __init__(self, house: Any, wire_of: Any):
        self.house, self.wire_of = house, wire_of
        self.kept = [
            Token(1, "viewer", digest_of("may"), frozenset({"read"})),
            Token(2, "agent", digest_of("may not"), frozenset({"ingest"})),
        ]
        self.roll = Roll(self, clock=house.clock)
        self.roll.refresh()
        self.entry = Entry(Judge(Policy(), self.roll, house.clock), house.clock)

    def tokens(self) -> list[Token]:
        return self.kept

    def signing_key(self) -> bytes:
        return KEY

    def knock(self, **headers: str) -> tuple[Session, Any]:
        who = self.entry.knock("10.0.0.9", {**ELSEWHERE, **headers})
        assert isinstance(who, int | Waiting)
        wire = self.wire_of()
        wire.session = Session(wire, self.house.hub, self.house.clock, self.entry, who)
        wire.session.open(1000)
        return wire.session, wire


@pytest.fixture
def guarded(house: Any) -> Guarded:
    _, wire = house.client()
    return Guarded(house, type(wire))


def ops(wire: Any) -> list[tuple[str, str | None]]:
    return [(frame["op"], frame.get("code")) for frame in wire.frames()]


def test_this_machine_and_a_token_in_a_header_are_let_in_at_once(guarded: Guarded) -> None:
    assert guarded.entry.knock("127.0.0.1", {"host": "localhost:8481"}) == NOBODY
    session, wire = guarded.knock(authorization="Bearer may")
    assert (session.waits, ops(wire)) == (False, [("hello", None)])


def test_a_wrong_token_in_a_header_is_turned_away(guarded: Guarded) -> None:
    for secret, status in (("wrong", 401), ("may not", 403)):
        found = guarded.entry.knock("10.0.0.9", {**ELSEWHERE, "authorization": f"Bearer {secret}"})
        assert found.status == status  # type: ignore[union-attr]


def test_a_ticket_of_a_token_that_may_not_read_opens_nothing(guarded: Guarded, say: Any) -> None:
    until_us = guarded.house.clock.now_us() + 60 * SECOND_US
    for token_id, answer in ((1, ("hello", None)), (2, ("error", "unauthenticated"))):
        session, wire = guarded.knock()
        say(session, op="authenticate", token=tickets.issue(KEY, token_id, until_us))
        assert ops(wire) == [answer]


def test_who_waits_is_told_nothing_until_it_says_who_it_is(guarded: Guarded, say: Any) -> None:
    session, wire = guarded.knock()
    before = guarded.house.hub.viewers
    assert ops(wire) == []
    say(session, op="subscribe", id="c1", channel="overview")
    say(session, op="ping")
    assert ops(wire) == [("error", "unauthenticated")] * 2
    assert guarded.house.hub.viewers == before
    ticket = tickets.issue(KEY, 1, guarded.house.clock.now_us() + SECOND_US)
    say(session, op="authenticate", token=ticket)
    assert ops(wire) == [("hello", None)]
    say(session, op="subscribe", id="c1", channel="overview")
    assert "subscribed" in [op for op, _ in ops(wire)]


@pytest.mark.parametrize("token", ["wrong", "may not", "ticket_AAAA.AAAA", tickets.issue(b"x" * 32, 1, 1 << 60)])
def test_a_wrong_token_said_ends_the_connection(guarded: Guarded, say: Any, token: str) -> None:
    session, wire = guarded.knock()
    say(session, op="authenticate", token=token)
    assert ops(wire) == [("error", "unauthenticated")]
    assert wire.closed[0] == NOT_ALLOWED


def test_who_says_nothing_is_turned_out(guarded: Guarded) -> None:
    session, wire = guarded.knock()
    guarded.house.clock.advance(WAIT_S - 1)
    assert session.check() is None
    guarded.house.clock.advance(2)
    assert session.check() == "unauthenticated"
    assert wire.closed[0] == NOT_ALLOWED


def test_a_revoked_token_ends_what_it_opened(guarded: Guarded) -> None:
    session, wire = guarded.knock(authorization="Bearer may")
    assert session.check() is None
    guarded.kept = guarded.kept[1:]
    guarded.roll.refresh()
    assert session.check() == "revoked"
    assert wire.closed == (NOT_ALLOWED, "the token that you came in with was revoked or is over")


def test_who_is_turned_out_and_does_not_read_is_cut(guarded: Guarded) -> None:
    """A close frame waits for room like any other: without an end to that a stalled client keeps its place."""
    revoked, revoked_wire = guarded.knock(authorization="Bearer may")
    silent, silent_wire = guarded.knock()
    guarded.kept = guarded.kept[1:]
    guarded.roll.refresh()
    guarded.house.clock.advance(WAIT_S + 1)
    assert (revoked.check(), silent.check()) == ("revoked", "unauthenticated")
    assert (revoked_wire.aborted, silent_wire.aborted) == (False, False)
    assert (revoked.check(), silent.check()) == ("revoked", "unauthenticated")
    assert (revoked_wire.aborted, silent_wire.aborted) == (True, True)


def test_authenticate_is_passed_over_where_nobody_is_asked(house: Any, say: Any) -> None:
    session, wire = house.client()
    say(session, op="authenticate", token="whatever")
    assert ops(wire) == []
    assert Entry(None, ManualClock()).knock("10.0.0.9", ELSEWHERE) == NOBODY


def test_a_token_that_is_no_text_is_named(house: Any, say: Any) -> None:
    session, wire = house.client()
    say(session, op="authenticate", token=7)
    assert ops(wire) == [("error", "bad_message")]
