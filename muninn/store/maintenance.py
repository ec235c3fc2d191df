"""Maintenance windows made through the API, in PostgreSQL, with who made and who ended each.

Belongs here: rows from and to windows. Does not: when one holds (alerting.silence), those in files (rulebook).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from muninn.alerting.book import maintenance_of
from muninn.alerting.silence import Maintenance
from muninn.store.database import Database


@dataclass(frozen=True)
class KeptWindow:
    """A window and its history. ended_us: None while it is in force; a changed one was ended by whoever changed it."""

    window: Maintenance
    created_by: str
    created_us: int
    ended_by: str = ""
    ended_us: int | None = None


def save(database: Database, window: Maintenance, body: Mapping[str, Any], by: str) -> None:
    """Keep a window that was checked; one of the same name ends."""
    with database.transaction() as transaction:
        transaction.execute("maintenance_lock")
        transaction.execute("maintenance_end", name=window.name, by=by)
        transaction.execute("maintenance_save", name=window.name, body=orjson.dumps(body).decode(), by=by)


def end(database: Database, name: str, by: str) -> bool:
    """End it; False where there is none of this name."""
    return database.execute("maintenance_end", name=name, by=by) > 0


def listed(database: Database, *, ended: bool = False) -> list[KeptWindow]:
    """Those in force, by name; with `ended` those of the past too."""
    return [
        KeptWindow(maintenance_of(row.body), row.created_by, row.created_us, row.ended_by, row.ended_us)
        for row in database.fetch("maintenance_list", ended=ended)
    ]
