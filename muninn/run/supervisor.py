"""Keeps processes running: Supervisor (supervisord's library) with the few things that Muninn adds.

Belongs here: exponential back-off, children that die with us, instances that come and go, the state file,
and the control socket. Does not: asking there (control), which programs there are, when one is ready (stack, up).
Why this library: docs/decisions/0001-supervisor.md.
"""

import contextlib
import dataclasses
import os
import shlex
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TextIO, cast

from supervisor.datatypes import RestartUnconditionally
from supervisor.options import ProcessConfig, ProcessGroupConfig, ServerOptions, decode_wait_status
from supervisor.process import Subprocess
from supervisor.states import ProcessStates
from supervisor.supervisord import Supervisor
from supervisor.xmlrpc import Faults, RPCError

from muninn.home import Home, Process, State
from muninn.run import lifeline
from muninn.run.outlets import Unfailing

# A process that lives this long has started well: its next end is answered at once.
SETTLED_S = 10
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 60.0
_LOG_BYTES = 8 << 20
_LOG_BACKUPS = 2
_NEVER = 1 << 30

_STATES = {
    ProcessStates.STOPPED: "stopped",
    ProcessStates.STARTING: "starting",
    ProcessStates.RUNNING: "running",
    ProcessStates.BACKOFF: "backoff",
    ProcessStates.STOPPING: "stopping",
    ProcessStates.EXITED: "backoff",
    ProcessStates.FATAL: "stopped",
    ProcessStates.UNKNOWN: "stopped",
}


@dataclass(frozen=True)
class Program:
    """What to run. Groups end one after another, "programs" before "servers"; within a group all at once.

    argv: "{number}" in it stands for the number of the instance, from 1.
    instances: how many at the start; scalable: whether that may change.
    run_as: (uid, gid), or None for our own. grace_s: from stop_signal to SIGKILL. nice: added to ours.
    """

    name: str
    argv: tuple[str, ...]
    group: Literal["servers", "programs"] = "programs"
    instances: int = 1
    scalable: bool = False
    directory: Path | None = None
    environ: Mapping[str, str] = field(default_factory=dict)
    run_as: tuple[int, int] | None = None
    stop_signal: int = signal.SIGTERM
    grace_s: float = 6.0
    nice: int = 0

    def process_name(self, number: int) -> str:
        """The name of its `number`th process, from 1."""
        return f"{self.name}-{number}" if self.scalable else self.name


def pause_s(failures: int) -> float:
    """Seconds to wait after the `failures`th quick end in a row: doubling, up to a minute."""
    return min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** (min(failures, 32) - 1))


class _Child(Subprocess):  # type: ignore[misc]
    """One process: comes back after a doubling pause, and cannot outlive the supervisor."""

    def __init__(self, config: "_ChildConfig"):
        super().__init__(config)
        self.spawns = 0
        self.last_end = ""
        self.leaving = False
        self._pause_s = 0.0

    def set_uid(self) -> str | None:
        """Runs in the child just before exec, the one place where it can still say who it depends on."""
        program = self.config.program
        try:
            if program.run_as is not None:
                with contextlib.suppress(OSError):
                    os.setgroups([])
                os.setgid(program.run_as[1])
                os.setuid(program.run_as[0])
            if program.nice:
                os.nice(program.nice)
        except OSError as error:
            return str(error)
        lifeline.die_with_parent(signal.SIGKILL, self.config.parent)
        return None

    def spawn(self) -> int | None:
        self.spawns += 1
        return super().spawn()  # type: ignore[no-any-return]

    def change_state(self, new_state: int, expected: bool = True) -> None:
        super().change_state(new_state, expected)
        if new_state == ProcessStates.BACKOFF:
            self._pause_s = pause_s(self.backoff)
            self.delay = time.time() + self._pause_s

    def _check_and_adjust_for_system_clock_rollback(self, test_time: float) -> None:
        if self.state != ProcessStates.BACKOFF:
            super()._check_and_adjust_for_system_clock_rollback(test_time)
        elif test_time < self.delay - self._pause_s:
            self.delay = test_time + self._pause_s

    def transition(self) -> None:
        """One that leaves stays away, also where it had ended by itself just before."""
        if self.leaving and self.state == ProcessStates.EXITED:
            self.change_state(ProcessStates.STOPPED)
        super().transition()

    def finish(self, pid: int, sts: int) -> None:
        super().finish(pid, sts)
        _, self.last_end = decode_wait_status(sts)
        # Its own children share its process group; a restarted one could not have their ports otherwise.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)

    def describe(self) -> Process:
        """For the state file."""
        return Process(
            name=self.config.name,
            program=self.config.program.name,
            pid=self.pid,
            state=_STATES[self.state],
            started_s=round(self.laststart, 3),
            restarts=max(0, self.spawns - 1),
            last_end=self.last_end or (self.spawnerr or ""),
            next_try_s=round(self.delay, 3) if self.state == ProcessStates.BACKOFF else 0.0,
        )


class _ChildConfig(ProcessConfig):  # type: ignore[misc]
    """Supervisor's configuration of one process, from a Program."""

    def __init__(self, options: ServerOptions, program: Program, number: int, logs: Path):
        name = program.process_name(number)
        self.program = program
        self.parent = os.getpid()
        nothing = {f"{stream}_{what}": None for stream in ("stdout", "stderr") for what in ("logfile", "syslog")}
        zeros = ("capture_maxbytes", "events_enabled", "logfile_backups", "logfile_maxbytes")
        super().__init__(
            options,
            **{
                **nothing,
                **{f"{stream}_{what}": 0 for stream in ("stdout", "stderr") for what in zeros},
                "name": name,
                "uid": None,
                "command": shlex.join(part.replace("{number}", str(number)) for part in program.argv),
                "directory": None if program.directory is None else str(program.directory),
                "umask": None,
                "priority": 1,
                "autostart": False,
                "autorestart": RestartUnconditionally,
                "startsecs": SETTLED_S,
                "startretries": _NEVER,
                "stdout_logfile": str(logs / f"{name}.log"),
                "stdout_logfile_maxbytes": _LOG_BYTES,
                "stdout_logfile_backups": _LOG_BACKUPS,
                "stopsignal": program.stop_signal,
                "stopwaitsecs": program.grace_s,
                "stopasgroup": False,
                "killasgroup": True,
                "exitcodes": [],
                "redirect_stderr": True,
                "environment": dict(program.environ),
            },
        )

    def make_process(self, group: Any = None) -> _Child:
        process = _Child(self)
        process.group = group
        return process


class _Kept(Supervisor):  # type: ignore[misc]
    """The main loop; it also writes the state file when something has changed."""

    def __init__(self, options: ServerOptions, programs: Sequence[Program], home: Home, state: State):
        super().__init__(options)
        self.programs = {program.name: program for program in programs}
        self._home = home
        self._state = state

    def tick(self, now: float | None = None) -> None:
        super().tick(now)
        self._remove_departed()
        self.record()

    def record(self) -> None:
        """Write the state file if anything in it has changed; where the disk is full, the next tick tries again."""
        found = tuple(child.describe() for child in self.children())
        if found != self._state.processes:
            fresh = dataclasses.replace(self._state, processes=found)
            try:
                self._home.write(fresh)
            except OSError as error:
                self.options.logger.warn(f"the state file cannot be written: {error}")
            else:
                self._state = fresh

    def children(self) -> list[_Child]:
        """Every process, in the order of the programs."""
        return [child for group in self.process_groups.values() for child in group.processes.values()]

    def of(self, program: str) -> list[_Child]:
        """The processes of one program."""
        return [child for child in self.children() if child.config.program.name == program]

    def add(self, program: Program, number: int) -> _Child:
        """One more process of a program, not started yet."""
        group = self.process_groups[program.group]
        child = _ChildConfig(self.options, program, number, self._home.logs).make_process(group)
        group.processes[child.config.name] = child
        return child

    def _remove_departed(self) -> None:
        for group in self.process_groups.values():
            for name, child in list(group.processes.items()):
                if child.leaving and child.state == ProcessStates.STOPPED:
                    del group.processes[name]


class _Interface:
    """What the control socket offers beside Supervisor's own methods, as `muninn.<method>`."""

    def __init__(self, kept: _Kept):
        self._kept = kept

    def start(self, program: str) -> bool:
        """Start every process of a program that is not started yet."""
        for child in self._find(program):
            if child.state == ProcessStates.STOPPED:
                child.spawn()
        self._kept.record()
        return True

    def restart(self, process: str) -> bool:
        """Kill one process, by name, and let it come back."""
        for child in self._kept.children():
            if child.config.name == process and child.pid:
                os.killpg(child.pid, signal.SIGKILL)
                return True
        raise RPCError(Faults.BAD_NAME, process)

    def scale(self, program: str, count: int) -> int:
        """Have `count` processes of a program from now on; returns how many there were."""
        found = [child for child in self._find(program) if not child.leaving]
        if not found[0].config.program.scalable:
            raise RPCError(Faults.INCORRECT_PARAMETERS, f"{program} runs once")
        for child in found[count:]:
            child.leaving = True
            child.stop()
        taken = {child.config.name for child in self._find(program)}
        definition, number = found[0].config.program, 0
        for _ in range(count - len(found)):
            number = next(n for n in range(number + 1, _NEVER) if definition.process_name(n) not in taken)
            self._kept.add(definition, number).spawn()
        self._kept.record()
        return len(found)

    def _find(self, program: str) -> list[_Child]:
        found = self._kept.of(program)
        if not found:
            raise RPCError(Faults.BAD_NAME, program)
        return found


def run(programs: Sequence[Program], home: Home, state: State) -> None:
    """Supervise until SIGTERM, then end everything in order. Returns when nothing is left.

    Nothing is started by itself: a Control says when. `state.control` is the socket's path.
    """
    options = _options(programs, home, Path(state.control))
    kept = _Kept(options, programs, home, dataclasses.replace(state, supervisor_pid=os.getpid()))
    options.rpcinterface_factories = [*options.rpcinterface_factories, ("muninn", lambda _: _Interface(kept), {})]
    with contextlib.suppress(_exit_now()):
        kept.run()
    home.forget()


def _exit_now() -> type[BaseException]:
    from supervisor.medusa import asyncore_25

    return asyncore_25.ExitNow  # type: ignore[no-any-return]


def _options(programs: Sequence[Program], home: Home, control: Path) -> ServerOptions:
    def quoted(path: Path) -> str:
        return str(path).replace("%", "%%")

    conf = home.run / "supervisor.conf"
    conf.write_text(
        "[supervisord]\nnodaemon = true\nsilent = true\nnocleanup = true\nstrip_ansi = true\n"
        f"logfile_maxbytes = {_LOG_BYTES}\nlogfile_backups = {_LOG_BACKUPS}\n"
        f"logfile = {quoted(home.logs / 'supervisor.log')}\n"
        f"pidfile = {quoted(home.run / 'supervisor.pid')}\nchildlogdir = {quoted(home.logs)}\n"
        f"[unix_http_server]\nfile = {quoted(control)}\nchmod = 0700\n"
        "[rpcinterface:supervisor]\n"
        "supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface\n"
    )
    options = ServerOptions()
    options.realize(["-c", str(conf)])
    options.first, options.test = True, False
    options.make_logger()
    # Programs end first, servers last: the highest priority goes first.
    for priority, name in enumerate(("servers", "programs"), start=1):
        children = [
            _ChildConfig(options, program, number, home.logs)
            for program in programs
            if program.group == name
            for number in range(1, program.instances + 1)
        ]
        options.process_group_configs.append(ProcessGroupConfig(options, name, priority, children))
    return options


def fork(programs: Sequence[Program], home: Home, state: State, environ: Mapping[str, str]) -> int:
    """Run the supervisor in a child process that ends everything when this one dies; returns its pid.

    environ: the environment of every program. Call it before any thread is started.
    """
    parent = os.getpid()
    # Until the child has handlers of its own, a signal for it would be taken by those of its parent, and be lost.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, lifeline.STOPPING)
    pid = os.fork()
    if pid:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return pid
    code = 1
    try:
        lifeline.handle_no_signals()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        os.setsid()  # a Ctrl-C at the terminal is for the parent alone
        lifeline.die_with_parent(signal.SIGTERM, parent)
        _to_log(home.logs / "supervisor.log")
        os.environ.clear()
        os.environ.update(environ)
        run(programs, home, state)
        code = 0
    except BaseException as error:
        print(f"supervisor: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
    finally:
        os._exit(code)


def _to_log(path: Path) -> None:
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    # Where Supervisor cannot write a log it says so on standard error; on a full disk that would be its end.
    sys.stderr = cast(TextIO, Unfailing(sys.stderr))
