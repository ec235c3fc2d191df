"""Rollups on plain PostgreSQL: tables, rebuilt in the transaction that moves the watermark or takes late rows.

Belongs here: one piece closed, one late window, one window again. Does not: which pieces (refresh, plan).
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from muninn.clock import MINUTE_US
from muninn.model import Resolution, Window
from muninn.rollups import plan
from muninn.rollups.cold import Thaw, bring_back
from muninn.store.database import Database, Transaction

_REBUILD_TIMEOUT_S = 900.0
# With more late series than this, a window is rebuilt whole.
_MAX_LATE_SERIES = 2_000


class Tables:
    """See `muninn.rollups.refresh.Rollups`."""

    join_us = 10 * MINUTE_US

    def __init__(self, database: Database, thaw: Thaw | None = None):
        self._database = database
        self._thaw = thaw

    def close(self, piece: Window) -> Counter[str]:
        with self._database.transaction(statement_timeout_s=_REBUILD_TIMEOUT_S) as transaction:
            if _locked_watermark(transaction) >= piece.until_us:  # another refresh was faster
                return Counter()
            transaction.execute("rollup_forget_late", since_us=piece.since_us, until_us=piece.until_us)
            rows = _rebuild(transaction, plan.steps(transaction, piece, piece.until_us, fresh=True), None)
            transaction.execute("rollup_advance", watermark_us=piece.until_us)
            transaction.execute("rollup_pack")
        return rows

    def take_late(self, window: Window) -> tuple[int, Counter[str]]:
        with self._with_raw(window) as transaction:
            watermark_us = _locked_watermark(transaction)
            taken = transaction.fetch("rollup_take_late", since_us=window.since_us, until_us=window.until_us)[0]
            if not taken.buckets:
                return 0, Counter()
            series_ids = taken.series_ids if len(taken.series_ids) <= _MAX_LATE_SERIES else None
            return taken.buckets, _rebuild(transaction, plan.steps(transaction, window, watermark_us), series_ids)

    def rebuild(self, piece: Window, only: Resolution | None) -> Counter[str]:
        with self._with_raw(piece, only) as transaction:
            steps = plan.steps(transaction, piece, _locked_watermark(transaction))
            if only is None:
                transaction.execute("rollup_forget_late", since_us=piece.since_us, until_us=piece.until_us)
            return _rebuild(transaction, [step for step in steps if only in (None, step.resolution)], None)

    @contextmanager
    def _with_raw(self, window: Window, only: Resolution | None = None) -> Iterator[Transaction]:
        """A transaction in which no raw row is missing that this window, or one level of it, is computed from."""
        with self._database.session(statement_timeout_s=_REBUILD_TIMEOUT_S) as session:
            session.fetch("store_hold_refresh_lock")
            steps = plan.steps(session, window, _watermark(session))
            bring_back(session, [step for step in steps if only in (None, step.resolution)], self._thaw)
            with session.transaction() as transaction:
                yield transaction


def _locked_watermark(transaction: Transaction) -> int:
    """The watermark: it and the horizons are moved by nobody else until this transaction ends."""
    transaction.execute("store_refresh_lock")
    return _watermark(transaction)


def _watermark(transaction: Transaction) -> int:
    return int(transaction.fetch("rollup_state")[0].watermark_us)


def _rebuild(transaction: Transaction, steps: Sequence[plan.Step], series_ids: list[int] | None) -> Counter[str]:
    rows: Counter[str] = Counter()
    for step in steps:
        due = {
            "resolution": step.resolution.name,
            "since_us": step.window.since_us,
            "until_us": step.window.until_us,
            "series_ids": series_ids,
        }
        written = transaction.fetch("rollup_rebuild", source=step.source, **due)
        transaction.execute("rollup_pack_again", **due)
        rows[step.resolution.name] += written[0].rows
    return rows
