"""Rollups whose definition is another than when they were computed: they stay as they are until they are made anew.

A definition is what a rollup is made with and every function that this calls, however deep. Belongs here: recognising
it by a hash, and making rollups anew where the samples of all their buckets are still there. Does not: computing them
(rollups), their SQL (sql/idempotent/035_rollups.timescaledb.sql, 070_rebuild.postgres.sql).
"""

import hashlib
import logging
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from muninn.errors import Misconfigured
from muninn.model import RESOLUTIONS
from muninn.model.window import as_datetime
from muninn.store.database import SQL, Transaction

log = logging.getLogger(__name__)

# What a statement is cut by: comments, strings and quoted bodies hold semicolons that end nothing.
_TOKEN = re.compile(r"--[^\n]*|'(?:[^']|'')*'|\$(\w*)\$.*?\$\1\$|;", re.DOTALL)
_COMMENT = re.compile(r"--[^\n]*")
_MADE = re.compile(r"create (?:or replace )?(function|aggregate|materialized view if not exists) (\w+)")
_CALL = re.compile(r"\b(\w+)\s*\(")
# What computes every level on plain PostgreSQL.
_REBUILD = "rollup_rebuild"


@dataclass(frozen=True)
class Changed:
    """Rollups to make anew: all of them, where one changed, as each is made of the next finer one.

    refusal: why that can not be, "" where it can.
    """

    names: tuple[str, ...] = ()
    refusal: str = ""


UNCHANGED = Changed()


def hashes(texts: Iterable[str]) -> dict[str, str]:
    """Name -> SHA-256 of each rollup's definition in some scripts; comments and line breaks do not matter."""
    views: dict[str, str] = {}
    functions: dict[str, str] = {}
    for statement in (statement for text in texts for statement in _statements(text)):
        for kind, name in _MADE.findall(statement):
            if kind in ("function", "aggregate"):
                functions[name] = functions.get(name, "") + statement  # those of one name are told apart by arguments
            else:
                views[name] = statement
    if not views and _REBUILD in functions:
        views = {f"rollup_{each.name}": functions[_REBUILD] for each in RESOLUTIONS}
    return {name: _sha256(text, functions) for name, text in views.items()}


def _statements(text: str) -> Iterator[str]:
    """Each statement without comments, blanks made one."""
    start = 0
    for token in _TOKEN.finditer(text):
        if token[0] == ";":
            yield " ".join(_COMMENT.sub("", text[start : token.end()]).split())
            start = token.end()


def _sha256(text: str, functions: dict[str, str]) -> str:
    """Over a definition and the functions that it calls, and those that they call."""
    called: set[str] = set()
    more = {text}
    while more:
        names = {name for each in more for name in _CALL.findall(each) if name in functions}
        more = {functions[name] for name in names - called}
        called |= names
    return hashlib.sha256("\n".join([text, *(functions[name] for name in sorted(called))]).encode()).hexdigest()


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


def drop(transaction: Transaction, found: Changed, engine: str, folder: Path = SQL) -> None:
    """Take the rollups out, so that they are made anew and computed from samples; Misconfigured where refused."""
    if found.refusal:
        raise Misconfigured(found.refusal)
    if found.names:
        log.warning("rollups are made anew, their definition changed: %s", ", ".join(found.names))
        transaction.script((folder / f"drop_rollups.{engine}.sql").read_text(encoding="utf-8"))


def record(transaction: Transaction, defined: dict[str, str]) -> None:
    """These are the definitions that the rollups have."""
    transaction.execute("store_forget_definitions")
    for name, sha256 in defined.items():
        transaction.execute("store_record_definition", name=name, sha256=sha256)
