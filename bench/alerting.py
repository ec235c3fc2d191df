"""What judging costs: samples taken in and series judged per second of one core's time, and bytes a series."""

import time

import numpy as np

from muninn.alerting.book import rule_of
from muninn.alerting.engine import Engine
from muninn.clock import SECOND_US
from muninn.model import SampleBatch, SeriesKey

T0 = 1_700_000_000 * SECOND_US
SIZES = (1_000, 10_000, 100_000)
STEPS, WARM = 24, 4
RULE = {
    "name": "cpu",
    "metric": "cpu_busy_pct",
    "over": "mean",
    "window": "60s",
    "min_points": 2,
    "levels": [
        {"severity": "warning", "above": 90, "recover": 80, "for": "1m"},
        {"severity": "critical", "above": 99},
    ],
}


def run() -> dict[str, object]:
    """One rule of two levels over all series, a sample each every five seconds, none of them bad."""
    return {f"series_{size}": measured(size) for size in SIZES}


def measured(size: int) -> dict[str, float]:
    """CPU time of this process: what else the machine does is not counted."""
    keys = [SeriesKey.of("cpu_busy_pct", {"host": f"h{number}"}) for number in range(size)]
    engine, index = Engine([rule_of(RULE)], T0, max_series=size), np.arange(size, dtype=np.int32)
    values, taking, judging = np.random.default_rng(1), [], []
    for step in range(STEPS):
        now_us = T0 + step * 5 * SECOND_US
        batch = SampleBatch(np.full(size, now_us, np.int64), values.uniform(0, 85, size), index, keys)
        started = time.process_time()
        engine.take(batch)
        taken = time.process_time()
        engine.evaluate(now_us)
        judging.append(time.process_time() - taken)
        taking.append(taken - started)
    return {
        "samples_taken_per_cpu_s": size / float(np.median(taking[WARM:])),
        "series_judged_per_cpu_s": size / float(np.median(judging[WARM:])),
        "judging_ms": 1000 * float(np.median(judging[WARM:])),
        "window_bytes_per_series": engine.samples.nbytes / size,
    }
