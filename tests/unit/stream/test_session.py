"""Sessions: a client that reads too slowly, one that is gone, and one that talks nonsense."""

from collections.abc import Callable
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from muninn.model import SeriesKey
from muninn.stream.protocol import MAX_MESSAGE_BYTES
from muninn.stream.session import GOING_AWAY, HARD_LIMIT_BYTES, MESSAGE_TOO_BIG, PING_AFTER_S, SILENT_S, STALL_S

KEY = SeriesKey.of("m")
CHANNEL = {"metric": "m"}


def test_a_slow_client_is_sent_nothing_until_it_reads_and_then_a_snapshot(house: Any, say: Callable[..., None]) -> None:
    slow, slow_wire = house.client()
    fast, fast_wire = house.client()
    for session in (slow, fast):
        say(session, op="subscribe", id="c", channel=CHANNEL)
    slow_wire.room = 0
    for value in range(5):
        house.ingest((KEY, float(value)))
        house.tick()
    assert [frame["op"] for frame in slow_wire.frames()] == ["subscribed", "snapshot", "delta"]
    assert [frame["op"] for frame in fast_wire.frames()] == ["subscribed", "snapshot", *["delta"] * 5]
    assert slow.behind
    assert not slow_wire.reading
    slow_wire.drain()
    resync, status, snapshot = slow_wire.frames()
    assert resync == {"op": "resync", "missed": 4}
    assert status["op"] == "status"
    assert snapshot["points"][0][2] == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert slow_wire.reading
    house.ingest((KEY, 9.0))
    house.tick()
    assert [frame["op"] for frame in slow_wire.frames()] == ["delta"]


def test_catching_up_stops_where_the_client_stops_reading_again(house: Any, say: Callable[..., None]) -> None:
    session, wire = house.client()
    for name in "abc":
        say(session, op="subscribe", id=name, channel={"metric": name})
    wire.frames()
    session.blocked()
    house.ingest(*((SeriesKey.of(name), 1.0) for name in "abc"))
    house.tick()
    assert wire.frames() == []
    wire.room = 200  # enough for the resync and one snapshot
    session.drained()
    assert [frame["op"] for frame in wire.frames()] == ["resync", "status", "snapshot"]
    wire.drain()
    assert [frame["op"] for frame in wire.frames()] == ["snapshot", "snapshot"]


def test_a_subscription_made_while_behind_gets_its_snapshot_later(house: Any, say: Callable[..., None]) -> None:
    session, wire = house.client()
    session.blocked()
    say(session, op="subscribe", id="c", channel=CHANNEL)
    assert [frame["op"] for frame in wire.frames()] == ["subscribed"]
    wire.drain()
    assert [frame["op"] for frame in wire.frames()] == ["snapshot"]


def test_a_stalled_client_is_cut_but_not_one_that_takes_a_little(house: Any) -> None:
    session, wire = house.client()
    wire.queue(100_000)
    session.blocked()
    house.clock.advance(STALL_S)
    wire.queue(90_000)
    assert session.check() is None
    house.clock.advance(STALL_S - 1)
    assert session.check() is None
    house.clock.advance(2)
    assert session.check() == "stalled"
    assert wire.aborted


def test_a_client_with_too_much_queued_is_cut_at_once(house: Any) -> None:
    session, wire = house.client()
    wire.queue(HARD_LIMIT_BYTES + 1)
    assert session.check() == "too much queued"
    assert wire.aborted


def test_a_silent_client_is_asked_and_then_cut(house: Any, say: Callable[..., None]) -> None:
    session, wire = house.client()
    house.clock.advance(PING_AFTER_S + 1)
    assert session.check() is None
    assert wire.pings == 1
    session.heard()
    house.clock.advance(PING_AFTER_S - 1)
    assert session.check() is None
    assert wire.pings == 1
    house.clock.advance(SILENT_S)
    assert session.check() == "silent"
    assert wire.aborted


def test_a_pong_carries_the_pings_id(house: Any, say: Callable[..., None]) -> None:
    session, wire = house.client()
    say(session, op="ping", id="7")
    assert wire.frames() == [{"op": "pong", "id": "7", "at_ms": house.hub.now_ms}]


def test_unsubscribing_from_nothing_is_an_error_that_names_the_id(house: Any, say: Callable[..., None]) -> None:
    session, wire = house.client()
    say(session, op="unsubscribe", id="never")
    (error,) = wire.frames()
    assert (error["code"], error["id"]) == ("unknown_id", "never")


def test_a_message_that_is_too_long_ends_the_connection(house: Any) -> None:
    session, wire = house.client()
    session.receive(b" " * (MAX_MESSAGE_BYTES + 1))
    assert wire.closed is not None
    assert wire.closed[0] == MESSAGE_TOO_BIG


def test_binary_is_answered_with_an_error(house: Any) -> None:
    session, wire = house.client()
    session.receive_binary()
    (error,) = wire.frames()
    assert error["code"] == "bad_json"


def test_the_same_id_again_replaces_the_subscription(house: Any, say: Callable[..., None]) -> None:
    session, wire = house.client()
    say(session, op="subscribe", id="c", channel={"metric": "a"})
    say(session, op="subscribe", id="c", channel={"metric": "b"})
    wire.frames()
    house.ingest((SeriesKey.of("a"), 1.0), (SeriesKey.of("b"), 2.0))
    house.tick()
    (delta,) = wire.frames()
    assert delta["points"][0][2] == [2.0]


def test_a_client_is_told_when_the_sidecar_ends(house: Any) -> None:
    session, wire = house.client()
    session.go_away()
    assert wire.closed is not None
    assert wire.closed[0] == GOING_AWAY


def test_a_change_of_status_reaches_everyone_also_those_who_watch_nothing(house: Any) -> None:
    _, wire = house.client()
    house.hub.set_status(False, "the buffer is away: refused")
    house.tick()
    (status,) = wire.frames()
    assert (status["op"], status["live"], status["reason"]) == ("status", False, "the buffer is away: refused")
    house.hub.set_status(False, "the buffer is away: refused")
    house.tick()
    assert wire.frames() == []


NONSENSE = st.one_of(
    st.binary(max_size=80),
    st.builds(
        lambda op, id, channel, since: orjson.dumps({"op": op, "id": id, "channel": channel, "since": since}),
        st.sampled_from(["subscribe", "unsubscribe", "ping", "x", None]),
        st.sampled_from(["a", "b", "", None, 7]),
        st.sampled_from(["overview", {"metric": "m"}, {"metric": "m", "labels": {"a": "b"}}, {"metric": 1}, [], None]),
        st.sampled_from([None, {"epoch": "e", "offset": 0}, {"epoch": "e", "offset": -1}, 3]),
    ),
)
EVENTS = st.lists(
    st.tuples(st.sampled_from(["say", "piece", "tick", "block", "drain", "check", "ingest", "binary"]), NONSENSE),
    max_size=40,
)


@settings(deadline=None)
@given(events=EVENTS)
def test_no_message_crashes_the_session_or_the_hub(
    make_house: Callable[..., Any], events: list[tuple[str, bytes]]
) -> None:
    house = make_house()
    session, wire = house.client()
    bystander, bystander_wire = house.client()
    bystander.receive(b'{"op":"subscribe","id":"c","channel":{"metric":"m"}}')
    for what, text in events:
        match what:
            case "say":
                session.receive(text)
            case "piece":
                session.receive(text, fin=False)
            case "binary":
                session.receive_binary()
            case "tick":
                house.tick()
            case "block":
                session.blocked()
            case "drain":
                wire.drain()
            case "check":
                session.check()
            case _:
                house.ingest((KEY, 1.0))
    for frame in wire.frames():
        assert frame["op"] != "error" or frame["code"] != "internal"
    session.close()
    bystander_wire.frames()
    house.ingest((KEY, 2.0))
    house.tick()
    (delta,) = [frame for frame in bystander_wire.frames() if frame["op"] == "delta"]
    assert delta["points"][0][2][-1] == 2.0
    bystander.close()
    house.tick(100)
    house.tick(100)
    assert (house.hub.viewers, house.hub.channel_count, house.hub.series_count) == (0, 0, 0)
