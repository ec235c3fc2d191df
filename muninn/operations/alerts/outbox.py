"""The outbox at work: a thread a receiver, so that one that hangs holds up nobody else.

Belongs here: threads, what waits for whom. Does not: one attempt (senders), keeping outcomes (store).
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable

from muninn.alerting.book import Book
from muninn.alerting.dispatch import Notification
from muninn.alerting.outbox import Outcome, Result, Waiting, after
from muninn.alerting.receivers import Receiver
from muninn.clock import SECOND_US, Clock
from muninn.meter import Meter

log = logging.getLogger(__name__)

Send = Callable[[Receiver, Notification], Result]
_LOOK_S = 0.5
_NO_RECEIVER = Result(False, "the receiver is in no rules file any more", permanent=True)


class Outbox:
    """Takes notifications and sends them until it is told to stop; outcomes are collected with `take_outcomes`."""

    def __init__(self, send: Send, clock: Clock, meter: Meter):
        self._send, self._clock, self._meter = send, clock, meter
        self._book = Book()
        self._lock = threading.Condition()
        self._known: set[str] = set()
        self._queues: dict[str, deque[Waiting]] = {}
        self._outcomes: deque[Outcome] = deque()
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def use(self, book: Book) -> None:
        """Receivers as they are from now on."""
        self._book = book

    def add(self, waiting: Iterable[Waiting]) -> None:
        """Send these; one that is here already is not taken twice."""
        with self._lock:
            for each in waiting:
                if each.notification.key not in self._known:
                    self._known.add(each.notification.key)
                    self._queue(each.notification.receiver).append(each)
            self._lock.notify_all()

    def take_outcomes(self) -> list[Outcome]:
        """What has come out since the last call."""
        with self._lock:
            found = list(self._outcomes)
            self._outcomes.clear()
        return found

    def give_back(self, outcomes: Iterable[Outcome]) -> None:
        """Outcomes that could not be kept yet."""
        with self._lock:
            self._outcomes.extendleft(reversed(list(outcomes)))

    def waiting(self) -> int:
        """How many are not sent yet."""
        with self._lock:
            return sum(map(len, self._queues.values()))

    def stop(self, timeout_s: float = 2.0) -> None:
        """End the threads; what is not sent is in the store."""
        self._stop.set()
        with self._lock:
            self._lock.notify_all()
        for thread in self._threads:
            thread.join(timeout_s)

    def _queue(self, receiver: str) -> deque[Waiting]:
        queue = self._queues.get(receiver)
        if queue is None:
            queue = self._queues[receiver] = deque()
            thread = threading.Thread(target=self._run, args=(receiver, queue), name=f"notify-{receiver}", daemon=True)
            self._threads.append(thread)
            thread.start()
        return queue

    def _run(self, receiver: str, queue: deque[Waiting]) -> None:
        while not self._stop.is_set():
            due = self._next(queue)
            if due is None:
                with self._lock:
                    if not self._stop.is_set():
                        self._lock.wait(_LOOK_S)
                continue
            self._attempt(receiver, queue, due)

    def _next(self, queue: deque[Waiting]) -> Waiting | None:
        """The oldest that is due. One that has to be tried again lets other groups pass, never its own: an end that
        comes before its beginning leaves open for ever what the beginning opens."""
        now_us, held = self._clock.now_us(), set[str]()
        with self._lock:
            for waiting in queue:
                group = waiting.notification.group_key
                if group not in held and waiting.next_us <= now_us:
                    return waiting
                held.add(group)
        return None

    def _attempt(self, name: str, queue: deque[Waiting], due: Waiting) -> None:
        receiver = self._book.receiver(name)
        result = _NO_RECEIVER if receiver is None else self._tried(receiver, due.notification)
        now_us = self._clock.now_us()
        outcome, again = after(due, result, now_us, receiver.give_up_s if receiver else 0.0)
        self._count(name, due, outcome, now_us)
        with self._lock:
            self._outcomes.append(outcome)
            place = queue.index(due)
            if again is not None:
                queue[place] = again
            else:
                del queue[place]
                self._known.discard(due.notification.key)

    def _tried(self, receiver: Receiver, due: Notification) -> Result:
        """Whatever goes wrong with one message, those after it are sent."""
        try:
            return self._send(receiver, due)
        except Exception as error:
            log.exception("%s could not be told", receiver.name)
            return Result(False, f"{type(error).__name__} while it was sent")

    def _count(self, name: str, due: Waiting, outcome: Outcome, now_us: int) -> None:
        self._meter.count("muninn_alert_notifications_total", receiver=name, state=outcome.state)
        if outcome.state == "sent":
            seconds = (now_us - due.notification.created_us) / SECOND_US
            self._meter.gauge("muninn_alert_notify_latency_s", seconds, receiver=name)
        else:
            key = due.notification.key
            log.warning("%s was not told (%s): %s, %s", name, key, outcome.last_error, outcome.state)
