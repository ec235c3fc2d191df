"""One suite for every HotCache: in memory and in Redis."""

import time
import uuid
from collections.abc import Callable, Iterator

import pytest

from muninn.cache import HotCache, MemoryCache, RedisCache, connect
from muninn.clock import Clock, ManualClock
from muninn.errors import Misconfigured, Unavailable

Make = Callable[[Clock | None], HotCache]


@pytest.fixture(params=["memory", "redis"])
def make(request: pytest.FixtureRequest) -> Iterator[Make]:
    if request.param == "memory":
        yield MemoryCache
        return
    with connect(request.getfixturevalue("redis_url")) as client:
        yield lambda clock: RedisCache(client, clock)


@pytest.fixture
def name() -> str:
    return f"test-{uuid.uuid4()}"


def test_what_was_put_comes_back_byte_for_byte(make: Make, name: str) -> None:
    cache = make(None)
    for value in (b"", b"\x00\xff", "Odin’s".encode(), bytes(range(256)) * 1000):
        cache.put(name, value, 60)
        found = cache.get(name)
        assert found is not None
        assert found.value == value


def test_an_unknown_name_is_a_miss(make: Make, name: str) -> None:
    assert make(None).get(name) is None


def test_age_counts_from_the_last_put(make: Make, name: str) -> None:
    clock = ManualClock()
    cache = make(clock)
    cache.put(name, b"old", 60)
    clock.advance(7)
    cache.put(name, b"new", 60)
    clock.advance(2.5)
    found = cache.get(name)
    assert found is not None
    assert (found.value, found.age_s) == (b"new", 2.5)


def test_age_is_never_negative(make: Make, name: str) -> None:
    clock = ManualClock()
    cache = make(clock)
    cache.put(name, b"x", 60)
    clock.advance(-5)
    found = cache.get(name)
    assert found is not None
    assert found.age_s == 0


def test_a_value_outlives_its_time_by_nothing(make: Make, name: str) -> None:
    cache = make(None)
    cache.put(name, b"x", 0.2)
    cache.put(f"{name}-stays", b"x", 60)
    assert cache.get(name) is not None
    deadline = time.monotonic() + 5
    while cache.get(name) is not None:
        assert time.monotonic() < deadline, "the value was still there after 5 s"
        time.sleep(0.01)  # between two looks
    assert cache.get(f"{name}-stays") is not None


def test_dropped_is_gone_and_dropping_twice_is_harmless(make: Make, name: str) -> None:
    cache = make(None)
    cache.put(name, b"x", 60)
    cache.drop(name)
    cache.drop(name)
    assert cache.get(name) is None


def test_redis_values_are_shared_between_clients(redis_url: str, name: str) -> None:
    with connect(redis_url) as one, connect(redis_url) as other:
        RedisCache(one).put(name, b"shared", 60)
        found = RedisCache(other).get(name)
    assert found is not None
    assert found.value == b"shared"


def test_a_lost_connection_is_made_again(redis_url: str, name: str) -> None:
    with connect(redis_url) as client, connect(redis_url) as killer:
        cache = RedisCache(client)
        cache.put(name, b"x", 60)
        killer.client_kill_filter(_id=client.client_id())
        assert cache.get(name) is not None


def test_a_server_that_is_away_is_unavailable(tmp_path: object, name: str) -> None:
    cache = RedisCache(connect(f"unix://{tmp_path}/nobody.sock"))
    for call in (lambda: cache.get(name), lambda: cache.put(name, b"x", 1), lambda: cache.drop(name)):
        with pytest.raises(Unavailable, match="Redis does not answer"):
            call()


def test_a_url_that_is_none_is_misconfigured_and_hides_its_password() -> None:
    with pytest.raises(Misconfigured, match="MUNINN_REDIS_URL") as caught:
        connect("http://user:sesame@host:1")
    assert "sesame" not in str(caught.value)
