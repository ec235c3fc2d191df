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
    order = np.argsort(columns.at_us, kind="stable")
    back = 0
    for start in range(0, len(order), _CHUNK_ROWS):
        rows = order[start : start + _CHUNK_ROWS]
        at_us = columns.at_us[rows]
        span = {"since": as_datetime(int(at_us[0])), "until": as_datetime(int(at_us[-1]))}
        until = as_datetime(int(at_us[-1]) + 1)
        session.fetch("store_ensure_partitions", table=partitions.RAW, since=span["since"], until=until)
        with session.transaction(lock_timeout_s=_LOCK_TIMEOUT_S) as transaction:
            transaction.execute("store_exclude_loads")
            back += transaction.execute(
                "cold_thaw", series_ids=columns.series_id[rows], at_us=at_us, values=columns.value[rows], **span
            )
    return back
