"""Raw rows of days that left the database, back into it: what a refresh over late samples is computed from.

Belongs here: putting them back. Does not: taking them out again, which the next export does (lifecycle).
"""

from pathlib import Path

import numpy as np

from muninn.analytics import cold_records
from muninn.analytics.cold_file import Columns
from muninn.clock import DAY_US
from muninn.model import Window
from muninn.model.window import as_datetime
from muninn.store import partitions
from muninn.store.database import Session

_LOCK_TIMEOUT_S = 30.0
_CHUNK_ROWS = 200_000
# Each takes its sketch out of an array of all.
_CHUNK_DISTRIBUTIONS = 500


class ColdThaw:
    """See `muninn.rollups.cold.Thaw`. What is put back says nothing new: readers prefer the database's row, which
    is the same, so that it may stay for as long as it likes."""

    def __init__(self, folder: Path):
        self._folder = folder

    def __call__(self, session: Session, window: Window) -> int:
        back = 0
        for day in cold_records.days(session, window.aligned(DAY_US)):
            if day.moved_us is not None:
                since_us, until_us = max(window.since_us, day.day_us), min(window.until_us, day.window.until_us)
                columns = cold_records.read_day(self._folder, day, window=Window(since_us, until_us))
                back += _put_back(session, columns)
        return back


def _put_back(session: Session, columns: Columns) -> int:
    """In order of time, which a BRIN index needs; no load runs meanwhile that might write the same pair."""
    ordered = columns.take(np.argsort(columns.at_us, kind="stable"))
    single = np.ones(len(ordered), np.bool_)
    if ordered.distributions is not None:
        single[ordered.distributions.rows] = False
    back = 0
    for rows, at_once in ((ordered.take(single), _CHUNK_ROWS), (ordered.take(~single), _CHUNK_DISTRIBUTIONS)):
        for start in range(0, len(rows), at_once):
            back += _put_piece(session, rows.take(np.arange(start, min(start + at_once, len(rows)))))
    return back


def _put_piece(session: Session, rows: Columns) -> int:
    since, until = as_datetime(int(rows.at_us[0])), as_datetime(int(rows.at_us[-1]))
    past = as_datetime(int(rows.at_us[-1]) + 1)
    session.fetch("store_ensure_partitions", table=partitions.RAW, since=since, until=past)
    found: dict[str, object] = {"series_ids": rows.series_id, "at_us": rows.at_us, "values": rows.value}
    some, query = rows.distributions, "cold_thaw"
    if some is not None:
        query = "cold_thaw_distributions"
        found |= {"counts": some.count, "lows": some.low, "highs": some.high}
        found |= {"ends": np.cumsum(some.lengths), "lengths": some.lengths, "bins": some.bins}
    with session.transaction(lock_timeout_s=_LOCK_TIMEOUT_S) as transaction:
        transaction.execute("store_exclude_loads")
        return transaction.execute(query, since=since, until=until, **found)
