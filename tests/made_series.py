"""Series made for the tests of detection: seeded, by kind; and a way to feed one series to an engine."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from muninn.detection import Engine, Tuning, Verdicts

# 2026-01-05, a Monday, 00:00 UTC.
MONDAY_US = 1_767_571_200_000_000
FIVE_MINUTES_S = 300.0
DAY_ROWS = 288
# Scores after 150 rows, however little time they cover.
QUICK = Tuning(warm_up_s=0.0)
Floats = NDArray[np.float64]


def instants(rows: int, step_s: float = FIVE_MINUTES_S, start_us: int = MONDAY_US) -> NDArray[np.int64]:
    """int64[rows], evenly spaced."""
    return start_us + (np.arange(rows) * step_s * 1e6).astype(np.int64)


def day_curve(rows: int, step_s: float = FIVE_MINUTES_S) -> Floats:
    """A day's sine, -1 .. 1, its peak at 12:00."""
    return -np.cos(2 * np.pi * np.arange(rows) * step_s / 86_400)


def busy_hours(rows: int) -> Floats:
    """1 from 8:00 to 17:00, else 0, every five minutes."""
    hour = np.arange(rows) * FIVE_MINUTES_S / 3600 % 24
    return ((hour >= 8) & (hour < 17)).astype(np.float64)


def _autoregressive(random: np.random.Generator, rows: int) -> Floats:
    steps, value = random.normal(size=rows), np.zeros(rows)
    for row in range(1, rows):
        value[row] = 0.9 * value[row - 1] + steps[row]
    return 50 + 3 * value


KINDS: dict[str, Callable[[np.random.Generator, int], Floats]] = {
    "normal": lambda random, rows: 100 + 5 * random.normal(size=rows),
    "skewed": lambda random, rows: np.exp(random.normal(size=rows)),
    "counts": lambda random, rows: random.poisson(3, rows).astype(np.float64),
    "rare": lambda random, rows: (random.random(rows) < 0.02) * random.exponential(size=rows),
    "slow": _autoregressive,
    "daily": lambda random, rows: 50 + 20 * day_curve(rows) + 3 * random.normal(size=rows),
    "hours": lambda random, rows: 20 + 60 * busy_hours(rows) + random.normal(size=rows),
    "signed": lambda random, rows: random.normal(size=rows),
    "counter": lambda random, rows: np.cumsum(random.poisson(50, rows)).astype(np.float64),
}


def made(kind: str, rows: int, seed: int = 0) -> Floats:
    """float64[rows] of one of KINDS."""
    return KINDS[kind](np.random.default_rng(seed), rows)


def watch(value: Floats, at_us: NDArray[np.int64] | None = None, tuning: Tuning = QUICK) -> Verdicts:
    """What an engine says about one series, from its first sample on."""
    at_us = instants(len(value)) if at_us is None else at_us
    return Engine(1, tuning).score(at_us, value, np.zeros(len(value), np.intp))


def watch_all(value: Floats, at_us: NDArray[np.int64] | None = None, tuning: Tuning = QUICK) -> Floats:
    """float64[rows, n]: the scores of n series, value float64[rows, n], each row at one instant."""
    rows, n = value.shape
    at_us = instants(rows) if at_us is None else at_us
    found = Engine(n, tuning).score(np.repeat(at_us, n), value.ravel(), np.tile(np.arange(n), rows))
    return found.score.reshape(rows, n)
