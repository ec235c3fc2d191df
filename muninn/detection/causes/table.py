"""The causes that Muninn knows: what speaks for each, what against it, and what to do.

Belongs here: the table. Does not: arithmetic (weigh), text of runbooks (docs/runbooks).
"""

from dataclasses import dataclass

UP, DOWN, SILENT = "up", "down", "silent"


@dataclass(frozen=True)
class Clue:
    """feature: of detection.features, or "deploy". moves: UP, DOWN or SILENT (it stopped coming).

    weight: how far this alone makes the cause probable, 0..1; negative: it speaks against.
    """

    feature: str
    moves: str
    weight: float
    says: str


@dataclass(frozen=True)
class Cause:
    """runbook: the name of a page in docs/runbooks."""

    name: str
    title: str
    runbook: str
    clues: tuple[Clue, ...]
    actions: tuple[str, ...]


CAUSES = (
    Cause(
        "memory pressure",
        "The host or service runs out of memory",
        "memory-pressure",
        (
            Clue("memory", UP, 0.6, "memory in use rose"),
            Clue("process_memory", UP, 0.45, "a process grew"),
            Clue("memory_free", DOWN, 0.5, "free memory fell"),
            Clue("swap", UP, 0.6, "it began to swap"),
            Clue("gc", UP, 0.4, "garbage collection takes longer"),
            Clue("evictions", UP, 0.2, "caches were evicted"),
            Clue("memory_trend", UP, 0.5, "memory has been rising for an hour"),
        ),
        (
            "Find the process that grew, and since when.",
            "Restart it if it is about to be killed; then look for the leak.",
        ),
    ),
    Cause(
        "database slowdown",
        "The database answers slowly",
        "database-slowdown",
        (
            Clue("db_time", UP, 0.7, "the database's response time rose"),
            Clue("connections", UP, 0.3, "more connections are open"),
            Clue("query_rate", UP, 0.2, "more queries are asked"),
            Clue("response_mean", UP, 0.15, "responses became slower"),
            Clue("response_p95", UP, 0.15, "the slowest responses became slower"),
            Clue("cache_hit", DOWN, 0.25, "fewer answers come from the cache"),
            Clue("disk_busy", UP, 0.2, "the disk is busier"),
        ),
        (
            "Look at the longest running queries and at locks.",
            "Look for a plan that changed, a missing index, a full disk.",
        ),
    ),
    Cause(
        "traffic spike",
        "More is asked of it than usual",
        "traffic-spike",
        (
            Clue("request_rate", UP, 0.7, "the request rate rose"),
            Clue("viewers", UP, 0.5, "there are more viewers"),
            Clue("query_rate", UP, 0.3, "more queries are asked"),
            Clue("network", UP, 0.25, "more is sent or received"),
            Clue("connections", UP, 0.2, "more connections are open"),
            Clue("cpu", UP, 0.1, "CPU rose with it"),
            Clue("request_rate", DOWN, -0.6, "the request rate fell"),
        ),
        ("Find out who asks: a campaign, a crawler, a retry storm.", "Scale out, or limit the loudest caller."),
    ),
    Cause(
        "dependency down",
        "Something that it needs does not answer",
        "dependency-down",
        (
            Clue("error_rate", UP, 0.5, "errors rose"),
            Clue("up", DOWN, 0.8, "a target of the scraper is down"),
            Clue("request_rate", DOWN, 0.3, "requests fell"),
            Clue("connections", DOWN, 0.4, "connections were lost"),
            Clue("queue", UP, 0.3, "work piles up"),
            Clue("db_time", SILENT, 0.3, "the database's figures stopped"),
            Clue("error_trend", UP, 0.2, "errors have been rising for an hour"),
        ),
        ("Look at the errors' texts: which address do they name?", "Check that dependency and the way to it."),
    ),
    Cause(
        "saturation",
        "A resource is used up",
        "saturation",
        (
            Clue("cpu", UP, 0.6, "CPU rose"),
            Clue("cpu_core", UP, 0.4, "a core or the load rose"),
            Clue("process_cpu", UP, 0.4, "a process takes more CPU"),
            Clue("disk_busy", UP, 0.4, "the disk is busier"),
            Clue("disk_space", UP, 0.7, "a filesystem fills up"),
            Clue("disk_space", DOWN, 0.7, "free space falls"),
            Clue("queue", UP, 0.4, "work piles up"),
            Clue("response_mean", UP, 0.15, "responses became slower"),
            Clue("response_p95", UP, 0.15, "the slowest responses became slower"),
        ),
        ("Find what uses it: the busiest process, the fullest folder.", "Take load away, or give it more."),
    ),
    Cause(
        "noisy neighbour",
        "Something else on the same machine takes its share",
        "noisy-neighbour",
        (
            Clue("steal", UP, 0.8, "the hypervisor takes CPU away"),
            Clue("process_cpu", UP, 0.35, "another process takes CPU"),
            Clue("cpu", UP, 0.15, "the machine's CPU rose"),
            Clue("response_mean", UP, 0.15, "responses became slower"),
            Clue("request_rate", UP, -0.5, "the load itself rose"),
        ),
        ("Find the other process or guest, and since when it runs.", "Move one of them, or set limits."),
    ),
    Cause(
        "deploy",
        "It began with a deploy",
        "deploy-regression",
        (
            Clue("deploy", UP, 0.7, "there was a deploy shortly before"),
            Clue("error_rate", UP, 0.15, "errors rose"),
            Clue("response_mean", UP, 0.1, "responses became slower"),
            Clue("memory", UP, 0.05, "memory in use rose"),
        ),
        ("Compare with the version before; roll back if in doubt.", "Read what changed."),
    ),
    Cause(
        "source silent",
        "A source sends nothing any more",
        "silent-source",
        (Clue("*", SILENT, 0.8, "samples stopped coming"),),
        (
            "Is the machine or the agent up, and can it reach the gateway?",
            "Was it taken away on purpose? Then nothing.",
        ),
    ),
)
