"""Exactly once, also when writers meet or are killed in the middle."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import stores
from servers import eventually
from stores import NOW_US, entry

from muninn.clock import MINUTE_US, SECOND_US
from muninn.errors import Unavailable
from muninn.model import SampleBatch, SeriesKey
from muninn.store import partitions
from muninn.store.series_index import SeriesIndex
from muninn.store.writer import StoreWriter

KEY = SeriesKey.of("m", {"host": "a"})
# The statement in which a load waits for the table of raw samples.
COPIES = {engine: f"copy {table}" for engine, table in stores.RAW_TABLE.items()}


@pytest.fixture
def store(many_sessions: stores.Postgres) -> stores.Postgres:
    partitions.ensure_ahead(many_sessions.database, NOW_US, 1)
    return many_sessions


def blocked_pid(store: stores.Postgres, query: str) -> int:
    """The server process that waits for a lock in a query with these words."""
    found: list[int] = []

    def look() -> bool:
        rows = store.connection.execute(
            "select pid from pg_stat_activity where wait_event_type = 'Lock' and query like %s", (f"%{query}%",)
        )
        found[:] = [pid for (pid,) in rows]
        return bool(found)

    eventually(look, 20, f"a session waits in {query}")
    return found[0]


def counts(store: stores.Postgres) -> tuple[int, ...]:
    row = store.connection.execute(
        """select (select count(*) from loaded_entries), (select count(*) from raw_samples),
                  (select count(*) from late_rows), (select count(*) from latest_samples where at is not null)"""
    ).fetchone()
    assert row is not None
    return tuple(row)


def test_two_writers_with_the_same_entry_load_it_once(store: stores.Postgres) -> None:
    one = entry([(KEY, NOW_US - n, float(n)) for n in range(1000)], "1-0")
    writers = [StoreWriter(store.database, clock=store.clock) for _ in range(6)]
    with ThreadPoolExecutor(6) as threads:
        with stores.held_up(store, "lock table loaded_entries in share mode"):
            loads = [threads.submit(writer.load, [one]) for writer in writers]
            blocked_pid(store, "insert into loaded_entries")
        results = [load.result(30) for load in loads]
    assert sorted(result.entries_new for result in results) == [0, 0, 0, 0, 0, 1]
    assert sum(result.rows for result in results) == 1000
    assert counts(store) == (1, 1000, 0, 1)


def test_the_second_writer_takes_the_entry_when_the_first_one_dies(store: stores.Postgres) -> None:
    one = entry([(KEY, NOW_US, 1.0)], "1-0")
    with ThreadPoolExecutor(2) as threads:
        with stores.held_up(store, "lock table raw_samples in share mode"):
            first = threads.submit(store.load, [one])
            pid = blocked_pid(store, COPIES[store.database.engine])
            second = threads.submit(StoreWriter(store.database, clock=store.clock).load, [one])
            blocked_pid(store, "insert into loaded_entries")
            store.connection.execute("select pg_terminate_backend(%s)", (pid,))
            with pytest.raises(Unavailable):
                first.result(30)
        assert second.result(30).rows == 1
    assert counts(store) == (1, 1, 0, 1)


@pytest.mark.parametrize(
    ("lock", "where"),
    [
        ("lock table late_rows in exclusive mode", "copy late_rows"),
        ("lock table raw_samples in share mode", COPIES),
        ("select from latest_samples for update", "update latest_samples"),
        ("select from load_lanes for update", "for no key update"),
    ],
)
def test_a_killed_transaction_leaves_nothing_and_can_be_loaded_again(
    store: stores.Postgres, lock: str, where: str | dict[str, str]
) -> None:
    words = where if isinstance(where, str) else where[store.database.engine]
    store.load([entry([(KEY, NOW_US - 9 * MINUTE_US, 1.0)], "1-0")])
    store.refresh()
    before = counts(store)
    one = entry([(KEY, NOW_US - 5 * MINUTE_US, 2.0), (KEY, NOW_US, 3.0)], "2-0")
    with ThreadPoolExecutor(1) as threads, stores.held_up(store, lock):
        load = threads.submit(store.load, [one])
        store.connection.execute("select pg_terminate_backend(%s)", (blocked_pid(store, words),))
        with pytest.raises(Unavailable):
            load.result(30)
    assert counts(store) == before == (1, 1, 0, 1)
    assert store.connection.execute("select value from latest_samples").fetchone() == (1.0,)
    assert store.load([one]).late == 1
    assert counts(store) == (2, 3, 1, 1)
    assert store.connection.execute("select value from latest_samples").fetchone() == (3.0,)


def test_writers_that_share_series_in_any_order_never_lock_each_other_out(store: stores.Postgres) -> None:
    keys = [SeriesKey.of("m", {"host": str(number)}) for number in range(50)]

    def load(number: int) -> int:
        random = np.random.default_rng(number)
        writer = StoreWriter(store.database, clock=store.clock)
        rows = 0
        for turn in range(10):
            some = random.permutation(keys)[:30]
            batch = [(keys[int(dict(key.labels)["host"])], NOW_US + turn * SECOND_US, float(number)) for key in some]
            rows += writer.load([entry(batch, f"{number}-{turn}")]).rows
        return rows

    with ThreadPoolExecutor(6) as threads:
        rows = sum(threads.map(load, range(6)))
    raw = store.raw()
    assert rows == len(raw) == len({(at, key) for at, key in zip(raw.at_us, raw.key_index, strict=True)})


def test_the_latest_sample_is_the_newest_of_each_series(store: stores.Postgres) -> None:
    other = SeriesKey.of("m", {"host": "b"})
    store.load([entry([(KEY, NOW_US, 1.0), (KEY, NOW_US - 5, 2.0), (other, NOW_US - 9, 3.0)], "1-0")])
    store.load([entry([(KEY, NOW_US - 3, 4.0), (other, NOW_US - 9, 5.0)], "2-0")])
    rows = store.connection.execute(
        "select tags->>'host', epoch_us(at), value from latest_samples join series using (series_id) order by 1"
    )
    assert rows.fetchall() == [("a", NOW_US, 1.0), ("b", NOW_US - 9, 5.0)]


def test_series_are_registered_once_by_many_at_once(store: stores.Postgres) -> None:
    keys = [SeriesKey.of("m", {"host": str(number)}) for number in range(3000)]
    indexes = [SeriesIndex(store.database) for _ in range(4)]
    with ThreadPoolExecutor(4) as threads:
        found = list(
            threads.map(
                lambda n: indexes[n].resolve([keys[i] for i in np.random.default_rng(n).permutation(3000)]), range(4)
            )
        )
    assert [len(set(ids.tolist())) for ids in found] == [3000] * 4
    assert store.connection.execute("select count(*), count(distinct fingerprint) from series").fetchone() == (
        3000,
        3000,
    )
    again = SeriesIndex(store.database).resolve(keys)
    rows = store.connection.execute("select tags->>'host', series_id from series")
    assert dict(rows) == {
        dict(key.labels)["host"]: series_id for key, series_id in zip(keys, again.tolist(), strict=True)
    }


def test_a_hundred_thousand_new_series_in_one_load(store: stores.Postgres) -> None:
    keys = tuple(SeriesKey.of("requests_total", {"path": f"/{number}"}) for number in range(100_000))
    batch = SampleBatch(np.full(100_000, NOW_US, np.int64), np.ones(100_000), np.arange(100_000, dtype=np.int32), keys)
    assert store.load([entry(batch, "1-0")]).rows == 100_000
    later = SampleBatch(batch.at_us + SECOND_US, batch.value, batch.key_index, keys)
    assert store.load([entry(later, "2-0")]).rows == 100_000
    assert store.connection.execute("select count(*) from latest_samples where at is not null").fetchone() == (100_000,)


def test_a_flood_of_series_never_grows_a_writers_memory_beyond_its_bound(store: stores.Postgres) -> None:
    writer = StoreWriter(store.database, clock=store.clock, max_cached=30)
    for turn in range(6):
        keys = [SeriesKey.of("m", {"host": f"{turn % 3}-{number}"}) for number in range(20)]
        loaded = writer.load([entry([(key, NOW_US + turn, float(turn)) for key in keys], f"1-{turn}")])
        assert loaded.rows == 20
        assert writer.remembered <= 30
    rows = store.connection.execute("select value, count(*) from latest_samples group by 1 order by 1").fetchall()
    assert rows == [(3.0, 20), (4.0, 20), (5.0, 20)]


def test_a_writer_whose_cache_is_of_another_database_learns_anew(store: stores.Postgres) -> None:
    store.load([entry([(KEY, NOW_US, 1.0)], "1-0")])
    raw = stores.RAW_TABLE[store.database.engine]
    store.connection.execute(f"truncate series, latest_samples, loaded_entries, {raw}, load_lanes cascade")
    assert store.load([entry([(KEY, NOW_US, 2.0)], "1-0")]).rows == 1
    assert store.raw().keys == (KEY,)


def steps(
    random: np.random.Generator, writers: list[StoreWriter], keys: list[SeriesKey]
) -> dict[tuple[SeriesKey, int], float]:
    """Random loads by random writers; what must be in the store after them."""
    expected: dict[tuple[SeriesKey, int], float] = {}
    for turn in range(40):
        batch = [
            (
                keys[random.integers(len(keys))],
                NOW_US + int(random.integers(turn, turn + 20)),
                float(random.random()),
            )
            for _ in range(random.integers(1, 30))
        ]
        expected |= {(key, at_us): value for key, at_us, value in batch}
        writer = writers[random.integers(len(writers))]
        writer.load([entry(batch, f"{turn}-1")])
        if random.random() < 0.2:
            writer.flush()
    return expected


@pytest.mark.parametrize("seed", range(3))
def test_writers_that_take_turns_at_series_keep_each_pair_once_and_the_newest_noted(
    store: stores.Postgres, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    # So that newest samples are put off as they are under load.
    monkeypatch.setattr("muninn.store.latest._ALWAYS", 0)
    monkeypatch.setattr("muninn.store.latest._SECONDS_EACH", 1e6)
    writers = [StoreWriter(store.database, clock=store.clock) for _ in range(3)]
    keys = [SeriesKey.of("m", {"host": str(number)}) for number in range(40)]
    expected = steps(np.random.default_rng(seed), writers, keys)
    raw = store.raw()
    found = [(raw.keys[key], at) for key, at in zip(raw.key_index.tolist(), raw.at_us.tolist(), strict=True)]
    assert len(found) == len(set(found))
    assert dict(zip(found, raw.value.tolist(), strict=True)) == expected
    for writer in writers:
        writer.flush()
    newest = {key: max(at for found_key, at in expected if found_key == key) for key, _ in expected}
    rows = store.connection.execute(
        "select tags, epoch_us(at), value from latest_samples join series using (series_id) where at is not null"
    ).fetchall()
    assert {SeriesKey.of("m", tags): (at, value) for tags, at, value in rows} == {
        key: (at, expected[key, at]) for key, at in newest.items()
    }


def test_what_a_writer_that_died_had_not_noted_is_noted_by_the_next(
    store: stores.Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("muninn.store.latest._ALWAYS", 0)
    monkeypatch.setattr("muninn.store.latest._SECONDS_EACH", 1e6)
    dying = StoreWriter(store.database, clock=store.clock)
    dying.load([entry([(KEY, NOW_US, 1.0)], "1-0")])
    dying.load([entry([(KEY, NOW_US + 9, 2.0)], "2-0")])
    noted = "select epoch_us(at), value from latest_samples"
    assert store.connection.execute(noted).fetchone() == (None, None)
    heir = StoreWriter(store.database, clock=store.clock)
    again = heir.load([entry([(KEY, NOW_US + 9, 2.0), (KEY, NOW_US + 3, 3.0)], "3-0")])
    assert (again.rows, again.duplicates) == (1, 1)
    assert store.connection.execute(noted).fetchone() == (NOW_US + 9, 2.0)
    assert len(store.raw()) == 3
