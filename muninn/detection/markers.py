"""What was announced: deploys and restarts, after which a place is given time to settle.

Belongs here: which samples are announcements, for whom, for how long. Does not: scores.

A place is an instance (instance_id, or where it has none its labels `instance` or `host`, or its agent). After a
deploy marker, or when its uptime falls or its start time moves, the series of the place are not judged and teach
nothing for a while: a fault that outlasts it is seen then, and a cold start is neither an alarm nor normal.
Fails: for restarts that nothing tells of; for faults that last shorter than the while.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muninn.detection.state import Floats, Index, Ints
from muninn.detection.views import Bools
from muninn.model import SeriesKey

DEPLOY_MARKERS = ("deploy_marker", "deployment_marker", "deploy")
_UPTIMES = ("uptime_s", "uptime_seconds", "process_uptime_seconds", "process_uptime_s")
_STARTS = ("process_start_time_seconds", "process_start_time_s")
_PLACE_LABELS = ("instance", "host", "hostname", "pod")

_EVENT_PAUSE_US = 60_000_000
# A sample so much older than the last one was read before, or came late; one older still: a clock was put back.
_SEEN_US = 3_600_000_000
_KINDS = DEPLOY, UPTIME, START = "deploy", "uptime", "start"


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
    """Until when each place is excused. Announcing series have a number each."""

    def __init__(self, excuse_us: int = 120_000_000):
        self._excuse_us = excuse_us
        self.until_us: dict[str, int] = {}
        self.deployed_us: dict[str, int] = {}
        self._number: dict[SeriesKey, int] = {}
        self._keys: list[SeriesKey] = []
        # By number: the kind, and the last sample; at 0 there was none.
        self._kind: NDArray[np.int8] = np.zeros(0, np.int8)
        self._value: Floats = np.zeros(0)
        self._at_us: Ints = np.zeros(0, np.int64)

    def number_of(self, key: SeriesKey) -> int:
        """The number of a series that announces something; -1 for all others."""
        kind = kind_of(key.metric)
        if not kind:
            return -1
        number = self._number.setdefault(key, len(self._keys))
        if number == len(self._keys):
            self._keys.append(key)
            self._kind = np.append(self._kind, np.int8(_KINDS.index(kind)))
            self._value, self._at_us = np.append(self._value, 0.0), np.append(self._at_us, 0)
        return number

    def take(self, number: Index, at_us: Ints, value: Floats) -> None:
        """Take in samples of announcing series, in the order of their time: what is read again announces nothing."""
        behind_us = self._at_us[number] - at_us
        news = np.flatnonzero((behind_us <= 0) | (behind_us >= _SEEN_US))
        order = news[np.lexsort((at_us[news], number[news]))]
        number, at_us, value = number[order], at_us[order], value[order]
        first = np.append(True, number[1:] != number[:-1])[: len(number)]
        before = np.where(first, self._value[number], np.roll(value, 1))
        before_us = np.where(first, self._at_us[number], np.roll(at_us, 1))
        announced = _announces(self._kind[number], value, at_us, before, before_us)
        self._value[number], self._at_us[number] = value, at_us
        for row in np.flatnonzero(announced).tolist():
            self._note(self._keys[number[row]], int(at_us[row]))

    def excused(self, now_us: int) -> set[str]:
        """The places that are excused now."""
        self.until_us = {place: until for place, until in self.until_us.items() if until > now_us}
        return set(self.until_us)

    def put_back(self, now_us: int) -> None:
        """The clock was ahead: nothing was announced later than now."""
        self.until_us = {place: min(until, now_us + self._excuse_us) for place, until in self.until_us.items()}
        self.deployed_us = {place: min(at_us, now_us) for place, at_us in self.deployed_us.items()}

    def forget(self, before_us: int) -> bool:
        """Let go of series that announced nothing since; True if there were any: then all numbers change."""
        self.deployed_us = {place: at_us for place, at_us in self.deployed_us.items() if at_us >= before_us}
        stays = self._at_us >= before_us
        if stays.all():
            return False
        self._keys = [self._keys[number] for number in np.flatnonzero(stays).tolist()]
        self._number = {key: number for number, key in enumerate(self._keys)}
        self._kind, self._value, self._at_us = self._kind[stays], self._value[stays], self._at_us[stays]
        return True

    def to_dict(self) -> dict[str, Any]:
        """All that is known, for JSON."""
        last = zip(self._keys, self._value.tolist(), self._at_us.tolist(), strict=True)
        return {
            "until_us": self.until_us,
            "deployed_us": self.deployed_us,
            "last": [[key.canonical.decode(), value, at_us] for key, value, at_us in last],
        }

    def restore(self, known: Mapping[str, Any]) -> None:
        """Go on with what `to_dict` gave; ValueError, KeyError, TypeError or Invalid if it is none of that."""
        until_us = {str(place): int(until) for place, until in known["until_us"].items()}
        deployed_us = {str(place): int(at) for place, at in known["deployed_us"].items()}
        last = [(SeriesKey.parse(text.encode()), float(value), int(at)) for text, value, at in known["last"]]
        self.until_us, self.deployed_us = until_us, deployed_us
        for key, value, at_us in last:
            number = self.number_of(key)
            if number >= 0:
                self._value[number], self._at_us[number] = value, at_us

    def _note(self, key: SeriesKey, at_us: int) -> None:
        place = place_of(key)
        self.until_us[place] = max(self.until_us.get(place, 0), at_us + self._excuse_us)
        if kind_of(key.metric) == DEPLOY:
            self.deployed_us[place] = at_us


def _announces(kind: NDArray[np.int8], value: Floats, at_us: Ints, before: Floats, before_us: Ints) -> Bools:
    known = before_us > 0
    # An event, unless it goes on as a gauge that stays.
    deploys = (value != 0) & (~known | (value != before) | (at_us - before_us > _EVENT_PAUSE_US))
    # Some report the start with a jitter of a clock tick.
    return np.choose(kind, [deploys, known & (value < before), known & (np.abs(value - before) > 1.0)])
