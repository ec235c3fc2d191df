"""`muninn up` with other programs in the place of Muninn's own: `python tests/rig.py HOME PROGRAMS`.

PROGRAMS is JSON: a list of {name, argv, group, instances, grace_s, after, port}. A part with a port is ready when
somebody listens there, one without as soon as it runs. Tests start it with `Rig` and look at real processes.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
from servers import eventually

from muninn import settings
from muninn.errors import MuninnError
from muninn.home import Home, Process, State
from muninn.run import lifeline, probes
from muninn.run.control import Control
from muninn.run.display import Screen
from muninn.run.stack import Part, Stack
from muninn.run.supervisor import Program
from muninn.run.up import keep, received_signals

PYTHON = sys.executable


class Rig:
    """One run of this file, as a child process of the test."""

    def __init__(self, home: Path, *programs: dict[str, Any], output: int = subprocess.PIPE):
        self.home = Home(home)
        self.process = subprocess.Popen(
            [PYTHON, __file__, str(home), json.dumps(programs)],
            stdout=output,
            stderr=output,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
            preexec_fn=lifeline.dying_with_me(signal.SIGTERM),
        )
        self.seen: set[int] = set()

    def state(self) -> State | None:
        """What the state file says; every pid in it is remembered."""
        state = self.home.read()
        if state is not None:
            self.seen |= {state.supervisor_pid, *(process.pid for process in state.processes if process.pid)} - {0}
            self.seen |= {child.pid for child in psutil.Process(state.pid).children(recursive=True)}
        return state

    def find(self, name: str) -> Process:
        """A process by name."""
        state = self.state()
        assert state is not None
        return next(process for process in state.processes if process.name == name)

    def started(self) -> "Rig":
        """Wait until every process runs."""
        eventually(self._all_run, 20, "every process runs")
        return self

    def _all_run(self) -> bool:
        assert self.process.poll() is None, self.process.communicate()
        state = self.state()
        return state is not None and bool(state.processes) and all(process.pid for process in state.processes)

    @property
    def control(self) -> Control:
        """The supervisor's socket."""
        state = self.state()
        assert state is not None
        return Control(state.control)

    def end(self, number: int = signal.SIGTERM, timeout_s: float = 30) -> tuple[int, str, str]:
        """Send a signal and wait: exit code, stdout, stderr."""
        self.state()
        self.process.send_signal(number)
        return self.wait(timeout_s)

    def wait(self, timeout_s: float = 30) -> tuple[int, str, str]:
        """Wait for its end: exit code, stdout, stderr."""
        out, err = self.process.communicate(timeout=timeout_s)
        return self.process.returncode, out, err

    def left(self) -> list[int]:
        """Which of the processes that were ever seen still live."""
        return sorted(pid for pid in self.seen if lives(pid))

    def close(self) -> None:
        """Kill everything that is left."""
        self.process.kill()
        self.process.communicate()
        for pid in self.left():
            os.kill(pid, signal.SIGKILL)


def lives(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def script(text: str) -> list[str]:
    """The argv that runs a few lines of Python."""
    return [PYTHON, "-c", text]


# Ends when asked to.
STEADY = script("import time\nwhile True: time.sleep(60)")
# Does not.
STUBBORN = script("import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: time.sleep(60)")
# Says something and ends badly.
BROKEN = script("import sys\nprint('no such thing as a fish')\nsys.exit(3)")
# Has a child of its own, which does not end by itself.
PARENT = script(
    "import subprocess, sys, time\n"
    "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
    "while True: time.sleep(60)"
)


def _runs(processes: Any) -> bool:
    return bool(processes) and all(process.pid for process in processes)


def _part(spec: dict[str, Any]) -> Part:
    program = Program(
        spec["name"],
        tuple(spec["argv"]),
        group=spec.get("group", "programs"),
        instances=spec.get("instances", 1),
        scalable="instances" in spec,
        grace_s=spec.get("grace_s", 5.0),
    )
    ready = probes.tcp("127.0.0.1", spec["port"]) if "port" in spec else _runs
    return Part(program, "a program of a test", "", ready, tuple(spec.get("after", ())))


def _main(home_path: str, programs: str) -> int:
    asked = settings.load({"MUNINN_DATABASE_URL": "postgresql://u:sesame@h/d", "MUNINN_REDIS_URL": "redis://h/0"})
    home = Home(Path(home_path))
    home.prepare()
    plan = Stack(asked, "postgresql://h/dagster", tuple(map(_part, json.loads(programs))), (), ())
    try:
        with home.locked(), received_signals() as received:
            plan.prepare(home)
            return keep(asked, plan, home, Screen(), received)
    except MuninnError as error:
        sys.stderr.write(f"muninn: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
