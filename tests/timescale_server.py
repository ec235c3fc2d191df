"""A real TimescaleDB server, where MUNINN_TEST_TIMESCALE_URL names one: a database for each test."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import errors, sql
from servers import eventually

from muninn.run.environment import sibling_url

# Its user has to be allowed to make databases, and the extension in them.
URL = os.environ.get("MUNINN_TEST_TIMESCALE_URL", "")


@contextmanager
def empty_database(name: str) -> Iterator[str]:
    """The URL of a fresh database with the extension, dropped at the end."""
    _run(URL, sql.SQL("create database {}").format(sql.Identifier(name)))
    url = sibling_url(URL, name)
    try:
        _run(url, sql.SQL("create extension if not exists timescaledb"))
        yield url
    finally:
        eventually(lambda: _dropped(name), 60, f"{name} is dropped")


def _dropped(name: str) -> bool:
    """False while a process of the server's own (a vacuum) is in it, which our user must not end."""
    try:
        _run(URL, sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))
    except (errors.InsufficientPrivilege, errors.ObjectInUse):
        return False
    return True


def _run(url: str, statement: sql.SQL | sql.Composed) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)
