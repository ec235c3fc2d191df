"""Raw samples of days that left the database: from the files of the cold tier, and over them what came since.

Belongs here: when files are read, and steps of samples. Does not: what the tiers are (analytics), rollups, which stay
in the database.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from muninn.analytics import cold_file, cold_records
from muninn.analytics.cold_file import Columns
from muninn.clock import DAY_US
from muninn.model import Window
from muninn.reads import arrays
from muninn.reads.asking import Asker

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
_P95 = 0.95


def samples(ask: Asker, series: Sequence[int], window: Window, now_us: int) -> Columns | None:
    """The samples of some series in order, of both tiers; None where the database has all of them.

    Unavailable where a file is needed and can not be read.
    """
    folder = ask.cold_folder
    if folder is None or not series or window.since_us >= now_us // DAY_US * DAY_US:
        return None
    whole = window.aligned(DAY_US)
    if not ask.fetch("cold_moved_days", since_us=window.since_us, until_us=window.until_us):
        return None
    wanted = np.array(sorted(series), np.int32)
    with ask.database.snapshot() as transaction:
        days = [day for day in cold_records.days(transaction, whole) if day.moved_us is not None]
        rows = transaction.fetch("reads_recent", series=list(series), since=window.since, until=window.until)
    cold = [_of_day(folder, day, wanted, window) for day in days]
    hot = [
        Columns(np.full(len(at_us), row.series_id, np.int32), at_us, arrays.float64s(row.value))
        for row in rows
        for at_us in [arrays.instants_us(row.at)]
    ]
    return cold_file.overlaid(cold_file.concat(cold), cold_file.concat(hot))


def _of_day(folder: Path, day: cold_records.Day, wanted: NDArray[np.int32], window: Window) -> Columns:
    return cold_records.read_day(folder, day, wanted, window)


def by_series(found: Columns) -> Iterator[tuple[int, Ints, Floats]]:
    """(series, at_us, value) of each series in order."""
    starts = np.flatnonzero(np.diff(found.series_id, prepend=-1))
    for start, end in zip(starts.tolist(), [*starts[1:].tolist(), len(found)], strict=True):
        yield int(found.series_id[start]), found.at_us[start:end], found.value[start:end]


@dataclass(frozen=True, eq=False)
class Steps:
    """Samples by step: its start, mean, least, greatest, 95th percentile by rank, and how many; each [n]."""

    at_us: Ints
    mean: Floats
    low: Floats
    high: Floats
    p95: Floats
    count: Ints


def steps(at_us: Ints, value: Floats, step_us: int) -> Steps:
    """The samples of one series (at least one) by steps that have any."""
    step = at_us // step_us * step_us
    order = np.lexsort((value, step))
    step, value = step[order], value[order]
    starts = np.flatnonzero(np.diff(step, prepend=step[0] - 1))
    count = np.diff(np.append(starts, len(step))).astype(np.int64)
    low, high = value[starts], value[starts + count - 1]
    mean = np.clip(np.add.reduceat(value, starts) / count, low, high)
    p95 = value[starts + np.ceil(_P95 * count).astype(np.int64) - 1]
    return Steps(step[starts], mean, low, high, p95, count)
