"""Rules run over samples of the past: the same engine, fed step by step, and what would have fired.

Belongs here: the stepping, and the episodes that come out. Does not: reading samples (operations.alerts).
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from muninn.alerting.alert import Alert
from muninn.alerting.engine import Engine
from muninn.alerting.evaluate import Change
from muninn.alerting.long import Histories
from muninn.alerting.rules import Rule
from muninn.alerting.standing import Standing
from muninn.clock import SECOND_US
from muninn.model import SampleBatch, Window
from muninn.model.scores import ScoreBatch

LONG_STEP_S = 60.0


@dataclass(frozen=True)
class Replayed:
    """Episodes in order of their start (those that only were pending too), and how much was looked at.

    scored: how many of the detector's steps there were; rules on scores see nothing without any.
    """

    episodes: tuple[Alert, ...]
    steps: int
    samples: int
    series: int
    scored: int = 0

    @property
    def fired(self) -> tuple[Alert, ...]:
        """Those that would have been told."""
        return tuple(alert for alert in self.episodes if alert.fired_us is not None)


class Replay:
    """Steps an engine through time; `advance` may be called again with more samples.

    incidents: all of that time, in order of their opening.
    """

    def __init__(
        self,
        rules: Sequence[Rule],
        start_us: int,
        step_s: float,
        histories: Callable[[int], Histories] | None,
        incidents: Iterable[Standing] = (),
    ):
        self.engine = Engine(rules, start_us, max_series=200_000)
        self.now_us = start_us
        self.steps = self.samples = self.scored = 0
        self.changes: list[tuple[int, Change]] = []
        self._step_us = round(step_s * SECOND_US)
        self._histories = histories
        self._long_us = start_us
        self._last: dict[str, Alert] = {}
        self._to_come = deque(incidents)
        self._standing: list[Standing] = []

    def advance(self, batch: SampleBatch, until_us: int, scores: Iterable[ScoreBatch] = ()) -> None:
        """Take these samples as time goes by, up to an instant; each is there once its time has come."""
        order = np.argsort(batch.at_us, kind="stable")
        batch = batch.take(order)
        waiting = deque(sorted(scores, key=lambda each: each.until_us))
        self.scored += len(waiting)
        self.samples += len(batch)
        done = 0
        while self.now_us + self._step_us <= until_us:
            self.now_us += self._step_us
            ready = int(np.searchsorted(batch.at_us, self.now_us, side="right"))
            if ready > done:
                self.engine.take(batch.take(np.arange(done, ready)))
                done = ready
            while waiting and waiting[0].until_us <= self.now_us:
                self.engine.take_scores(waiting.popleft())
            self._judge()

    def result(self) -> Replayed:
        """What has come out so far; alerts that still fire have no end."""
        episodes = sorted(self._last.values(), key=lambda alert: (alert.started_us, alert.rule, alert.labels))
        return Replayed(tuple(episodes), self.steps, self.samples, len(self.engine.samples), self.scored)

    def _judge(self) -> None:
        self.steps += 1
        while self._to_come and self._to_come[0].opened_us <= self.now_us:
            self._standing.append(self._to_come.popleft())
        self._standing = [each for each in self._standing if each.is_open(self.now_us)]
        self.engine.take_incidents(self._standing)
        changes = self.engine.evaluate(self.now_us)
        if self._histories is not None and self.now_us >= self._long_us:
            self._long_us = self.now_us + round(LONG_STEP_S * SECOND_US)
            changes += self.engine.evaluate_long(self._histories(self.now_us), self.now_us)
        for change in changes:
            self.changes.append((self.now_us, change))
            self._last[change.alert.alert_id] = change.alert


def no_scores(_: Window) -> Iterable[ScoreBatch]:
    """A detector that said nothing."""
    return ()


def replay(
    rules: Sequence[Rule],
    batches: Iterable[tuple[SampleBatch, int]],
    window: Window,
    step_s: float,
    histories: Callable[[int], Histories] | None = None,
    incidents: Iterable[Standing] = (),
    scores: Callable[[Window], Iterable[ScoreBatch]] = no_scores,
) -> Replayed:
    """Run rules over (samples, up to when) pairs in order of time; scores: those of a piece of the window."""
    run = Replay(rules, window.since_us, step_s, histories, incidents)
    for batch, until_us in batches:
        until_us = min(until_us, window.until_us)
        told = scores(Window(run.now_us + 1, until_us + 1)) if until_us > run.now_us else ()
        run.advance(batch, until_us, told)
    return run.result()
