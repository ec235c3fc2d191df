"""What was announced: deploys and restarts, after which a place is given time to settle.

Belongs here: which samples are announcements, for whom, for how long. Does not: scores.

A place is an instance (instance_id, or where it has none its labels `instance` or `host`, or its agent). After a
deploy marker, or when its uptime falls or its start time moves, the series of the place are not judged and teach
nothing for a while: a fault that outlasts it is seen then, and a cold start is neither an alarm nor normal.
Fails: for restarts that nothing tells of; for faults that last shorter than the while.
"""

from muninn.model import SeriesKey

DEPLOY_MARKERS = ("deploy_marker", "deployment_marker", "deploy")
_UPTIMES = ("uptime_s", "uptime_seconds", "process_uptime_seconds", "process_uptime_s")
_STARTS = ("process_start_time_seconds", "process_start_time_s")
_PLACE_LABELS = ("instance", "host", "hostname", "pod")

_EVENT_PAUSE_US = 60_000_000
DEPLOY, UPTIME, START = "deploy", "uptime", "start"


def place_of(key: SeriesKey) -> str:
    """Where a series belongs: series of one place are excused, and grouped, together."""
    if key.instance_id:
        return key.instance_id
    labels = dict(key.labels)
    return next((labels[name] for name in _PLACE_LABELS if labels.get(name)), key.source_agent_id)


def kind_of(metric: str) -> str:
    """DEPLOY, UPTIME or START for the metrics that announce something, else ""."""
    if metric in DEPLOY_MARKERS:
        return DEPLOY
    return UPTIME if metric in _UPTIMES else START if metric in _STARTS else ""


class Announcements:
    """Until when each place is excused."""

    def __init__(self, excuse_us: int = 120_000_000):
        self._excuse_us = excuse_us
        self._last: dict[SeriesKey, tuple[float, int]] = {}
        self.until_us: dict[str, int] = {}
        self.deployed_us: dict[str, int] = {}

    def note(self, key: SeriesKey, value: float, at_us: int) -> bool:
        """Take in one sample of an announcing series; True if it announces something now."""
        before = self._last.get(key)
        self._last[key] = (value, at_us)
        if not _announces(kind_of(key.metric), value, at_us, before):
            return False
        place = place_of(key)
        self.until_us[place] = max(self.until_us.get(place, 0), at_us + self._excuse_us)
        if kind_of(key.metric) == DEPLOY:
            self.deployed_us[place] = at_us
        return True

    def excused(self, now_us: int) -> set[str]:
        """The places that are excused now."""
        self.until_us = {place: until for place, until in self.until_us.items() if until > now_us}
        return set(self.until_us)


def _announces(kind: str, value: float, at_us: int, before: tuple[float, int] | None) -> bool:
    if kind == DEPLOY:
        # An event, unless it goes on as a gauge that stays.
        return value != 0 and (before is None or value != before[0] or at_us - before[1] > _EVENT_PAUSE_US)
    if before is None:
        return False
    # Some report the start with a jitter of a clock tick.
    return value < before[0] if kind == UPTIME else abs(value - before[0]) > 1.0
