"""How small a day's samples become in the cold tier's files, by the kind of their values and instants.

A hundred series, a sample every ten seconds for a day; each file is read back and compared, bit for bit. Where what is
random about a sample is known, so is the least that any encoding can take: the entropy of that noise in units of the
double's last place.
"""

import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from muninn.analytics import cold_file
from muninn.clock import DAY_US, SECOND_US

SERIES, STEPS = 100, DAY_US // (10 * SECOND_US)
SHAPE = (SERIES, STEPS)
Floats = NDArray[np.float64]


def run(database_bytes: float) -> dict[str, dict[str, float]]:
    """By kind; database_bytes: what a sample takes in the database, with its index."""
    rng = np.random.default_rng(1)
    steady = np.zeros(SHAPE)
    walk = np.abs((50 + np.cumsum(rng.normal(0, 0.5, SHAPE), axis=1)) % 200 - 100)
    tenths, kinds = np.round(walk, 1), noisy(rng)
    kinds |= {
        "one decimal": (steady, tenths, None),
        "one decimal, instants to the ms, 50 ms off": (np.round(rng.normal(0, 50, SHAPE)) * 1000, tenths, None),
        "one decimal, instants to the us, 20 ms off": (rng.normal(0, 20_000, SHAPE), tenths, None),
        "one decimal, instants to the us, anywhere in a second": (rng.uniform(0, 1e6, SHAPE), tenths, None),
        "three decimals": (steady, np.round(walk, 3), None),
        "a counter": (steady, np.cumsum(rng.integers(0, 1000, SHAPE), axis=1).astype(float), None),
        "32-bit floats that walk": (steady, walk.astype(np.float32).astype(float), None),
        "shares of ticks, 100 * n / 1,000": (steady, shares(rng), None),
        "pages of 4 KiB as GiB": (steady, 9 + np.cumsum(rng.integers(-3000, 3000, SHAPE), axis=1) / 2.0**18, None),
    }
    return {kind: packed(*each, database_bytes) for kind, each in kinds.items()}


def noisy(rng: np.random.Generator) -> dict[str, tuple[Floats, Floats, float | None]]:
    """Doubles of full precision, and the least bytes that a sample can take."""
    steady, found = np.zeros(SHAPE), {}
    for share in (1e-5, 1e-4, 1e-3, 1e-2):
        noise = 50 * share
        least = float(np.log2(noise * np.sqrt(2 * np.pi * np.e) / np.spacing(50.0)) / 8)
        found[f"full precision, noise of {share:g} of the value"] = (steady, 50 + rng.normal(0, noise, SHAPE), least)
    words = rng.integers(1 << 52, 2047 << 52, SHAPE)
    least = float(np.log2(2046 * 2.0**52) / 8)
    return {**found, "any doubles": (steady, words.view(np.float64), least)}


def shares(rng: np.random.Generator) -> Floats:
    """As a processor's busy time is made of ticks: few values, each with all its digits."""
    return np.asarray(100 * (1 - rng.integers(0, 1000, SHAPE) / rng.integers(995, 1006, SHAPE)), np.float64)


def packed(off_us: Floats, value: Floats, least: float | None, database_bytes: float) -> dict[str, float]:
    """Written, read back, measured."""
    at_us = np.arange(STEPS) * 10 * SECOND_US + off_us.astype(np.int64)
    columns = cold_file.Columns(np.repeat(np.arange(SERIES, dtype=np.int32), STEPS), at_us.ravel(), value.ravel())
    with tempfile.TemporaryDirectory() as folder:
        size = cold_file.write(Path(folder) / "day.parquet", columns) / len(columns)
        assert cold_file.read(Path(folder) / "day.parquet").checksum() == columns.checksum()
    found = {"bytes a sample": size, "less than in the database, %": 100 * (1 - size / database_bytes)}
    return found if least is None else {**found, "least possible, bytes a sample": least}
