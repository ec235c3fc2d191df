"""Who refreshes the fresh end: the refresher, or the database by a job of its own. Never both.

Belongs here: appointing one of them, and how the database's job fares. Does not: what a refresh is (refresh), the job
itself (sql/idempotent/095_job.timescaledb.sql).
"""

from dataclasses import dataclass
from typing import Literal

from muninn.store.database import Database

Owner = Literal["database", "muninn"]


@dataclass(frozen=True)
class JobState:
    """runs, failures: so far. succeeded_us: when one last did; None: none yet. seconds: how long the last one took."""

    runs: int
    failures: int
    succeeded_us: int | None
    seconds: float | None


def appoint(database: Database, owner: Owner, *, every_s: float, settle_s: float, lateness_s: float) -> Owner:
    """Have `owner` refresh from now on; returns who does: plain PostgreSQL has no jobs.

    every_s, settle_s: as for the refresher. lateness_s: the database recomputes late samples of this stretch before
    now; what is older is left to `muninn.rollups.refresh.refresh_late`. Unavailable when the database is away.
    """
    database.fetch("rollup_refreshed_by", owner=owner, every_s=every_s, settle_s=settle_s, lateness_s=lateness_s)
    return owner if database.engine == "timescaledb" else "muninn"


def job_state(database: Database) -> JobState | None:
    """How the database's job fares; None where it has none."""
    found = database.fetch("rollup_job_state")
    if not found:
        return None
    row = found[0]
    return JobState(row.runs or 0, row.failures or 0, row.succeeded_us, row.seconds)
