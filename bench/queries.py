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
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import astuple, dataclass, replace
from multiprocessing import get_context
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import psycopg

from bench import cpu, peers, timescale
from bench.ingest import copy_limit
from muninn.clock import DAY_US, HOUR_US, MINUTE_US, ManualClock, SystemClock
from muninn.meter import Meter
from muninn.model import BatchHandle, Window
from muninn.numerics import counters
from muninn.reads import Compared, Latest, Reads, Rising, Top, Trend
from muninn.run import environment
from muninn.store.database import Database
from muninn.store.migrations import migrate
from muninn.store.writer import StoreWriter

SINGLE, CLIENTS = 40, 8
PER_CLIENT = 10
METRIC = cpu.METRICS[0]
HOST = {"host": "host-007"}


@dataclass(frozen=True)
class Question:
    """ask: the question. check: AssertionError where the answer is not that of the samples."""

    name: str
    ask: Callable[[Reads], Any]
    check: Callable[[Any, cpu.Workload], None]


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
    figures |= peers.run(workload)
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


def window(hours: float) -> Window:
    """The last hours of the samples."""
    return Window(cpu.END_US - round(hours * HOUR_US), cpu.END_US)


def _values(found: Trend, workload: cpu.Workload, one: Any) -> np.ndarray:
    number = workload.keys.index(one.key)
    return workload.values(
        number, max(found.window.since_us, workload.start_us), min(found.window.until_us, cpu.END_US)
    )


def check_trend(found: Trend, workload: cpu.Workload, *, series: int, p95: bool = False) -> None:
    """Count, mean, extremes and (within 1 %) p95 of every step of every series."""
    assert len(found.series) == series, len(found.series)
    for one in found.series:
        values = _values(found, workload, one)
        first_us = max(found.window.since_us, workload.start_us)
        at_us = first_us + np.arange(len(values)) * cpu.STEP_US
        _check_steps(found, one, at_us, values, p95=p95)


def check_groups(found: Trend, workload: cpu.Workload) -> None:
    """Pooled samples of each region."""
    assert len(found.series) == len(cpu.REGIONS)
    for one in found.series:
        region = dict(one.key.labels)["region"]
        numbers = [
            number
            for number, key in enumerate(workload.keys)
            if key.metric == METRIC and dict(key.labels)["region"] == region
        ]
        since_us, until_us = max(found.window.since_us, workload.start_us), min(found.window.until_us, cpu.END_US)
        values = workload.values(np.array(numbers), since_us, until_us)
        at_us = since_us + np.arange(values.shape[1]) * cpu.STEP_US
        _check_steps(found, one, np.tile(at_us, len(numbers)), values.ravel(), p95=not np.isnan(one.p95).any())


def _check_steps(found: Trend, one: Any, at_us: np.ndarray, values: np.ndarray, *, p95: bool) -> None:
    step = at_us // found.step_us * found.step_us
    starts, place, count = np.unique(step, return_inverse=True, return_counts=True)
    np.testing.assert_array_equal(one.at_ms, starts // 1000)
    np.testing.assert_array_equal(one.count, count)
    np.testing.assert_allclose(one.avg, np.bincount(place, values) / count, rtol=1e-9)
    order = np.lexsort((values, place))
    ends = np.cumsum(count)
    ranked = values[order]
    np.testing.assert_array_equal(one.max, ranked[ends - 1])
    np.testing.assert_array_equal(one.min, ranked[ends - count])
    if p95:
        exact = ranked[ends - count + np.ceil(0.95 * count).astype(int) - 1]
        assert (np.abs(one.p95 - exact) <= 0.01 * np.abs(exact) + 1e-12).all()


def check_latest(found: list[Latest], workload: cpu.Workload) -> None:
    """The last sample of every series."""
    told = {one.key: one.value for latest in found for one in latest.series}
    last = workload.tenths[:, -1] / 10.0
    assert told == dict(zip(workload.keys, last.tolist(), strict=True))


def check_top(found: Top, workload: cpu.Workload) -> None:
    """The ten highest means, in order."""
    numbers = [number for number, key in enumerate(workload.keys) if key.metric == METRIC]
    since_us, until_us = found.since_ms * 1000, found.until_ms * 1000
    means = workload.values(np.array(numbers), since_us, until_us).mean(axis=1)
    first = np.sort(means)[::-1][:10]
    np.testing.assert_allclose([one.value for one in found.ranked], first, rtol=1e-9)


def _growth(workload: cpu.Workload, numbers: list[int], since_us: int, until_us: int) -> np.ndarray:
    """Of each of these series between the samples of a window, as if they were counters."""
    values = workload.values(np.array(numbers), since_us, until_us)
    return np.asarray(counters.steps(values[:, :-1], values[:, 1:]).sum(axis=1))


def check_rates(found: Top, workload: cpu.Workload) -> None:
    """The ten that grew most by the second, in order."""
    numbers = [number for number, key in enumerate(workload.keys) if key.metric == METRIC]
    grown = _growth(workload, numbers, found.since_ms * 1000, found.until_ms * 1000)
    first = np.sort(grown * 1000 / (found.until_ms - found.since_ms))[::-1][:10]
    np.testing.assert_allclose([one.value for one in found.ranked], first, rtol=1e-9)


def check_rising(found: Rising, workload: cpu.Workload) -> None:
    """The growth of each series over the window, and that of its steps together."""
    assert len(found.series) == 50
    numbers = [workload.keys.index(one.key) for one in found.series]
    grown = _growth(workload, numbers, found.window.since_us, found.window.until_us)
    np.testing.assert_allclose([one.total for one in found.series], grown, rtol=1e-9)
    np.testing.assert_allclose([one.increase.sum() for one in found.series], grown, rtol=1e-9)


def check_compared(found: Compared, workload: cpu.Workload) -> None:
    """Both days by region."""
    check_groups(found.now, workload)
    day_us = found.offset_us
    before = replace(found.before, window=Window(*(at_us - day_us for at_us in astuple(found.before.window))))
    moved = tuple(replace(one, at_ms=one.at_ms - day_us // 1000) for one in before.series)
    check_groups(replace(before, series=moved), workload)


def check_host(found: list[Trend], workload: cpu.Workload) -> None:
    """One series of each metric."""
    assert len(found) == len(cpu.METRICS)
    for one in found:
        check_trend(one, workload, series=1)


def check_nothing(found: Any, workload: cpu.Workload) -> None:
    """Proved elsewhere (tests/integration): here it is only timed."""
    assert found is not None
    assert workload is not None


def each_host(ask: Reads) -> Trend:
    """8 hosts over 24 hours by 5 minutes."""
    return ask.trend(METRIC, window(24), 5 * MINUTE_US, max_series=8, p95=False)


def all_latest(ask: Reads) -> list[Latest]:
    """1,000 series of ten metrics."""
    return ask.latest_of(cpu.METRICS)


def whole_host(ask: Reads) -> list[Trend]:
    """10 metrics of a host over 12 hours by 1 minute."""
    return ask.trends(cpu.METRICS, window(12), MINUTE_US, HOST, p95=False)


QUESTIONS = (
    Question(
        "one series, 1 h by 1 min",
        lambda ask: ask.trend(METRIC, window(1), MINUTE_US, HOST, p95=False),
        lambda found, workload: check_trend(found, workload, series=1),
    ),
    Question("8 hosts, 24 h by 5 min", each_host, lambda found, workload: check_trend(found, workload, series=8)),
    Question(
        "100 hosts by region, 24 h by 1 h",
        lambda ask: ask.trend(METRIC, window(24), HOUR_US, by="region", p95=False),
        check_groups,
    ),
    Question(
        "p95 per host, 7 d by 1 h",
        lambda ask: ask.trend(METRIC, window(7 * 24), HOUR_US, max_series=100),
        lambda found, workload: check_trend(found, workload, series=100, p95=True),
    ),
    Question("last value of 1,000 series", all_latest, check_latest),
    Question("top 10 hosts over 24 h", lambda ask: ask.top(METRIC, window(24), "avg", 10), check_top),
    Question("10 metrics of a host, 12 h by 1 min", whole_host, check_host),
    Question(
        "pooled p95 by region, 24 h by 1 h",
        lambda ask: ask.trend(METRIC, window(24), HOUR_US, by="region"),
        check_groups,
    ),
    Question(
        "pooled p95 by region, 24 h by 5 min",
        lambda ask: ask.trend(METRIC, window(24), 5 * MINUTE_US, by="region"),
        check_groups,
    ),
    Question(
        "100 hosts by local day (Kathmandu), 7 d",
        lambda ask: ask.calendar(METRIC, window(7 * 24), "day", "Asia/Kathmandu", max_series=100),
        check_nothing,
    ),
    Question("regressions of 100 series", lambda ask: ask.regressions(METRIC), check_nothing),
    Question("top 10 hosts by growth, 24 h", lambda ask: ask.top(METRIC, window(24), "rate", 10), check_rates),
    Question("growth of 50 hosts, 24 h by 5 min", lambda ask: ask.rising(METRIC, window(24)), check_rising),
    Question(
        "by region beside the day before, 24 h by 5 min",
        lambda ask: ask.compare(METRIC, window(24), DAY_US, by="region", p95=False),
        check_compared,
    ),
    Question(
        "the same with pooled p95",
        lambda ask: ask.compare(METRIC, window(24), DAY_US, by="region"),
        check_compared,
    ),
    Question("the overview, with changes of 1,000 series", lambda ask: ask.overview(cpu.END_US), check_nothing),
)
