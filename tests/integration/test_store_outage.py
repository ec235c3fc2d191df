"""A server that is away is Unavailable, and nothing has to be done when it is back; a wrong URL is Misconfigured."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from servers import Postgres, eventually, free_port
from stores import NOW_US, entry

from muninn.clock import ManualClock
from muninn.errors import Misconfigured, Unavailable
from muninn.model import SeriesKey
from muninn.store.database import Database
from muninn.store.migrations import migrate
from muninn.store.writer import StoreWriter

KEY = SeriesKey.of("m", {"host": "a"})


@pytest.fixture
def server() -> Iterator[Postgres]:
    made = Postgres(durable=True)
    made.start()
    yield made
    made.close()


def test_a_server_that_hangs_is_unavailable_and_its_connections_are_not_used_again(server: Postgres) -> None:
    with Database(server.url, pool_size=3, statement_timeout_s=1.5, connect_timeout_s=1.0, hang_s=0.5) as database:

        def ask() -> str:
            try:
                return str(database.fetch("store_engine") and "answers")
            except Unavailable as error:
                return str(error)

        with ThreadPoolExecutor(3) as pool:  # three connections, all idle when it begins to hang
            eventually(lambda: set(pool.map(lambda _: ask(), range(9))) == {"answers"}, 60, "three connections")
        with server.hanging():
            assert "has not answered for 2 s" in ask()
            assert "is away" in ask(), "not a second connection that hangs"
        eventually(lambda: ask() == "answers", 60, "it answers as before", 0.3)


def test_what_has_its_own_limit_is_waited_for_as_long(server: Postgres) -> None:
    """Long work, of migrations and refreshes, is not taken for a server that hangs, nor are many short statements."""
    with Database(server.url, pool_size=2, statement_timeout_s=0.4, hang_s=0.1) as database:
        with database.transaction(statement_timeout_s=0) as transaction:
            transaction.script("select pg_sleep(1.5)")
        with database.session(statement_timeout_s=60) as session:
            session.script("select pg_sleep(1.5)")
        with database.transaction() as transaction:
            for _ in range(15):
                transaction.script("select pg_sleep(0.1)")
        before = threading.active_count()
        for _ in range(20):
            database.fetch("store_engine")
        assert threading.active_count() <= before, "one thread looks after all of them"


def test_a_killed_server_is_unavailable_until_it_is_back(server: Postgres) -> None:
    with Database(server.url, connect_timeout_s=1.0) as database:
        migrate(database)
        writer = StoreWriter(database, clock=ManualClock(NOW_US))
        assert writer.load([entry([(KEY, NOW_US, 1.0)], "1-0")]).rows == 1
        server.kill()
        for _ in range(2):
            with pytest.raises(Unavailable):
                writer.load([entry([(KEY, NOW_US + 1, 2.0)], "2-0")])
        server.restart()

        def loaded() -> bool:
            try:
                return writer.load([entry([(KEY, NOW_US + 1, 2.0)], "2-0")]).rows == 1
            except Unavailable:
                return False

        eventually(loaded, 30, "loads go through again")
        assert writer.load([entry([(KEY, NOW_US, 1.0)], "1-0")]).entries_new == 0
        assert writer.load([entry([(KEY, NOW_US + 1, 2.0)], "2-0")]).entries_new == 0


def test_a_server_that_never_was_is_unavailable_with_its_address() -> None:
    url = f"postgresql://someone:secret@127.0.0.1:{free_port()}/metrics"
    with Database(url, connect_timeout_s=0.5) as database, pytest.raises(Unavailable) as caught:
        database.fetch("rollup_state")
    assert "127.0.0.1" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_database_that_is_not_there_is_misconfigured(postgres_url: str) -> None:
    wrong = postgres_url.replace("@/test_", "@/nowhere_")
    with Database(wrong, connect_timeout_s=0.5) as database, pytest.raises(Misconfigured, match="MUNINN_DATABASE_URL"):
        database.fetch("rollup_state")


def test_a_query_that_takes_too_long_is_cancelled(postgres_url: str) -> None:
    with Database(postgres_url, statement_timeout_s=0.2) as database:
        started = time.monotonic()
        with pytest.raises(Unavailable, match="STATEMENT_TIMEOUT"), database.transaction() as transaction:
            transaction.script("select pg_sleep(20)")
        assert time.monotonic() - started < 10
        assert len(database.fetch("rollup_state")) == 4


def test_a_pool_in_full_use_says_so(postgres_url: str) -> None:
    with (
        Database(postgres_url, pool_size=1, connect_timeout_s=0.3) as database,
        database.transaction(),
        pytest.raises(Unavailable, match="POOL_SIZE"),
    ):
        database.fetch("rollup_state")


def test_a_closed_pool_is_unavailable_and_opens_again(postgres_url: str) -> None:
    database = Database(postgres_url)
    with pytest.raises(Unavailable, match="closed"):
        database.fetch("rollup_state")
    with database:
        assert len(database.fetch("rollup_state")) == 4
    with pytest.raises(Unavailable, match="closed"):
        database.fetch("rollup_state")


def test_connections_are_set_up_for_short_queries(postgres_url: str) -> None:
    names = ("jit", "application_name", "statement_timeout", "plan_cache_mode", "timezone")
    with (
        Database(postgres_url, application_name="muninn test", statement_timeout_s=7) as database,
        database.transaction() as transaction,
    ):
        found = {
            name: transaction._connection.execute("select current_setting(%s)", (name,)).fetchone()[0] for name in names
        }
    assert found == {
        "jit": "off",
        "application_name": "muninn test",
        "statement_timeout": "7s",
        "plan_cache_mode": "force_custom_plan",
        "timezone": "UTC",
    }


def test_an_error_of_ours_rolls_the_transaction_back(postgres_url: str) -> None:
    with Database(postgres_url) as database:

        def fail() -> None:
            with database.transaction() as transaction:
                transaction.execute("store_record_migration", name="x", sha256="y")
                raise KeyError

        with pytest.raises(KeyError):
            fail()
        assert "x" not in [row.name for row in database.fetch("store_applied_migrations")]
