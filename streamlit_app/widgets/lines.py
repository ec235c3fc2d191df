"""Points of a trend as lines to draw: one aggregate chosen, counters as rates, gaps left open.

Belongs here: arrays -> arrays. Does not: names, units, figures.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Aggregate = Literal["avg", "min", "max", "p95", "count"]
AGGREGATES: tuple[Aggregate, ...] = ("avg", "min", "max", "p95", "count")
# Buckets lie on a grid: a neighbour further away than this many steps means that one is missing between.
GRID_TOLERANCE = 1.5
# Samples come when they come: one that is late or lost is no gap yet.
RAW_TOLERANCE = 2.5


@dataclass(frozen=True, eq=False)
class Line:
    """One line of a chart, in the metric's own unit; a break is a point whose y is NaN.

    at_ms: int64[n], epoch milliseconds, growing. y: float64[n].
    low, high: float64[n] around y (the least and greatest sample of the bucket), or None.
    earlier_of: the place, among its panel's lines, of the one that this is the same series of some time before.
    """

    name: str
    at_ms: NDArray[np.int64]
    y: NDArray[np.float64]
    low: NDArray[np.float64] | None = None
    high: NDArray[np.float64] | None = None
    earlier_of: int | None = None

    @property
    def points(self) -> int:
        """How many points are drawn."""
        return int(np.isfinite(self.y).sum())


def with_gaps(line: Line, step_us: int, tolerance: float = GRID_TOLERANCE) -> Line:
    """The line with a break wherever points are missing, so that nothing is drawn across.

    Missing is a neighbour further off than `tolerance` times the step, or times the series' own usual
    interval where it sends less often than that.
    """
    apart = np.diff(line.at_ms)
    if not len(apart):
        return line
    # The lower quartile: how far apart its points are while it sends, however often it did not.
    step_ms = max(step_us / 1000, float(np.quantile(apart, 0.25, method="lower")))
    breaks = np.flatnonzero(apart > tolerance * step_ms)
    if not len(breaks):
        return line

    def opened(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.insert(values.astype(np.float64), breaks + 1, np.nan)

    return Line(
        line.name,
        np.insert(line.at_ms, breaks + 1, line.at_ms[breaks] + round(step_ms)),
        opened(line.y),
        None if line.low is None else opened(line.low),
        None if line.high is None else opened(line.high),
    )


def rate_per_s(at_ms: NDArray[np.int64], highest: NDArray[np.float64]) -> NDArray[np.float64]:
    """A counter's growth per second up to each point, from the highest value of each bucket.

    The first point has no predecessor and a reset no known growth: both are NaN, never a guess.
    """
    rates = np.full(len(at_ms), np.nan)
    if len(at_ms) > 1:
        growth = np.diff(highest.astype(np.float64))
        seconds = np.diff(at_ms) / 1000
        rates[1:] = np.where(growth >= 0, growth / np.where(seconds > 0, seconds, np.nan), np.nan)
    return rates


def lonely(y: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which points have a break (or the end) on both sides: a line alone would not show them."""
    there = np.isfinite(y)
    before = np.concatenate([[False], there[:-1]])
    after = np.concatenate([there[1:], [False]])
    alone: NDArray[np.bool_] = there & ~before & ~after
    return alone
