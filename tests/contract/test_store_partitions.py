"""Partitions: made ahead and on the fly, listed, dropped by each table's own horizon."""

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import stores
from stores import NOW_US, entry

from muninn.clock import DAY_US, MINUTE_US, SECOND_US
from muninn.errors import Unavailable
from muninn.model import RESOLUTIONS, SeriesKey, Window
from muninn.model.window import as_datetime
from muninn.rollups import refresh
from muninn.store import partitions

KEY = SeriesKey.of("m", {"host": "a"})
TODAY = NOW_US // DAY_US * DAY_US
KEEP_ALL = {"raw_days": 3650, "rollup_1min_days": 3650, "rollup_5min_days": 3650, "rollup_1hour_days": 3650}


@pytest.fixture
def store(any_store: stores.Postgres) -> stores.Postgres:
    return any_store


@pytest.fixture
def native(postgres_url: str) -> Iterator[stores.Postgres]:
    """Plain PostgreSQL: what follows from partitions that are made before their rows."""
    made = stores.Postgres(postgres_url)
    yield made
    made.close()


def days_of(store: stores.Postgres, table: str) -> list[int]:
    """First days of a table's partitions, counted from today."""
    return [(p.since_us - TODAY) // DAY_US for p in partitions.list_partitions(store.database) if p.table == table]


def fill(store: stores.Postgres, days: list[int]) -> None:
    for day in days:
        rows = [(KEY, TODAY + day * DAY_US + n * MINUTE_US, float(n)) for n in range(30)]
        store.load([entry(rows, f"{day + 1000}-0")])
    store.refresh()


def test_partitions_are_made_ahead_once(native: stores.Postgres) -> None:
    made = partitions.ensure_ahead(native.database, NOW_US, 3)
    assert days_of(native, "raw_samples") == [0, 1, 2, 3]
    assert made == len(partitions.list_partitions(native.database))
    assert partitions.ensure_ahead(native.database, NOW_US, 3) == 0
    assert partitions.ensure_ahead(native.database, NOW_US + DAY_US, 3) >= 2
    assert days_of(native, "rollup_1min") == [0, 1, 2, 3, 4]
    for each in partitions.list_partitions(native.database):
        assert each.until_us > each.since_us
        assert each.bytes > 0


def test_every_table_covers_time_without_gap_or_overlap(native: stores.Postgres) -> None:
    for table in (partitions.RAW, *partitions.ROLLUPS):
        partitions.ensure(native.database, table, Window(TODAY - 40 * DAY_US, TODAY + 40 * DAY_US))
        found = [each for each in partitions.list_partitions(native.database) if each.table == table]
        assert found[0].since_us <= TODAY - 40 * DAY_US
        assert found[-1].until_us >= TODAY + 40 * DAY_US
        assert [each.until_us for each in found[:-1]] == [each.since_us for each in found[1:]]


def test_a_load_makes_the_partitions_that_it_needs(store: stores.Postgres) -> None:
    fill(store, [-60, -1, 2])
    assert days_of(store, "raw_samples") == [-60, -1, 2]
    assert len(store.raw()) == 90


def test_many_loads_that_need_the_same_partition_make_it_once(store: stores.Postgres) -> None:
    def load(number: int) -> None:
        rows = [(KEY, TODAY - day * DAY_US + number, 1.0) for day in range(20)]
        for _ in range(20):
            # Where the server packs one of these days just then, one of the two has to begin again, as loaders do.
            with contextlib.suppress(Unavailable):
                store.load([entry(rows, f"{number}-0")])
                return

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(load, range(8)))
    assert days_of(store, "raw_samples") == list(range(-19, 1))
    assert len(store.raw()) == 160


def test_each_table_is_dropped_by_its_own_horizon(store: stores.Postgres) -> None:
    fill(store, [-80, -50, -20, -5, 0])
    dropped = partitions.drop_expired(
        store.database, NOW_US, raw_days=10, rollup_1min_days=30, rollup_5min_days=60, rollup_1hour_days=3650
    )
    assert days_of(store, "raw_samples") == [-5, 0]
    assert days_of(store, "rollup_1min") == [-20, -5, 0]
    assert [(each.table, (each.since_us - TODAY) // DAY_US) for each in dropped if each.table != "rollup_5min"] == [
        ("raw_samples", -80),
        ("raw_samples", -50),
        ("raw_samples", -20),
        ("rollup_1min", -80),
        ("rollup_1min", -50),
    ]
    assert [len(store.buckets(each)) for each in RESOLUTIONS[2:]] == [5, 5]
    horizons = partitions.horizons_us(store.database)
    assert horizons["raw_samples"] == TODAY - 19 * DAY_US
    assert horizons["rollup_1hour"] == horizons["rollup_1day"] == 0
    assert all(each.until_us <= NOW_US - 60 * DAY_US for each in dropped if each.table == "rollup_5min")


def test_nothing_is_dropped_that_rollups_do_not_have_yet(store: stores.Postgres) -> None:
    fill(store, [-30])
    store.clock.advance(50 * DAY_US / SECOND_US)
    store.load([entry([(KEY, TODAY + DAY_US, 1.0)], "1-0")])  # after the watermark
    now_us = store.clock.now_us()
    dropped = partitions.drop_expired(store.database, now_us, **{**KEEP_ALL, "raw_days": 10})
    assert [(each.since_us - TODAY) // DAY_US for each in dropped] == [-30]
    store.refresh()
    dropped = partitions.drop_expired(store.database, now_us, **{**KEEP_ALL, "raw_days": 10})
    assert [(each.since_us - TODAY) // DAY_US for each in dropped] == [1]
    assert sum(each.sample_count for each in store.buckets(RESOLUTIONS[0])) == 31


def test_late_samples_that_wait_keep_their_partition(store: stores.Postgres) -> None:
    fill(store, [-30, -20])
    store.load([entry([(KEY, TODAY - 20 * DAY_US + 1, 1.0)], "late-0")])
    dropped = partitions.drop_expired(store.database, NOW_US, **{**KEEP_ALL, "raw_days": 10})
    assert [(each.since_us - TODAY) // DAY_US for each in dropped] == [-30]
    store.refresh()
    dropped = partitions.drop_expired(store.database, NOW_US, **{**KEEP_ALL, "raw_days": 10})
    assert [(each.since_us - TODAY) // DAY_US for each in dropped] == [-20]
    assert sum(each.sample_count for each in store.buckets(RESOLUTIONS[3])) == 61


def test_the_log_of_late_samples_is_pruned(store: stores.Postgres) -> None:
    store.connection.execute(
        """insert into late_refreshes (hour, sample_count, series_count, first_loaded_at, refreshed_at)
           select at, 1, 1, at, at from unnest(array[instant(%s), instant(%s)]) as at""",
        (NOW_US - 100 * DAY_US, NOW_US - DAY_US),
    )
    partitions.drop_expired(store.database, NOW_US, **KEEP_ALL)
    assert store.connection.execute("select count(*) from late_refreshes").fetchone() == (1,)


def test_a_window_refresh_leaves_rollups_whose_raw_rows_were_dropped(store: stores.Postgres) -> None:
    fill(store, [-30, -20, -1])
    partitions.drop_expired(store.database, NOW_US, **{**KEEP_ALL, "raw_days": 10})
    done = refresh.refresh_window(store.database, Window(TODAY - 40 * DAY_US, NOW_US))
    assert done.window.since_us == TODAY - 19 * DAY_US
    assert [sum(each.sample_count for each in store.buckets(resolution)) for resolution in RESOLUTIONS] == [90] * 4


def test_a_late_sample_reaches_coarse_rollups_where_fine_ones_are_gone(native: stores.Postgres) -> None:
    fill(native, [-70, -40, -1])
    partitions.drop_expired(native.database, NOW_US, **{**KEEP_ALL, "rollup_1min_days": 5, "rollup_5min_days": 30})
    assert days_of(native, "rollup_1min") == [-1]
    native.load([entry([(KEY, TODAY - 40 * DAY_US + 1, 1000.0)], "late-0")])
    native.refresh()
    assert days_of(native, "rollup_1min") == [-1]
    hours, whole_days = (native.buckets(resolution) for resolution in RESOLUTIONS[2:])
    assert [each.sample_count for each in hours] == [each.sample_count for each in whole_days] == [30, 31, 30]
    assert hours[1].max_value == whole_days[1].max_value == 1000.0
    assert hours[1].sketch.tolist() == whole_days[1].sketch.tolist()


def test_the_overview_says_what_all_partitions_take(store: stores.Postgres) -> None:
    """And the other figures of the fleet: the statement runs on each engine."""
    fill(store, [-2, -1])
    first, *minutes = store.database.fetch(
        "reads_overview",
        now=as_datetime(NOW_US),
        since=as_datetime(TODAY - DAY_US),
        alive_since=as_datetime(0),
        max_hosts=5,
    )
    whole = sum(each.bytes for each in partitions.list_partitions(store.database))
    # TimescaleDB counts the empty tables above the chunks as well.
    assert whole <= store.database.fetch("reads_bytes")[0].bytes <= whole + (1 << 18)
    state = first.state
    assert (state["series_count"], state["hosts"]) == (1, [])
    assert sorted(each.at_us for each in minutes) == [TODAY - DAY_US + minute * MINUTE_US for minute in range(30)]
    assert state["newest_us"] == TODAY - DAY_US + 29 * MINUTE_US
    assert set(state["watermarks_us"]) == {resolution.name for resolution in RESOLUTIONS}
