"""Whether a sample costs the same with a thousand series and with a million, in an empty store and in a filled one.

Requests hold one sample of each of a thousand series in every case; how many different ones there are, and how many
rows lie in the store, is what differs. Each of the two questions has servers of its own. Read the ratios.
MUNINN_BENCH_ROWS says to how many rows the store is filled, 52 bytes each, under TMPDIR.

Belongs here: these cases, and filling. Does not: the path and its clients (path), what one run of it tells (ingest).
"""

import os
import time
from collections.abc import Sequence

import numpy as np
import psycopg

from bench.ingest import Figures, show, whole_path
from bench.path import UNLIMITED, Path_, path
from bench.traffic import Request, remote_write
from muninn.clock import DAY_US, SECOND_US
from muninn.store import binary_copy, partitions
from muninn.store.database import Database

A_REQUEST = 1_000
SIZES = (1_000, 100_000, 1_000_000)
MEASURED = 1_000_000
FILLED = int(os.environ.get("MUNINN_BENCH_ROWS", "20000000"))
# Measured when the store is empty, and at each of these.
STEPS = (FILLED // 10, FILLED)
FILLED_MEASURED = 2_000_000
# Rows lie in the days before today, as they would: so many a day.
A_COPY, A_DAY = 2_000_000, 20_000_000
COST = "CPU s per million samples"


def run() -> Figures:
    """Measure each case; print the table."""
    figures = {**_by_series(), **_by_rows()}
    filled_s = figures.pop("filled in, s")
    show(figures)
    return {**figures, "filled in, s": filled_s, "ratios": _ratios(figures)}


def _by_series() -> Figures:
    with path(**UNLIMITED) as started:
        figures: Figures = {}
        for series in SIZES:
            figures[f"{series:,} series"] = whole_path(started, *_traffic(series, f"scale_{series}"))
        mixed = [*remote_write(SIZES[-1], 1, A_REQUEST, f"scale_{SIZES[-1]}", seed=1)]
        figures[f"{SIZES[-1]:,} series, each time in another order"] = whole_path(started, (), mixed)
    return figures


def _by_rows() -> Figures:
    rounds, filled_s, figures = FILLED_MEASURED // A_REQUEST, 0.0, Figures()
    with path() as started:
        # All of them within ten minutes, the later ones with later times.
        sent = [*remote_write(A_REQUEST, 1 + 3 * rounds, A_REQUEST, "scale_filled", step_ms=99)]
        first, sent = sent[:1], sent[1:]
        figures["1,000 series, an empty store"] = whole_path(started, first, sent[:rounds])
        for place, rows in enumerate(STEPS, 1):
            filled_s += fill(started, STEPS[place - 2] if place > 1 else 0, rows)
            measured = sent[place * rounds :][:rounds]
            figures[f"1,000 series, {rows:,} rows in the store"] = whole_path(started, (), measured)
    return {**figures, "filled in, s": filled_s}


def _traffic(series: int, name: str) -> tuple[Sequence[Request], Sequence[Request]]:
    """(requests that register the series, requests that are measured)."""
    requests = [*remote_write(series, max(3, 1 + MEASURED // series), A_REQUEST, name)]
    return requests[: series // A_REQUEST], requests[series // A_REQUEST :]


def fill(started: Path_, there: int, rows: int) -> float:
    """Bring the store from `there` to `rows` rows, by COPY, over the days before today; seconds.

    They are vacuumed, and on disk, as rows of such days would have been for long.
    """
    begun, today_us = time.monotonic(), time.time_ns() // 1000 // DAY_US * DAY_US
    series_id = np.tile(np.arange(1, A_REQUEST + 1, dtype=np.int32), A_COPY // A_REQUEST)
    value = np.round(np.random.default_rng(3).normal(50, 10, A_COPY), 1)
    copy = "copy raw_samples (at, series_id, value) from stdin (format binary)"
    with (
        Database(started.database_url, pool_size=1) as database,
        psycopg.connect(started.database_url, autocommit=True) as store,
    ):
        for first in range(there, rows, A_COPY):
            day, within = divmod(first, A_DAY)
            since_us = today_us - (FILLED // A_DAY - day + 1) * DAY_US + within // A_REQUEST * SECOND_US
            at_us = since_us + np.arange(A_COPY // A_REQUEST).repeat(A_REQUEST) * SECOND_US
            partitions.ensure_at(database, partitions.RAW, np.unique(at_us // DAY_US * DAY_US))
            with store.cursor() as cursor, cursor.copy(copy) as into:
                into.write(binary_copy.encode((binary_copy.timestamptz(at_us), series_id, value)))
        store.execute("vacuum (analyze) raw_samples")
        store.execute("checkpoint")
    return time.monotonic() - begun


def _ratios(figures: Figures) -> dict[str, float]:
    """What a sample costs, all programs together, against the first case of the same servers."""

    def cost(name: str) -> float:
        found = figures[name]
        assert isinstance(found, dict)
        return float(found[COST]["all"])

    names = [*figures]
    of_series, of_rows = names[:4], names[4:]
    return {f"{name} / {group[0]}": cost(name) / cost(group[0]) for group in (of_series, of_rows) for name in group[1:]}
