"""Whether a sample costs the same with a thousand series and with a million, in an empty store and in a filled one.

Requests hold one sample of each of a thousand series in every case; how many different ones there are, and how many
rows lie in the store, is what differs. Read the ratios. MUNINN_BENCH_ROWS says to how many rows the store is filled.

Belongs here: these cases, and filling. Does not: the path and its clients (path), what one run of it tells (ingest).
"""

import os
import time
from collections.abc import Sequence

import numpy as np
import psycopg

from bench.ingest import Figures, show, whole_path
from bench.path import Path_, path
from bench.traffic import Request, remote_write
from muninn.clock import DAY_US, SECOND_US
from muninn.store import binary_copy, partitions
from muninn.store.database import Database

A_REQUEST = 1_000
SIZES = (1_000, 100_000, 1_000_000)
MEASURED = 1_000_000
FILLED = int(os.environ.get("MUNINN_BENCH_ROWS", "20000000"))
# Rows lie in the days before today, as they would: so many a day.
A_COPY, A_DAY = 2_000_000, 20_000_000
COST = "CPU s per million samples"


def run() -> Figures:
    """Measure each case on one path; print the table."""
    with path(CARDINALITY_METRIC_NEW_PER_HOUR="5000000", CARDINALITY_SOURCE_NEW_PER_HOUR="5000000") as started:
        figures: Figures = {}
        for series in SIZES:
            figures[f"{series:,} series"] = whole_path(started, *_traffic(series, f"scale_{series}"))
        mixed = [*remote_write(SIZES[-1], 1, A_REQUEST, f"scale_{SIZES[-1]}", seed=1)]
        figures[f"{SIZES[-1]:,} series, each time in another order"] = whole_path(started, (), mixed)
        few = [*remote_write(SIZES[0], 2 * MEASURED // SIZES[0], A_REQUEST, "scale_filled")]
        half = len(few) // 2
        figures["1,000 series before filling"] = whole_path(started, few[:1], few[1:half])
        filled_s = fill(started, FILLED)
        figures[f"1,000 series, {FILLED:,} rows in the store"] = whole_path(started, (), few[half:])
    show(figures)
    return {**figures, "filled in, s": filled_s, "ratios": _ratios(figures)}


def _traffic(series: int, name: str) -> tuple[Sequence[Request], Sequence[Request]]:
    """(requests that register the series, requests that are measured)."""
    requests = [*remote_write(series, max(3, 1 + MEASURED // series), A_REQUEST, name)]
    return requests[: series // A_REQUEST], requests[series // A_REQUEST :]


def fill(started: Path_, rows: int) -> float:
    """Put so many rows into the store, by COPY, over the days before today; seconds."""
    begun, today_us = time.monotonic(), time.time_ns() // 1000 // DAY_US * DAY_US
    series_id = np.tile(np.arange(1, A_REQUEST + 1, dtype=np.int32), A_COPY // A_REQUEST)
    value = np.round(np.random.default_rng(3).normal(50, 10, A_COPY), 1)
    copy = "copy raw_samples (at, series_id, value) from stdin (format binary)"
    with Database(started.database_url, pool_size=1) as database, psycopg.connect(started.database_url) as store:
        for first in range(0, rows, A_COPY):
            day, within = divmod(first, A_DAY)
            since_us = today_us - (rows // A_DAY - day + 1) * DAY_US + within // A_REQUEST * SECOND_US
            at_us = since_us + np.arange(A_COPY // A_REQUEST).repeat(A_REQUEST) * SECOND_US
            partitions.ensure_at(database, partitions.RAW, np.unique(at_us // DAY_US * DAY_US))
            with store.cursor() as cursor, cursor.copy(copy) as into:
                into.write(binary_copy.encode((binary_copy.timestamptz(at_us), series_id, value)))
            store.commit()
    return time.monotonic() - begun


def _ratios(figures: Figures) -> dict[str, float]:
    """What a sample costs, all programs together, against the first case; and filled against not."""

    def cost(name: str) -> float:
        found = figures[name]
        assert isinstance(found, dict)
        return float(found[COST]["all"])

    names = [*figures]
    against_first = {f"{name} / {names[0]}": cost(name) / cost(names[0]) for name in names[1:4]}
    return {**against_first, f"{names[5]} / {names[4]}": cost(names[5]) / cost(names[4])}
