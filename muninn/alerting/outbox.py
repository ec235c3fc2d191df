"""Notifications on their way: which attempt is due, and what follows from how it went.

Belongs here: retries and back-off. Does not: sending, keeping (store).
"""

from dataclasses import dataclass, replace
from typing import Literal

from muninn.alerting.dispatch import Notification
from muninn.clock import SECOND_US

_FIRST_S, _LONGEST_S = 1.0, 300.0


@dataclass(frozen=True)
class Waiting:
    """A notification that is not sent yet: attempts so far, and when the next is due."""

    notification: Notification
    attempts: int = 0
    next_us: int = 0


@dataclass(frozen=True)
class Result:
    """How an attempt went. permanent: another will go the same way. retry_after_s: what the receiver asked for."""

    ok: bool
    error: str = ""
    permanent: bool = False
    retry_after_s: float | None = None


@dataclass(frozen=True)
class Outcome:
    """What is kept of an attempt."""

    notification_key: str
    state: Literal["waiting", "sent", "failed"]
    attempts: int
    next_us: int
    sent_us: int | None
    last_error: str


def after(waiting: Waiting, result: Result, now_us: int, give_up_s: float) -> tuple[Outcome, Waiting | None]:
    """The outcome, and what waits on; None: it is done, or given up."""
    attempts, key = waiting.attempts + 1, waiting.notification.key
    if result.ok:
        return Outcome(key, "sent", attempts, now_us, now_us, ""), None
    wait_s = (
        result.retry_after_s if result.retry_after_s is not None else min(_LONGEST_S, _FIRST_S * 2 ** (attempts - 1))
    )
    next_us = now_us + round(wait_s * SECOND_US)
    if result.permanent or next_us > waiting.notification.created_us + give_up_s * SECOND_US:
        return Outcome(key, "failed", attempts, next_us, None, result.error), None
    again = replace(waiting, attempts=attempts, next_us=next_us)
    return Outcome(key, "waiting", attempts, next_us, None, result.error), again
