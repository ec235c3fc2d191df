"""Every name that two rooms must agree on: Redis keys and channels, and what each metric is.

Belongs here: key names, the registry of metrics (kind, unit, help), and how kind and unit follow from a
name that is not in it. Does not: values, labels, anything that talks to a server.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

GROUP = "loaders"
DEAD_LETTERS = "muninn:deadletter"
DEAD_LETTER_BYTES = "muninn:deadletter:bytes"
# Of which entry and reason each letter is.
DEAD_LETTER_INDEX = "muninn:deadletter:index"
# The newest id that was given to entries of several shards.
LAST_ID = "muninn:ingest:last"
# Loaders by when they were last there, in milliseconds.
LOADERS = "muninn:loaders"
# Grows whenever somebody needs the names of all series again; see ingest.buffer.roster.
NAMES_EPOCH = "muninn:names"
# Since when the buffer remembers running totals, in microseconds.
TALLIES_SINCE = "muninn:tallies"
HOST_AGENT = "host-collector"
OWN_AGENT = "muninn"
STATSD_AGENT = "statsd"
OWN_PREFIX = "muninn_"
# The metric of a score that is not of one series: the multivariate model of a host or a service.
MODEL_SCORE = "muninn_model_score"
# Every open alert, as a series that the alerter sends: what the stream's channel `alerts` shows.
ALERTS = "muninn_alert_state"
ALERT_AGENT = "alerter"

Kind = Literal["gauge", "counter"]


def ingest_stream(shard: int = 0) -> str:
    """The stream between the gateway and the loaders."""
    return f"muninn:ingest:{shard}"


def score_stream() -> str:
    """The stream between the detector and those who act on scores."""
    return "muninn:scores"


def lease_key(shard: int) -> str:
    """Which loader takes the entries of a shard."""
    return f"muninn:lease:{shard}"


def idempotency_key(key: str) -> str:
    """Where the entry id of a request with this Idempotency-Key is kept."""
    return f"muninn:idempotency:{key}"


def tally_key(name: str) -> str:
    """Where a running total is kept."""
    return f"muninn:tally:{name}"


def board_key(program: str, instance: str) -> str:
    """Where a program's heartbeat is kept."""
    return f"muninn:board:{program}:{instance}"


def cache_key(name: str) -> str:
    """Where a cached answer is kept."""
    return f"muninn:cache:{name}"


@dataclass(frozen=True)
class Metric:
    """What a metric is: `kind`, the `unit` as an axis shows it ("" for a plain count), and one line of help."""

    name: str
    kind: Kind
    unit: str
    help: str = ""


# Longest suffix first: "_bytes_per_s" must win over "_per_s".
_UNITS = (
    ("_bytes_per_s", "B/s"),
    ("_per_s", "/s"),
    ("_bytes", "B"),
    ("_percent", "%"),
    ("_pct", "%"),
    ("_ratio", "ratio"),
    ("_seconds", "s"),
    ("_us", "µs"),
    ("_ms", "ms"),
    ("_s", "s"),
    ("_celsius", "°C"),
    ("_volts", "V"),
    ("_watts", "W"),
    ("_hertz", "Hz"),
)


@lru_cache(4096)
def infer(name: str) -> Metric:
    """Kind and unit as the name's suffix tells them: `_total` is a counter, `_bytes` is in bytes, and so on."""
    stem = name.removesuffix("_total")
    unit = next((unit for suffix, unit in _UNITS if stem.endswith(suffix)), "")
    return Metric(name, "counter" if stem != name else "gauge", unit)


def describe(name: str) -> Metric:
    """The registered metric, or what its name tells."""
    return REGISTRY.get(name) or infer(name)


_HELP = {
    # The host, from the collector.
    "cpu_usage_pct": "share of the time that a core (or `total`) spent in a mode",
    "cpu_busy_pct": "share of the time that a core (or `total`) was not idle and not waiting for a disk",
    "memory_total_bytes": "memory of the machine",
    "memory_used_bytes": "memory in use, caches not counted",
    "memory_available_bytes": "memory that programs can still get without swapping",
    "memory_cached_bytes": "memory that holds file contents",
    "memory_buffers_bytes": "memory that holds block device buffers",
    "memory_used_pct": "share of the memory that is not available",
    "swap_total_bytes": "swap space of the machine",
    "swap_used_bytes": "swap space in use",
    "swap_used_pct": "share of the swap space in use",
    "disk_read_bytes_per_s": "bytes read from a device",
    "disk_written_bytes_per_s": "bytes written to a device",
    "disk_reads_per_s": "read operations of a device",
    "disk_writes_per_s": "write operations of a device",
    "disk_busy_pct": "share of the time that a device had work",
    "filesystem_used_pct": "share of a filesystem in use",
    "filesystem_free_bytes": "space of a filesystem that plain users can still take",
    "network_received_bytes_per_s": "bytes received by a network device",
    "network_sent_bytes_per_s": "bytes sent by a network device",
    "network_received_packets_per_s": "packets received by a network device",
    "network_sent_packets_per_s": "packets sent by a network device",
    "network_errors_per_s": "packets that a network device received or sent with an error",
    "network_drops_per_s": "packets that a network device dropped",
    "load_1m": "runnable and waiting tasks, mean over 1 minute",
    "load_5m": "runnable and waiting tasks, mean over 5 minutes",
    "load_15m": "runnable and waiting tasks, mean over 15 minutes",
    "open_files": "open file handles of the machine",
    "process_count": "processes of the machine",
    "pressure_pct": "share of time in which some or all (kind) tasks waited for a resource",
    "context_switches_per_s": "switches between tasks",
    "interrupts_per_s": "hardware interrupts",
    "uptime_s": "time since the machine started",
    "process_cpu_pct": "CPU of all processes of one name; 100 is one core",
    "process_memory_bytes": "resident memory of all processes of one name; shared pages count in each",
    # Targets of the scraper, as Prometheus names them.
    "up": "1 where the last scrape of a target went well, else 0",
    "scrape_duration_seconds": "time that the scrape of a target took",
    "scrape_samples_scraped": "samples in a target's text",
    # Muninn itself.
    "muninn_ingest_requests_total": "requests at the ingest door, by status",
    "muninn_ingest_samples_total": "samples that the buffer has durably",
    "muninn_ingest_refused_total": "samples refused at the door, by reason",
    "muninn_ingest_rejected_total": "samples refused at the door as bad",
    "muninn_ingest_bytes_total": "request bytes at the ingest door, as sent",
    "muninn_gate_refused_total": "samples of new series over a limit",
    "muninn_gate_refused_series_total": "new series over a limit, by limit, metric or source, and the label to blame",
    "muninn_gate_left_out_total": "samples that rules at the door leave out",
    "muninn_gate_new_series_total": "series seen for the first time",
    "muninn_gate_active_series": "series that sent something within the last hour",
    "muninn_access_refused_total": "requests that were not let in, by reason",
    "muninn_token_requests_total": "requests let in by a token, by its name",
    "muninn_token_samples_total": "samples sent with a token, by its name",
    "muninn_ingest_stage_seconds_total": "time spent at the door, by stage",
    "muninn_buffer_depth_entries": "buffer entries that are not in the store yet",
    "muninn_buffer_held_bytes": "bytes of the buffer entries that are not in the store yet",
    "muninn_buffer_used_pct": "how near the buffer is to its bounds, in bytes or in age; at 100 it takes nothing more",
    "muninn_buffer_lag_s": "age of the oldest buffer entry that is not in the store yet",
    "muninn_buffer_dead_letters": "entries in the dead-letter stream",
    "muninn_loader_rows_total": "samples written to the store",
    "muninn_loader_entries_total": "buffer entries written to the store",
    "muninn_loader_batches_total": "transactions that wrote to the store",
    "muninn_loader_duplicates_total": "samples that replaced one of the same series and time",
    "muninn_loader_late_total": "samples older than the newest of their series",
    "muninn_loader_refused_total": "loaded samples that the store can never keep, by reason",
    "muninn_loader_dead_letters_total": "buffer entries that could never be loaded",
    "muninn_loader_retries_total": "loads that were put off because a server was away",
    "muninn_loader_lag_s": "age of the oldest entry of the last load, when it was in the store",
    "muninn_loader_stage_seconds_total": "time spent by the loader, by stage",
    "muninn_client_sent_total": "samples that the gateway took from this client",
    "muninn_client_refused_total": "samples that the gateway refused as bad",
    "muninn_client_dropped_total": "samples dropped because the queue was full",
    "muninn_client_retries_total": "requests sent again",
    "muninn_client_queue_samples": "samples waiting to be sent",
    "muninn_collector_readings_total": "readings of the host",
    "muninn_scraper_targets": "targets that are scraped",
    "muninn_scraper_scrapes_total": "scrapes, by result",
    "muninn_scraper_samples_total": "scraped samples that were sent on",
    "muninn_scraper_left_out_total": "what was scraped and not sent on, by kind",
    "muninn_statsd_lines_total": "StatsD lines, by result",
    "muninn_statsd_series": "gauges kept between flushes",
    "muninn_statsd_dropped_total": "StatsD values dropped because there were too many series or values",
    "muninn_query_count_total": "reads of the store, by query",
    "muninn_query_seconds_total": "time spent reading the store, by query",
    "muninn_query_peak_ms": "slowest read of the store since the last heartbeat, by query",
    "muninn_cache_hits_total": "answers found fresh in the cache, by answer",
    "muninn_cache_misses_total": "answers that had to be computed, by answer",
    "muninn_process_cpu_seconds_total": "CPU time of one of Muninn's own programs",
    "muninn_process_resident_bytes": "resident memory of one of Muninn's own programs",
    "muninn_viewers": "connected viewers of the stream",
    "muninn_stream_channels": "channels that someone watches, or did a moment ago",
    "muninn_stream_series": "series that the sidecar keeps for its channels",
    "muninn_stream_frames_encoded_total": "channel frames encoded, each once for all who watch it",
    "muninn_stream_frames_total": "messages sent to viewers",
    "muninn_stream_sent_bytes_total": "bytes of the messages sent to viewers",
    "muninn_stream_dropped_total": "messages withheld from viewers who read too slowly",
    "muninn_stream_cut_total": "viewers cut off, by reason",
    "muninn_stream_refused_total": "viewers turned away, by reason",
    "muninn_stream_lag_ms": "age of the newest buffer entry when the sidecar took it",
    "muninn_stream_tick_count_total": "ticks of the sidecar",
    "muninn_stream_tick_seconds_total": "time that the sidecar's ticks took",
    "muninn_stream_tick_peak_ms": "the longest tick of the last second",
    "muninn_alert_state": "an open alert: 1 pending, 2 firing, 3 firing and silenced, inhibited or under maintenance",
    "muninn_alerts": "open alerts, by state",
    "muninn_alerts_flapping": "alerts that came and went so often that they are damped",
    "muninn_alert_rules": "rules that are judged",
    "muninn_alert_rule_faults": "rules, routes and receivers that are left out because something is wrong in them",
    "muninn_alert_series": "series that rules look at",
    "muninn_alert_series_left_out": "series that rules would look at, beyond MUNINN_ALERTING_MAX_SERIES",
    "muninn_alert_changes_total": "alerts that came, changed or went, by rule",
    "muninn_alert_notifications_total": "attempts to notify, by receiver and how they ended",
    "muninn_alert_notifications_waiting": "notifications that are not sent yet",
    "muninn_alert_notify_latency_s": "from the decision to notify until the receiver took it, last notification",
    "muninn_alert_backlog": "changes of alerts that are not in the store yet",
    "muninn_alert_precision_ratio": "share of the alerts of the last 30 days with feedback that were useful",
    "muninn_alert_evaluation_count_total": "judgements of a rule",
    "muninn_alert_evaluation_seconds_total": "time spent judging rules",
    "muninn_alert_evaluation_peak_ms": "the longest judgement of a rule of the last second",
    "muninn_alerter_leads": "1 at the alerter that decides, 0 at those that stand by",
    "muninn_part_up": "1 where a part of the platform answers the alerter, else 0",
    "muninn_rollup_behind_s": "for how long the next bucket of a resolution should have been closed",
    "muninn_detector_series": "series that the detector watches",
    "muninn_detector_left_out_series": "series that the detector leaves out, being too many or ignored by its limit",
    "muninn_detector_judged_total": "values that the detector judged",
    "muninn_detector_cpu_seconds_total": "CPU time that judging took",
    "muninn_detector_lag_s": "age of the newest judged step",
    "muninn_detector_episodes": "series that are not as they should be",
    "muninn_detector_incidents": "open incidents",
    "muninn_detector_opened_total": "episodes that began",
    "muninn_detector_saved_bytes": "size of what was learned, as saved",
    "muninn_detector_unsaved_total": "savings that failed because the database was away",
    "muninn_detector_untold_total": "scores that could not be sent because Redis was away",
    "muninn_heartbeat_age_s": "time since a program last told how it is",
}

REGISTRY: dict[str, Metric] = {
    name: Metric(name, known.kind, known.unit, text) for name, text in _HELP.items() for known in (infer(name),)
}
