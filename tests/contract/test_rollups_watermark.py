"""The watermark loses no sample: loads and refreshes held against each other at every step.

A table lock stops a load or a refresh at a chosen statement; the test goes on when the server says that it waits.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import pytest
import stores
from servers import eventually
from stores import NOW_US, entry

from muninn.clock import DAY_US, MINUTE_US, SECOND_US
from muninn.errors import Unavailable
from muninn.model import RESOLUTIONS, SeriesKey
from muninn.numerics import sketch
from muninn.rollups import refresh
from muninn.store import partitions
from muninn.store.writer import LoadResult, StoreWriter

KEY = SeriesKey.of("m", {"host": "a"})
OTHER = SeriesKey.of("m", {"host": "b"})
# Ends well before the closing instant of a refresh now.
SETTLED = NOW_US - 10 * MINUTE_US


@pytest.fixture
def store(many_sessions: stores.Postgres) -> stores.Postgres:
    partitions.ensure_ahead(many_sessions.database, NOW_US, 1)
    return many_sessions


# The statements in which a refresh waits, as each engine words them.
CLAIMS = {"postgres": "delete from late_rows", "timescaledb": "rollup_close_piece"}
COMPUTES = {"postgres": "rollup_rebuild", "timescaledb": "rollup_close_piece"}
LOCKS = {"postgres": "pg_advisory_xact_lock(8480, 3)", "timescaledb": "pg_advisory_lock(8480, 3)"}


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


def wait_until_blocked(store: stores.Postgres, running: "Future[object]", query: str) -> None:
    """Some session waits for a lock in a query that holds these words."""

    def blocked() -> bool:
        assert not running.done(), running.result()
        waiting = store.connection.execute(
            "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and query like %s", (f"%{query}%",)
        ).fetchone()
        assert waiting is not None
        return bool(waiting[0])

    eventually(blocked, 20, f"a session waits in {query}")


def assert_rollups_equal_raw(store: stores.Postgres) -> None:
    """Every bucket of every table holds exactly the samples that raw_samples has, up to the watermark."""
    raw = store.raw()
    for resolution, state in zip(RESOLUTIONS, refresh.state(store.database), strict=True):
        groups: dict[tuple[SeriesKey, int], list[float]] = {}
        for at, value, key in zip(raw.at_us.tolist(), raw.value.tolist(), raw.key_index.tolist(), strict=True):
            bucket = at // resolution.width_us * resolution.width_us
            groups.setdefault((raw.keys[key], bucket), []).append(value)
        found = {(each.key, each.bucket_us): each for each in store.buckets(resolution)}
        assert {key: each.sketch.tolist() for key, each in found.items()} == {
            key: sketch.sketch_of(np.array(values)).tolist() for key, values in groups.items()
        }
        stored = store.connection.execute(
            f"select count(*), sum(sample_count) from rollup_{resolution.name}"
        ).fetchone()
        expected = [values for (_, bucket), values in groups.items() if bucket < state.watermark_us]
        assert stored == (len(expected), sum(map(len, expected)) or None)


def test_a_load_in_flight_holds_the_announcement_up_until_its_rows_are_there(
    store: stores.Postgres, threads: ThreadPoolExecutor
) -> None:
    with stores.held_up(store, "lock table raw_samples in share mode"):
        # It has read `closing` already, and has not written its rows.
        load = threads.submit(store.load, [entry([(KEY, SETTLED, 1.0)], "1-0")])
        wait_until_blocked(store, load, f"copy {stores.RAW_TABLE[store.database.engine]}")
        refreshed = threads.submit(store.refresh)
        wait_until_blocked(store, refreshed, "pg_advisory_xact_lock(8480, 1)")
    assert load.result().late == 0
    refreshed.result()
    assert store.connection.execute("select sum(sample_count) from rollup_1min").fetchone() == (1,)
    assert_rollups_equal_raw(store)


def test_a_load_that_starts_before_the_announcement_and_locks_after_it_is_late(
    store: stores.Postgres, threads: ThreadPoolExecutor
) -> None:
    with stores.held_up(store, "insert into loaded_entries (stream, entry_id) values ('s', '1-0')"):
        load = threads.submit(store.load, [entry([(KEY, SETTLED, 1.0)], "1-0")])
        wait_until_blocked(store, load, "insert into loaded_entries")
        store.refresh()
    assert load.result().late == 1
    store.refresh()
    assert_rollups_equal_raw(store)


def test_a_load_that_waits_for_the_announcement_knows_it(store: stores.Postgres, threads: ThreadPoolExecutor) -> None:
    with store.database.transaction() as announcement:
        announcement.execute("store_exclude_loads")
        announcement.execute("rollup_close", closing_us=NOW_US)
        load = threads.submit(store.load, [entry([(KEY, SETTLED, 1.0)], "1-0")])
        wait_until_blocked(store, load, "pg_advisory_xact_lock_shared")
    assert load.result().late == 1
    store.refresh()
    assert_rollups_equal_raw(store)


def test_a_load_between_announcement_and_computation_is_seen_or_late(
    store: stores.Postgres, threads: ThreadPoolExecutor
) -> None:
    store.load([entry([(KEY, SETTLED, 1.0)], "1-0")])
    with stores.held_up(store, "lock table late_rows in exclusive mode"):
        refreshed = threads.submit(store.refresh)
        wait_until_blocked(store, refreshed, CLAIMS[store.database.engine])
        other = threads.submit(store.load, [entry([(OTHER, NOW_US, 2.0)], "2-0")])
        assert other.result(10).late == 0  # fresh rows are not held up
        late = threads.submit(store.load, [entry([(OTHER, SETTLED, 3.0)], "3-0")])
        wait_until_blocked(store, late, "copy late_rows")
    refreshed.result()
    assert late.result().late == 1
    store.refresh()
    assert_rollups_equal_raw(store)


def test_a_load_during_the_computation_is_picked_up_by_the_next_refresh(
    store: stores.Postgres, threads: ThreadPoolExecutor
) -> None:
    store.load([entry([(KEY, SETTLED, 1.0)], "1-0")])
    store.refresh()
    store.clock.advance(120)
    with stores.held_up(store, "lock table rollup_5min in share mode"):
        refreshed = threads.submit(store.refresh)
        wait_until_blocked(store, refreshed, COMPUTES[store.database.engine])
        rows = [(KEY, store.clock.now_us() - 80 * SECOND_US, 2.0), (OTHER, SETTLED, 3.0)]
        assert store.load([entry(rows, "2-0")]).late == 2
    refreshed.result()
    store.refresh()
    assert_rollups_equal_raw(store)
    assert store.connection.execute("select count(*) from late_rows").fetchone() == (0,)


def test_a_load_that_hangs_stops_the_announcement_and_nothing_else(
    store: stores.Postgres, threads: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refresh, "_CLOSE_TIMEOUT_S", 0.2)
    store.load([entry([(KEY, SETTLED, 1.0)], "1-0")])
    with stores.held_up(store, "lock table raw_samples in share mode"):
        load = threads.submit(store.load, [entry([(KEY, SETTLED + 1, 1.0)], "2-0")])
        wait_until_blocked(store, load, f"copy {stores.RAW_TABLE[store.database.engine]}")
        with pytest.raises(Unavailable, match="busy"):
            store.refresh()
    load.result()
    store.refresh()
    assert_rollups_equal_raw(store)


def test_two_refreshes_at_once_do_the_work_once(store: stores.Postgres, threads: ThreadPoolExecutor) -> None:
    store.load([entry([(KEY, SETTLED - n * SECOND_US, float(n)) for n in range(5000)], "1-0")])
    with stores.held_up(store, "select pg_advisory_xact_lock(8480, 3)"):
        both = [
            threads.submit(refresh.refresh_fresh, store.database, store.clock.now_us(), stores.SETTLE_S)
            for _ in range(2)
        ]
        wait_until_blocked(store, both[0], LOCKS[store.database.engine])
    written = sorted(sum(done.result().rows_by_resolution.values()) for done in both)
    assert written[0] == 0
    assert written[1] > 0
    assert_rollups_equal_raw(store)


@pytest.mark.parametrize("seed", range(3))
def test_loaders_and_refreshers_in_a_crowd(
    many_sessions: stores.Postgres, threads: ThreadPoolExecutor, seed: int
) -> None:
    """Four loaders with overlapping series and times, two refreshers; every sample ends in every rollup."""
    store = many_sessions
    keys = [SeriesKey.of("m", {"host": str(number)}) for number in range(6)]
    stop = threading.Event()

    def load(number: int) -> list[LoadResult]:
        random = np.random.default_rng(100 * seed + number)
        writer = StoreWriter(store.database, clock=store.clock)
        done = []
        for turn in range(25):
            ages = np.where(random.random(40) < 0.8, random.integers(0, 90, 40), random.integers(0, 200_000, 40))
            rows = [
                (keys[series], store.clock.now_us() - int(age) * SECOND_US, float(value))
                for series, age, value in zip(random.integers(0, 6, 40), ages, random.normal(0, 9, 40), strict=True)
            ]
            done.append(_again(lambda turn=turn, rows=rows: writer.load([entry(rows, f"{number}-{turn}")])))  # type: ignore[misc]
        return done

    def keep_refreshing() -> None:
        while not stop.is_set():
            store.clock.advance(20)
            _again(store.refresh)

    refreshers = [threads.submit(keep_refreshing) for _ in range(2)]
    loads = [threads.submit(load, number) for number in range(4)]
    try:
        results = [result for loading in loads for result in loading.result(120)]
    finally:
        stop.set()
    for refresher in refreshers:
        refresher.result(60)
    store.refresh()
    assert sum(result.rows for result in results) == len(store.raw())
    assert any(result.late for result in results)
    assert_rollups_equal_raw(store)
    store.clock.advance(2 * DAY_US / SECOND_US)
    store.refresh()
    assert_rollups_equal_raw(store)


def _again(action: Callable[[], LoadResult | None]) -> LoadResult:
    """As programs do: what is Unavailable for a moment is tried again."""
    for _ in range(20):
        try:
            return action()  # type: ignore[return-value]
        except Unavailable:
            continue
    raise AssertionError("the database stayed busy")


def test_the_views_unite_refreshed_and_live_at_one_instant(store: stores.Postgres, threads: ThreadPoolExecutor) -> None:
    samples = 3 * 3600
    store.load([entry([(KEY, NOW_US - n * SECOND_US, float(n)) for n in range(samples)], "1-0")])

    def seen() -> list[int]:
        return [sum(each.sample_count for each in store.buckets(resolution)) for resolution in RESOLUTIONS]

    assert seen() == [samples] * 4
    with stores.held_up(store, "lock table rollup_1hour in share mode"):
        refreshed = threads.submit(store.refresh)
        wait_until_blocked(store, refreshed, COMPUTES[store.database.engine])
        assert seen() == [samples] * 4  # minutes are written, and not committed
    refreshed.result()
    assert seen() == [samples] * 4


def test_a_plan_that_keeps_an_older_watermark_gives_the_same_answer(store: stores.Postgres) -> None:
    """What makes it safe that rollup_watermark() is a constant of the plan."""
    store.load([entry([(KEY, NOW_US - n * SECOND_US, float(n)) for n in range(1000)], "1-0")])
    store.connection.execute("set plan_cache_mode = force_generic_plan")
    for resolution in RESOLUTIONS:
        store.connection.execute(
            f"prepare old_{resolution.name} as select sum(sample_count), sum(sum_value) from {resolution.view}"
        )
        store.connection.execute(f"execute old_{resolution.name}")
    store.refresh()
    store.load([entry([(KEY, NOW_US - 500 * SECOND_US - 1, 7.0), (KEY, NOW_US + 1, 5.0)], "2-0")])
    store.clock.advance(600)
    store.refresh()
    for resolution in RESOLUTIONS:
        assert store.connection.execute(f"execute old_{resolution.name}").fetchone() == (1002, 999 * 500 + 12)
