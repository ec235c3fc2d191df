"""Continuous aggregates whose definition is another than when they were made: they stay as they are until dropped.

Belongs here: recognising them by a hash, and making them anew where the samples of all their buckets are still there.
Does not: computing them (rollups), their SQL (sql/idempotent/035_rollups.timescaledb.sql).
"""

import hashlib
import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from muninn.errors import Misconfigured
from muninn.model.window import as_datetime
from muninn.store.database import SQL, Transaction

log = logging.getLogger(__name__)

_DEFINITION = re.compile(r"^create materialized view if not exists (\w+)\s(.*?);$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Changed:
    """Aggregates to make anew: all of them, where one changed, as each is made of the next finer one.

    refusal: why that can not be, "" where it can.
    """

    names: tuple[str, ...] = ()
    refusal: str = ""


UNCHANGED = Changed()


def hashes(texts: Iterable[str]) -> dict[str, str]:
    """Name -> SHA-256 of each aggregate's definition in some scripts; how it is broken into lines does not matter."""
    return {
        found[1]: hashlib.sha256(" ".join(found[2].split()).encode()).hexdigest()
        for text in texts
        for found in _DEFINITION.finditer(text)
    }


def changed(transaction: Transaction, defined: dict[str, str]) -> Changed:
    """What differs from what the database was made with; nothing where that is not known."""
    if not transaction.fetch("store_knows_definitions")[0].known:
        return UNCHANGED
    made = {row.name: row.sha256 for row in transaction.fetch("store_definitions")}
    if not made or made == defined:
        return UNCHANGED
    different = sorted(name for name in made.keys() | defined.keys() if made.get(name) != defined.get(name))
    lost = transaction.fetch("store_days_without_samples")[0]
    if not lost.days:
        return Changed(tuple(sorted(made.keys() | defined.keys())))
    return Changed(
        tuple(different),
        f"the definition of {', '.join(different)} changed, and of {lost.days} days from"
        f" {as_datetime(lost.first_us):%Y-%m-%d} on there are rollups but no samples in the database to compute them"
        " from anew: take the code that they were made with, or put the change into a migration that says what becomes"
        " of them",
    )


def drop(transaction: Transaction, found: Changed, folder: Path = SQL) -> None:
    """Take the aggregates out, so that they are made anew and computed from samples; Misconfigured where refused."""
    if found.refusal:
        raise Misconfigured(found.refusal)
    if found.names:
        log.warning("rollups are made anew, their definition changed: %s", ", ".join(found.names))
        transaction.script((folder / "drop_aggregates.timescaledb.sql").read_text(encoding="utf-8"))


def record(transaction: Transaction, defined: dict[str, str]) -> None:
    """These are the definitions that the aggregates have."""
    transaction.execute("store_forget_definitions")
    for name, sha256 in defined.items():
        transaction.execute("store_record_definition", name=name, sha256=sha256)
