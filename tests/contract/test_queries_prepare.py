"""Every named query prepares on the real database, and says in its first line what it is for."""

import re
from pathlib import Path

import psycopg
import pytest

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


@pytest.mark.parametrize("path", QUERIES, ids=lambda path: path.stem)
def test_query_prepares(path: Path, postgres_url: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert re.match(r"-- \w", text), "the first line says what it is for"
    assert path.stem == path.stem.lower()
    statement = re.sub(r"^--.*\n", "", text, flags=re.MULTILINE).strip()
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        if statement.lower().startswith("copy"):
            check_copy(connection, statement)
        elif statement.lower().startswith("call"):
            # A utility statement can not be prepared; its function's name and types can be looked up.
            assert connection.execute("select to_regprocedure('store_drop_partition(text)')").fetchone() != (None,)
        else:
            connection.execute(f"prepare it as {numbered(text)}".encode())


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
