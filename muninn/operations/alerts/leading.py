"""One of several alerters leads: the others stand by, and one of them takes over within seconds when it dies.

Belongs here: when the lead is taken, kept and lost, also while PostgreSQL is away. Does not: the row (store).

The lead is a row that its leader renews. What a leader decides is written under its term, in one transaction with a
look at that row: a leader that was taken for dead and is not, decides nothing any more.
With PostgreSQL away nobody can take it: the leader goes on, and who stands by does so as long as a leader is
heard of on the heartbeat board. Where there is none, it leads without a term until PostgreSQL is back.
"""

import logging
import threading
from collections.abc import Callable
from typing import Protocol

from muninn.clock import Clock
from muninn.errors import MuninnError, Unavailable
from muninn.meter import Meter

log = logging.getLogger(__name__)

LEADS = "muninn_alerter_leads"
_LOOK_S = 1.0
_NO_TERM = -1


class Lease(Protocol):
    """See store.alert_lead.Lead."""

    def take(self) -> int | None: ...
    def renew(self, term: int) -> bool: ...
    def end(self, term: int) -> None: ...


class Leading:
    """Whether this alerter leads. others: whether another one says on the board that it does; Unavailable: not known.

    term: under which decisions are written; None while it leads without.
    """

    def __init__(self, lease: Lease, others: Callable[[], bool], clock: Clock, meter: Meter, lease_s: float):
        self._lease, self._others, self._clock, self._meter = lease, others, clock, meter
        self._lease_s = lease_s
        self._lost = threading.Event()
        self._patient_until = float("-inf")
        self._followed = False
        self.term: int | None = None
        self._meter.gauge(LEADS, 0)

    @property
    def lost(self) -> bool:
        """Whether another one has taken the lead since `wait`."""
        return self._lost.is_set()

    def wait(self, stop: threading.Event) -> bool:
        """Stand by until it leads: True; or until stopped: False."""
        self._lost.clear()
        while not stop.is_set():
            if self._try():
                self._meter.gauge(LEADS, 1)
                log.info("leads%s", f", term {self.term}" if self.term else " while PostgreSQL is away")
                return True
            self._clock.wait(_LOOK_S, stop)
        return False

    def keep(self, stop: threading.Event) -> None:
        """Renew the lead until stopped, or until it is lost: the work of a thread."""
        while not self._lost.is_set() and not self._clock.wait(self._lease_s / 4, stop):
            self.renew()

    def renew(self) -> None:
        """Once. While PostgreSQL is away it is kept: nobody else can take it."""
        try:
            if self.term is None:
                self.term = self._lease.take()
                held = self.term is not None
            else:
                held = self._lease.renew(self.term)
        except MuninnError as error:
            log.debug("the lead is not renewed: %s", error)
            return
        if not held:
            log.warning("another alerter has taken the lead")
            self._lost.set()

    def give_up(self) -> None:
        """Another one leads: its decisions count."""
        self._lost.set()

    def end(self) -> None:
        """Give it away."""
        self._meter.gauge(LEADS, 0)
        term, self.term = self.term, None
        if term is not None and not self._lost.is_set():
            try:
                self._lease.end(term)
            except MuninnError as error:
                log.debug("the lead ends by itself: %s", error)

    def _try(self) -> bool:
        try:
            if self._clock.monotonic() < self._patient_until:
                # The database was away: whoever leads is first given the time to say so.
                self._lease.renew(_NO_TERM)
                return False
            self.term = self._lease.take()
        except Unavailable:
            self._patient_until = self._clock.monotonic() + self._lease_s
            return self._may_lead_alone()
        self._followed = self.term is None
        return self.term is not None

    def _may_lead_alone(self) -> bool:
        """With PostgreSQL away: whether nobody says that he leads."""
        try:
            return not self._others()
        except Unavailable:
            return not self._followed
