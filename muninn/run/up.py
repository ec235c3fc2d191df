"""`muninn up`: checks, starts, watches and ends the whole.

Two processes keep each other: this one (the pid to signal) and the supervisor that it forks. Whichever is killed,
the other ends everything; each program also dies with the supervisor by itself.
Belongs here: signals, the end, and what is left over. Does not: the order of the start (launch).
"""

import contextlib
import logging
import logging.handlers
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import psutil
from rich.console import Console

from muninn import logs
from muninn.errors import Misconfigured
from muninn.home import Home, State
from muninn.run import embedded, environment, lifeline, ports, stack, supervisor
from muninn.run.control import Control
from muninn.run.display import Display, summary
from muninn.run.launch import Launch, StartFailedError
from muninn.run.watch import Watch
from muninn.settings import Settings, without_password

# Programs get 6 seconds, servers 12 more; beyond this the supervisor itself hangs.
END_S = 30.0


class Interrupted(Exception):
    """Somebody asked us to end."""


def up(settings: Settings, console: Console) -> int:
    """Run everything in the foreground until told to end; the exit code.

    Misconfigured, Unavailable or StartFailed where that cannot be: then nothing is left running.
    """
    if "MAKELEVEL" in os.environ:  # a make that is killed cannot tell us
        lifeline.die_with_parent(signal.SIGTERM)
    home = Home(settings.home)
    home.prepare(settings.landing_folder)
    _log_to(home.logs / "up.log", settings.log_level)
    with home.locked(), received_signals() as received:
        ports.check(ports.listeners(settings))
        console.print(f"Muninn starts; its state is in {home.path}", highlight=False)
        plan = stack.build(settings, home)
        plan.prepare(home)
        return keep(settings, plan, home, console, received)


def keep(settings: Settings, plan: stack.Stack, home: Home, console: Console, received: "Signals") -> int:
    """Start a plan, keep it running until a signal comes, end it; the exit code. The caller holds the lock."""
    running = Running(settings, plan, home, console, received)
    try:
        running.start()
        running.watch()
    except Interrupted:
        console.print("Ending (again to kill at once) ...", highlight=False)
        running.end()
        console.print("Everything has ended.", highlight=False)
    except BaseException:
        running.end()
        raise
    finally:
        running.sweep()
    return 0


def _log_to(path: Path, level: str) -> None:
    """Log to a file, and what is worth a person's while to standard output: standard error is for why we end."""
    logs.configure(level)
    root = logging.getLogger()
    form = root.handlers[0].formatter
    file = logging.handlers.RotatingFileHandler(path, maxBytes=1 << 20, backupCount=1)
    file.setFormatter(form)
    told = logging.StreamHandler(sys.stdout)
    told.setLevel(logging.WARNING)
    told.addFilter(logging.Filter("muninn"))
    told.setFormatter(logging.Formatter("  %(message)s"))
    root.handlers = [file, told]


class Signals:
    """How often we were asked to stop, and a way to wait for the next time."""

    def __init__(self, wakeup: socket.socket):
        self.count = 0
        self._wakeup = wakeup

    def receive(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        if number in lifeline.STOPPING:
            self.count += 1

    def wait(self, seconds: float) -> None:
        """Until a signal comes, also that of an ended child, or the time is over."""
        if select.select([self._wakeup], [], [], seconds)[0]:
            with contextlib.suppress(BlockingIOError):
                self._wakeup.recv(4096)

    def check(self) -> None:
        """Interrupted where one came."""
        if self.count:
            raise Interrupted


@contextlib.contextmanager
def received_signals() -> Iterator[Signals]:
    """Signals are counted instead of doing what they do, inside."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.setblocking(False)
        received = Signals(ours)
        handled = (*lifeline.STOPPING, signal.SIGCHLD)
        before = {number: signal.signal(number, received.receive) for number in handled}
        descriptor = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
        try:
            yield received
        finally:
            signal.set_wakeup_fd(descriptor)
            for number, handler in before.items():
                signal.signal(number, handler)


class Running:
    """The supervisor child and everything below it."""

    def __init__(self, asked: Settings, plan: stack.Stack, home: Home, console: Console, signals: Signals):
        self._asked, self._plan, self._home, self._console, self._signals = asked, plan, home, console, signals
        self._control = Control(embedded.control_socket(home.path))
        self._supervisor: int | None = None

    def start(self) -> None:
        """Fork the supervisor and start everything; returns when all of it answers."""
        self._signals.check()
        lifeline.adopt_orphans()
        self._home.forget()
        environ = environment.of_programs(self._plan.settings, self._home.dagster, self._plan.dagster_url)
        programs = [part.program for part in self._plan.parts]
        self._supervisor = supervisor.fork(programs, self._home, self._state(), environ)
        with Display(self._plan, self._console) as display:
            Launch(self._plan, self._home, self._control, display).run(self._check)
        state = self._home.read()
        self._console.print(summary(self._plan, state.processes if state else ()))
        self._console.print(f"[bold]Open {self._plan.dashboard_url}[/bold]   Ctrl-C ends everything.", highlight=False)

    def watch(self) -> None:
        """Wait for a signal; bring processes back that live but no longer answer."""
        watch = Watch(self._plan, self._home, self._control)
        while True:
            self._signals.wait(watch.next_s())
            self._check()
            watch.look(self._signals.check)

    def end(self) -> None:
        """Ask the supervisor to end everything; a second signal, or END_S, ends the asking."""
        asked = self._signals.count
        if self._supervisor is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._supervisor, signal.SIGTERM)
        deadline = time.monotonic() + END_S
        while self._reap() and self._signals.count == asked and time.monotonic() < deadline:
            self._signals.wait(0.5)

    def sweep(self) -> None:
        """Kill whatever is left below us, and wait until it is gone."""
        deadline = time.monotonic() + 10
        while (left := lifeline.descendants()) and time.monotonic() < deadline:
            lifeline.end(left, grace_s=0.0, first=signal.SIGKILL)
            self._reap()
        self._home.forget()

    def _check(self) -> None:
        self._signals.check()
        if not self._reap():
            raise StartFailedError(
                f"the supervisor ended by itself, and everything with it: see {self._home.logs / 'supervisor.log'}"
            )

    def _reap(self) -> bool:
        """Collect ended children, adopted ones too; whether the supervisor still runs."""
        with contextlib.suppress(ChildProcessError):
            while (pid := os.waitpid(-1, os.WNOHANG)[0]) != 0:
                if pid == self._supervisor:
                    self._supervisor = None
        return self._supervisor is not None

    def _state(self) -> State:
        chosen = self._plan.settings
        return State(
            pid=os.getpid(),
            supervisor_pid=0,
            started_s=time.time(),
            database_url=without_password(chosen.require_database_url()),
            redis_url=without_password(chosen.require_redis_url()),
            dashboard_url=self._plan.dashboard_url,
            control=str(embedded.control_socket(self._home.path)),
            settings=environment.without_secrets(self._asked),
        )


def down(home: Home, timeout_s: float = END_S + 20) -> bool:
    """End the Muninn that runs on this state folder and wait for it; False where none runs."""
    state = home.running()
    if state is None:
        if home.is_locked() and not home.wait_unlocked(timeout_s):
            raise Misconfigured(f"a Muninn on {home.path} is starting or ending and does not finish")
        return False
    with contextlib.suppress(ProcessLookupError, psutil.NoSuchProcess):
        os.kill(state.pid, signal.SIGTERM)
    if not home.wait_unlocked(timeout_s):
        raise Misconfigured(f"Muninn (pid {state.pid}) does not end: kill -9 {state.pid}")
    return True
