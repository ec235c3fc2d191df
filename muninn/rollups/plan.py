"""Which buckets to rebuild, from what, in which pieces.

Belongs here: splitting windows by day, asking for late windows and each level's steps. Does not: running them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from muninn.clock import DAY_US
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


def late_windows(source: Database | Transaction, until_us: int, join_us: int) -> list[Window]:
    """Late minutes before an instant as windows of whole minutes, those at most `join_us` apart joined, none over
    midnight: sql/idempotent/065_steps.sql."""
    return [Window(*row) for row in source.fetch("rollup_late_windows", until_us=until_us, join_us=join_us)]


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
