"""Raw samples of days that left the database: from the files of the cold tier, and over them what came since.

Belongs here: when files are read, and steps of samples. Does not: what the tiers are (analytics), rollups, which stay
in the database.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from muninn.analytics import cold_file, cold_records
from muninn.analytics.cold_export import columns_of
from muninn.analytics.cold_file import Columns
from muninn.clock import DAY_US, HOUR_US
from muninn.model import Window
from muninn.model.window import as_us
from muninn.numerics import sketch
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
    return _united(ask, folder, series, window) if _moved_days(ask, window) else None


def hours(ask: Asker, series: Sequence[int], starts: Sequence[datetime]) -> tuple[Columns | None, list[datetime]]:
    """The samples of those of some hours whose days left the database, of both tiers; and the other hours."""
    folder = ask.cold_folder
    if folder is None or not series or not starts:
        return None, list(starts)
    moved = _moved_days(ask, Window(as_us(min(starts)), as_us(max(starts)) + HOUR_US))
    cold = [start for start in starts if as_us(start) // DAY_US * DAY_US in moved]
    if not cold:
        return None, list(starts)
    of_each = [_united(ask, folder, series, Window(as_us(start), as_us(start) + HOUR_US)) for start in cold]
    return cold_file.concat(of_each), [start for start in starts if start not in cold]


def _moved_days(ask: Asker, window: Window) -> set[int]:
    found = ask.fetch("cold_moved_days", since_us=window.since_us, until_us=window.until_us)
    return {row.day_us for row in found}


def _united(ask: Asker, folder: Path, series: Sequence[int], window: Window) -> Columns:
    """What the files of moved days say, and over it what the database has; only files that may hold it are opened."""
    wanted = np.array(sorted(series), np.int32)
    with ask.database.snapshot(statement_timeout_s=None) as transaction:
        found = cold_records.days(transaction, window.aligned(DAY_US))
        groups = cold_records.groups_of(transaction, series)
        rows = transaction.fetch("reads_samples", series=list(series), since=window.since, until=window.until)
    days = [day for day in found if day.moved_us is not None]
    cold = [cold_records.read_day(folder, day, wanted, window, groups) for day in days]
    return cold_file.overlaid(cold_file.concat(cold), cold_file.concat(list(columns_of(iter(rows)))))


def by_series(found: Columns) -> Iterator[tuple[int, Ints, Floats]]:
    """(series, at_us, value) of each series in order; of a distribution its mean."""
    for ident, of_series in parts(found):
        yield ident, of_series.at_us, of_series.value


def parts(found: Columns) -> Iterator[tuple[int, Columns]]:
    """The samples of each series in order."""
    starts = np.flatnonzero(np.diff(found.series_id, prepend=-1))
    for start, end in zip(starts.tolist(), np.append(starts[1:], len(found))[: len(starts)].tolist(), strict=True):
        yield int(found.series_id[start]), found.take(np.arange(start, end))


@dataclass(frozen=True, eq=False)
class Steps:
    """Samples by step: its start, mean, least, greatest, 95th percentile by rank, and how many; each [n]."""

    at_us: Ints
    mean: Floats
    low: Floats
    high: Floats
    p95: Floats
    count: Ints


def steps(found: Columns, step_us: int) -> Steps:
    """The samples of one series (at least one) by steps that have any. A distribution counts as all of its values."""
    step = found.at_us // step_us * step_us
    order = np.lexsort((found.value, step))
    found, step = found.take(order), step[order]
    starts = np.flatnonzero(np.diff(step, prepend=step[0] - 1))
    rows = np.diff(np.append(starts, len(step))).astype(np.int64)
    weight, low, high = np.ones(len(found), np.int64), found.value.copy(), found.value.copy()
    if (some := found.distributions) is not None:
        weight[some.rows], low[some.rows], high[some.rows] = some.count, some.low, some.high
    count, total = np.add.reduceat(weight, starts), np.add.reduceat(found.value * weight, starts)
    least, greatest = np.minimum.reduceat(low, starts), np.maximum.reduceat(high, starts)
    p95 = found.value[starts + np.ceil(_P95 * rows).astype(np.int64) - 1]
    if some is not None:
        _merge_tails(p95, found, starts, rows, least, greatest)
    return Steps(step[starts], np.clip(total / count, least, greatest), least, greatest, p95, count)


def _merge_tails(p95: Floats, found: Columns, starts: NDArray[np.intp], rows: Ints, low: Floats, high: Floats) -> None:
    """The percentile of each step that has a distribution, from sketches: single values have one too."""
    some = found.distributions
    assert some is not None
    single = np.ones(len(found), np.bool_)
    single[some.rows] = False
    ends = np.cumsum(some.lengths)
    of_step = np.searchsorted(starts, some.rows, "right") - 1
    for place in np.unique(of_step).tolist():
        span = slice(starts[place], starts[place] + rows[place])
        mine = np.flatnonzero(of_step == place)
        bins = some.bins[ends[mine[0]] - some.lengths[mine[0]] : ends[mine[-1]]]
        merged = sketch.merge([sketch.sketch_of(found.value[span][single[span]]), bins])
        p95[place] = sketch.quantile(merged, _P95, float(low[place]), float(high[place]))
