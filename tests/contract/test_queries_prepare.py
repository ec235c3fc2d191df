"""Every named query prepares on the real database, and says in its first line what it is for."""

import re
from pathlib import Path
from typing import Any

import psycopg
import pytest
import stores

from muninn.store import binary_copy
from muninn.store.database import SQL

QUERIES = sorted((SQL / "queries").glob("*.sql"))


def numbered(text: str) -> str:
    """psycopg's %(name)s as $1, $2, ..., each name one number; %% as %."""
    names: dict[str, int] = {}
    pattern = r"%\((\w+)\)[sbt]"
    return re.sub(pattern, lambda match: f"${names.setdefault(match[1], len(names) + 1)}", text).replace("%%", "%")


def test_there_are_queries() -> None:
    assert len(QUERIES) > 20


# Queries that call what one engine's files in sql/ define.
OF_POSTGRES = ("rollup_rebuild",)


def is_of(path: Path, engine: str) -> bool:
    if path.stem.startswith("timescale_"):
        return engine == "timescaledb"
    return path.stem not in OF_POSTGRES or engine == "postgres"


def statement_of(path: Path) -> str:
    return re.sub(r"^--.*\n", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE).strip()


@pytest.mark.parametrize("path", QUERIES, ids=lambda path: path.stem)
def test_query_says_what_it_is_for(path: Path) -> None:
    assert re.match(r"-- \w", path.read_text(encoding="utf-8"))
    assert path.stem == path.stem.lower()


@pytest.mark.parametrize("path", [path for path in QUERIES if is_of(path, "postgres")], ids=lambda path: path.stem)
def test_query_prepares(path: Path, postgres_url: str) -> None:
    statement = statement_of(path)
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        if statement.lower().startswith("copy"):
            check_copy(connection, statement)
        else:
            prepare(connection, statement)


def test_queries_prepare_on_every_engine(any_store: stores.Postgres) -> None:
    """All in one: a store each would take long. COPY FROM STDIN is left out: the WASM build has none."""
    engine = any_store.database.engine
    for path in QUERIES:
        statement = statement_of(path)
        if is_of(path, engine) and " from stdin" not in statement.lower():
            inner = re.search(r"^copy \((.*)\)\s+to stdout", statement, flags=re.DOTALL | re.IGNORECASE)
            prepare(any_store.connection, inner[1] if inner else statement)


def prepare(connection: Any, statement: str) -> None:
    if procedure := re.match(r"call (\w+)", statement):
        # A utility statement can not be prepared; its procedure can be looked up.
        assert connection.execute("select to_regproc(%s)", (procedure[1],)).fetchone() != (None,)
    else:
        connection.execute(f"prepare it as {numbered(statement)}".encode())
        connection.execute("deallocate it")


def check_copy(connection: psycopg.Connection, statement: str) -> None:
    with connection.cursor() as cursor:
        if " from stdin" in statement.lower():
            with cursor.copy(statement.encode()) as copy:
                copy.write(binary_copy.encode([]) if "binary" in statement else b"")
            assert cursor.rowcount == 0
        else:
            inner = re.search(r"\((.*)\)\s+to stdout", statement, flags=re.DOTALL | re.IGNORECASE)
            assert inner, "COPY (query) TO STDOUT"
            connection.execute(f"prepare it as {numbered(inner[1])}".encode())
