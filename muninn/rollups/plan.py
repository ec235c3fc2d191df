"""Which buckets to rebuild, from what, in which pieces. Pure: watermarks and horizons are arguments.

Belongs here: splitting windows by day, joining late minutes, choosing each level's source. Does not: running it.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from muninn.clock import DAY_US, MINUTE_US
from muninn.model import RESOLUTIONS, Resolution, Window

RAW = "raw_samples"


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


def steps(window: Window, watermark_us: int, horizons_us: Mapping[str, int], *, fresh: bool = False) -> list[Step]:
    """How to rebuild every level over a window within one day, finest first.

    fresh: the window is what the watermark moves over, so that only buckets which end in it are due, and
    `watermark_us` is where it moves to. Otherwise every bucket that touches the window is due. No step
    reaches a bucket that ends after the watermark, nor one whose raw rows or whose own level was dropped.
    """
    day_us = window.since_us // DAY_US * DAY_US
    if horizons_us[RAW] > day_us:
        return []
    found = []
    source = RAW
    for resolution in RESOLUTIONS:
        table = f"rollup_{resolution.name}"
        if horizons_us[table] > day_us:
            continue
        width_us = resolution.width_us
        around = window.aligned(width_us)
        until_us = min(around.until_us, watermark_us // width_us * width_us)
        if fresh:
            until_us = min(until_us, window.until_us // width_us * width_us)
        if until_us > around.since_us:
            found.append(Step(resolution, source, Window(around.since_us, until_us)))
        source = table
    return found


def chained(found: Sequence[Step]) -> list[Step]:
    """The steps up to the first whose source is not the next finer level, which continuous aggregates can not do."""
    finer = [RAW, *(f"rollup_{resolution.name}" for resolution in RESOLUTIONS)]
    expected = dict(zip(RESOLUTIONS, finer, strict=False))
    return list(itertools.takewhile(lambda step: step.source == expected[step.resolution], found))
