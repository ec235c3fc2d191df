"""What a metric's name says about its part in a service: the declared table from names to features.

Belongs here: the table, finding a metric's feature, the order of features. Does not: models, causes.

The first line that fits counts. What a deployment does not have is left out of its models; add a line for a
metric of your own (docs/detection.md).
"""

import fnmatch
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from muninn.model import SeriesKey

Combine = Literal["mean", "max", "sum"]


@dataclass(frozen=True)
class Feature:
    """One quantity of a host or a service.

    patterns: of metric names (fnmatch). labels: that a series must have as well. combine: several series to one.
    modelled: part of the multivariate model, else only evidence for a cause.
    """

    name: str
    patterns: tuple[str, ...]
    labels: tuple[tuple[str, str], ...] = ()
    combine: Combine = "mean"
    modelled: bool = True


FEATURES = (
    Feature("response_p95", ("*response*p95*", "*latency*p95*", "*duration*p95*", "*response*95th*", "*_p95_ms")),
    Feature("db_time", ("*db_*time*", "*database*time*", "*db_*duration*", "*query_*ms", "*query_*seconds*",
                        "*sql*time*", "pg_stat_*time*", "*database*latency*")),
    Feature("gc", ("*gc_*", "*garbage*")),
    Feature("response_mean", ("*response_time*", "*response_ms*", "*latency*", "*request_duration*",
                              "*request*_seconds*", "*request*_ms")),
    Feature("error_rate", ("*error*", "*fail*", "*5xx*", "*exception*", "*rejected*"), combine="sum"),
    Feature("steal", ("cpu_usage_pct", "node_cpu_*"), (("mode", "steal"),), modelled=False),
    Feature("cpu", ("cpu_busy_pct",), (("cpu", "total"),)),
    Feature("cpu_core", ("cpu_busy_pct", "cpu_usage_pct", "load_*"), modelled=False),
    Feature("process_cpu", ("process_cpu_pct", "*process_cpu_seconds*"), modelled=False),
    Feature("process_memory", ("process_memory_bytes", "*resident*bytes", "*heap*bytes*", "*rss*"), modelled=False),
    Feature("cpu", ("*cpu*pct", "*cpu*percent*", "*cpu*ratio*"), combine="max"),
    Feature("memory", ("memory_used_pct", "*memory*pct", "*mem*percent*", "memory_used_bytes")),
    Feature("swap", ("swap_used_*",), modelled=False),
    Feature("memory_free", ("memory_available_*", "*memory*free*"), modelled=False),
    Feature("connections", ("*connection*", "*_conns*", "*pool_*"), combine="sum"),
    Feature("query_rate", ("*queries_per_s", "*query_count*", "*queries*total", "*_qps"), combine="sum"),
    Feature("cache_hit", ("*cache*hit*",)),
    Feature("evictions", ("*evict*",), combine="sum"),
    Feature("request_rate", ("*requests_per_s", "*request_rate*", "*requests_total", "*_rps", "*ingest_samples_total"),
            combine="sum"),
    Feature("viewers", ("*viewers*", "*sessions*active*", "*active_users*"), combine="sum"),
    Feature("queue", ("*queue*", "*lag*", "*backlog*", "*depth*"), combine="max", modelled=False),
    Feature("disk_space", ("filesystem_used_pct", "filesystem_free_bytes", "*disk_used*"), modelled=False),
    Feature("disk_busy", ("disk_busy_pct", "disk_*_per_s", "*iowait*"), modelled=False),
    Feature("network", ("network_*",), modelled=False),
    Feature("up", ("up", "*_up"), modelled=False),
)  # fmt: skip

HOUR, WEEKDAY = "hour", "weekday"
TRENDS = {"memory_trend": "memory", "response_trend": "response_mean", "error_trend": "error_rate"}
# The order of a model's columns; what a place does not have is missing from its row.
MODELLED = (HOUR, WEEKDAY, *dict.fromkeys(each.name for each in FEATURES if each.modelled), *TRENDS)


@lru_cache(maxsize=65_536)
def feature_of(key: SeriesKey) -> Feature | None:
    """The feature that a series belongs to; None for one that the table does not know."""
    name, labels = key.metric.lower(), dict(key.labels)
    for feature in FEATURES:
        fits = any(fnmatch.fnmatchcase(name, pattern) for pattern in feature.patterns)
        if fits and all(labels.get(label) == value for label, value in feature.labels):
            return feature
    return None
