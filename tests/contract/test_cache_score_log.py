"""One suite for every ScoreLog: in memory and in Redis."""

import threading
import uuid
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from muninn.cache import MemoryScoreLog, RedisScoreLog, connect
from muninn.errors import Unavailable
from muninn.model import ScoreBatch, ScoreLog, SeriesKey

VIEWS = ("value", "silence")
Make = Callable[..., ScoreLog]


def scores(*found: float, until_us: int = 1_700_000_000_000_000) -> ScoreBatch:
    n = len(found)
    score = np.array(found)
    keys = tuple(SeriesKey.of("cpu", {"core": str(core)}, "agent", "a\n") for core in range(n))
    shares = np.stack([-score, np.zeros(n)], axis=1) if n else np.empty((0, 2))
    at_us = np.arange(n, dtype=np.int64) + until_us
    same = np.full(n, 1 / 3)
    return ScoreBatch(
        until_us, at_us, np.arange(n, dtype=np.int32), keys, score, same, same, same - 1, same + 1, same, score > 0.7,
        shares, VIEWS,
    )  # fmt: skip


@pytest.fixture(params=["memory", "redis"])
def make(request: pytest.FixtureRequest) -> Iterator[Make]:
    if request.param == "memory":
        yield lambda **limits: MemoryScoreLog(**limits)
        return
    stream = f"test:{uuid.uuid4().hex}"
    with connect(request.getfixturevalue("redis_url")) as client:
        yield lambda **limits: RedisScoreLog(client, stream=stream, **limits)


def test_what_was_appended_is_followed_in_order(make: Make) -> None:
    log = make()
    ids = [log.append(scores(0.5, 0.9)), log.append(scores(until_us=5)), log.append(scores(0.25))]
    found = log.follow("0-0", 0)
    assert [handle.entry_id for handle in found] == ids
    assert log.last_id() == ids[-1]
    first, empty, last = (handle.batch for handle in found)
    sent = scores(0.5, 0.9)
    assert first.keys == sent.keys
    assert first.views == VIEWS
    for name in ("at_us", "key_index", "value", "expected", "low", "high", "learning"):
        assert (getattr(first, name) == getattr(sent, name)).all(), name
    for name in ("score", "confidence", "contributions"):
        assert np.allclose(getattr(first, name), getattr(sent, name), rtol=1e-6), name
    assert (len(empty), empty.until_us, empty.views) == (0, 5, VIEWS)
    assert last.score.tolist() == [0.25]
    assert [handle.entry_id for handle in log.follow(ids[0], 0)] == ids[1:]
    assert log.follow(ids[-1], 0) == []


def test_a_new_log_is_empty(make: Make) -> None:
    log = make()
    assert log.last_id() == "0-0"
    assert log.follow("0-0", 0) == []
    assert log.follow("0-0", 10) == []


def test_the_oldest_goes_first(make: Make) -> None:
    log = make(max_entries=3)
    for until_us in range(10):
        log.append(scores(until_us=until_us))
    assert [handle.batch.until_us for handle in log.follow("0-0", 0)] == [7, 8, 9]


def test_a_follower_is_woken(make: Make) -> None:
    log, found = make(), []
    log.append(scores(0.1))

    def follow() -> None:
        while not found:
            found.extend(log.follow(after, 500))

    after = log.last_id()
    thread = threading.Thread(target=follow)
    thread.start()
    log.append(scores(0.75))
    thread.join(30)
    assert [handle.batch.score.tolist() for handle in found] == [[0.75]]


def test_a_damaged_entry_is_left_out(redis_url: str) -> None:
    stream = f"test:{uuid.uuid4().hex}"
    with connect(redis_url) as client:
        log = RedisScoreLog(client, stream=stream)
        client.xadd(stream, {"v": "1", "at": "abc"})
        assert log.follow("0-0", 0) == []
        log.append(scores(0.5))
        assert len(log.follow("0-0", 0)) == 1


def test_a_server_that_is_away_is_unavailable(tmp_path: object) -> None:
    log = RedisScoreLog(connect(f"unix://{tmp_path}/nobody.sock"))
    for call in (lambda: log.append(scores(0.5)), lambda: log.follow("$", 1), log.last_id):
        with pytest.raises(Unavailable, match="Redis does not answer"):
            call()
