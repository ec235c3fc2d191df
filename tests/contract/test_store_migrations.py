"""Migrations: each once, in order, frozen; views and functions anew on every change."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest
import stores

from muninn.clock import ManualClock
from muninn.errors import Misconfigured
from muninn.model import RESOLUTIONS, SeriesKey
from muninn.rollups import refresh
from muninn.store.database import SQL, Database, engine_of
from muninn.store.migrations import Planned, migrate, plan
from muninn.store.writer import StoreWriter


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of sql/ to change."""
    return Path(shutil.copytree(SQL, tmp_path / "sql"))


def tables(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        rows = connection.execute("select relname from pg_class where relnamespace = 'public'::regnamespace").fetchall()
    return {name for (name,) in rows}


def test_an_empty_database_gets_everything_once(empty_postgres_url: str, folder: Path) -> None:
    with Database(empty_postgres_url) as database:
        first = migrate(database, folder)
        assert list(first.applied) == sorted(
            path.name for path in (folder / "migrations").glob("*.sql") if ".timescaledb." not in path.name
        )
        assert first.renewed
        assert {"series", "raw_samples", "rollup_1day", "performance_metrics", "metrics_1min"} <= tables(
            empty_postgres_url
        )
        again = migrate(database, folder)
    assert (again.applied, again.renewed) == ((), False)


def test_a_new_migration_runs_alone_and_renews_the_views(postgres_url: str, folder: Path) -> None:
    (folder / "migrations/9000_more.sql").write_text("create table more (n int)")
    (folder / "migrations/9001_other_engine.timescaledb.sql").write_text("this would fail")
    with Database(postgres_url) as database:
        done = migrate(database, folder)
    assert (done.applied, done.renewed) == (("9000_more.sql",), True)
    assert "more" in tables(postgres_url)


def test_a_changed_view_is_made_anew_also_when_its_columns_change(postgres_url: str, folder: Path) -> None:
    path = folder / "idempotent/040_views.sql"
    path.write_text(path.read_text().replace("raw.at as", "1 as extra, raw.at as"))
    with Database(postgres_url) as database:
        assert migrate(database, folder).renewed
        assert not migrate(database, folder).renewed
    with psycopg.connect(postgres_url) as connection:
        assert connection.execute("select extra from performance_metrics").fetchall() == []


def test_a_migration_that_fails_leaves_nothing_of_any(postgres_url: str, folder: Path) -> None:
    (folder / "migrations/9000_more.sql").write_text("create table more (n int)")
    (folder / "migrations/9001_wrong.sql").write_text("create table wrong (n nonsense)")
    with Database(postgres_url) as database:
        with pytest.raises(psycopg.errors.UndefinedObject):
            migrate(database, folder)
        (folder / "migrations/9001_wrong.sql").unlink()
        assert migrate(database, folder).applied == ("9000_more.sql",)


def test_a_changed_migration_is_refused_by_name(postgres_url: str, folder: Path) -> None:
    path = folder / "migrations/0001_series.sql"
    path.write_text(path.read_text() + "\n-- harmless")
    with Database(postgres_url) as database, pytest.raises(Misconfigured, match=r"0001_series\.sql was changed"):
        migrate(database, folder)


def test_a_database_newer_than_the_code_is_refused(postgres_url: str, folder: Path) -> None:
    (folder / "migrations/9000_more.sql").write_text("create table more (n int)")
    with Database(postgres_url) as database:
        migrate(database, folder)
        with pytest.raises(Misconfigured, match=r"newer than this code: it has the migration 9000_more\.sql"):
            migrate(database, SQL)


def test_a_badly_named_file_is_refused(postgres_url: str, folder: Path) -> None:
    (folder / "migrations/12_more.sql").write_text("select 1")
    with Database(postgres_url) as database, pytest.raises(Misconfigured, match="not named like a migration"):
        migrate(database, folder)


def test_two_numbers_are_never_the_same() -> None:
    names = [path.name for path in (SQL / "migrations").glob("*.sql")]
    # One file for each engine may share a number.
    taken = [(name[:4], name.split(".")[1:-1]) for name in names]
    assert len({(number, tuple(engine)) for number, engine in taken}) == len(names)


def test_many_programs_may_migrate_at_once(empty_postgres_url: str) -> None:
    def one(_: int) -> int:
        with Database(empty_postgres_url) as database:
            return len(migrate(database).applied)

    with ThreadPoolExecutor(4) as threads:
        applied = sorted(threads.map(one, range(4)))
    assert applied[:3] == [0, 0, 0]
    assert applied[3] > 0


def test_plain_postgresql_is_recognised(postgres_url: str) -> None:
    with Database(postgres_url) as database:
        assert database.engine == "postgres"


@pytest.mark.parametrize(
    ("license", "natively_partitioned", "engine", "says"),
    [
        (None, False, "postgres", None),
        (None, True, "postgres", None),
        ("timescale", False, "timescaledb", None),
        ("timescale", True, "postgres", "installed after Muninn"),
        ("apache", False, "postgres", "Apache edition"),
    ],
)
def test_the_engine_follows_from_the_licence_and_from_what_is_there(
    license: str | None, natively_partitioned: bool, engine: str, says: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    assert engine_of(license, natively_partitioned=natively_partitioned) == engine
    assert [says in record.message for record in caplog.records if says] == ([True] if says else [])


def test_timescaledb_is_recognised_and_migrated_once(wasm_database: Database) -> None:
    assert wasm_database.engine == "timescaledb"
    again = migrate(wasm_database)
    assert (again.applied, again.renewed) == ((), False)
    names = {row.name for row in wasm_database.fetch("store_applied_migrations")}
    assert "0002_samples.timescaledb.sql" in names
    assert not any(".postgres." in name for name in names)


def test_the_apache_edition_is_plain_postgresql_with_a_hint(
    empty_postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """What its setting says is all that is asked; the rest is the PostgreSQL that it is."""
    url = psycopg.conninfo.make_conninfo(empty_postgres_url, options="-c timescaledb.license=apache")
    with Database(url) as database:
        assert plan(database).engine == "postgres"
        assert any(".postgres." in name for name in migrate(database).applied)
        key = SeriesKey.of("m", {"host": "a"})
        assert (
            StoreWriter(database, clock=ManualClock(stores.NOW_US))
            .load([stores.entry([(key, stores.NOW_US - 60_000_000 * n, float(n)) for n in range(90)], "1-0")])
            .rows
        )
        assert refresh.refresh_fresh(database, stores.NOW_US, 15).rows_by_resolution["1hour"] == 1
    assert "Apache edition" in caplog.text


def test_a_plan_says_what_would_run_and_runs_nothing(empty_postgres_url: str, folder: Path) -> None:
    with Database(empty_postgres_url) as database:
        first = plan(database, folder)
        assert tables(empty_postgres_url) == set()
        assert first.pending == migrate(database, folder).applied
        assert first.renewed[0] == "010_instants.sql"
        assert plan(database, folder) == Planned("postgres", (), ())
        path = folder / "idempotent/040_views.sql"
        path.write_text(path.read_text() + "\n-- changed\n")
        assert plan(database, folder) == Planned("postgres", (), first.renewed)
        (folder / "migrations/9000_more.sql").write_text("create table more (n int)")
        assert plan(database, folder).pending == ("9000_more.sql",)
        migrate(database, folder)
        with pytest.raises(Misconfigured, match="newer than this code"):
            plan(database)


# What of a schema can be told apart: columns, constraints, indexes, views, routines, triggers and rules.
CATALOGUE: LiteralString = """
select 'column', table_name || '.' || column_name,
       concat_ws(' ', data_type, udt_name, is_nullable, column_default, is_identity, ordinal_position)
from information_schema.columns where table_schema = 'public'
union all select 'constraint', conrelid::regclass || '.' || conname, pg_get_constraintdef(oid)
from pg_constraint where connamespace = 'public'::regnamespace
union all select 'index', indexname, indexdef from pg_indexes where schemaname = 'public'
union all select 'view', viewname, definition from pg_views where schemaname = 'public'
union all select 'rule', tablename || '.' || rulename, definition from pg_rules where schemaname = 'public'
union all select 'routine', oid::regprocedure::text, pg_get_functiondef(oid)
from pg_proc where pronamespace = 'public'::regnamespace and prokind in ('f', 'p')
  and not exists (select from pg_depend where objid = pg_proc.oid and deptype = 'e')
union all select 'trigger', tgrelid::regclass || '.' || tgname, pg_get_triggerdef(oid)
from pg_trigger where not tgisinternal and tgrelid::regclass::text not like '%.%'
union all select 'options', relname, concat_ws(' ', relkind, reloptions::text)
from pg_class where relnamespace = 'public'::regnamespace
"""
ROWS: LiteralString = """
insert into series (fingerprint, metric_name, tags, source_agent_id, instance_id)
select gen_random_uuid(), 'm', '{}', 'a', '' from generate_series(1, 3);
insert into latest_samples select series_id, now(), 1.5 from series;
insert into loaded_entries values ('s', '1-0');
insert into late_rows (series_id, minute, sample_count) values (1, now(), 1);
insert into late_refreshes (hour, sample_count, series_count, first_loaded_at) values (now(), 1, 1, now());
"""
COUNTS: LiteralString = """
select (select count(*) from series), (select sum(value) from latest_samples), (select count(*) from loaded_entries),
       (select count(*) from late_rows), (select count(*) from late_refreshes)
"""


@pytest.mark.parametrize("engine", stores.SESSIONS)
def test_a_schema_upgraded_from_any_state_equals_a_fresh_one(
    engine: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Each database stops after some of the migrations, gets rows, and goes on."""
    new = request.getfixturevalue("new_empty_postgres_urls" if engine == "postgres" else "new_empty_timescale_urls")

    def catalogue(url: str) -> set[tuple[str, ...]]:
        with psycopg.connect(url) as connection:
            return set(connection.execute(CATALOGUE).fetchall())

    fresh_url = new()
    with Database(fresh_url, pool_size=1) as database:
        names = migrate(database).applied
    fresh = catalogue(fresh_url)
    assert {"series", "raw_samples"} <= {name.split(".")[0] for kind, name, _ in fresh if kind == "column"}
    for reached in range(1, len(names)):
        older = tmp_path / f"{reached}"
        (older / "migrations").mkdir(parents=True)
        (older / "idempotent").mkdir()
        shutil.copy(SQL / "bootstrap.sql", older)
        for name in names[:reached]:
            shutil.copy(SQL / "migrations" / name, older / "migrations")
        url = new()
        with Database(url, pool_size=1) as database, psycopg.connect(url, autocommit=True) as connection:
            assert migrate(database, older).applied == names[:reached]
            connection.execute(ROWS)
            assert migrate(database).applied == names[reached:]
            assert connection.execute(COUNTS).fetchone() == (3, 4.5, 1, 1, 1)
        assert catalogue(url) == fresh, f"upgraded after {names[reached - 1]}"


def test_renewing_views_keeps_the_rollups(any_store: stores.Postgres, folder: Path) -> None:
    key = SeriesKey.of("m", {"host": "a"})
    any_store.load([stores.entry([(key, stores.NOW_US - n * 7_000_000, float(n)) for n in range(500)], "1-0")])
    any_store.refresh()
    before = any_store.connection.execute("select * from rollup_1min order by 1, 2").fetchall()
    assert before
    path = folder / "idempotent/040_views.sql"
    path.write_text(path.read_text() + "\n-- changed\n")
    assert migrate(any_store.database, folder).renewed
    assert any_store.connection.execute("select * from rollup_1min order by 1, 2").fetchall() == before
    assert sum(each.sample_count for each in any_store.buckets(RESOLUTIONS[3])) == 500
    assert migrate(any_store.database).renewed  # as others expect it
