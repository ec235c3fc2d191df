"""The whole way of a sample, from bytes on the socket to a committed row, against what COPY alone can do.

Clients send over four connections as fast as the gateway answers, on the same machine; the clock stops when nothing
waits in the buffer. The limit is a binary COPY of as many rows into a table like raw_samples on the same server, in the
same run. Other work on the machine slows both: read the share, and CPU seconds.

Belongs here: figures. Does not: starting programs (path), bodies (traffic), the picture (flame).
"""

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import psycopg

from bench import flame, stages
from bench.path import UNLIMITED, Path_, path, rows, send_all, wait_for_the_store
from bench.traffic import Request, arrow, remote_write
from muninn.clock import SECOND_US
from muninn.store import binary_copy

COPIED, COPIED_SERIES = 2_000_000, 4_000
LEARNED_PER_S = 60_000
PICTURE = Path(__file__).parents[1] / "docs" / "images" / "ingest-speed.svg"
Figures = dict[str, object]


def run() -> Figures:
    """Measure each kind of traffic on the path alone; print the table, draw the picture."""
    with path(**UNLIMITED) as started:
        limit = copy_limit(started.database_url)
        figures: Figures = {"binary COPY alone, samples/s": limit}
        for name, requests in _traffic().items():
            figures[name] = whole_path(started, *requests, limit)
    figures["stages, CPU s per million samples"] = found = stages.measure()
    show(figures)
    spent = figures["remote write, 4,000 series"]
    assert isinstance(spent, dict)
    PICTURE.write_text(flame.draw(_tree(spent["CPU s per million samples"], found)), encoding="utf-8")
    return figures


def _traffic() -> dict[str, tuple[Sequence[Request], Sequence[Request]]]:
    """(requests that register the series, requests that are measured) by name."""
    many, few, table = (
        [*remote_write(100_000, 14, name="bench_many")],
        [*remote_write(4_000, 300)],
        [*arrow(4_000, 31)],
    )
    return {
        "arrow, 4,000 series": (table[:1], table[1:]),
        "remote write, 4,000 series": (few[:1], few[1:]),
        "remote write, 100,000 series": (many[:25], many[25:]),
    }


def whole_path(
    started: Path_, first: Sequence[Request], requests: Sequence[Request], limit: float | None = None
) -> Figures:
    """Samples a second until all are answered and until all are rows, and what a million of them cost.

    `first` has each series once: how long it takes until new series are registered and stored is told apart.
    """
    before, begun = rows(started), time.monotonic()
    send_all(started, first)
    wait_for_the_store(started)
    first_s = time.monotonic() - begun
    _settle(started, sum(request.samples for request in first))
    samples = sum(request.samples for request in requests)
    cpu_s, begun = started.cpu_s(), time.monotonic()
    answered_s = send_all(started, requests)
    wait_for_the_store(started)
    stored_s = time.monotonic() - begun
    spent = {name: (after - cpu_s[name]) / samples * 1e6 for name, after in started.cpu_s().items()}
    stored = rows(started) - before
    expected = samples + sum(request.samples for request in first)
    if stored != expected:
        raise RuntimeError(f"{stored} rows of {expected}")
    return {
        "first samples": sum(request.samples for request in first),
        "first samples stored in, s": first_s,
        "samples": samples,
        "bytes a sample on the wire": sum(len(request.body) for request in requests) / samples,
        "answered, samples/s": samples / answered_s,
        "stored, samples/s": samples / stored_s,
        "stored, share of COPY alone": samples / stored_s / limit if limit else None,
        "CPU s per million samples": {**spent, "all": sum(spent.values())},
        "most memory, MiB": started.peak_mib(),
    }


def _settle(started: Path_, series: int) -> None:
    """Let what follows new series be over: it is not what a sample costs."""
    with psycopg.connect(started.database_url, autocommit=True) as store:
        store.execute("vacuum (analyze) series, latest_samples")
    # The gateway learns behind the requests which names it may leave out.
    time.sleep(2 + series / LEARNED_PER_S)


def copy_limit(url: str) -> float:
    """Samples per second of one binary COPY into a table like raw_samples, BRIN index included."""
    at_us = time.time_ns() // 1000 + np.arange(COPIED // COPIED_SERIES).repeat(COPIED_SERIES) * SECOND_US
    series_id = np.tile(np.arange(COPIED_SERIES, dtype=np.int32), COPIED // COPIED_SERIES)
    value = np.round(np.random.default_rng(2).normal(50, 10, COPIED), 1)
    with psycopg.connect(url) as store:
        store.execute(
            "create table bench_copy (at timestamptz not null, series_id int4 not null, value float8 not null)"
        )
        store.execute("create index on bench_copy using brin (at) with (pages_per_range = 32)")
        store.commit()
        started = time.monotonic()
        data = binary_copy.encode((binary_copy.timestamptz(at_us), series_id, value))
        with store.cursor() as cursor, cursor.copy("copy bench_copy from stdin (format binary)") as copy:
            copy.write(data)
        store.commit()
        took = time.monotonic() - started
        store.execute("drop table bench_copy")
    return COPIED / took


def _tree(spent: dict[str, float], found: dict[str, dict[str, float]]) -> flame.Tree:
    """CPU by program, and within the gateway and the loader by stage; what was not told apart is the rest."""
    tree: flame.Tree = {}
    for program, total in spent.items():
        if program != "all":
            parts = found.get(program, {})
            rest = {"HTTP and sockets" if program == "gateway" else "servers' answers": total - sum(parts.values())}
            tree[program] = (total, {**parts, **rest} if parts else {})
    return tree


def show(figures: Figures) -> None:
    """Print what was stored, and what it cost."""
    columns = ("client", "gateway", "valkey", "loader", "postgres", "all")
    print(f"  {'':48s}{'stored/s':>11s}{'of COPY':>9s}" + "".join(f"{name:>10s}" for name in columns))
    for name, found in figures.items():
        if isinstance(found, dict) and "CPU s per million samples" in found:
            cells = "".join(f"{found['CPU s per million samples'][column]:10.3f}" for column in columns)
            stored, share = found["stored, samples/s"], found["stored, share of COPY alone"]
            of_copy = "" if share is None else f"{share:.1%}"
            print(f"  {name:48s}{stored:11,.0f}{of_copy:>9s}{cells}")
