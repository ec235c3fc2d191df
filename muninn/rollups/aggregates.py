"""Rollups on TimescaleDB: continuous aggregates, computed by procedures in the database under a lock of the session.

Belongs here: one piece closed, one late window, one window again. Does not: which pieces (refresh, plan); how they are
computed without losing a sample (sql/idempotent/090_refresh.timescaledb.sql, which the database's own job calls too).
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from muninn.clock import HOUR_US
from muninn.model import Resolution, Window
from muninn.rollups import plan
from muninn.rollups.cold import Thaw, bring_back
from muninn.store.database import Database, Session

_REFRESH_TIMEOUT_S = 900.0


class Aggregates:
    """See `muninn.rollups.refresh.Rollups`."""

    join_us = HOUR_US  # a pass computes the hours and the day that it touches anyway

    def __init__(self, database: Database, thaw: Thaw | None = None):
        self._database = database
        self._thaw = thaw

    def close(self, piece: Window) -> Counter[str]:
        with self._alone() as session:
            return Counter(session.fetch("timescale_close", **_bounds(piece))[0].written)

    def take_late(self, window: Window) -> tuple[int, Counter[str]]:
        with self._alone() as session:
            if not session.fetch("timescale_claim_late", **_bounds(window))[0].claimed:
                return 0, Counter()
            self._thaw_for(session, window)
            return _compute_again(session, window, None, note=True)

    def rebuild(self, piece: Window, only: Resolution | None) -> Counter[str]:
        with self._alone() as session:
            if only is None:
                session.fetch("timescale_claim_late", **_bounds(piece))
            self._thaw_for(session, piece, only)
            return _compute_again(session, piece, only, note=False)[1]

    def _thaw_for(self, session: Session, window: Window, only: Resolution | None = None) -> None:
        watermark_us = int(session.fetch("rollup_state")[0].watermark_us)
        steps = plan.steps(session, window, watermark_us, chained=True)
        bring_back(session, [step for step in steps if only in (None, step.resolution)], self._thaw)

    @contextmanager
    def _alone(self) -> Iterator[Session]:
        """A session while which no other refresh runs, and no horizon moves."""
        with self._database.session(statement_timeout_s=_REFRESH_TIMEOUT_S) as session:
            session.fetch("store_hold_refresh_lock")
            yield session


def _compute_again(
    session: Session, window: Window, only: Resolution | None, *, note: bool
) -> tuple[int, Counter[str]]:
    name = only.name if only else None
    done = session.fetch("timescale_compute_again", only=name, note=note, **_bounds(window))[0]
    return int(done.buckets), Counter(done.written)


def _bounds(window: Window) -> dict[str, int]:
    return {"since_us": window.since_us, "until_us": window.until_us}
