"""The schema: numbered migrations, each run once and frozen; views and functions made anew on every change.

Belongs here: which files of sql/ run, in which order, and what is refused. Does not: the SQL itself.
A file NNNN_name.postgres.sql or NNNN_name.timescaledb.sql is for that engine only.
"""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from psycopg import errors

from muninn.errors import Misconfigured
from muninn.store import definitions
from muninn.store.database import SQL, Database, Transaction
from muninn.store.definitions import UNCHANGED, Changed

_MIGRATION = re.compile(r"(?P<number>\d{4})_(?P<name>\w+)(\.(?P<engine>\w+))?\.sql")
_IDEMPOTENT = re.compile(r"\w+(\.(?P<engine>\w+))?\.sql")


@dataclass(frozen=True)
class Script:
    """One file of SQL; `sha256` is over its bytes."""

    name: str
    text: str
    sha256: str

    @classmethod
    def read(cls, path: Path) -> "Script":
        """The file at `path`."""
        content = path.read_bytes()
        return cls(path.name, content.decode(), hashlib.sha256(content).hexdigest())


@dataclass(frozen=True)
class Planned:
    """What `migrate` would do: names of the migrations it would apply, and of the views and functions it would renew.

    engine: whose files they are. changed: rollups of another definition, which are made anew, or why not.
    """

    engine: str
    pending: tuple[str, ...]
    renewed: tuple[str, ...]
    changed: Changed = UNCHANGED


@dataclass(frozen=True)
class Migrated:
    """What `migrate` did: names of the migrations applied now, whether views and functions were renewed, and the
    rollups that were made anew: a refresh computes them."""

    applied: tuple[str, ...]
    renewed: bool
    rebuilt: tuple[str, ...] = ()


def scripts(folder: Path, pattern: re.Pattern[str], engine: str) -> list[Script]:
    """The files of a folder that are for this engine, in order of their names."""
    matches = [(path, pattern.fullmatch(path.name)) for path in sorted(folder.glob("*.sql"))]
    if wrong := [path.name for path, match in matches if match is None]:
        raise Misconfigured(f"{folder / wrong[0]} is not named like a migration")
    return [Script.read(path) for path, match in matches if match and match["engine"] in (None, engine)]


def migrate(database: Database, folder: Path = SQL) -> Migrated:
    """Bring the schema up to this code, in one transaction; nothing happens where it is there already.

    Misconfigured when an applied migration was changed since, the database is newer than this code, rollups would have
    to be computed from samples that are gone, or the schema is another program's or not to be written to.
    """
    engine = layout(database, folder)
    migrations = scripts(folder / "migrations", _MIGRATION, engine)
    idempotent = scripts(folder / "idempotent", _IDEMPOTENT, engine)
    with _own_schema(), database.transaction(statement_timeout_s=0) as transaction:
        transaction.script((folder / "bootstrap.sql").read_text(encoding="utf-8"))
        applied = {row.name: row.sha256 for row in transaction.fetch("store_applied_migrations")}
        pending = pending_of(migrations, applied)
        for script in pending:
            transaction.script(script.text)
            transaction.execute("store_record_migration", name=script.name, sha256=script.sha256)
        defined = definitions.hashes(script.text for script in [*migrations, *idempotent])
        changed = definitions.changed(transaction, defined)
        definitions.drop(transaction, changed, engine, folder)
        renewed = _renew(transaction, idempotent, force=bool(pending or changed.names))
        if renewed:
            definitions.record(transaction, defined)
    return Migrated(tuple(script.name for script in pending), renewed, changed.names)


def plan(database: Database, folder: Path = SQL) -> Planned:
    """What `migrate` would do now; changes nothing. Misconfigured as there."""
    engine = layout(database, folder)
    migrations = scripts(folder / "migrations", _MIGRATION, engine)
    idempotent = scripts(folder / "idempotent", _IDEMPOTENT, engine)
    with _own_schema(), database.snapshot() as transaction:
        there = transaction.fetch("store_has_schema")[0].there
        applied = {row.name: row.sha256 for row in transaction.fetch("store_applied_migrations")} if there else {}
        pending = pending_of(migrations, applied)
        renewed = idempotent if pending or not _is_current(transaction, idempotent) else []
        defined = definitions.hashes(script.text for script in [*migrations, *idempotent])
        changed = definitions.changed(transaction, defined) if there else UNCHANGED
    return Planned(engine, tuple(each.name for each in pending), tuple(each.name for each in renewed), changed)


@contextmanager
def _own_schema() -> Iterator[None]:
    """Misconfigured says what to do where tables of others are in the way, or none may be made."""
    try:
        yield
    except (errors.DuplicateTable, errors.UndefinedColumn, errors.WrongObjectType) as error:
        raise Misconfigured(
            f"another program's tables are in the way ({_reason(error)}): give Muninn a database of its own, or a"
            " schema: `create schema muninn`, and ?options=-csearch_path%3Dmuninn,public at the end of"
            " MUNINN_DATABASE_URL"
        ) from error
    except errors.InsufficientPrivilege as error:
        raise Misconfigured(
            f"Muninn's role may not make its tables ({_reason(error)}): let it own the database, or a schema that"
            " is the first of its search_path"
        ) from error
    except errors.InvalidSchemaName as error:
        raise Misconfigured(
            f"no schema of the search_path is there ({_reason(error)}): create the one that MUNINN_DATABASE_URL names"
        ) from error


def _reason(error: Exception) -> str:
    return str(error).strip().splitlines()[0]


def pending_of(migrations: list[Script], applied: dict[str, str]) -> list[Script]:
    """The migrations that are not applied yet; Misconfigured where history does not fit."""
    known = {script.name: script for script in migrations}
    if newer := sorted(set(applied) - set(known)):
        raise Misconfigured(
            f"the database is newer than this code: it has the migration {newer[-1]}. Update Muninn,"
            " or point MUNINN_DATABASE_URL at another database"
        )
    for name, sha256 in applied.items():
        if known[name].sha256 != sha256:
            raise Misconfigured(
                f"sql/migrations/{name} was changed after it was applied:"
                " restore it, and put the change in a new migration"
            )
    return [script for script in migrations if script.name not in applied]


def layout(database: Database, folder: Path = SQL) -> str:
    """The engine whose files are used: the server's own, where there are files for it, else postgres."""
    if any((folder / "migrations").glob(f"*.{database.engine}.sql")):
        return database.engine
    return "postgres"


def _renew(transaction: Transaction, idempotent: list[Script], *, force: bool) -> bool:
    if not force and _is_current(transaction, idempotent):
        return False
    for script in idempotent:
        transaction.script(script.text)
    transaction.execute("store_record_renewal", sha256=_together(idempotent))
    return True


def _is_current(transaction: Transaction, idempotent: list[Script]) -> bool:
    found = transaction.fetch("store_renewed")
    return bool(found) and found[0].sha256 == _together(idempotent)


def _together(idempotent: list[Script]) -> str:
    return hashlib.sha256("".join(script.sha256 for script in idempotent).encode()).hexdigest()
