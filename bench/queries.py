"""Questions about a week of 1,000 series every 10 seconds: answers checked, then timed with one client and with eight.

Nothing is cached. "reads" is the whole call in Python, as a page or the gateway makes it; "database" is the part of it
that waits for the server. Every answer is compared with numpy's over the samples before it is timed.

MUNINN_BENCH_DAYS: of samples (7). MUNINN_BENCH_KEPT: a folder where the filled database stays for the next run.
MUNINN_BENCH_URL: an empty database of a server to use instead of the embedded one.
MUNINN_BENCH_PEERS: a folder with victoria-metrics or prometheus, to be asked the same (bench/peers.py).
MUNINN_BENCH_TIMESCALE_URL or MUNINN_TEST_TIMESCALE_URL: a TimescaleDB server that is filled with the same and asked the
same, compressed but for its last day (bench/timescale.py); it takes twice as long.
"""

import contextlib
import os
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import psycopg

from bench import cpu, peers, timescale
from bench.ingest import copy_limit
from bench.questions import QUESTIONS, Question
from muninn.clock import HOUR_US, ManualClock, SystemClock
from muninn.meter import Meter
from muninn.model import BatchHandle
from muninn.reads import Reads
from muninn.run import environment
from muninn.store.database import Database
from muninn.store.migrations import migrate
from muninn.store.writer import StoreWriter

SINGLE, CLIENTS = 40, 8
PER_CLIENT = 25


def run() -> dict[str, object]:
    """Fill, check, time."""
    workload = cpu.Workload(float(os.environ.get("MUNINN_BENCH_DAYS", "7")))
    given = os.environ.get("MUNINN_BENCH_URL")
    with contextlib.nullcontext(given) if given else cpu.server() as url:
        filled = cpu.fill(url, workload)
        figures: dict[str, object] = {"series": len(workload.keys), **filled.figures}
        figures["loading"] = loading(url, workload)
        figures["bytes a sample"] = sizes(filled)
        figures["questions, ms"] = asked = questions(url, workload)
        with connected(url, Meter()) as ask:
            ours = {question.name: partial(question.ask, ask) for question in QUESTIONS}
            figures |= peers.run(workload, ours)
    return figures | on_timescale(workload, asked)


def questions(url: str, workload: cpu.Workload) -> dict[str, dict[str, float]]:
    """Figures of each question at this store."""
    _as_programs_are_run()
    spawned = get_context("spawn")
    begin = spawned.Barrier(CLIENTS)
    with ProcessPoolExecutor(CLIENTS, spawned, _connect, (url, begin)) as clients:
        return {
            question.name: timed(place, question, workload, url, clients) for place, question in enumerate(QUESTIONS)
        }


def on_timescale(workload: cpu.Workload, on_postgres: dict[str, dict[str, float]]) -> dict[str, object]:
    """The same on TimescaleDB, where a server is given, and how many times as long it takes; nothing without one."""
    if not timescale.URL:
        return {}
    with timescale.database() as url, psycopg.connect(url, autocommit=True) as connection:
        with Database(url) as database:
            migrate(database)
        timescale.quiet(connection)
        filled = cpu.fill(url, workload)
        # As it is a day after samples came, which is counted from now.
        hours = (SystemClock().now_us() - cpu.END_US) // HOUR_US + 24
        connection.execute("select store_tune(1, %s::int4)", (hours,))
        timescale.quiet(connection)
        for procedure in ("policy_compression", "columnstore_pack"):
            timescale.run_jobs(connection, procedure)
        connection.execute("vacuum (analyze)")
        asked = questions(url, workload)
    times = {name: round(each["reads p50"] / on_postgres[name]["reads p50"], 2) for name, each in asked.items()}
    return {"timescaledb": {**filled.figures, "questions, ms": asked, "p50 by PostgreSQL's": times}}


def loading(url: str, workload: cpu.Workload, hours: int = 2) -> dict[str, float]:
    """Some hours through the store's writer into a database of its own, against what COPY alone can do, in turn."""
    with psycopg.connect(url, autocommit=True) as server:
        server.execute("drop database if exists bench_load with (force)")
        server.execute("create database bench_load")
    beside = urlsplit(url)._replace(path="/bench_load").geturl()
    rates, limits = [], []
    with Database(beside, pool_size=2) as database:
        migrate(database)
        writer = StoreWriter(database, clock=ManualClock(cpu.END_US))
        for number, batch in zip(range(hours), workload.batches(), strict=False):
            started = time.monotonic()
            rows = writer.load([BatchHandle("bench", f"{number}-1", batch)]).rows
            rates.append(rows / (time.monotonic() - started))
            limits.append(copy_limit(beside))
    with psycopg.connect(url, autocommit=True) as server:
        server.execute("drop database bench_load with (force)")
    rate, limit = float(np.median(rates)), float(np.median(limits))
    return {"samples/s": rate, "binary COPY alone, samples/s": limit, "share of COPY alone": rate / limit}


def sizes(filled: cpu.Filled) -> dict[str, float]:
    """Bytes of each table for each raw sample, indexes included."""
    with psycopg.connect(filled.url) as store:
        found = dict(
            store.execute("select table_name, sum(bytes)::float8 from store_partitions() group by 1").fetchall()
        )
        packed = store.execute(
            "select relname, pg_total_relation_size(oid)::float8 from pg_class"
            " where relkind = 'r' and relname ~ '^packed_.*(min|hour)$'"
        ).fetchall()
    samples = len(filled.workload.keys) * filled.workload.steps
    return {name: size / samples for name, size in sorted([*found.items(), *packed])}


def timed(
    place: int, question: Question, workload: cpu.Workload, url: str, clients: ProcessPoolExecutor
) -> dict[str, float]:
    """Check the answer, then time it with one process alone and with eight at once."""
    with connected(url, Meter()) as ask:
        question.check(question.ask(ask), workload)
    took, database = clients.submit(alone, place).result()
    every = [clients.submit(client, place) for _ in range(CLIENTS)]
    many = [seconds for each in every for seconds in each.result()[0]]
    rate = sum(each.result()[1] for each in every)
    return {
        "reads p50": _ms(took, 50),
        "reads p95": _ms(took, 95),
        "database p50": _ms(database, 50),
        "database p95": _ms(database, 95),
        "8 clients p50": _ms(many, 50),
        "8 clients p95": _ms(many, 95),
        "8 clients, answers/s": rate,
    }


_client: list[tuple[Reads, Meter]] = []
_begin: list[Any] = []


def _as_programs_are_run() -> None:
    """The processes to come begin with what `muninn up` gives its programs."""
    for name, value in environment.FRUGAL.items():
        os.environ.setdefault(name, value)


def _connect(url: str, begin: Any) -> None:
    """In each client's process, once."""
    meter = Meter()
    _client.append((connected(url, meter), meter))
    _begin.append(begin)


def alone(place: int) -> tuple[list[float], list[float]]:
    """Seconds of each answer of one process, and of them those that it waited for the server."""
    question, (ask, meter) = QUESTIONS[place], _client[0]
    for _ in range(peers.WARMING):
        question.ask(ask)
    took, database = [], []
    for _ in range(SINGLE):
        before, started = _asked(meter), time.perf_counter()
        question.ask(ask)
        took.append(time.perf_counter() - started)
        database.append(_asked(meter) - before)
    return took, database


def client(place: int) -> tuple[list[float], float]:
    """Seconds of each answer, and answers a second, of one of the processes that begin together."""
    question, (ask, _) = QUESTIONS[place], _client[0]
    for _ in range(2):
        question.ask(ask)
    _begin[0].wait()
    took = []
    began = time.perf_counter()
    for _ in range(PER_CLIENT):
        started = time.perf_counter()
        question.ask(ask)
        took.append(time.perf_counter() - started)
    return took, PER_CLIENT / (time.perf_counter() - began)


class AtTheEnd(SystemClock):
    """It is the end of the samples, but time passes."""

    def now_us(self) -> int:
        """Microseconds since the epoch."""
        return cpu.END_US


def connected(url: str, meter: Meter) -> Reads:
    """Reads as programs connect them, without a cache, at the end of the samples."""
    database = Database(url, pool_size=2, parallel_workers=0, application_name="bench-reads").open()
    return Reads(database, meter=meter, clock=AtTheEnd())


def _asked(meter: Meter) -> float:
    return sum(value for name, _, value in meter.snapshot() if name == "muninn_query_seconds_total")


def _ms(seconds: list[float], percent: int) -> float:
    return round(float(np.percentile(seconds, percent)) * 1000, 3)
