"""The database's own refresh on TimescaleDB: the answers of Muninn's, through crashes, late data and retention.

Its clock is the server's, so that samples here are of today.
"""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psycopg
import pytest
import stores
from servers import eventually
from stores import entry

from muninn.clock import DAY_US, HOUR_US, MINUTE_US, SECOND_US
from muninn.model import RESOLUTIONS, SeriesKey, Window
from muninn.model.window import as_datetime
from muninn.rollups import refresh
from muninn.rollups.owner import appoint, job_state
from muninn.store import partitions
from muninn.store.writer import StoreWriter

KEYS = [SeriesKey.of("m", {"host": str(number)}) for number in range(3)]
TABLES = ("raw_samples", *(f"rollup_{resolution.name}" for resolution in RESOLUTIONS))
TIMESCALE = [engine for engine in stores.ENGINES if engine != "postgres"]
LATENESS_S = 86_400.0
ALL_TIME = Window(0, 1 << 52)


@pytest.fixture(params=TIMESCALE)
def store(request: pytest.FixtureRequest) -> Iterator[stores.Postgres]:
    for made in stores.opened(request):
        yield made
        appoint(made.database, "muninn", every_s=10, settle_s=15, lateness_s=LATENESS_S)


NO_SERVER = pytest.param("none", marks=pytest.mark.skip("needs a TimescaleDB server: MUNINN_TEST_TIMESCALE_URL"))
SERVERS = [engine for engine in stores.SESSIONS if engine != "postgres"] or [NO_SERVER]


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest) -> Iterator[stores.Postgres]:
    """A store whose server has background workers."""
    yield from stores.opened(request)


class Twin(stores.Memory):
    """The store in memory, today."""

    def __init__(self) -> None:
        super().__init__()
        self.clock.advance((now_us() - self.clock.now_us()) / SECOND_US)


def now_us() -> int:
    return time.time_ns() // 1000


def load(store: stores.Postgres, twin: Twin, rows: list[tuple[SeriesKey, int, float]], entry_id: str) -> None:
    store.clock.advance((twin.clock.now_us() - store.clock.now_us()) / SECOND_US)
    for each in (StoreWriter(store.database, clock=twin.clock), twin):
        each.load([entry(rows, entry_id)])


def a_day_and_a_half(now: int) -> list[tuple[SeriesKey, int, float]]:
    return [(key, now - n * 97 * SECOND_US, float(n % 53)) for n in range(1, 1400) for key in KEYS[: 1 + (n % 4 == 0)]]


def run_job(store: stores.Postgres, every_s: float = 3600.0, lateness_s: float = LATENESS_S) -> None:
    appoint(store.database, "database", every_s=every_s, settle_s=15, lateness_s=lateness_s)
    store.connection.execute("call run_job(rollup_job())")


def assert_same(store: stores.Postgres, twin: Twin) -> None:
    for resolution in RESOLUTIONS:
        found, expected = (each.buckets(resolution, ALL_TIME) for each in (store, twin))
        assert [_figures(each) for each in found] == [_figures(each) for each in expected]


def _figures(bucket: stores.Bucket) -> tuple[object, ...]:
    size = float(f"{bucket.sum_value:.9g}")
    return (bucket.key, bucket.bucket_us, bucket.sample_count, size, bucket.min_value, bucket.sketch.tolist())


def stored(store: stores.Postgres) -> list[int]:
    """Samples that the tables of rollups hold themselves, by resolution."""
    return [
        store.connection.execute(f"select coalesce(sum(sample_count), 0)::int8 from {table}").fetchone()[0]
        for table in TABLES[1:]
    ]


@pytest.mark.parametrize("owner", ["database", "muninn"])
def test_both_owners_give_the_answers_of_the_twin(store: stores.Postgres, owner: str) -> None:
    twin = Twin()
    now = twin.clock.now_us()

    def refreshed() -> None:
        if owner == "database":
            run_job(store)
        else:
            refresh.refresh_fresh(store.database, now, 15)

    load(store, twin, a_day_and_a_half(now), "1-0")
    refreshed()
    assert_same(store, twin)
    assert stored(store)[0] > 1500
    recent, old = now - 5 * HOUR_US - 1, now - 30 * HOUR_US - 1
    load(store, twin, [(KEYS[0], at + n * MINUTE_US, 900.0) for at in (recent, old) for n in range(9)], "2-0")
    before = stored(store)[0]
    refreshed()
    waiting = store.connection.execute("select count(*) from late_rows").fetchone()[0]
    assert (waiting, stored(store)[0] - before) == ((9, 9) if owner == "database" else (0, 18))
    # What is older than the lateness is Muninn's in both cases.
    refresh.refresh_late(store.database, now - round(LATENESS_S) * SECOND_US)
    assert store.connection.execute("select count(*) from late_rows").fetchone() == (0,)
    assert_same(store, twin)
    assert stored(store)[0] == before + 18


def test_the_job_leaves_rollups_whose_samples_retention_took(store: stores.Postgres) -> None:
    twin = Twin()
    now = twin.clock.now_us()
    rows = [(KEYS[0], now - n * 4 * HOUR_US, float(n)) for n in range(1, 6 * 5)]
    load(store, twin, rows, "1-0")
    run_job(store)
    days = {"rollup_1min_days": 3650, "rollup_5min_days": 3650, "rollup_1hour_days": 3650}
    assert partitions.drop_expired(store.database, now, raw_days=2, **days)
    before = stored(store)
    gone = now - 4 * DAY_US
    store.connection.execute(
        "insert into late_rows (series_id, minute, sample_count) select series_id, %s, 1 from series",
        (as_datetime(gone // MINUTE_US * MINUTE_US),),
    )
    run_job(store, lateness_s=30 * 86_400)
    assert store.connection.execute("select count(*) from late_rows").fetchone() == (0,)
    assert stored(store) == before
    assert_same(store, twin)


def test_the_server_refreshes_by_itself_until_muninn_is_appointed(server: stores.Postgres) -> None:
    twin = Twin()
    load(server, twin, a_day_and_a_half(twin.clock.now_us()), "1-0")
    assert job_state(server.database) is None
    for _ in range(2):
        appoint(server.database, "database", every_s=1, settle_s=1, lateness_s=LATENESS_S)
    assert server.connection.execute(
        "select count(*), min(schedule_interval) from timescaledb_information.jobs where proc_name = 'rollup_run'"
    ).fetchone() == (1, as_datetime(SECOND_US) - as_datetime(0))
    eventually(lambda: stored(server)[0] > 1500, 60, "the job has run")
    eventually(lambda: (job_state(server.database) or pytest.fail("no job")).runs > 1, 60, "it runs again")
    seen = job_state(server.database)
    assert seen is not None
    assert (seen.failures, seen.succeeded_us is not None) == (0, True)
    assert_same(server, twin)
    assert appoint(server.database, "muninn", every_s=1, settle_s=1, lateness_s=LATENESS_S) == "muninn"
    assert job_state(server.database) is None


@contextmanager
def held_up(store: stores.Postgres, statement: str) -> Iterator[None]:
    with psycopg.connect(store.connection.info.dsn) as blocker:
        blocker.execute(statement.encode())
        yield
        blocker.rollback()


def test_a_job_that_is_killed_midway_loses_nothing(server: stores.Postgres) -> None:
    twin = Twin()
    now = twin.clock.now_us()
    load(server, twin, a_day_and_a_half(now), "1-0")
    run_job(server)
    watermark = refresh.state(server.database)[0].watermark_us
    appoint(server.database, "muninn", every_s=1, settle_s=1, lateness_s=LATENESS_S)
    load(server, twin, [(KEYS[1], now - 3 * HOUR_US - 1, 900.0)], "2-0")
    # It has computed minutes, and waits for the next level. Nothing fresh is settled: it would wait there already.
    with held_up(server, "lock table rollup_5min in share mode"):
        appoint(server.database, "database", every_s=1, settle_s=3_600, lateness_s=LATENESS_S)
        killed: list[object] = []

        def kill() -> bool:
            killed[:] = server.connection.execute(
                """select pg_terminate_backend(pid) from pg_stat_activity
                   where wait_event_type = 'Lock' and backend_type <> 'client backend'
                     and datname = current_database() and application_name like 'User-Defined Action%'"""
            ).fetchall()
            return bool(killed)

        eventually(kill, 60, "the job waits for the lock")
        assert server.connection.execute("select claimed from late_rows").fetchall() == [(True,)]
        assert refresh.state(server.database)[0].watermark_us >= watermark
    eventually(
        lambda: server.connection.execute("select count(*) from late_rows").fetchone() == (0,), 90, "it is done again"
    )
    assert_same(server, twin)
    assert sum(each.max_value == 900.0 for each in server.buckets(RESOLUTIONS[3], ALL_TIME)) == 1


def test_a_refresh_by_hand_at_the_same_time_is_waited_out_or_tried_again(server: stores.Postgres) -> None:
    """What the decision forbids, and what no one should lose samples by."""
    twin = Twin()
    now = twin.clock.now_us()
    load(server, twin, a_day_and_a_half(now), "1-0")
    run_job(server)
    appoint(server.database, "muninn", every_s=1, settle_s=1, lateness_s=LATENESS_S)
    load(server, twin, [(KEYS[1], now - 3 * HOUR_US - 1, 900.0)], "2-0")
    by_hand = "call refresh_continuous_aggregate('rollup_1min', now() - interval '6 hours', now() - interval '1 hour')"

    def refreshed_by_hand() -> None:
        with psycopg.connect(server.connection.info.dsn, autocommit=True) as other:
            other.execute(by_hand)

    def waiting(words: str) -> bool:
        found = server.connection.execute(
            "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and query like %s", (f"%{words}%",)
        ).fetchone()
        return bool(found[0])

    def refreshed() -> bool:
        """Nothing waits any more; where it was refused, late rows stay in the log."""
        refresh.refresh_fresh(server.database, now, 15)
        return server.connection.execute("select count(*) from late_rows").fetchone() == (0,)

    with ThreadPoolExecutor(2) as threads:
        with held_up(server, "lock table rollup_1min in share mode"):
            other = threads.submit(refreshed_by_hand)
            eventually(lambda: waiting("call refresh_continuous_aggregate"), 30, "the refresh by hand is on its way")
            ours = threads.submit(refreshed)
            eventually(lambda: waiting("rollup_compute_again") or ours.done(), 30, "ours waits, or was refused")
            assert not ours.done() or not ours.result()
        other.result(60)
        ours.result(60)
    eventually(refreshed, 30, "the next one computes what was refused")
    assert_same(server, twin)
    assert sum(each.max_value == 900.0 for each in server.buckets(RESOLUTIONS[0], ALL_TIME)) == 1
