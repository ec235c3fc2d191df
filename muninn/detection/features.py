"""What a metric's name says about its part in a service: the declared table from names to features.

Belongs here: the table, finding a metric's feature, the order of features. Does not: models, causes, arithmetic
(places).

The first line that fits counts. What a deployment does not have is left out of its models; add a line for a
metric of your own (docs/detection.md). Names are those of Muninn's collector, of Prometheus' exporters and client
libraries (a histogram's _sum and _count are a mean, and a rate of requests), of Telegraf and of OpenTelemetry.
"""

import fnmatch
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from muninn import names
from muninn.model import SeriesKey

Combine = Literal["mean", "max", "sum"]
# Endings of names of what only grows; a `_count` does so beside a time's `_sum`.
_RISING = ("_total", "_sum", "_bucket", "_seconds_count", "_milliseconds_count", "_ms_count", "_duration_count",
           "_time_count", "_latency_count")  # fmt: skip


@dataclass(frozen=True)
class Feature:
    """One quantity of a host or a service.

    patterns: of metric names (fnmatch). labels: that a series must have as well (their values fnmatch, too). combine:
    several series to one. column: of the model's table that it fills, its own name if it has none given; "" for one
    that is evidence for a cause only. Of a place's series for one column only those count that stand highest in the
    table of features, pattern by pattern.
    """

    name: str
    patterns: tuple[str, ...]
    labels: tuple[tuple[str, str], ...] = ()
    combine: Combine = "mean"
    column: str | None = None

    @property
    def fills(self) -> str:
        """The column that it fills, "" for none."""
        return self.name if self.column is None else self.column


FEATURES = (
    Feature("size", ("*request*size*", "*response*size*", "*body*size*"), column=""),
    Feature("db_buckets", ("*db_*_bucket", "*database*_bucket", "*query*_bucket", "*sql*_bucket"), column=""),
    Feature("response_buckets", ("*request*_bucket", "*response*_bucket", "*latency*_bucket", "*duration*_bucket",
                                 "*handling_seconds_bucket"), combine="sum", column="response_buckets"),
    Feature("buckets", ("*_bucket",), column=""),
    Feature("response_p95", ("*response*p95*", "*latency*p95*", "*duration*p95*", "*response*95th*", "*_p95_ms")),
    Feature("response_p95", ("*response*", "*latency*", "*duration*"), (("quantile", "0.95"),)),
    # Of another kind than the 95th: not beside it in one column.
    Feature("response_p95", ("*response*_p[5-9]*", "*latency*_p[5-9]*", "*duration*_p[5-9]*"), column=""),
    Feature("quantile", ("*",), (("quantile", "*"),), column=""),
    Feature("db_total", ("*db_*_sum", "*database*_sum", "*query*_sum", "*sql*_sum"), combine="sum", column="db_sum"),
    Feature("query_rate", ("*db_*_count", "*database*_seconds_count", "*query*_seconds_count", "*sql*_count"),
            combine="sum", column="db_count"),
    Feature("gc", ("*gc_*_sum", "*gc_*time*", "*gc_*second*total", "*gc_*_total", "*gc_*", "*garbage*"),
            combine="sum"),
    Feature("db_time", ("*db_*time*", "*database*time*", "*db_*duration*", "*query_*ms", "*query_*seconds*",
                        "*sql*time*", "pg_stat_*time*", "*database*latency*")),
    Feature("response_total", ("*response*_sum", "*request*_sum", "*latency*_sum", "*duration*_sum",
                               "*handling_seconds_sum"), combine="sum", column="response_sum"),
    Feature("request_rate", ("*response*_count", "*request*_seconds_count", "*request*_ms_count", "*latency*_count",
                             "*duration*_count", "*handling_seconds_count"), combine="sum", column="response_count"),
    Feature("response_mean", ("*response_time*", "*response_ms*", "*latency*", "*request_duration*",
                              "*request*_seconds*", "*request*_ms")),
    Feature("error_rate", ("*error*", "*fail*", "*5xx*", "*exception*", "*rejected*"), combine="sum"),
    Feature("steal", ("cpu_usage_pct", "node_cpu_*"), (("mode", "steal"),), column=""),
    Feature("steal", ("cpu_usage_steal",), column=""),
    Feature("cpu", ("cpu_busy_pct",), (("cpu", "total"),)),
    Feature("cpu_core", ("cpu_busy_pct", "cpu_usage_pct", "load_*"), column=""),
    Feature("cpu_idle", ("node_cpu_seconds_total",), (("mode", "idle"),), column="idle_share"),
    Feature("cpu_idle", ("cpu_usage_idle",), (("cpu", "cpu-total"),), column="idle_pct"),
    Feature("process_memory", ("process_resident_memory_bytes", "container_memory_working_set_bytes",
                               "jvm_memory_used_bytes", "*resident*bytes", "*rss*", "process_memory_bytes",
                               "*heap*bytes*"), combine="sum", column="process_memory"),
    Feature("process_cpu", ("process_cpu_seconds_total", "container_cpu_usage_seconds_total", "process_cpu_pct",
                            "*process_cpu_seconds*"), combine="sum", column="process_cpu"),
    Feature("cpu", ("*cpu*pct", "*cpu*percent*", "*cpu*ratio*", "*cpu*utilization*"), combine="max"),
    Feature("memory", ("memory_used_pct", "*memory*pct", "*mem*percent*", "memory_used_bytes", "*memory_utilization*")),
    Feature("swap", ("swap_used_*",), column=""),
    Feature("memory_free", ("memory_available_*", "*memory*free*"), column=""),
    Feature("memory_free", ("node_memory_memavailable_bytes",), column="memory_left"),
    Feature("memory_size", ("node_memory_memtotal_bytes",), column="memory_all"),
    Feature("viewers", ("*viewers*", "*sessions*active*", "*active_sessions*", "*active_users*", "*websocket*clients*"),
            combine="sum"),
    Feature("connections", ("*connection*", "*_conns*", "*pool_*", "*numbackends*", "pg_stat_activity_count",
                            "*connected_clients*", "*threads_connected*"), combine="sum"),
    Feature("query_rate", ("*queries_per_s", "*query_count*", "*queries*total", "*_qps", "mysql_global_status_queries",
                           "*commands_processed*", "*xact_commit*"), combine="sum"),
    Feature("cache_hit", ("*cache*hit*pct*", "*cache*hit*ratio*", "*cache*hit*percent*", "*cache*hit*rate*")),
    Feature("cache_hits", ("*cache*hits*", "*keyspace_hits*"), combine="sum", column="cache_hits"),
    Feature("cache_misses", ("*cache*miss*", "*keyspace_misses*"), combine="sum", column="cache_misses"),
    Feature("cache_hit", ("*cache*hit*",)),
    Feature("evictions", ("*evict*",), combine="sum"),
    *(Feature("error_rate", ("*requests_total", "*_handled_total"), ((label, "5??"),), combine="sum")
      for label in ("code", "status", "status_code")),
    Feature("request_rate", ("*requests_per_s", "*request_rate*", "*requests_total", "*_rps", "*ingest_samples_total"),
            combine="sum"),
    Feature("queue", ("*queue*", "*lag*", "*backlog*", "*depth*"), combine="max", column=""),
    Feature("disk_space", ("filesystem_used_pct", "filesystem_free_bytes", "*disk_used*"), column=""),
    Feature("disk_busy", ("disk_busy_pct", "disk_*_per_s", "*iowait*"), column=""),
    Feature("network", ("network_*",), column=""),
    Feature("up", ("up", "*_up"), column=""),
)  # fmt: skip

HOUR, WEEKDAY = "hour", "weekday"
TRENDS = {"memory_trend": "memory", "response_trend": "response_mean", "error_trend": "error_rate"}
BUCKETS = "response_buckets"
# Columns that only others are made of (parts): sums beside counts, what stands in where there is nothing better.
PARTS = ("db_sum", "db_count", "response_sum", "response_count", "idle_share", "idle_pct", "process_memory",
         "process_cpu", "memory_left", "memory_all", "cache_hits", "cache_misses", BUCKETS)  # fmt: skip
# The order of a model's columns; what a place does not have is missing from its row.
MODELLED = (
    HOUR, WEEKDAY, "response_p95", "db_time", "gc", "response_mean", "error_rate", "cpu", "memory", "connections",
    "query_rate", "cache_hit", "evictions", "request_rate", "viewers", *TRENDS,
)  # fmt: skip


def feature_of(key: SeriesKey) -> Feature | None:
    """The feature that a series belongs to; None for one that the table does not know."""
    return ranked(key)[0]


@lru_cache(maxsize=65_536)
def ranked(key: SeriesKey) -> tuple[Feature | None, int]:
    """The feature, and where its pattern stands in the table: the lower the better."""
    name, labels, rank = key.metric.lower(), dict(key.labels), 0
    for feature in FEATURES:
        named = all(fnmatch.fnmatchcase(labels.get(label, ""), value) for label, value in feature.labels)
        fits = named and all(label in labels for label, _ in feature.labels)
        for pattern in feature.patterns:
            if fits and fnmatch.fnmatchcase(name, pattern):
                return feature, rank
            rank += 1
    return None, rank


def rises(metric: str) -> bool:
    """Whether it only grows, as its name says: what counts is its rise per second."""
    return metric.endswith(_RISING) or names.describe(metric).kind == "counter"
