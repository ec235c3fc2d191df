"""The answers that reads give, as frozen values.

Belongs here: the shapes that pages, the JSON API and the stream build on. Does not: how they are found.
Instants leave as epoch milliseconds (`_ms`); a figure that is not known is None, never NaN.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from muninn.errors import Invalid
from muninn.model import SeriesKey, Window

State = Literal["ok", "degraded", "down"]
Direction = Literal["up", "down"]


class UnknownMetric(Invalid):
    """No series has this metric name; `close` holds the names most like it."""

    def __init__(self, metric: str, close: tuple[str, ...] = ()):
        hint = f"; did you mean {', '.join(close)}?" if close else "; GET /api/v1/metrics lists the names."
        super().__init__(f"no metric is named {metric!r}{hint}", "metric")
        self.metric = metric
        self.close = close


@dataclass(frozen=True)
class MetricInfo:
    """One metric name: kind "gauge" or "counter", unit as in "bytes" or "%", label names in order."""

    metric_name: str
    kind: str
    unit: str
    help: str
    label_names: tuple[str, ...]
    series_count: int
    last_seen_ms: int | None


@dataclass(frozen=True, eq=False)
class TrendSeries:
    """One series by step; all arrays have the same length, and a step without samples has no point.

    at_ms: int64[n], start of the step. avg, min, max, p95: float64[n], finite. count: int64[n], > 0.
    p95 is within 1 % of the sample of nearest rank. rate: float64[n], a counter's growth per second, exact on its
    samples, NaN where a step has none; None where it was not asked for.
    """

    key: SeriesKey
    at_ms: NDArray[np.int64]
    avg: NDArray[np.float64]
    min: NDArray[np.float64]
    max: NDArray[np.float64]
    p95: NDArray[np.float64]
    count: NDArray[np.int64]
    rate: NDArray[np.float64] | None = None


@dataclass(frozen=True, eq=False)
class Trend:
    """A metric over a window: `series` in order of their keys.

    window: what was read, whole steps. step_us: the step in microseconds. resolution: what was read from,
    "raw", "1min", "5min", "1hour" or "1day". truncated: how many series match in all where that is more
    than were asked for; None when all are here.
    """

    metric: str
    kind: str
    unit: str
    window: Window
    step_us: int
    resolution: str
    series: tuple[TrendSeries, ...]
    truncated: int | None


@dataclass(frozen=True, eq=False)
class RecentSeries:
    """Raw samples of one series in order of time. at_ms: int64[n]. value: float64[n], finite."""

    key: SeriesKey
    at_ms: NDArray[np.int64]
    value: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Recent:
    """Raw samples of a metric; `truncated` as in Trend."""

    metric: str
    kind: str
    unit: str
    series: tuple[RecentSeries, ...]
    truncated: int | None


@dataclass(frozen=True)
class PartHealth:
    """One part of the platform; `reasons` are sentences and empty when it is ok."""

    part: str
    state: State
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Health:
    """The worst state of all parts, in one word and one sentence."""

    state: State
    summary: str
    parts: tuple[PartHealth, ...]


@dataclass(frozen=True)
class Totals:
    """series: known series. samples_per_min: stored in the last whole minute, a distribution as all of its values.
    bytes_on_disk: raw and rollups, as they were at most a minute ago."""

    series: int
    samples_per_min: int
    bytes_on_disk: int


@dataclass(frozen=True)
class HostLoad:
    """The latest figures of one host, busiest first; None where the host does not send that metric."""

    host: str
    at_ms: int
    cpu_busy_pct: float | None
    memory_used_pct: float | None
    load_1m: float | None


@dataclass(frozen=True)
class Change:
    """A series whose mean of the last 10 minutes left that of the 50 minutes before.

    before, now: the two means, in `unit`. spread: standard deviation of the baseline's 1-minute means.
    score: |now - before| over the spread (with a floor), so 3 means three times its usual wobble.
    change_pct: relative to `before`; None where that is 0. summary: a sentence for a person.
    """

    key: SeriesKey
    unit: str
    direction: Direction
    before: float
    now: float
    spread: float
    score: float
    change_pct: float | None
    summary: str


@dataclass(frozen=True)
class Overview:
    """The fleet at `at_ms`; `age_s` is how old this answer is (0 when it was just computed)."""

    at_ms: int
    health: Health
    totals: Totals
    hosts: tuple[HostLoad, ...]
    changes: tuple[Change, ...]
    age_s: float = 0.0


@dataclass(frozen=True)
class RollupFreshness:
    """How far one resolution is refreshed: buckets before `watermark_ms` are; `behind_s` is now less that.

    late_waiting: late rows below the watermark that the next refresh will fold in.
    """

    resolution: str
    watermark_ms: int | None
    behind_s: float | None
    late_waiting: int


@dataclass(frozen=True)
class PartitionInfo:
    """One partition of raw rows or of a rollup: [since_ms, until_ms)."""

    table: str
    since_ms: int
    until_ms: int
    rows_estimate: int
    bytes: int


@dataclass(frozen=True)
class ProgramState:
    """One running program by its heartbeat; more than a few seconds of age and it hangs or is gone."""

    program: str
    instance: str
    pid: int
    started_ms: int
    heartbeat_age_s: float


@dataclass(frozen=True)
class PipelineState:
    """The way from the door to the rollups at `at_ms`.

    Rates are per second over the programs' last few seconds; a figure that no program publishes is None.
    store_away: what the store said while it is away; then what only it knows is None. None while it answers.
    """

    at_ms: int
    ingest_samples_per_s: float | None
    rejected_samples_per_s: float | None
    stored_samples_per_s: float | None
    buffer_depth_entries: int | None
    buffer_bytes: int | None
    loader_lag_s: float | None
    newest_sample_ms: int | None
    late_rows_waiting: int | None
    resolutions: tuple[RollupFreshness, ...] | None
    partitions: tuple[PartitionInfo, ...] | None
    bytes_on_disk: int | None
    programs: tuple[ProgramState, ...]
    # Age of the oldest entry that waits: unlike the loader's lag it grows while no loader runs.
    buffer_lag_s: float | None = None
    # False where the engine makes a partition when its first row comes.
    partitions_made_ahead: bool = True
    store_away: str | None = None

    @property
    def waiting_s(self) -> float | None:
        """How long samples take from the buffer into the store; None where no program tells."""
        return max((lag for lag in (self.buffer_lag_s, self.loader_lag_s) if lag is not None), default=None)
