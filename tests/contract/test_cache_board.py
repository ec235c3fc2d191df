"""One suite for every heartbeat board: in memory and in Redis."""

import os
import time
from collections.abc import Callable, Iterator

import pytest

from muninn.cache import Board, MemoryBoard, RedisBoard, connect
from muninn.clock import Clock, ManualClock
from muninn.errors import Unavailable

Make = Callable[[Clock | None], Board]


@pytest.fixture(params=["memory", "redis"])
def make(request: pytest.FixtureRequest) -> Iterator[Make]:
    if request.param == "memory":
        yield MemoryBoard
        return
    with connect(request.getfixturevalue("redis_url")) as client:
        _clear(client)
        yield lambda clock: RedisBoard(client, clock)
        _clear(client)


def _clear(client: object) -> None:
    keys = [b"muninn:board", *client.scan_iter(match="muninn:board:*")]  # type: ignore[attr-defined]
    client.delete(*keys)  # type: ignore[attr-defined]


def test_an_empty_board_has_no_entries(make: Make) -> None:
    assert make(None).read_all() == []


def test_entries_come_back_whole_and_in_order(make: Make) -> None:
    clock = ManualClock()
    board = make(clock)
    clock.advance(3)
    board.publish("loader", "b", [("depth", {"stream": "0"}, 2.5)])
    board.publish("loader", "a", [])
    board.publish("gateway", "z", [("up", {}, 1.0)])
    first, second, last = board.read_all()
    assert (first.program, first.instance) == ("gateway", "z")
    assert (second.program, second.instance) == ("loader", "a")
    assert (last.program, last.instance) == ("loader", "b")
    assert last.metrics == (("depth", {"stream": "0"}, 2.5),)
    assert (last.pid, last.at_us, last.started_us) == (os.getpid(), clock.now_us(), clock.now_us() - 3_000_000)


def test_a_name_with_colons_stays_itself(make: Make) -> None:
    board = make(None)
    board.publish("loader", "host:1:2", [])
    assert [(entry.program, entry.instance) for entry in board.read_all()] == [("loader", "host:1:2")]


def test_the_last_heartbeat_replaces_the_one_before(make: Make) -> None:
    board = make(None)
    board.publish("loader", "a", [("depth", {}, 1.0)])
    board.publish("loader", "a", [("depth", {}, 2.0)])
    assert [entry.metrics for entry in board.read_all()] == [(("depth", {}, 2.0),)]


def test_a_program_added_later_is_seen_at_once(make: Make) -> None:
    board = make(None)
    board.publish("loader", "a", [])
    assert len(board.read_all()) == 1
    board.publish("loader", "b", [])
    assert len(board.read_all()) == 2


def test_a_silent_program_vanishes_and_the_others_stay(make: Make) -> None:
    board = make(None)
    board.publish("loader", "silent", [], ttl_s=0.2)
    board.publish("loader", "alive", [])
    assert len(board.read_all()) == 2
    deadline = time.monotonic() + 5
    while len(board.read_all()) > 1:
        assert time.monotonic() < deadline, "the silent program was still up after 5 s"
        time.sleep(0.01)  # between two looks
    assert board.read_all()[0].instance == "alive"


def test_withdrawn_is_gone_at_once(make: Make) -> None:
    board = make(None)
    board.publish("loader", "a", [])
    board.withdraw("loader", "a")
    board.withdraw("loader", "never")
    assert board.read_all() == []


def test_rates_are_increases_of_totals_over_ten_seconds(make: Make) -> None:
    clock = ManualClock()
    board = make(clock)
    for second in range(31):
        # 100 a second at first, 40 a second for the last ten.
        total = 100.0 * min(second, 20) + 40.0 * max(0, second - 20)
        board.publish("gateway", "a", [("samples_total", {"code": "202"}, total), ("depth", {}, total)])
        clock.advance(1)
    (entry,) = board.read_all()
    assert entry.rates == (("samples_total", {"code": "202"}, 40.0),)


def test_the_first_heartbeat_has_no_rates_and_a_new_counter_starts_from_zero(make: Make) -> None:
    clock = ManualClock()
    board = make(clock)
    board.publish("gateway", "a", [("samples_total", {}, 500.0)])
    assert board.read_all()[0].rates == ()
    clock.advance(2)
    board.publish("gateway", "a", [("samples_total", {}, 500.0), ("rejected_total", {}, 4.0)])
    (entry,) = board.read_all()
    assert {name: rate for name, _, rate in entry.rates} == {"samples_total": 0, "rejected_total": 2}


def test_what_is_not_finite_is_left_out(make: Make) -> None:
    board = make(None)
    board.publish("loader", "a", [("lag", {}, float("nan")), ("age", {}, float("inf")), ("ok", {}, 1.0)])
    assert board.read_all()[0].metrics == (("ok", {}, 1.0),)


def test_a_steady_board_is_read_in_one_round_trip(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with connect(redis_url) as client:
        _clear(client)
        board = RedisBoard(client)
        for instance in "abc":
            board.publish("loader", instance, [])
        board.read_all()
        trips = []
        ask = board._ask
        monkeypatch.setattr(board, "_ask", lambda members: trips.append(len(members)) or ask(members))
        assert len(board.read_all()) == 3
        assert trips == [3]
        _clear(client)


def test_names_of_dead_programs_leave_the_index(redis_url: str) -> None:
    clock = ManualClock()
    with connect(redis_url) as client:
        _clear(client)
        board = RedisBoard(client, clock)
        board.publish("loader", "dead", [])
        clock.advance(3600)
        board.publish("loader", "alive", [])
        assert client.zrange("muninn:board", 0, -1) == [b"loader:alive"]
        _clear(client)


def test_a_server_that_is_away_is_unavailable(tmp_path: object) -> None:
    board = RedisBoard(connect(f"unix://{tmp_path}/nobody.sock"))
    with pytest.raises(Unavailable, match="Redis does not answer"):
        board.read_all()
    with pytest.raises(Unavailable, match="Redis does not answer"):
        board.publish("loader", "a", [])
