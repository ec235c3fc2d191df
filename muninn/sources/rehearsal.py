"""A service that does not exist: the figures that one would send, well or ill, for tests of detection.

Belongs here: what it sends at an instant under given faults. Does not: sending, waiting, real load (run.injecting).
"""

import math
from collections.abc import Set
from typing import Literal

import numpy as np

from muninn.clock import SECOND_US
from muninn.model import SampleBatch, SeriesKey

AGENT = "rehearsal"
Ill = Literal["latency", "errors", "traffic", "silence"]
ILLS: tuple[Ill, ...] = ("latency", "errors", "traffic", "silence")
INSTANCES = ("shop-1", "shop-2")

# Metric: usual level, usual share of noise, and by how much each ill multiplies it.
_METRICS: dict[str, tuple[float, float, dict[str, float]]] = {
    "rehearsal_requests_per_s": (120.0, 0.04, {"traffic": 3.0, "errors": 0.8}),
    "rehearsal_response_time_ms": (45.0, 0.05, {"latency": 3.0, "traffic": 1.3}),
    "rehearsal_response_time_p95_ms": (110.0, 0.08, {"latency": 3.5, "traffic": 1.5}),
    "rehearsal_errors_per_s": (0.6, 0.25, {"errors": 25.0, "latency": 1.5}),
    "rehearsal_db_time_ms": (6.0, 0.06, {"latency": 5.0}),
    "rehearsal_db_connections": (14.0, 0.07, {"latency": 2.0, "traffic": 1.6}),
    "rehearsal_db_queries_per_s": (360.0, 0.04, {"traffic": 2.8, "errors": 0.8}),
    "rehearsal_cache_hit_pct": (92.0, 0.006, {"traffic": 0.95}),
    "rehearsal_cpu_pct": (31.0, 0.06, {"traffic": 2.2}),
    "rehearsal_memory_used_pct": (54.0, 0.008, {"traffic": 1.04}),
}
# A slow swing of ten minutes, so that levels are not constant.
_SWING, _SWING_S = 0.05, 600.0


class Service:
    """Two instances of one service; the first of them falls ill, so that the other can be compared with it."""

    def __init__(self, seed: int = 0):
        self._random = np.random.default_rng(seed)
        self._keys = {
            instance: tuple(SeriesKey.of(metric, {"service": "shop"}, AGENT, instance) for metric in _METRICS)
            for instance in INSTANCES
        }

    def read(self, at_us: int, ills: Set[str] = frozenset()) -> SampleBatch:
        """What is sent at this instant."""
        swing = 1.0 + _SWING * math.sin(2 * math.pi * at_us / SECOND_US / _SWING_S)
        parts = []
        for instance, keys in self._keys.items():
            of_instance = ills if instance == INSTANCES[0] else frozenset()
            if "silence" not in of_instance:
                parts.append(self._of(keys, at_us, swing, of_instance))
        return SampleBatch.concat(parts)

    def _of(self, keys: tuple[SeriesKey, ...], at_us: int, swing: float, ills: Set[str]) -> SampleBatch:
        noise = self._random.normal(size=len(keys))
        value = np.empty(len(keys))
        for place, (metric, (level, share, effects)) in enumerate(_METRICS.items()):
            swings = 1.0 if metric.endswith("_pct") else swing
            factor = math.prod(effects.get(ill, 1.0) for ill in ills)
            value[place] = max(0.0, level * factor * swings * (1.0 + share * noise[place]))
        return SampleBatch(np.full(len(keys), at_us), value, np.arange(len(keys), dtype=np.int32), keys)
