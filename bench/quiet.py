"""False episodes of the detector on noise in which nothing happens, by kind of noise and step.

What is reported is made with a seed that no number was chosen on (docs/decisions/0012-detection-scores.md).

Belongs here: making noise, counting what opens. Does not: faults (bench.faults), the public benchmark (bench.detect).
"""

from collections.abc import Callable

import numpy as np

from muninn.detection import Engine
from muninn.detection.episodes import Episodes, lastingly, presently

STARTS_US = 1_767_225_600_000_000
# step in seconds: series, days. The first day of each is learned and not counted.
SIZES = {10: (100, 3), 60: (150, 4), 300: (150, 10)}
REPORTED_SEED = 1001
Noise = Callable[[np.random.Generator, int, int, float], np.ndarray]


def _white(random: np.random.Generator, rows: int, n: int, step_s: float) -> np.ndarray:  # noqa: ARG001
    return 100 + random.normal(size=(rows, n))


def _recursive(random: np.random.Generator, rows: int, n: int, keep: float, scale: float) -> np.ndarray:
    steps, found = random.normal(size=(rows, n)), np.empty((rows, n))
    last = steps[0] / np.sqrt(1 - keep**2)
    for row in range(rows):
        found[row] = last = keep * last + steps[row]
    return 100 + scale * np.sqrt(1 - keep**2) * found


def _autoregressive(random: np.random.Generator, rows: int, n: int, step_s: float) -> np.ndarray:  # noqa: ARG001
    return _recursive(random, rows, n, 0.9, 3.0)


def _wandering(random: np.random.Generator, rows: int, n: int, step_s: float) -> np.ndarray:
    """Comes back to its mean in six hours."""
    return _recursive(random, rows, n, float(np.exp(-step_s / 21_600)), 10.0) + 0.5 * random.normal(size=(rows, n))


def _wandering_for_a_day(random: np.random.Generator, rows: int, n: int, step_s: float) -> np.ndarray:
    return _recursive(random, rows, n, float(np.exp(-step_s / 86_400)), 10.0) + 0.5 * random.normal(size=(rows, n))


def _walk(random: np.random.Generator, rows: int, n: int, step_s: float) -> np.ndarray:  # noqa: ARG001
    return 1000 + np.cumsum(random.normal(size=(rows, n)), axis=0)


def _weekly(random: np.random.Generator, rows: int, n: int, step_s: float) -> np.ndarray:
    """A day's wave, half of it at weekends: ten days hold the first ones, which nothing announces."""
    days = np.arange(rows)[:, None] * step_s / 86_400
    wave = 1 + 0.6 * np.sin(2 * np.pi * days + random.uniform(0, 6, n))
    return 100 * wave * np.where(days % 7 // 1 < 5, 1.0, 0.5) * np.exp(0.08 * random.normal(size=(rows, n)))


def _bursts(random: np.random.Generator, rows: int, n: int, step_s: float) -> np.ndarray:  # noqa: ARG001
    burst = np.where(random.random((rows, n)) < 0.02, random.lognormal(2, 0.5, (rows, n)), 0)
    return 20 + random.normal(size=(rows, n)) + burst


def _counter(random: np.random.Generator, rows: int, n: int, step_s: float) -> np.ndarray:  # noqa: ARG001
    return np.cumsum(random.poisson(30, (rows, n)), axis=0).astype(float)


def _sparse(random: np.random.Generator, rows: int, n: int, step_s: float) -> np.ndarray:  # noqa: ARG001
    return np.where(random.random((rows, n)) < 0.03, random.poisson(3, (rows, n)), 0).astype(float)


def _skewed(random: np.random.Generator, rows: int, n: int, step_s: float) -> np.ndarray:  # noqa: ARG001
    return random.lognormal(3, 0.6, (rows, n))


def _daily(random: np.random.Generator, rows: int, n: int, step_s: float) -> np.ndarray:
    wave = np.sin(2 * np.pi * np.arange(rows) * step_s / 86_400)[:, None]
    return 100 + 40 * wave + 5 * random.normal(size=(rows, n))


def _jumps(random: np.random.Generator, rows: int, n: int, step_s: float) -> np.ndarray:
    """A level, such as the size of a pool, that changes every two hours, to any of ten."""
    changes = random.random((rows, n)) < step_s / 7_200
    since = np.maximum.accumulate(np.where(changes, np.arange(rows)[:, None], 0), axis=0)
    levels = random.integers(5, 15, (rows, n)).astype(float)
    return np.take_along_axis(levels, since, 0) + 0.1 * random.normal(size=(rows, n))


def _geometric(random: np.random.Generator, rows: int, n: int, step_s: float) -> np.ndarray:
    """A walk by shares: 38 % in a day, so that its steps grow with its level."""
    return 100 * np.exp(np.cumsum(0.01 * np.sqrt(step_s / 60) * random.normal(size=(rows, n)), axis=0))


def _bounded(random: np.random.Generator, rows: int, n: int, step_s: float) -> np.ndarray:
    """A walk between 0 and what it covers in three days: it is at 0 for the first time one day."""
    most = np.sqrt(3 * 86_400)
    walked = np.cumsum(random.normal(size=(rows, n)) * np.sqrt(step_s), axis=0)
    return np.abs(walked % (4 * most) - 2 * most)


def _heavy(random: np.random.Generator, rows: int, n: int, step_s: float) -> np.ndarray:  # noqa: ARG001
    return 50 + random.standard_t(4, size=(rows, n))


KINDS: dict[str, Noise] = {
    "white": _white,
    "AR(1), 0.9": _autoregressive,
    "wanders for 6 h": _wandering,
    "daily and noise": _daily,
    "random walk": _walk,
    "levels that jump": _jumps,
}

# Not at steps of ten seconds, which take longest.
FURTHER: dict[str, Noise] = {
    "wanders for 24 h": _wandering_for_a_day,
    "day and week": _weekly,
    "bursts": _bursts,
    "counter": _counter,
    "sparse": _sparse,
    "log-normal": _skewed,
    "Student's t, 4": _heavy,
    "geometric walk": _geometric,
    "walk between bounds": _bounded,
}


def quiet() -> dict[str, dict[str, float]]:
    """Kind of noise -> step -> false episodes a series-day."""
    table: dict[str, dict[str, float]] = {}
    for kind, make in {**KINDS, **FURTHER}.items():
        steps = [step_s for step_s in SIZES if kind in KINDS or step_s > min(SIZES)]
        row = {f"{step_s} s": episodes(make, step_s, *SIZES[step_s], REPORTED_SEED) for step_s in steps}
        table[kind] = row
        print(f"    {kind:20s}" + "".join(f"{name:>8s}{rate:8.3f}" for name, rate in row.items()), flush=True)
    return table


def episodes(make: Noise, step_s: float, n: int, days: int, seed: int = 0) -> float:
    """Episodes that open for each day of a series that is not learned any more."""
    rows = round(days * 86_400 / step_s)
    values = make(np.random.default_rng(seed), rows, n, step_s)
    engine, found, index = Engine(n), Episodes(n), np.arange(n)
    opened = watched = 0
    for row in range(rows):
        at_us = STARTS_US + round(row * step_s * 1e6)
        verdicts = engine.score(np.full(n, at_us), values[row], index)
        present, _ = presently(verdicts.score, verdicts.contributions)
        lasting = lastingly(verdicts.score, verdicts.contributions)
        opened += len(found.judge(index, verdicts.score, present, lasting, at_us).opened)
        watched += int((~verdicts.learning).sum())
    return opened / (watched * step_s / 86_400)
