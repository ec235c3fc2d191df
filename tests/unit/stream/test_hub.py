"""The hub: one encoding for all, recovery, stored points, lifetime of channels."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muninn.model import SeriesKey
from muninn.stream.channel import Limits
from muninn.stream.client import ChannelView
from muninn.stream.protocol import ChannelSpec

CPU0, CPU1 = (SeriesKey.of("cpu_busy_pct", {"cpu": cpu}, "agent", "host") for cpu in "01")
CPU = {"metric": "cpu_busy_pct"}


def ops(wire: Any) -> list[str]:
    return [frame["op"] for frame in wire.frames()]


def test_a_client_gets_a_snapshot_and_then_each_tick_what_changed(house: Any, say: Callable[..., None]) -> None:
    session, wire = house.client()
    house.hub.set_status(True)
    say(session, op="subscribe", id="c1", channel=CPU)
    subscribed, snapshot = wire.frames()
    assert subscribed == {"op": "subscribed", "id": "c1", "ch": 1, "recovered": False}
    assert (snapshot["op"], snapshot["series"], snapshot["points"], snapshot["offset"]) == ("snapshot", [], [], 0)
    house.tick()
    assert ops(wire) == ["status"]
    house.ingest((CPU0, 12.5), (SeriesKey.of("load_1m"), 1.0))
    house.tick(0.5)
    (delta,) = wire.frames()
    assert delta == {
        "op": "delta",
        "ch": 1,
        "offset": 1,
        "at_ms": house.hub.now_ms,
        "series": [
            {
                "ref": 1,
                "metric": "cpu_busy_pct",
                "labels": {"cpu": "0"},
                "source_agent_id": "agent",
                "instance_id": "host",
            }
        ],
        "points": [[1, [500], [12.5]]],
    }
    house.tick()
    assert wire.frames() == []
    house.ingest((CPU0, 13.0), (CPU1, 2.0))
    house.tick()
    (delta,) = wire.frames()
    assert [row["labels"] for row in delta["series"]] == [{"cpu": "1"}]
    assert delta["points"] == [[1, [1000], [13.0]], [2, [1000], [2.0]]]


def test_the_same_bytes_go_to_all_who_watch_the_same(house: Any, say: Callable[..., None]) -> None:
    clients = [house.client() for _ in range(50)]
    for number, (session, _) in enumerate(clients):
        say(session, op="subscribe", id=f"mine-{number}", channel=CPU)
        say(session, op="subscribe", id="x", channel={"metric": "load_1m"})
    other, other_wire = house.client()
    say(other, op="subscribe", id="c", channel=CPU)
    for _, wire in clients:
        wire.sent.clear()
    other_wire.sent.clear()
    house.ingest((CPU0, 1.0), (SeriesKey.of("load_1m"), 2.0))
    house.tick()
    messages = {id(message) for _, wire in clients for message in wire.sent}
    assert len(messages) == 1  # the same object, both channels in one message
    assert [frame["ch"] for frame in clients[0][1].frames()] == [1, 2]
    assert [frame["ch"] for frame in other_wire.frames()] == [1]
    encoded = {name: value for name, _, value in house.meter.snapshot()}["muninn_stream_frames_encoded_total"]
    assert encoded == 2


def test_a_snapshot_is_encoded_once_between_two_deltas(house: Any, say: Callable[..., None]) -> None:
    watcher, _ = house.client()
    say(watcher, op="subscribe", id="c", channel=CPU)
    house.ingest((CPU0, 1.0))
    house.tick()
    channel = house.hub.subscribe(watcher, ChannelSpec.of("cpu_busy_pct"))
    first = channel.snapshot(house.hub.now_ms)
    house.ingest((CPU0, 2.0))
    assert channel.snapshot(house.hub.now_ms) is first
    house.tick()
    assert channel.snapshot(house.hub.now_ms) is not first


def test_an_unknown_metric_is_an_empty_channel_that_fills_later(house: Any, say: Callable[..., None]) -> None:
    session, wire = house.client()
    say(session, op="subscribe", id="c", channel={"metric": "not_yet", "labels": {"a": "b"}})
    assert wire.frames()[1]["series"] == []
    house.ingest((SeriesKey.of("not_yet", {"a": "b", "c": "d"}), 1.0), (SeriesKey.of("not_yet", {"a": "x"}), 2.0))
    house.tick()
    (delta,) = wire.frames()
    assert [row["labels"] for row in delta["series"]] == [{"a": "b", "c": "d"}]


def test_stored_points_lie_under_the_live_ones_without_doubles(
    make_house: Callable[..., Any], say: Callable[..., None], stored: Callable[..., Any]
) -> None:
    house = make_house(answer_seeds=False)
    now_ms = house.hub.now_ms
    session, wire = house.client()
    say(session, op="subscribe", id="c", channel=CPU)
    assert ops(wire) == ["subscribed"]
    house.ingest((CPU0, 5.0))
    house.tick()
    assert ops(wire) == []  # nothing before the snapshot
    (channel,) = house.seeds
    house.hub.seeded(channel, [stored(CPU0, [(now_ms - 2000, 3.0), (now_ms - 1000, 4.0), (now_ms, 4.9)])])
    (snapshot,) = wire.frames()
    assert snapshot["points"] == [[1, [3000, 2000, 1000], [3.0, 4.0, 5.0]]]
    house.tick()
    assert ops(wire) == []


def test_late_stored_points_are_not_waited_for_and_sent_when_they_come(
    make_house: Callable[..., Any], say: Callable[..., None], stored: Callable[..., Any]
) -> None:
    house = make_house(answer_seeds=False)
    session, wire = house.client()
    say(session, op="subscribe", id="c", channel=CPU)
    house.ingest((CPU0, 5.0))
    house.tick(house.limits.seed_s + 0.1)
    _, snapshot = wire.frames()
    assert snapshot["points"] == [[1, [3100], [5.0]]]
    house.ingest((CPU0, 6.0))
    house.tick()
    assert ops(wire) == ["delta"]
    house.hub.seeded(house.seeds[0], [stored(CPU0, [(house.hub.now_ms - 60_000, 1.0)])])
    (snapshot,) = wire.frames()
    assert snapshot["points"][0][2] == [1.0, 5.0, 6.0]


def test_samples_that_the_loader_has_not_stored_yet_are_in_the_first_snapshot(
    house: Any, say: Callable[..., None]
) -> None:
    house.ingest((CPU0, 1.0))
    house.clock.advance(2.0)
    house.ingest((CPU0, 2.0))
    session, wire = house.client()
    say(session, op="subscribe", id="c", channel=CPU)
    assert wire.frames()[1]["points"] == [[1, [2000, 0], [1.0, 2.0]]]


def test_a_client_that_was_away_gets_the_deltas_it_missed(house: Any, say: Callable[..., None]) -> None:
    session, wire = house.client()
    say(session, op="subscribe", id="c", channel=CPU)
    epoch = wire.frames()[1]["epoch"]
    house.ingest((CPU0, 1.0))
    house.tick()
    session.close()
    for value in (2.0, 3.0):
        house.ingest((CPU0, value))
        house.tick()
    again, wire = house.client()
    say(again, op="subscribe", id="c", channel=CPU, since={"epoch": epoch, "offset": 1})
    subscribed, *deltas = wire.frames()
    assert subscribed["recovered"] is True
    assert [(delta["offset"], delta["points"][0][2]) for delta in deltas] == [(2, [2.0]), (3, [3.0])]


@pytest.mark.parametrize("since", [{"epoch": "other-1", "offset": 1}, {"offset": 99}, {"offset": 0}])
def test_where_the_position_is_of_no_use_a_snapshot_comes(
    since: dict[str, Any], make_house: Callable[..., Any], say: Callable[..., None]
) -> None:
    house = make_house(limits=Limits(deltas=2))
    keeper, keeper_wire = house.client()
    say(keeper, op="subscribe", id="c", channel=CPU)
    epoch = keeper_wire.frames()[1]["epoch"]
    for value in (1.0, 2.0, 3.0):
        house.ingest((CPU0, value))
        house.tick()
    session, wire = house.client()
    say(session, op="subscribe", id="c", channel=CPU, since={"epoch": epoch, **since})
    subscribed, snapshot = wire.frames()
    assert subscribed["recovered"] is False
    assert (snapshot["op"], snapshot["offset"]) == ("snapshot", 3)


def test_a_channel_lingers_and_is_then_closed(house: Any, say: Callable[..., None]) -> None:
    session, wire = house.client()
    say(session, op="subscribe", id="c", channel=CPU)
    epoch = wire.frames()[1]["epoch"]
    house.ingest((CPU0, 1.0))
    house.tick()
    assert (house.hub.channel_count, house.hub.series_count) == (1, 1)
    say(session, op="unsubscribe", id="c")
    house.tick(house.limits.linger_s - 1)
    assert house.hub.channel_count == 1
    house.tick(2.0)
    assert (house.hub.channel_count, house.hub.series_count) == (0, 0)
    wire.frames()
    say(session, op="subscribe", id="c", channel=CPU, since={"epoch": epoch, "offset": 1})
    subscribed, snapshot = wire.frames()
    assert subscribed["recovered"] is False
    assert snapshot["epoch"] != epoch


def test_a_series_of_which_nothing_is_left_is_gone(house: Any, say: Callable[..., None]) -> None:
    session, wire = house.client()
    say(session, op="subscribe", id="c", channel=CPU)
    house.ingest((CPU0, 1.0), (CPU1, 1.0))
    house.tick()
    house.tick(house.limits.window_s - 10)
    house.ingest((CPU1, 2.0))
    wire.frames()
    house.tick(20)
    (delta,) = wire.frames()
    assert delta["gone"] == [1]
    assert delta["points"] == [[2, [20_000], [2.0]]]
    say(session, op="subscribe", id="again", channel=CPU)
    snapshot = wire.frames()[-1]
    assert [row["ref"] for row in snapshot["series"]] == [2]
    assert house.hub.series_count == 1
    house.ingest((CPU0, 3.0))
    house.tick()
    (delta,) = wire.frames()
    assert [(row["ref"], row["labels"]) for row in delta["series"]] == [(3, {"cpu": "0"})]


def test_two_ids_of_one_channel_are_one_subscription(house: Any, say: Callable[..., None]) -> None:
    session, wire = house.client()
    say(session, op="subscribe", id="a", channel=CPU)
    say(session, op="subscribe", id="b", channel=CPU)
    say(session, op="unsubscribe", id="a")
    assert [frame.get("ch") for frame in wire.frames()] == [1, 1, 1, 1, None]
    house.ingest((CPU0, 1.0))
    house.tick()
    assert ops(wire) == ["delta"]
    say(session, op="unsubscribe", id="b")
    house.ingest((CPU0, 2.0))
    house.tick()
    assert ops(wire) == ["unsubscribed"]


def test_the_overview_is_computed_each_tick_from_the_feed(house: Any, say: Callable[..., None]) -> None:
    session, wire = house.client()
    say(session, op="subscribe", id="o", channel="overview")
    wire.frames()
    for host, busy, load in (("a", 10.0, 0.5), ("b", 30.0, 2.5)):
        house.ingest((SeriesKey.of("cpu_busy_pct", {"cpu": "total", "host": host}), busy))
        house.ingest((SeriesKey.of("load_1m", {"host": host}), load))
    house.tick()
    (delta,) = wire.frames()
    say(session, op="subscribe", id="again", channel="overview")
    snapshot = wire.frames()[-1]
    names = {row["ref"]: row["labels"]["figure"] for row in snapshot["series"]}
    assert {names[ref]: values for ref, _, values in delta["points"]} == {"cpu_busy_pct": [20.0], "load_1m": [2.5]}
    house.tick(20)  # nobody sends any more: no figure is better than an old one
    assert wire.frames() == []


def test_the_overview_starts_from_stored_points(
    make_house: Callable[..., Any], say: Callable[..., None], stored: Callable[..., Any]
) -> None:
    house = make_house(answer_seeds=False)
    session, wire = house.client()
    say(session, op="subscribe", id="o", channel="overview")
    now_ms = house.hub.now_ms
    for channel in list(house.seeds):
        points = [(now_ms - 5000 + 1000 * step, float(step)) for step in range(5)]
        key = SeriesKey.of(str(channel.spec.metric), dict(channel.spec.labels))
        house.hub.seeded(channel, [stored(key, points)])
    _, snapshot = wire.frames()
    names = {row["ref"]: row["labels"]["figure"] for row in snapshot["series"]}
    figures = {names[ref]: values for ref, _, values in snapshot["points"]}
    assert figures["cpu_busy_pct"] == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert figures["ingest_samples_per_s"] == [1.0, 1.0, 1.0, 1.0]


def test_closing_the_overview_closes_what_it_is_computed_from(house: Any, say: Callable[..., None]) -> None:
    session, _ = house.client()
    say(session, op="subscribe", id="o", channel="overview")
    assert house.hub.channel_count > 5
    session.close()
    house.tick(house.limits.linger_s + 1)
    house.tick(house.limits.linger_s + 1)
    assert house.hub.channel_count == 0


def test_there_are_limits_and_they_are_named(make_house: Callable[..., Any], say: Callable[..., None]) -> None:
    house = make_house(limits=Limits(channels=3, channels_per_client=2))
    sessions = [house.client() for _ in range(2)]
    for number in range(3):
        say(sessions[0][0], op="subscribe", id=str(number), channel={"metric": f"m{number}"})
    error = sessions[0][1].frames()[-1]
    assert (error["op"], error["code"], error["id"]) == ("error", "too_many_channels", "2")
    assert "2 channels" in error["message"]
    for number in range(2):
        say(sessions[1][0], op="subscribe", id=str(number), channel={"metric": f"n{number}"})
    error = sessions[1][1].frames()[-1]
    assert (error["code"], error["id"]) == ("too_many_channels", "1")
    say(sessions[1][0], op="subscribe", id="shared", channel={"metric": "m0"})  # open already
    assert sessions[1][1].frames()[0]["op"] == "subscribed"


def test_a_snapshot_is_bounded_by_its_points(make_house: Callable[..., Any], say: Callable[..., None]) -> None:
    house = make_house(limits=Limits(snapshot_points=20))
    session, wire = house.client()
    say(session, op="subscribe", id="c", channel=CPU)
    for value in range(50):
        house.ingest((CPU0, float(value)), (CPU1, float(value)))
        house.tick()
    wire.frames()
    say(session, op="subscribe", id="d", channel=CPU)
    snapshot = wire.frames()[1]
    assert [values for _, _, values in snapshot["points"]] == [[float(v) for v in range(40, 50)]] * 2


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("ingest"),
            st.lists(
                st.tuples(st.sampled_from("012"), st.integers(0, 30_000), st.integers(0, 99)), min_size=1, max_size=5
            ),
        ),
        st.tuples(st.just("tick"), st.integers(100, 8_000)),
        st.tuples(st.just("away"), st.integers(0, 4)),
        st.tuples(st.just("slow"), st.integers(0, 4)),
    ),
    max_size=25,
)


@settings(deadline=None)
@given(steps=STEPS)
def test_a_view_ends_up_as_the_truth_whatever_was_lost_between(
    make_house: Callable[..., Any], say: Callable[..., None], steps: list[tuple[str, Any]]
) -> None:
    """A client that loses its connection, or reads too slowly, at any time ends with the same points as the ring."""
    house = make_house(Limits(window_s=60, deltas=3))
    view = ChannelView()
    truth: dict[str, dict[int, float]] = {}
    session, wire = house.client()

    def subscribe() -> None:
        since = {"since": {"epoch": view.position.epoch, "offset": view.position.offset}} if view.position else {}
        say(session, op="subscribe", id="c", channel=CPU, **since)

    def read() -> None:
        for frame in wire.frames():
            if frame["op"] == "snapshot":
                view.snapshot(frame)
            elif frame["op"] == "delta":
                assert view.delta(frame)

    subscribe()
    for what, detail in [*steps, ("tick", 1000)]:
        if what == "ingest":
            for cpu, age_ms, value in detail:
                house.ingest((SeriesKey.of("cpu_busy_pct", {"cpu": cpu}), float(value)), age_s=age_ms / 1000)
                truth.setdefault(cpu, {})[house.hub.now_ms - age_ms] = float(value)
        elif what == "tick":
            house.tick(detail / 1000)
            read()
        elif what == "away":
            session.close()
            for _ in range(detail):
                house.tick()
            session, wire = house.client()
            subscribe()
        else:
            session.blocked()
            for _ in range(detail):
                house.tick()
            wire.drain()
        read()
    oldest = house.hub.now_ms - 60_000
    expected = {
        cpu: {at: value for at, value in points.items() if at >= oldest}
        for cpu, points in truth.items()
        if any(at >= oldest for at in points)
    }
    found = {
        dict(key.labels)["cpu"]: {at: value for at, value in points.items() if at >= oldest}
        for key, points in view.series().items()
    }
    assert {cpu: points for cpu, points in found.items() if points} == expected
