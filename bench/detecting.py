"""What detection adds between a sample and its score: the detector on real servers, one sample a series and step.

A feeder in a process of its own appends to the buffer as agents do, spread over each step of ten seconds. Measured is
from the end of a step until its scores have been told, and what that cost; `engine` is scoring alone (bench.detect).
"""

import subprocess
import sys
import time

import numpy as np
import psutil

from bench.detect import SIZES, speed
from bench.path import path
from muninn.cache import RedisScoreLog, connect
from muninn.clock import SECOND_US, SystemClock
from muninn.ingest.buffer.valkey import ValkeyBroker
from muninn.meter import Meter
from muninn.model import SampleBatch, SeriesKey
from muninn.run.detecting import Detecting
from muninn.settings import Detection
from muninn.store.database import Database

STEP_S, MET_STEPS, MEASURED_STEPS = 10, 2, 4
PARTS = 100
METRICS_A_HOST = 50
Figures = dict[str, float]


def run() -> dict[str, object]:
    """By number of series."""
    figures: dict[str, object] = {}
    with path(0) as started:
        for series in SIZES:
            figures[f"{series:,} series"] = measure(started.database_url, started.redis_url, series)
            print(f"  {series:,} series: {figures[f'{series:,} series']}", flush=True)
    return figures


def measure(database_url: str, redis_url: str, series: int) -> Figures:
    """One detector, from its first sample on; its steps after all series are known."""
    seconds = STEP_S * (MET_STEPS + MEASURED_STEPS + 2)
    feeder = subprocess.Popen([sys.executable, "-m", "bench.detecting", redis_url, str(series), str(seconds)])
    broker, resident = ValkeyBroker(redis_url), psutil.Process().memory_info().rss
    try:
        with Database(database_url, pool_size=2) as database:
            config = Detection.model_validate({"max_series": series, "save_s": 3600.0})
            detecting = Detecting(config, broker, RedisScoreLog(connect(redis_url)), database, SystemClock(), Meter())
            added_s, cpu_s = _turn(detecting, series)
            held = psutil.Process().memory_info().rss - resident
            started = time.process_time()
            saved = len(detecting.watch.to_bytes())
            saving_s = time.process_time() - started
    finally:
        feeder.kill()
        feeder.wait()
        broker.close()
    return {
        "from the end of a step to its scores, s, median": float(np.median(added_s)),
        "the same, most": max(added_s),
        "of these waited for stragglers, s": config.settle_s,
        "CPU ms a step": 1e3 * float(np.median(cpu_s)),
        "scored per second and core": series / float(np.median(cpu_s)),
        "of that the engine alone": speed(series)["scored per second and core"],
        "bytes of state per series": saved / series,
        "resident bytes per series": held / series,
        "CPU s to write it down": saving_s,
    }


def _turn(detecting: Detecting, series: int) -> tuple[list[float], list[float]]:
    """(seconds from a step's end to its scores, CPU seconds) of each measured step, reading it included."""
    added_s, cpu_s, spent_s, met = [], [], 0.0, 0
    while len(added_s) < MEASURED_STEPS:
        before_us, started = detecting.watch.steps.until_us, time.process_time()
        detecting.turn()
        spent_s += time.process_time() - started
        judged_us = detecting.watch.steps.until_us
        if judged_us > before_us and len(detecting.watch) == series:
            met += 1
            if met > MET_STEPS:
                added_s.append((time.time_ns() // 1000 - judged_us) / SECOND_US)
                cpu_s.append(spent_s)
            spent_s = 0.0
    return added_s, cpu_s


def feed(redis_url: str, series: int, seconds: int) -> None:
    """Append one sample a series and step, in parts spread over the step."""
    broker, random = ValkeyBroker(redis_url), np.random.default_rng(0)
    parts = []
    for numbers in np.array_split(np.arange(series), min(PARTS, series // 10)):
        hosts = [(f"m{number % METRICS_A_HOST}", f"host-{number // METRICS_A_HOST}") for number in numbers.tolist()]
        parts.append(tuple(SeriesKey.of(metric, {"host": host}, "bench", host) for metric, host in hosts))
    begun = time.monotonic()
    for number in range(seconds * len(parts) // STEP_S):
        time.sleep(max(0.0, begun + number * STEP_S / len(parts) - time.monotonic()))
        keys = parts[number % len(parts)]
        at_us = np.full(len(keys), time.time_ns() // 1000)
        value = 50 + random.normal(size=len(keys))
        broker.append(SampleBatch(at_us, value, np.arange(len(keys), dtype=np.int32), keys))


if __name__ == "__main__":
    feed(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
