"""Partitions that are dropped, rewritten or locked by others while loads and questions are about them."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event

import psycopg
import pytest
import stores
import timescale_server
from servers import eventually
from stores import NOW_US, entry

from muninn.clock import DAY_US, HOUR_US, MINUTE_US, SECOND_US
from muninn.errors import Unavailable
from muninn.model import SeriesKey
from muninn.model.window import as_datetime
from muninn.store import partitions
from muninn.store.database import Database, query_text
from muninn.store.writer import LoadResult, StoreWriter

KEYS = [SeriesKey.of("m", {"host": str(number)}) for number in range(20)]
TODAY = NOW_US // DAY_US * DAY_US
YESTERDAY = TODAY - DAY_US


@pytest.fixture
def store(many_sessions: stores.Postgres) -> stores.Postgres:
    rows = [(key, TODAY + day * DAY_US + n * MINUTE_US, 1.0) for day in (-3, -2, -1) for n in range(60) for key in KEYS]
    many_sessions.load([entry(rows, "0-1", "before")])
    return many_sessions


@contextmanager
def another(store: stores.Postgres) -> Iterator[psycopg.Connection]:
    """A session of somebody else, in a transaction."""
    with psycopg.connect(store.connection.info.dsn) as session:
        yield session


def waits(store: stores.Postgres, words: str) -> Callable[[], bool]:
    """Whether a session waits for a lock in a query with these words."""
    text = "select 1 from pg_stat_activity where wait_event_type = 'Lock' and strpos(query, %s) > 0"
    return lambda: store.connection.execute(text, (words,)).fetchone() is not None


@pytest.mark.skipif(not timescale_server.URL, reason="needs a TimescaleDB server: MUNINN_TEST_TIMESCALE_URL")
def test_retention_and_a_question_do_not_lock_each_other_out(timescale_url: str) -> None:
    """A day of several chunks: the question has read the last one when retention comes, and reads all of them then."""
    store = stores.Postgres(timescale_url)
    for hour in (1, 3, 5):
        store.load([entry([(KEYS[0], YESTERDAY + hour * HOUR_US, 1.0)], f"{hour}-1")])
    with ThreadPoolExecutor(1) as threads, another(store) as question:
        question.execute(
            "select from scaled_samples where at >= to_timestamp(%s)", ((YESTERDAY + 4 * HOUR_US) // SECOND_US,)
        )
        dropped = threads.submit(drop_oldest, store)
        comes = "select 1 from pg_stat_activity where state = 'active' and query like '%%call store_drop_partition%%'"
        eventually(lambda: store.connection.execute(comes).rowcount > 1, 60, "retention comes")
        question.execute("select pg_sleep(1.5)")  # longer than the server lets anyone wait for each other
        assert question.execute("select count(*) from raw_samples").fetchone() == (3,)
        question.commit()
        dropped.result(60)
    assert samples(store) == 0
    store.close()


def drop_oldest(store: stores.Postgres) -> None:
    with store.database.transaction(lock_timeout_s=30) as transaction:
        transaction.execute("store_drop_partition", partition=oldest(store))


def raw_partition(store: stores.Postgres) -> str:
    """The table that holds yesterday's first samples."""
    table = stores.RAW_TABLE[store.database.engine]
    return store.connection.execute(
        f"select tableoid::regclass::text from {table} where at >= to_timestamp(%s) order by at limit 1",
        (YESTERDAY // SECOND_US,),
    ).fetchone()[0]


def samples(store: stores.Postgres) -> int:
    return store.connection.execute("select count(*) from raw_samples").fetchone()[0]


QUESTIONS = {
    "store_list_partitions": {},
    "reads_overview": {
        "now": as_datetime(NOW_US),
        "since": as_datetime(NOW_US - 5 * DAY_US),
        "alive_since": as_datetime(NOW_US - DAY_US),
        "max_hosts": 10,
    },
    "alert_raw": {"metrics": ["m"], "since": as_datetime(TODAY - 9 * DAY_US), "until": as_datetime(TODAY)},
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_that_loses_a_partition_to_retention_is_answered(store: stores.Postgres, question: str) -> None:
    comment = query_text(question).splitlines()[0]
    with ThreadPoolExecutor(1) as threads, another(store) as retention:
        retention.execute("call store_drop_partition(%s)", (oldest(store),))
        answer = threads.submit(store.database.fetch, question, **QUESTIONS[question])
        waiting = waits(store, comment)
        eventually(lambda: answer.done() or waiting(), 60, "the question meets it")
        retention.commit()
        assert answer.result(60)
    assert samples(store) == 2 * 60 * len(KEYS)


def oldest(store: stores.Postgres) -> str:
    """The oldest partition of raw samples."""
    return next(each.name for each in partitions.list_partitions(store.database) if each.table == partitions.RAW)


def test_a_load_whose_day_was_moved_away_after_it_was_made_is_loaded_by_the_next_try(store: stores.Postgres) -> None:
    """As the cold tier moves a day: while no load is in flight."""
    name = oldest(store)
    late = entry([(KEYS[0], TODAY - 3 * DAY_US + 1, 5.0)], "1-0")
    with ThreadPoolExecutor(1) as threads, another(store) as mover:
        mover.execute("select pg_advisory_xact_lock(8480, 1)")
        load = threads.submit(store.load, [late])
        eventually(waits(store, "pg_advisory_xact_lock_shared"), 60, "the load waits")
        mover.execute("call store_drop_partition(%s)", (name,))
        mover.commit()
        try:
            load.result(60)
        except Unavailable:
            assert store.load([late]).rows == 1
    assert samples(store) == 2 * 60 * len(KEYS) + 1
    assert store.load([late]).entries_new == 0


def test_a_load_and_who_wants_its_partition_alone_do_not_lock_each_other_out(store: stores.Postgres) -> None:
    """The locks of TimescaleDB's compression: first it lets readers be, then nobody.

    There a load has read nothing before it has its lock. On PostgreSQL, where nothing of Muninn's takes locks in that
    order, the server tells one of the two to begin again.
    """
    name = raw_partition(store)
    late = entry([(key, YESTERDAY + SECOND_US, 5.0) for key in KEYS], "1-0")
    with ThreadPoolExecutor(1) as threads, another(store) as other:
        other.execute(f"lock table only {name} in exclusive mode".encode())
        load = threads.submit(store.load, [late])
        eventually(waits(store, "samples"), 60, "the load waits")
        lost = [not locked(other, f"lock table only {name} in access exclusive mode")]
        other.rollback()
        lost.append(not loaded(load))
    assert sum(lost) == (0 if store.database.engine == "timescaledb" else 1)
    assert store.load([late]).rows == (len(KEYS) if lost[1] else 0)
    assert samples(store) == (3 * 60 + 1) * len(KEYS)


def locked(session: psycopg.Connection, statement: str) -> bool:
    """False where the server ended a deadlock with this session."""
    try:
        session.execute(statement.encode())
    except psycopg.errors.DeadlockDetected:
        return False
    return True


def loaded(load: Future[LoadResult]) -> bool:
    """False where the server ended a deadlock with this load."""
    error = load.exception(60)
    assert error is None or (isinstance(error, Unavailable) and "deadlock detected" in str(error)), error
    return error is None


def test_a_load_that_loses_a_deadlock_has_written_nothing_and_is_loaded_by_the_next_try(store: stores.Postgres) -> None:
    """Who asks last looks for deadlocks last: the load is held up until the other has looked."""
    store.refresh()
    late = entry([(key, YESTERDAY + SECOND_US, 5.0) for key in KEYS], "1-0")
    looked = """select count(*) from pg_stat_activity join pg_locks using (pid) where not granted
                and strpos(query, 'holds late_rows') > 0
                and waitstart < clock_timestamp() - 2 * current_setting('deadlock_timeout')::interval"""
    with ThreadPoolExecutor(2) as threads, another(store) as first, another(store) as other:
        first.execute(f"lock table {stores.RAW_TABLE[store.database.engine]} in share mode".encode())
        other.execute("lock table late_rows in exclusive mode")
        load = threads.submit(store.load, [late])
        eventually(waits(store, "samples"), 60, "the load waits")
        lanes = threads.submit(locked, other, "/* holds late_rows */ select from load_lanes for update")
        eventually(lambda: store.connection.execute(looked).fetchone() != (0,), 60, "the other has looked")
        first.rollback()
        assert not loaded(load)
        assert lanes.result(60)
        other.rollback()
    assert samples(store) == 3 * 60 * len(KEYS)
    for rows in (len(KEYS), 0):
        assert store.load([late]).rows == rows
    assert store.connection.execute("select sum(sample_count) from late_rows").fetchone() == (len(KEYS),)
    assert samples(store) == (3 * 60 + 1) * len(KEYS)


def rewrite(store: stores.Postgres, stop: Event) -> int:
    """Have partitions of raw samples rewritten, as packing and an operator do, until `stop`; how often."""
    done = 0
    with psycopg.connect(store.connection.info.dsn, autocommit=True) as session:
        while not stop.is_set():
            name = raw_partition(store)
            if store.database.engine == "postgres":
                session.execute(f"vacuum full {name}".encode())
            else:
                session.execute("select compress_chunk(%s::regclass, if_not_compressed => true)", (name,))
                session.execute("select decompress_chunk(%s::regclass, if_compressed => true)", (name,))
            done += 1
    return done


def test_loads_and_questions_go_on_while_partitions_are_rewritten(store: stores.Postgres) -> None:
    """On TimescaleDB the same as its compression job does: no load and it wait for each other."""
    stop = Event()
    refused: list[str] = []

    def load(number: int) -> int:
        writer, rows = StoreWriter(store.database, clock=store.clock), 0
        for turn in range(1, 31):
            late = entry([(key, YESTERDAY + turn * SECOND_US + number, 2.0) for key in KEYS], f"{turn}-{number}")
            while rows // len(KEYS) != turn:
                try:
                    rows += writer.load([late]).rows
                except Unavailable as error:  # a loader does as much
                    refused.append(str(error))
        return rows

    def ask() -> int:
        asked = 0
        with Database(store.connection.info.dsn) as database:
            while not stop.is_set():
                assert all(database.fetch(question, **asked_with) for question, asked_with in QUESTIONS.items())
                asked += 1
        return asked

    with ThreadPoolExecutor(5) as threads:
        asker, rewriter = threads.submit(ask), threads.submit(rewrite, store, stop)
        loads = [threads.submit(load, number) for number in range(3)]
        try:
            rows = sum(each.result(300) for each in loads)
        finally:
            stop.set()
        assert min(asker.result(60), rewriter.result(60)) > 0
    assert rows == 3 * 30 * len(KEYS)
    assert samples(store) == 3 * 60 * len(KEYS) + rows
    assert not [reason for reason in refused if "deadlock" in reason]
