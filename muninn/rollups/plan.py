"""Which buckets to rebuild, from what, in which pieces.

Belongs here: splitting windows by day, joining late minutes, asking for each level's steps. Does not: running them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from muninn.clock import DAY_US, MINUTE_US
from muninn.model import RESOLUTIONS, Resolution, Window
from muninn.store.database import Database, Transaction

RAW = "raw_samples"
_NAMED = {resolution.name: resolution for resolution in RESOLUTIONS}


@dataclass(frozen=True)
class Step:
    """Rebuild `resolution` over `window` from `source`, the finest level that still has all of it."""

    resolution: Resolution
    source: str
    window: Window


def days(window: Window) -> Iterator[Window]:
    """The window cut at midnights (UTC): one piece is one transaction, on one side of every horizon."""
    since_us = window.since_us
    while since_us < window.until_us:
        until_us = min(window.until_us, (since_us // DAY_US + 1) * DAY_US)
        yield Window(since_us, until_us)
        since_us = until_us


def late_windows(minutes_us: Sequence[int], join_us: int) -> list[Window]:
    """Ascending late minutes as windows of whole minutes, those at most `join_us` apart joined, none over midnight."""
    windows: list[Window] = []
    for minute_us in minutes_us:
        until_us = minute_us + MINUTE_US
        last = windows[-1] if windows else None
        near = last is not None and minute_us - last.until_us <= join_us
        if last is not None and near and minute_us // DAY_US == last.since_us // DAY_US:
            windows[-1] = Window(last.since_us, until_us)
        else:
            windows.append(Window(minute_us, until_us))
    return windows


def steps(
    source: Database | Transaction, window: Window, watermark_us: int, *, fresh: bool = False, chained: bool = False
) -> list[Step]:
    """How to rebuild every level over a window within one day, finest first: sql/idempotent/065_steps.sql."""
    rows = source.fetch(
        "rollup_steps",
        since_us=window.since_us,
        until_us=window.until_us,
        watermark_us=watermark_us,
        fresh=fresh,
        chained=chained,
    )
    return [Step(_NAMED[row.resolution], row.source, Window(row.since_us, row.until_us)) for row in rows]
