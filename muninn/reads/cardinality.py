"""How many series there are, of what, and what makes them grow.

Belongs here: that question. Does not: limits at the door (ingest.gate).
"""

from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from muninn.clock import DAY_US, HOUR_US
from muninn.model.window import as_datetime
from muninn.reads.asking import Asker
from muninn.reads.heartbeats import Heartbeats
from muninn.store import arrays

# Labels are looked at among so many of the youngest series: they are what grows.
LABEL_SAMPLE = 50_000
GROWTH_STEPS = 48


@dataclass(frozen=True)
class Group:
    """Series of one metric or source: in all, and first seen within the last hour and day."""

    name: str
    series: int
    new_hour: int
    new_day: int


@dataclass(frozen=True)
class LabelValues:
    """One label: distinct values and series that have it, and the metric with most of its values."""

    name: str
    distinct_values: int
    series: int
    metric_name: str
    in_metric: int


@dataclass(frozen=True)
class Refused:
    """New series that the door refused: by which limit (metric or source), of what, and the label to blame."""

    limit: str
    subject: str
    label: str
    times: int


@dataclass(frozen=True)
class Growth:
    """New series by hour: `at_ms` int64[n] starts of hours that had any; `total` int64[n] series at their end."""

    at_ms: NDArray[np.int64]
    new: NDArray[np.int64]
    total: NDArray[np.int64]


@dataclass(frozen=True)
class Cardinality:
    """The whole answer. labels: among the `sampled` youngest series. active: as the busiest gateway sees."""

    series: int
    new_hour: int
    new_day: int
    active: int | None
    metrics: tuple[Group, ...]
    sources: tuple[Group, ...]
    labels: tuple[LabelValues, ...]
    refused: tuple[Refused, ...]
    growth: Growth
    sampled: int


def cardinality(ask: Asker, beats: Heartbeats, now_us: int, metric: str | None = None, limit: int = 20) -> Cardinality:
    """Top metrics, sources and labels by series; `metric`: labels of this one alone."""
    spans = {"hour": as_datetime(now_us - HOUR_US), "day": as_datetime(now_us - DAY_US)}
    metrics = _groups(ask, "reads_cardinality_metrics", limit, **spans)
    sources = _groups(ask, "reads_cardinality_sources", limit, **spans)
    found = ask.fetch("reads_cardinality_labels", metric=metric, sample=LABEL_SAMPLE, limit=limit)
    growth = _growth(ask, now_us)
    total = int(growth.total[-1]) if len(growth.total) else 0
    return Cardinality(
        series=total,
        new_hour=_since(ask, now_us - HOUR_US),
        new_day=_since(ask, now_us - DAY_US),
        active=_active(beats),
        metrics=metrics,
        sources=sources,
        labels=tuple(LabelValues(*row) for row in found),
        refused=_refused(beats),
        growth=growth,
        sampled=min(total, LABEL_SAMPLE),
    )


def _groups(ask: Asker, query: str, limit: int, **spans: object) -> tuple[Group, ...]:
    return tuple(Group(*row) for row in ask.fetch(query, limit=limit, **spans))


def _since(ask: Asker, since_us: int) -> int:
    rows = ask.fetch("store_new_series", since=as_datetime(since_us))
    return sum(row.series for row in rows if row.kind == "metric")


def _growth(ask: Asker, now_us: int) -> Growth:
    since_us = now_us // HOUR_US * HOUR_US - (GROWTH_STEPS - 1) * HOUR_US
    row = ask.fetch("reads_cardinality_growth", since=as_datetime(since_us), step=timedelta(hours=1))[0]
    at_ms, new = arrays.received(row.at_ms, np.int64), arrays.received(row.new, np.int64)
    hours = np.arange(GROWTH_STEPS, dtype=np.int64) * (HOUR_US // 1000) + since_us // 1000
    steps = np.zeros(GROWTH_STEPS, np.int64)
    inside = np.isin(at_ms, hours)
    steps[np.searchsorted(hours, at_ms[inside])] = new[inside]
    return Growth(hours, steps, int(row.before) + np.cumsum(steps))


def _active(beats: Heartbeats) -> int | None:
    found = [value for _, value in beats.labelled("muninn_gate_active_series")]
    return round(max(found)) if found else None


def _refused(beats: Heartbeats) -> tuple[Refused, ...]:
    times: dict[tuple[str, str, str], float] = {}
    for labels, value in beats.labelled("muninn_gate_refused_series_total"):
        key = (labels.get("limit", ""), labels.get("subject", ""), labels.get("label", ""))
        times[key] = times.get(key, 0.0) + value
    ranked = sorted(times.items(), key=lambda each: -each[1])
    return tuple(Refused(*key, round(value)) for key, value in ranked)
