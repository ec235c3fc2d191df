"""Processes that live but no longer answer are killed, and come back.

Belongs here: how long silence is borne. Does not: how one asks (probes), how one restarts (supervisor).
"""

import logging
import time
from collections.abc import Callable, Mapping

from muninn.errors import MuninnError
from muninn.home import Home, Process
from muninn.run.control import Control
from muninn.run.stack import Part, Stack

log = logging.getLogger(__name__)

EVERY_S = 10.0
# Longer than any start, any stop-the-world pause that passes, and a laptop's wake-up.
PATIENCE_S = 90.0


class Patience:
    """Since when which process has not answered."""

    def __init__(self, patience_s: float = PATIENCE_S):
        self._patience_s = patience_s
        self._silent: dict[tuple[str, int], float] = {}

    def exhausted(self, now_s: float, answers: Mapping[tuple[str, int], bool]) -> list[str]:
        """Names of the processes that have been silent for too long; `answers` is by (name, pid)."""
        self._silent = {who: self._silent.get(who, now_s) for who, answer in answers.items() if not answer}
        late = [who for who, since in self._silent.items() if now_s - since >= self._patience_s]
        for who in late:
            del self._silent[who]
        return [name for name, _ in late]


class Watch:
    """Asks every part now and then."""

    def __init__(self, plan: Stack, home: Home, control: Control, monotonic: Callable[[], float] = time.monotonic):
        self._plan, self._home, self._control = plan, home, control
        self._monotonic = monotonic
        self._patience = Patience()
        self._next = monotonic() + EVERY_S

    def next_s(self) -> float:
        """Seconds until the next look."""
        return max(0.0, self._next - self._monotonic())

    def look(self, check: Callable[[], None]) -> None:
        """Ask, if it is time, and restart what has been silent for too long.

        `check` is called between two questions, which may take seconds, and raises to give up.
        """
        if self.next_s() > 0:
            return
        self._next = self._monotonic() + EVERY_S
        state = self._home.read()
        if state is None:
            return
        answers: dict[tuple[str, int], bool] = {}
        for part in self._plan.parts:
            check()
            answers |= self._ask(part, [process for process in state.processes if process.program == part.name])
        for name in self._patience.exhausted(self._monotonic(), answers):
            log.warning("%s has not answered for %.0f s: it is killed and started again", name, PATIENCE_S)
            try:
                self._control.restart(name)
            except MuninnError as error:
                log.warning("%s cannot be restarted: %s", name, error)

    def _ask(self, part: Part, processes: list[Process]) -> dict[tuple[str, int], bool]:
        return {
            (process.name, process.pid): part.alive([process]) for process in processes if process.state == "running"
        }
