"""Dagster's own history, kept short: runs, their logs and superseded results go; what is materialised stays known.

Belongs here: which rows of Dagster's database may go. Does not: ticks (dagster.yaml), Muninn's own data (lifecycle).
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg
import sqlalchemy as db
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage

from muninn.store.database import SQL

_BATCH_RUNS = 100


@dataclass(frozen=True)
class Pruned:
    """What went: runs, rows of the event log, check results."""

    runs: int
    events: int
    checks: int


def prune(instance: dg.DagsterInstance, before: datetime) -> Pruned:
    """Delete runs that ended before the aware instant `before`, with their logs.

    Kept are each asset partition's latest materialisation and observation, each check's latest result, and
    every run whose failure still stands. A run goes after its rows: what a crash leaves half-done, the
    next call finishes. The instance has to be on PostgreSQL.
    """
    runs = events = checks = 0
    while run_ids := _candidates(instance, before):
        with _connection(instance) as connection:
            checks += connection.execute(_text("prune_checks"), {"run_ids": run_ids}).rowcount
            events += connection.execute(_text("prune_events"), {"run_ids": run_ids}).rowcount
        for run_id in run_ids:
            instance.run_storage.delete_run(run_id)
        runs += len(run_ids)
    return Pruned(runs, events, checks)


def size_bytes(instance: dg.DagsterInstance) -> int:
    """Bytes of Dagster's database."""
    with _connection(instance) as connection:
        return int(connection.execute(_text("size")).scalar_one())


def _candidates(instance: dg.DagsterInstance, before: datetime) -> list[str]:
    values = {"before": before.astimezone(UTC).replace(tzinfo=None), "runs": _BATCH_RUNS}
    with _connection(instance) as connection:
        return list(connection.execute(_text("prune_candidates"), values).scalars())


def _connection(instance: dg.DagsterInstance) -> AbstractContextManager[db.Connection]:
    storage = instance.event_log_storage
    assert isinstance(storage, SqlEventLogStorage)
    return storage.index_connection()


def _text(name: str) -> db.TextClause:
    return db.text((SQL / "dagster" / f"{name}.sql").read_text(encoding="utf-8"))
