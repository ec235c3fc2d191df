"""Whole databases: whether a server answers, and a further database beside Muninn's own.

Belongs here: what happens before there is a schema. Does not: the schema (migrations).
"""

from urllib.parse import urlsplit

import psycopg
from psycopg import errors, sql

from muninn.errors import Misconfigured
from muninn.settings import without_password
from muninn.store.database import Database


def check(url: str, connect_timeout_s: float = 5.0) -> None:
    """Return if the server at `url` answers and is new enough; Unavailable or Misconfigured say why not."""
    if urlsplit(url).scheme not in ("postgresql", "postgres"):
        raise Misconfigured("MUNINN_DATABASE_URL must start with postgresql://")
    with Database(url, pool_size=1, connect_timeout_s=connect_timeout_s, application_name="muninn-check") as database:
        database.fetch("store_engine")


def ensure(url: str, beside: str, setting: str) -> bool:
    """Make the database that `url` names where it is missing, over a connection to `beside`; whether it was made.

    Misconfigured names `setting` where that is not allowed.
    """
    name = urlsplit(url).path.lstrip("/")
    try:
        psycopg.connect(url, connect_timeout=5).close()
    except psycopg.OperationalError as error:
        if f'"{name}" does not exist' not in str(error):
            raise Misconfigured(f"{setting} ({without_password(url)}) does not work: {_last_line(error)}") from error
    else:
        return False
    try:
        with psycopg.connect(beside, connect_timeout=5, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    except errors.DuplicateDatabase:
        return False
    except psycopg.Error as error:
        raise Misconfigured(
            f"the database {name!r} is missing and cannot be made ({_last_line(error)}): make it, or set {setting}"
        ) from error
    return True


def _last_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]
