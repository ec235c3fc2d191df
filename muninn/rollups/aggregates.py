"""Rollups on TimescaleDB: continuous aggregates, refreshed by us and by no policy.

Belongs here: one piece closed, one late window, one window again. Does not: which pieces (refresh, plan).

refresh_continuous_aggregate() runs in no transaction, so what plain PostgreSQL does in one is done in three here,
under a lock of the session: late rows are claimed; the buckets are computed; in one transaction the claimed rows go,
the watermark moves and what is packed follows. Whatever was claimed was committed before the computation began, which
therefore sees its samples. A crash in between leaves late rows claimed, and the next refresh claims and computes them
again; buckets above the watermark that it leaves are seen by no view and computed again too.

Every computation is forced: it does not ask TimescaleDB what has changed, so a damaged bucket is repaired, and the
one stretch per transaction that TimescaleDB notes as changed costs nothing. No window reaches below the horizon of
what it is computed from: the buckets there would be deleted.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from muninn.clock import HOUR_US
from muninn.model import Resolution, Window
from muninn.rollups import plan
from muninn.rollups.cold import Thaw, bring_back
from muninn.store.database import Database, Session, Transaction

_REFRESH_TIMEOUT_S = 900.0


class Aggregates:
    """See `muninn.rollups.refresh.Rollups`."""

    join_us = HOUR_US  # a pass computes the hours and the day that it touches anyway

    def __init__(self, database: Database, thaw: Thaw | None = None):
        self._database = database
        self._thaw = thaw

    def close(self, piece: Window) -> Counter[str]:
        with self._alone() as session:
            if _watermark_us(session) >= piece.until_us:  # another refresh was faster
                return Counter()
            bounds = {"since_us": piece.since_us, "until_us": piece.until_us}
            session.execute("timescale_claim_late", **bounds)
            rows = _refresh(session, _steps(session, piece, piece.until_us, fresh=True))
            with session.transaction() as transaction:
                transaction.execute("timescale_forget_claimed", **bounds)
                transaction.execute("rollup_advance", watermark_us=piece.until_us)
                transaction.execute("rollup_pack")
        return rows

    def take_late(self, window: Window) -> tuple[int, Counter[str]]:
        with self._alone() as session:
            bounds = {"since_us": window.since_us, "until_us": window.until_us}
            if not session.execute("timescale_claim_late", **bounds):
                return 0, Counter()
            steps = _steps(session, window, _watermark_us(session))
            bring_back(session, steps, self._thaw)
            rows = _refresh(session, steps)
            with session.transaction() as transaction:
                _pack_again(transaction, steps)
                buckets = transaction.fetch("timescale_take_claimed", **bounds)[0].buckets
            return buckets, rows

    def rebuild(self, piece: Window, only: Resolution | None) -> Counter[str]:
        with self._alone() as session:
            bounds = {"since_us": piece.since_us, "until_us": piece.until_us}
            if only is None:
                session.execute("timescale_claim_late", **bounds)
            found = _steps(session, piece, _watermark_us(session))
            steps = [step for step in found if only in (None, step.resolution)]
            bring_back(session, steps, self._thaw)
            rows = _refresh(session, steps)
            with session.transaction() as transaction:
                _pack_again(transaction, steps)
                if only is None:
                    transaction.execute("timescale_forget_claimed", **bounds)
        return rows

    @contextmanager
    def _alone(self) -> Iterator[Session]:
        """A session while which no other refresh runs, and no horizon moves."""
        with self._database.session(statement_timeout_s=_REFRESH_TIMEOUT_S) as session:
            session.fetch("store_hold_refresh_lock")
            yield session


def _watermark_us(session: Session) -> int:
    return int(session.fetch("rollup_state")[0].watermark_us)


def _steps(session: Session, window: Window, watermark_us: int, *, fresh: bool = False) -> list[plan.Step]:
    horizons = {row.table_name: row.horizon_us for row in session.fetch("store_horizons")}
    return plan.chained(plan.steps(window, watermark_us, horizons, fresh=fresh))


def _refresh(session: Session, steps: Sequence[plan.Step]) -> Counter[str]:
    rows: Counter[str] = Counter()
    for step in steps:
        bounds = {"since_us": step.window.since_us, "until_us": step.window.until_us}
        session.execute("timescale_refresh", rollup=f"rollup_{step.resolution.name}", **bounds)
        rows[step.resolution.name] += session.fetch("timescale_rows", resolution=step.resolution.name, **bounds)[0].rows
    return rows


def _pack_again(transaction: Transaction, steps: Sequence[plan.Step]) -> None:
    for step in steps:
        bounds = {"since_us": step.window.since_us, "until_us": step.window.until_us}
        transaction.execute("rollup_pack_again", resolution=step.resolution.name, series_ids=None, **bounds)
