"""An alert: one episode of one rule on one set of labels, from pending to resolved.

Belongs here: the value and its identity. Does not: when it changes (evaluate), who is told (dispatch).
"""

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import orjson

# What the severity of an alert from outside was called, where it is none of ours: here it is a warning.
ORIGINAL_SEVERITY = "original_severity"
State = Literal["pending", "firing", "resolved"]
Labels = tuple[tuple[str, str], ...]


def fingerprint_of(rule: str, labels: Mapping[str, str]) -> str:
    """16 hex digits that name a rule's alert on these labels for ever."""
    canonical = orjson.dumps([rule, dict(sorted(labels.items()))])
    return hashlib.blake2b(canonical, digest_size=8).hexdigest()


def alert_id_of(fingerprint: str, started_us: int) -> str:
    """The id of the episode that began then: the same again when it is made anew after a crash."""
    digest = hashlib.blake2b(f"{fingerprint}:{started_us}".encode(), digest_size=16).digest()
    return str(uuid.UUID(bytes=digest))


def as_given(labels: Mapping[str, str]) -> dict[str, str]:
    """Labels with the severity as it came from outside."""
    found = dict(labels)
    if original := found.pop(ORIGINAL_SEVERITY, ""):
        found["severity"] = original
    return found


@dataclass(frozen=True)
class Alert:
    """One episode. Instants are microseconds since the epoch, None until they happen.

    labels: of the series or group. extra: labels that the rule adds. value: the figure that was judged, as of
    at_us. since_us: per level, since when it has been bad (0: it is not), which a restart goes on with.
    annotations, source_url: of one from outside, all that came with it, and where it was made.
    """

    alert_id: str
    rule: str
    fingerprint: str
    labels: Labels
    severity: str
    state: State
    value: float | None
    limit: float | None
    started_us: int
    at_us: int
    fired_us: int | None = None
    resolved_us: int | None = None
    extra: Labels = ()
    summary: str = ""
    description: str = ""
    runbook: str = ""
    origin: str = "rule"
    ends_us: int | None = None
    no_data: bool = False
    flapping: bool = False
    since_us: tuple[int, ...] = ()
    clear_since_us: int = 0
    acknowledged_us: int | None = None
    acknowledged_by: str = ""
    annotations: Labels = ()
    source_url: str = ""

    @cached_property
    def all_labels(self) -> dict[str, str]:
        """What matchers, routes and groups look at."""
        return {**dict(self.extra), **dict(self.labels), "rule": self.rule, "severity": self.severity}

    @property
    def is_open(self) -> bool:
        """Whether it is not over."""
        return self.state != "resolved"
