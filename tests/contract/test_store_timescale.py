"""What TimescaleDB adds: the columnstore, chunks, refreshes in several transactions; against the store in memory."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import psycopg
import pytest
import stores
from servers import eventually
from stores import NOW_US, SETTLE_S, entry

from muninn.clock import DAY_US, HOUR_US, MINUTE_US, SECOND_US
from muninn.errors import Unavailable
from muninn.model import RESOLUTIONS, SampleBatch, SeriesKey, Window
from muninn.rollups import refresh
from muninn.store import partitions

KEYS = [SeriesKey.of("m", {"host": str(number)}) for number in range(3)]
KEEP_ALL = {"raw_days": 3650, "rollup_1min_days": 3650, "rollup_5min_days": 3650, "rollup_1hour_days": 3650}
TODAY = NOW_US // DAY_US * DAY_US
TIMESCALE = [engine for engine in stores.ENGINES if engine != "postgres"]


@pytest.fixture(params=TIMESCALE)
def store(request: pytest.FixtureRequest) -> Iterator[stores.Postgres]:
    yield from stores.opened(request)


def compress(store: stores.Postgres) -> int:
    """Let the policy do its work; how many chunks are in the columnstore then."""
    policy = store.connection.execute(
        "select job_id from timescaledb_information.jobs where proc_name = 'policy_compression'"
        " and hypertable_name = 'scaled_samples'"
    ).fetchone()

    def done() -> bool:
        try:
            store.connection.execute("call run_job(%s)", policy)
        except psycopg.errors.DataException:  # the server's own run, soon after a policy is made, was at the chunks
            return False
        return True

    eventually(done, 60, "the policy has done its work")
    found = store.connection.execute(
        "select count(*) filter (where is_compressed) from timescaledb_information.chunks"
        " where hypertable_name = 'scaled_samples'"
    ).fetchone()
    return int(found[0])


def assert_same(store: stores.Postgres, twin: stores.Memory) -> None:
    assert _listed(store.raw()) == _listed(twin.raw())
    for resolution in RESOLUTIONS:
        assert [_figures(each) for each in store.buckets(resolution)] == [
            _figures(each) for each in twin.buckets(resolution)
        ]


def _listed(batch: SampleBatch) -> list[tuple[SeriesKey, int, float]]:
    keys = [batch.keys[key] for key in batch.key_index.tolist()]
    return list(zip(keys, batch.at_us.tolist(), batch.value.tolist(), strict=True))


def _figures(bucket: stores.Bucket) -> tuple[object, ...]:
    size = float(f"{bucket.sum_value:.9g}")
    return (bucket.key, bucket.bucket_us, bucket.sample_count, size, bucket.min_value, bucket.sketch.tolist())


def test_late_new_repeated_and_replaced_samples_go_into_the_columnstore(store: stores.Postgres) -> None:
    twin = stores.Memory()
    rows = [(key, NOW_US - n * 43 * SECOND_US, float(n % 31)) for n in range(3000) for key in KEYS]
    loads = [
        rows,
        [(key, at, value) for key, at, value in rows[:600]],
        [(key, at, value + 100) for key, at, value in rows[300::50]],
        [(key, at + 1, -value) for key, at, value in rows[100::40]],
    ]
    for number, load in enumerate(loads):
        results = [each.load([entry(load, f"{number}-0")]) for each in (store, twin)]
        assert results[0] == results[1]
        for each in (store, twin):
            each.refresh()
        assert compress(store) > 30
        assert_same(store, twin)


def test_every_double_comes_back_bit_for_bit_from_rows_and_from_the_columnstore(store: stores.Postgres) -> None:
    random = np.random.default_rng(7)
    decimals = [mantissa / 10**digits for digits in range(13) for mantissa in random.integers(-(10**9), 10**9, 20)]
    doubles = [*random.normal(0, 1e-9, 50), *random.normal(0, 1e15, 50), 0.1 + 0.2, 1 / 3, -0.0, 0.0]
    values = [float(value) for value in (*decimals, *doubles)]
    rows = [(KEYS[n % 3], NOW_US - n * SECOND_US, value) for n, value in enumerate(values)]
    store.load([entry(rows, "1-0")])
    expected = sorted((key.canonical, at, struct.pack("d", value)) for key, at, value in rows)
    for _ in range(2):
        found = _listed(store.raw())
        assert [(key.canonical, at, struct.pack("d", value)) for key, at, value in found] == expected
        assert compress(store)


def test_a_load_may_unpack_more_than_timescaledb_allows_by_itself(store: stores.Postgres) -> None:
    rows = [(key, NOW_US - n * SECOND_US, float(n)) for n in range(200) for key in KEYS]
    store.load([entry(rows, "1-0")])
    assert compress(store)
    store.connection.execute("set timescaledb.max_tuples_decompressed_per_dml_transaction = 10")
    limit = (Unavailable, psycopg.errors.ConfigurationLimitExceeded)
    with pytest.raises(limit, match="tuple decompression limit"):
        store.connection.execute("delete from scaled_samples where mantissa = 5")
    changed = [(key, at, value + 0.5) for key, at, value in rows]
    assert store.load([entry(changed, "2-0")]).duplicates == len(rows)
    store.connection.execute("reset timescaledb.max_tuples_decompressed_per_dml_transaction")
    assert sorted(store.raw().value.tolist()) == sorted(value for _, _, value in changed)


@contextmanager
def missing(store: stores.Postgres, routine: str) -> Iterator[None]:
    """While inside, what calls this routine fails there."""
    name = routine.partition("(")[0]
    store.connection.execute(f"alter routine {routine} rename to {name}_away")
    try:
        yield
    finally:
        store.connection.execute(f"alter routine {routine.replace(name, f'{name}_away')} rename to {name}")


def test_late_rows_that_were_claimed_and_not_computed_are_computed_by_the_next_refresh(store: stores.Postgres) -> None:
    old = TODAY - 20 * DAY_US
    store.load([entry([(KEYS[0], old, 1.0), (KEYS[0], NOW_US - HOUR_US, 1.0)], "1-0")])
    store.refresh()
    store.load([entry([(KEYS[1], old + 1, 2.0)], "2-0")])
    # After the first level, before the others.
    with missing(store, "rollup_rows(text, timestamptz, timestamptz)"), pytest.raises(psycopg.errors.UndefinedFunction):
        store.refresh()
    assert store.connection.execute("select claimed, sample_count from late_rows").fetchall() == [(True, 1)]
    assert partitions.drop_expired(store.database, NOW_US, **{**KEEP_ALL, "raw_days": 10}) == []
    assert refresh.refresh_fresh(store.database, NOW_US, SETTLE_S).late_buckets == 1
    assert [sum(each.sample_count for each in store.buckets(resolution)) for resolution in RESOLUTIONS] == [3] * 4
    assert len(partitions.drop_expired(store.database, NOW_US, **{**KEEP_ALL, "raw_days": 10})) == 1


def test_a_fresh_window_that_was_not_finished_is_closed_by_the_next_refresh(store: stores.Postgres) -> None:
    store.load([entry([(KEYS[0], NOW_US - n * MINUTE_US, 1.0) for n in range(1, 90)], "1-0")])
    # After all levels, before the watermark moves.
    with missing(store, "packed_extend()"), pytest.raises(psycopg.errors.UndefinedFunction):
        store.refresh()
    assert refresh.state(store.database)[0].watermark_us == 0
    store.load([entry([(KEYS[1], NOW_US - 40 * MINUTE_US, 2.0)], "2-0")])  # late already, above the watermark
    assert [sum(each.sample_count for each in store.buckets(resolution)) for resolution in RESOLUTIONS] == [90] * 4
    store.refresh()
    assert refresh.state(store.database)[0].watermark_us > 0
    assert [sum(each.sample_count for each in store.buckets(resolution)) for resolution in RESOLUTIONS] == [90] * 4


def test_a_rollup_outlives_what_it_is_made_from(store: stores.Postgres) -> None:
    """Where finer buckets are gone and raw samples are not, a refresh would delete the coarser ones."""
    for day in (-70, -40, -1):
        rows = [(KEYS[0], TODAY + day * DAY_US + n * MINUTE_US, float(n)) for n in range(30)]
        store.load([entry(rows, f"{day + 1000}-0")])
    store.refresh()
    short = {**KEEP_ALL, "rollup_1min_days": 5, "rollup_5min_days": 30}
    assert partitions.drop_expired(store.database, NOW_US, **short) == []
    store.load([entry([(KEYS[0], TODAY - 40 * DAY_US + 1, 1000.0)], "late-0")])
    store.refresh()
    days = store.buckets(RESOLUTIONS[3])
    assert [(each.sample_count, each.max_value) for each in days] == [(30, 29.0), (31, 1000.0), (30, 29.0)]
    dropped = partitions.drop_expired(store.database, NOW_US, **{**short, "raw_days": 50})
    assert [each.table for each in dropped] == ["raw_samples", "rollup_1min", "rollup_5min"]
    refresh.refresh_window(store.database, Window(TODAY - 90 * DAY_US, NOW_US))
    assert [each.sample_count for each in store.buckets(RESOLUTIONS[3])] == [30, 31, 30]


def test_chunks_and_the_columnstore_follow_the_settings(store: stores.Postgres) -> None:
    def settings() -> tuple[object, ...]:
        return store.connection.execute(
            """select extract(epoch from time_interval) / 3600,
                      (select array_agg(coalesce(config->>'compress_after', config->>'after') order by job_id)
                       from timescaledb_information.jobs where proc_name in ('policy_compression', 'columnstore_pack'))
               from timescaledb_information.dimensions where hypertable_name = 'scaled_samples'"""
        ).fetchone()

    assert settings() == (1, ["24:00:00"] * 2)
    for _ in range(2):
        partitions.tune(store.database, chunk_hours=12, columnstore_after_hours=36)
        assert settings() == (12, ["36:00:00"] * 2)
    store.load([entry([(KEYS[0], TODAY - n * HOUR_US, 1.0) for n in range(1, 25)], "1-0")])
    assert store.connection.execute("select count(*) from show_chunks('scaled_samples')").fetchone() == (2,)
    partitions.tune(store.database, chunk_hours=1, columnstore_after_hours=24)
    assert settings() == (1, ["24:00:00"] * 2)


def pack(store: stores.Postgres) -> None:
    """Let the job do its work that joins a day's chunks, and compresses rollups."""
    job = store.connection.execute(
        "select job_id from timescaledb_information.jobs where proc_name = 'columnstore_pack'"
    ).fetchone()
    store.connection.execute("call run_job(%s)", job)


def chunks(store: stores.Postgres) -> list[tuple[int, int, bool]]:
    """Hours since TODAY that raw chunks begin and end at, and whether they are in the columnstore."""
    rows = store.connection.execute(
        """select epoch_us(range_start), epoch_us(range_end), is_compressed from timescaledb_information.chunks
           where hypertable_name = 'scaled_samples' order by range_start"""
    ).fetchall()
    return [((start - TODAY) // HOUR_US, (end - TODAY) // HOUR_US, compressed) for start, end, compressed in rows]


def test_the_chunks_of_a_day_become_one_and_late_samples_still_come(store: stores.Postgres) -> None:
    twin = stores.Memory()
    hours = [hour for hour in range(-30, -3) if hour != -10]  # with a gap
    rows = [(key, TODAY + hour * HOUR_US + n * SECOND_US, n / 10) for hour in hours for n in range(3) for key in KEYS]
    late = [(KEYS[0], TODAY - 20 * HOUR_US + 1, 7.5), (KEYS[1], TODAY - 20 * HOUR_US, 8.5), (KEYS[0], NOW_US, 9.5)]
    for each in (store, twin):
        each.load([entry(rows, "1-0")])
        each.refresh()
    assert compress(store) == len(hours)
    assert chunks(store) == [(hour, hour + 1, True) for hour in hours]
    for turn, more in enumerate((rows[:1], late)):
        pack(store)
        # Of each day one, and one more beside the gap.
        assert chunks(store)[:3] == [(-30, -24, True), (-24, -10, True), (-9, -3, True)]
        assert_same(store, twin)
        results = [each.load([entry(more, f"{turn + 2}-0")]) for each in (store, twin)]
        assert results[0] == results[1]
        store.refresh()
        twin.refresh()
        assert_same(store, twin)
        compress(store)
    noted = "select count(*) from packed_chunks where to_regclass(chunk) in (select show_chunks('scaled_samples'))"
    assert store.connection.execute(noted).fetchone() == (3,)
    # Retention takes the joined chunks like others.
    dropped = partitions.drop_expired(store.database, TODAY + 5 * DAY_US, **{**KEEP_ALL, "raw_days": 5})
    assert [(each.since_us - TODAY) // DAY_US for each in dropped if each.table == "raw_samples"] == [-2, -1]


def test_a_chunk_that_can_not_be_packed_holds_up_no_other(store: stores.Postgres) -> None:
    store.load([entry([(KEYS[0], TODAY + hour * HOUR_US, 1.0) for hour in range(-72, -24)], "1-0")])
    store.refresh()
    assert compress(store) == 48
    first = store.connection.execute("select columnstore_unpacked()").fetchone()[0]
    stuck = first[1]
    store.connection.execute("select _timescaledb_functions.freeze_chunk(%s::regclass)", (stuck,))
    for _ in range(2):
        with pytest.raises((psycopg.errors.RaiseException, Unavailable), match=r"not packed.*frozen"):
            pack(store)
        assert [each for each in chunks(store) if each[1] - each[0] > 1] == [(-48, -24, True)]
        # It comes last from now on.
        assert [row[0] for row in store.connection.execute("select columnstore_unpacked()").fetchall()] == [first]
        assert store.connection.execute("select count(*) from columnstore_rollups(now())").fetchone() == (0,)
    store.connection.execute("select _timescaledb_functions.unfreeze_chunk(%s::regclass)", (stuck,))
    pack(store)
    assert chunks(store) == [(-72, -48, True), (-48, -24, True)]
    noted = "select count(*) from packed_chunks where packed_at is null or failure is not null"
    assert store.connection.execute(noted).fetchone() == (0,)


def test_rollups_go_into_the_columnstore_and_are_refreshed_there(store: stores.Postgres) -> None:
    twin = stores.Memory()
    rows = [(key, NOW_US - n * 11 * MINUTE_US, float(n % 31)) for n in range(1200) for key in KEYS]
    late = [(KEYS[2], TODAY - 3 * DAY_US + 1, 500.0)]
    for turn, more in enumerate((rows, late)):
        for each in (store, twin):
            each.load([entry(more, f"{turn + 1}-0")])
            each.refresh()
        assert_same(store, twin)
        pack(store)
        assert_same(store, twin)
        assert store.connection.execute(
            "select count(*) from columnstore_rollups(now() - interval '1 day')"
        ).fetchone() == (0,)
    compressed = store.connection.execute(
        """select kept.table_name, bool_and(is_compressed) from store_hypertables() kept
           join timescaledb_information.chunks using (hypertable_schema, hypertable_name)
           where kept.table_name like 'rollup%' and range_end < now() - interval '1 day' group by 1 order by 1"""
    ).fetchall()
    assert compressed == [("rollup_1day", True), ("rollup_1hour", True), ("rollup_1min", True), ("rollup_5min", True)]
