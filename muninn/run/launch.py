"""From nothing to everything answers: starts parts when what they wait for is ready, as many at once as can be.

Belongs here: the order in time, and giving up. Does not: what there is to start (stack), what a person sees (display).
"""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from muninn.errors import MuninnError, Unavailable
from muninn.home import Home, Process
from muninn.run.control import Control
from muninn.run.stack import Part, Stack, Step

POLL_S = 0.1
# A part that has not answered after this long will not.
PATIENCE_S = 240.0
# ... nor one that has ended this often before it ever answered.
TRIES = 3


class Watcher(Protocol):
    """Who is told how the start goes."""

    def changed(self, name: str, state: str, seconds: float) -> None:
        """Part or step `name` is now "starting" or "ready", `seconds` after it was started."""
        ...


class StartFailedError(MuninnError):
    """Something did not come up; the message says what, and where to look."""


class Launch:
    """One start of a stack; `run` returns when everything is ready."""

    def __init__(self, stack: Stack, home: Home, control: Control, watcher: Watcher):
        self._stack, self._home, self._control, self._watcher = stack, home, control, watcher
        self._started: dict[str, float] = {}
        self._ready: set[str] = set()
        self._failed: list[Exception] = []
        self._pool = ThreadPoolExecutor(4, thread_name_prefix="probe")

    def run(self, check: Callable[[], None]) -> None:
        """Start everything. `check` is called all the time and raises to give up.

        StartFailed, Unavailable or Misconfigured say what went wrong.
        """
        deadline = time.monotonic() + 10
        while not self._control.answers():
            check()
            if time.monotonic() > deadline:
                raise StartFailedError(f"the supervisor does not answer: see {self._home.logs / 'supervisor.log'}")
            time.sleep(0.02)
        try:
            while not self._done():
                check()
                self._start_what_can()
                self._look()
                time.sleep(POLL_S)
        finally:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def _done(self) -> bool:
        names = {item.name for item in self._stack.items}
        return names <= self._ready

    def _start_what_can(self) -> None:
        for item in self._stack.items:
            if item.name in self._started or not self._ready.issuperset(item.after):
                continue
            self._started[item.name] = time.monotonic()
            self._watcher.changed(item.name, "starting", 0.0)
            if isinstance(item, Part):
                self._control.start(item.name)
            else:
                threading.Thread(target=self._work, args=(item,), name=item.name, daemon=True).start()

    def _work(self, step: Step) -> None:
        try:
            step.work()
        except Exception as error:
            self._failed.append(error)
        else:
            self._is_ready(step.name)

    def _look(self) -> None:
        """Ask everything that has been started and is not ready."""
        if self._failed:
            error = self._failed[0]
            raise error if isinstance(error, MuninnError) else StartFailedError(f"{type(error).__name__}: {error}")
        state = self._home.read()
        processes = () if state is None else state.processes
        waiting = [part for part in self._stack.parts if part.name in self._started.keys() - self._ready]
        for part in waiting:
            self._give_up_on(part, [process for process in processes if process.program == part.name])
        mine = [[process for process in processes if process.program == part.name] for part in waiting]
        for part, answers in zip(waiting, self._pool.map(_answers, waiting, mine), strict=True):
            if answers:
                self._is_ready(part.name)

    def _is_ready(self, name: str) -> None:
        self._ready.add(name)
        self._watcher.changed(name, "ready", time.monotonic() - self._started[name])

    def _give_up_on(self, part: Part, processes: Sequence[Process]) -> None:
        for process in processes:
            if process.restarts >= TRIES or (process.restarts == TRIES - 1 and process.state == "backoff"):
                raise StartFailedError(
                    f"{process.name} ends again and again ({process.last_end}): {self._last_words(process.name)}"
                )
        if time.monotonic() - self._started[part.name] > PATIENCE_S:
            name = part.program.process_name(1)
            raise StartFailedError(f"{name} does not answer after {PATIENCE_S:.0f} s: {self._last_words(name)}")

    def _last_words(self, process: str) -> str:
        """The last line of its log that says something, and where the log is."""
        path = self._home.logs / f"{process}.log"
        try:
            lines = path.read_text(errors="replace").splitlines()[-50:]
        except OSError:
            lines = []
        said = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return f"{said[:300]} (log: {path})" if said else f"see {path}"


def _answers(part: Part, processes: Sequence[Process]) -> bool:
    if any(process.state not in ("starting", "running") for process in processes):
        return False
    try:
        return part.ready(processes)
    except Unavailable:
        return False
