"""Answers from the cache, and reads that go on without it."""

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from pydantic import TypeAdapter

from muninn.cache import Hot, MemoryCache
from muninn.clock import ManualClock
from muninn.errors import Unavailable
from muninn.meter import Meter
from muninn.reads.memo import RETRY_S, Answer, Memo, Patience

NUMBERS = Answer("numbers", TypeAdapter(list[int]), fresh_s=3, keep_s=60)


class Flaky(MemoryCache):
    """A cache whose server goes away and comes back; it counts how often it is asked."""

    def __init__(self, clock: ManualClock):
        super().__init__(clock)
        self.away = False
        self.asked = 0

    def get(self, name: str) -> Hot | None:
        self.asked += 1
        if self.away:
            raise Unavailable("gone")
        return super().get(name)

    def put(self, name: str, value: bytes, ttl_s: float) -> None:
        if self.away:
            raise Unavailable("gone")
        super().put(name, value, ttl_s)


class Counted:
    """Computes the next number each time."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> list[int]:
        self.calls += 1
        return [self.calls]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def cache(clock: ManualClock) -> Flaky:
    return Flaky(clock)


@pytest.fixture
def meter() -> Meter:
    return Meter()


@pytest.fixture
def memo(cache: Flaky, clock: ManualClock, meter: Meter) -> Memo:
    return Memo(cache, Patience("Redis", clock), meter)


def figures(meter: Meter) -> dict[str, float]:
    return {name: value for name, _, value in meter.snapshot()}


def test_a_fresh_answer_is_not_computed_again(memo: Memo, clock: ManualClock, meter: Meter) -> None:
    compute = Counted()
    assert memo.answer(NUMBERS, compute) == ([1], 0.0)
    clock.advance(3)
    assert memo.answer(NUMBERS, compute) == ([1], 3.0)
    clock.advance(0.1)
    assert memo.answer(NUMBERS, compute) == ([2], 0.0)
    assert figures(meter) == {"muninn_cache_hits_total": 1, "muninn_cache_misses_total": 2}


def test_what_another_release_wrote_is_computed_anew(memo: Memo, cache: Flaky) -> None:
    cache.put("numbers", b'{"shape": "other"}', 60)
    assert memo.answer(NUMBERS, Counted()) == ([1], 0.0)


def test_a_kept_answer_can_be_recalled_after_it_was_fresh(memo: Memo, clock: ManualClock) -> None:
    memo.answer(NUMBERS, Counted())
    clock.advance(30)
    assert memo.recall(NUMBERS) == ([1], 30.0)
    clock.advance(31)
    assert memo.recall(NUMBERS) is None


def test_without_a_cache_everything_is_computed(clock: ManualClock, meter: Meter) -> None:
    memo, compute = Memo(None, Patience("Redis", clock), meter), Counted()
    assert [memo.answer(NUMBERS, compute)[0] for _ in range(2)] == [[1], [2]]
    assert figures(meter) == {"muninn_cache_misses_total": 2}


def test_a_cache_that_is_away_costs_one_warning_and_is_asked_again_later(
    memo: Memo, cache: Flaky, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    compute = Counted()
    cache.away = True
    with caplog.at_level(logging.WARNING):
        for expected in ([1], [2], [3]):
            assert memo.answer(NUMBERS, compute) == (expected, 0.0)
        assert cache.asked == 1
        clock.advance(RETRY_S + 1)
        memo.answer(NUMBERS, compute)
        assert cache.asked == 2
    assert [record.getMessage() for record in caplog.records] == ["reading without Redis until it is back: gone"]
    cache.away = False
    clock.advance(RETRY_S + 1)
    memo.answer(NUMBERS, compute)
    assert memo.answer(NUMBERS, compute) == ([5], 0.0)
    assert caplog.records[-1].getMessage() == "Redis is back"


def test_an_error_of_the_computation_is_not_swallowed(memo: Memo) -> None:
    def fail() -> list[int]:
        raise Unavailable("no database")

    with pytest.raises(Unavailable, match="no database"):
        memo.answer(NUMBERS, fail)
    assert memo.answer(NUMBERS, Counted()) == ([1], 0.0)


def test_threads_that_waited_share_the_failure(memo: Memo, cache: Flaky) -> None:
    computed = []

    def fail() -> list[int]:
        computed.append(1)
        # All eight have looked before the one that computes goes on; it has looked twice.
        deadline = time.monotonic() + 10
        while cache.asked < 9:
            assert time.monotonic() < deadline, "the other threads never came"
            time.sleep(0.001)
        raise Unavailable("no database")

    def ask(_: int) -> str:
        with pytest.raises(Unavailable) as caught:
            memo.answer(NUMBERS, fail)
        return str(caught.value)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(8))) == ["no database"] * 8
    assert len(computed) == 1
    assert memo.answer(NUMBERS, Counted()) == ([1], 0.0)


def test_many_threads_compute_once(memo: Memo) -> None:
    compute, together = Counted(), threading.Barrier(8, timeout=10)

    def ask(_: int) -> list[int]:
        together.wait()
        return memo.answer(NUMBERS, compute)[0]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(8))) == [[1]] * 8
    assert compute.calls == 1
