"""Muninn beside others in one database: a schema of its own, and what it says where it has none."""

import os
import time
from collections.abc import Callable, Iterator
from typing import LiteralString

import psycopg
import pytest
import stores
import timescale_server
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from muninn.clock import MINUTE_US, SECOND_US, ManualClock
from muninn.errors import Misconfigured
from muninn.model import RESOLUTIONS, SeriesKey, Window
from muninn.rollups import refresh
from muninn.rollups.owner import appoint
from muninn.store.database import Database
from muninn.store.migrations import migrate, plan
from muninn.store.writer import StoreWriter

# What a Rails application and somebody's samples have in `public`.
THEIRS: LiteralString = """
create table schema_migrations (version text primary key);
insert into schema_migrations values ('20131222211558');
create table series (id int primary key, title text);
insert into series values (1, 'theirs');
create table raw_samples (id int);
"""
ALL_TIME = Window(0, 1 << 52)
EMPTY = "new_empty_postgres_urls"


@pytest.fixture(params=stores.SESSIONS)
def url(request: pytest.FixtureRequest) -> str:
    """A database in which others live."""
    names = {"postgres": EMPTY, "timescaledb": "new_empty_timescale_urls"}
    new: Callable[[], str] = request.getfixturevalue(names[request.param])
    found = new()
    run(found, THEIRS)
    return found


def run(url: str, statement: LiteralString | sql.Composed) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)


def in_schema(url: str, path: str) -> str:
    """The URL with a search_path."""
    given = conninfo_to_dict(url)
    return make_conninfo(**{**given, "options": f"-csearch_path={path}"})


@pytest.mark.parametrize("work", [migrate, plan])
def test_the_tables_of_others_are_left_alone(url: str, work: Callable[[Database], object]) -> None:
    with Database(url, pool_size=1) as database, pytest.raises(Misconfigured, match="options=-csearch_path"):
        work(database)
    with psycopg.connect(url) as connection:
        assert connection.execute("select * from series").fetchall() == [(1, "theirs")]


def test_in_a_schema_of_its_own_muninn_does_all_it_does(url: str) -> None:
    apart = in_schema(url, "apart,public")
    run(url, "create schema apart")
    with Database(apart, pool_size=1) as database:
        assert plan(database).pending == migrate(database).applied
        assert migrate(database).applied == ()
    store = stores.Postgres(apart)
    now_us = time.time_ns() // 1000
    store.clock.advance((now_us - store.clock.now_us()) / SECOND_US)
    key = SeriesKey.of("m", {"host": "a"})
    store.load([stores.entry([(key, now_us - n * MINUTE_US, float(n)) for n in range(3000)], "1-0")])
    store.refresh()
    store.load([stores.entry([(key, now_us - 90 * MINUTE_US - 1, 1.0)], "2-0")])
    if store.database.engine == "timescaledb":
        run_jobs(store.database, url)
    else:
        store.refresh()
    for resolution in RESOLUTIONS:
        assert sum(each.sample_count for each in store.buckets(resolution, ALL_TIME)) == 3001
    assert store.connection.execute("select count(*) from late_rows").fetchone() == (0,)
    store.drop_raw(1)
    assert 0 < len(store.raw(ALL_TIME)) < 3001
    store.close()
    with psycopg.connect(url) as connection:
        assert connection.execute("select * from series").fetchall() == [(1, "theirs")]


def run_jobs(database: Database, url: str) -> None:
    """As the server runs them: with the search_path that everybody has."""
    appoint(database, "database", every_s=3600, settle_s=15, lateness_s=86_400)
    for name in ("rollup_run", "columnstore_pack"):
        with psycopg.connect(url, autocommit=True) as connection:
            found = connection.execute(
                "select job_id from timescaledb_information.jobs where proc_schema = 'apart' and proc_name = %s",
                (name,),
            ).fetchone()
            assert found
            connection.execute("call run_job(%s)", found)


@pytest.fixture
def guest(url: str) -> Iterator[str]:
    """The URL as a role that may read the schema `readonly`, and no more."""
    name = f"muninn_guest_{os.getpid()}"
    run(url, "create schema readonly; revoke create on schema readonly from current_user")
    with psycopg.connect(url, autocommit=True) as connection:
        (superuser,) = connection.execute("select rolsuper from pg_roles where rolname = current_user").fetchone() or ()
    if not superuser:
        yield in_schema(url, "readonly,public")
        return
    run(url, sql.SQL("create role {0}; grant usage on schema readonly to {0}").format(sql.Identifier(name)))
    yield in_schema(url, f"readonly,public -crole={name}")
    run(url, sql.SQL("drop owned by {0}; drop role {0}").format(sql.Identifier(name)))


def test_a_role_that_may_not_make_tables_is_told_what_to_do(guest: str) -> None:
    with Database(guest, pool_size=1) as database, pytest.raises(Misconfigured, match="may not make its tables"):
        migrate(database)


def test_a_schema_that_is_not_there_is_named(url: str) -> None:
    with (
        Database(in_schema(url, "nowhere"), pool_size=1) as database,
        pytest.raises(Misconfigured, match=r"create the one that MUNINN_DATABASE_URL names|is not in the search_path"),
    ):
        migrate(database)


@pytest.mark.skipif(not timescale_server.URL, reason="needs a TimescaleDB server: MUNINN_TEST_TIMESCALE_URL")
def test_an_extension_that_is_not_in_the_search_path_is_named_and_found_there(empty_timescale_url: str) -> None:
    run(empty_timescale_url, "drop extension timescaledb")
    run(empty_timescale_url, "create schema elsewhere; create extension timescaledb schema elsewhere")
    named = pytest.raises(Misconfigured, match="csearch_path%3Dpublic,elsewhere")
    with Database(empty_timescale_url, pool_size=1) as database, named:
        migrate(database)
    with Database(in_schema(empty_timescale_url, "public,elsewhere"), pool_size=2) as database:
        migrate(database)
        key = SeriesKey.of("m", {"host": "a"})
        rows = [(key, stores.NOW_US - n * MINUTE_US, float(n)) for n in range(300)]
        StoreWriter(database, clock=ManualClock(stores.NOW_US)).load([stores.entry(rows, "1-0")])
        assert refresh.refresh_fresh(database, stores.NOW_US, 15).rows_by_resolution["1min"] == 298


@pytest.mark.skipif(not timescale_server.URL, reason="needs a TimescaleDB server: MUNINN_TEST_TIMESCALE_URL")
def test_a_database_without_the_extension_is_plain_postgresql_with_a_hint(
    empty_timescale_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    run(empty_timescale_url, "drop extension timescaledb")
    with Database(empty_timescale_url, pool_size=1) as database:
        assert database.engine == "postgres"
    assert "create extension timescaledb" in caplog.text


def test_what_the_server_prefers_changes_no_figure(postgres_url: str) -> None:
    """Digits of doubles, the order of dates and the time zone are a server's, a database's or a role's to choose."""
    options = "-c extra_float_digits=0 -c datestyle=SQL,DMY -c intervalstyle=sql_standard -c timezone=America/New_York"
    copied = bytearray()
    with Database(make_conninfo(postgres_url, options=options), pool_size=1) as database:
        rows = [(SeriesKey.of("m"), stores.NOW_US - MINUTE_US, 0.1 + 0.2)]
        StoreWriter(database, clock=ManualClock(stores.NOW_US)).load([stores.entry(rows, "1-0")])
        window = {"since_us": stores.NOW_US - 2 * MINUTE_US, "until_us": stores.NOW_US}
        with database.transaction() as transaction:
            transaction.copy_out("store_copy_out_raw", copied.extend, **window)
    assert copied.decode().split(",")[2].strip() == repr(0.1 + 0.2)
