"""Known incidents for tests that look at a store from outside, on the hosts of known.py."""

import uuid

from muninn.clock import MINUTE_US, SECOND_US, SystemClock
from muninn.detection.incidents import Incident, Member
from muninn.model import SeriesKey
from muninn.store import incidents as stored
from muninn.store.database import Database

OPEN, OVER = uuid.UUID(int=7), uuid.UUID(int=8)


def load_incidents(url: str) -> None:
    """One that is open since ten minutes, with a queue and a host's CPU; one that is over, of a silent source."""
    now_us = SystemClock().now_us()
    queue = SeriesKey.of("queue_depth", {"queue": "mail"}, "agent", "one")
    cpu = SeriesKey.of("cpu_busy_pct", {"host": "alpha", "cpu": "total"}, "host-collector", "alpha")
    silent = SeriesKey.of("load_1m", {"host": "beta"}, "host-collector", "beta")
    opened = Incident(OPEN, now_us - 10 * MINUTE_US, joined_us=now_us)
    opened.members = {
        queue: member(queue, now_us, 50.0, 10.0, {"value": 0.5, "surprise": 0.3, "change": 0.13}),
        cpu: member(cpu, now_us, 78.0, 40.0, {"value": 0.6, "volatility": -0.24}),
    }
    over = Incident(OVER, now_us - 120 * MINUTE_US, now_us - 90 * MINUTE_US, now_us)
    over.members = {silent: member(silent, now_us - 100 * MINUTE_US, 0.75, 0.75, {"silence": -0.85})}
    over.members[silent].closed_us = over.closed_us
    with Database(url, pool_size=1) as database:
        stored.save(database, [opened, over])


def load_another(url: str, ident: int) -> None:
    """One more that has just begun, of memory."""
    now_us = SystemClock().now_us()
    key = SeriesKey.of("memory_used_pct", {"host": "alpha"}, "host-collector", "alpha")
    begun = Incident(uuid.UUID(int=ident), now_us - MINUTE_US, joined_us=now_us)
    begun.members = {key: member(key, now_us, 97.0, 40.0, {"value": 0.9})}
    with Database(url, pool_size=1) as database:
        stored.save(database, [begun])


def member(key: SeriesKey, now_us: int, value: float, expected: float, shares: dict[str, float]) -> Member:
    """A series that was off for ten minutes up to `now_us`."""
    since_us = now_us - 10 * MINUTE_US
    track = [(since_us + step * 10 * SECOND_US, value, expected, expected * 0.9, expected * 1.1) for step in range(60)]
    score = sum(map(abs, shares.values()))
    at_peak = (value, expected, expected * 0.9, expected * 1.1)
    return Member(key, since_us, None, since_us + MINUTE_US, score, *at_peak, 0.6, shares, track)
