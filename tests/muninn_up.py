"""The real `muninn up` as a child of a test: own home, own ports, and an eye on every process below it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import psutil
from rig import lives
from servers import eventually, free_port

from muninn.home import Home, State
from muninn.run import lifeline

ROOT = Path(__file__).parents[1]
MUNINN = str(Path(sys.executable).with_name("muninn"))
PORTS = ("GATEWAY_PORT", "SIDECAR_PORT", "STREAMLIT_PORT", "DAGSTER_PORT", "DAGSTER_CODE_PORT")
# Everything, Dagster too, on a machine that does other things besides.
START_S = 150.0


class MuninnUp:
    """A state folder and what runs on it. Use it as a context manager: nothing is left afterwards."""

    def __init__(self, **environ: str):
        self.folder = Path(tempfile.mkdtemp(prefix="muninn-test-"))
        self.home = Home(self.folder / "home")
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MUNINN_")}
        ports = {f"MUNINN_{name}": str(free_port()) for name in PORTS}
        self.environ = {**kept, "COLUMNS": "200", "MUNINN_HOME": str(self.home.path), **ports, **environ}
        self.process: subprocess.Popen[bytes] | None = None
        self.seen: set[int] = set()

    def __enter__(self) -> "MuninnUp":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is not None and self.process.poll() is None:
            self.look()
            self.process.kill()
            self.process.wait(10)
        for pid in self.left():
            os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)

    def port(self, name: str) -> int:
        """A port by its setting, such as GATEWAY_PORT."""
        return int(self.environ[f"MUNINN_{name}"])

    @property
    def gateway_url(self) -> str:
        return f"http://127.0.0.1:{self.port('GATEWAY_PORT')}"

    def run(self, *arguments: str, timeout_s: float = 90.0) -> "subprocess.CompletedProcess[str]":
        """Run a muninn command to its end."""
        return subprocess.run(
            [MUNINN, *arguments],
            env=self.environ,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def begin(self) -> None:
        """Start `muninn up`; its output goes to files."""
        with (self.folder / "out").open("wb") as out, (self.folder / "err").open("wb") as err:
            self.process = subprocess.Popen(
                [MUNINN, "up"],
                env=self.environ,
                cwd=ROOT,
                stdout=out,
                stderr=err,
                preexec_fn=lifeline.dying_with_me(signal.SIGTERM),
            )

    def start(self) -> None:
        """Start it and wait until it says that everything runs."""
        self.begin()
        self.await_output("Ctrl-C ends everything", START_S)

    def await_output(self, text: str, timeout_s: float) -> None:
        """Wait until the text is printed."""

        def printed() -> bool:
            assert self.process is not None
            self.look()
            assert self.process.poll() is None, self.output() + self.errors()
            return text in self.output()

        eventually(printed, timeout_s, f"{text!r} is printed", interval_s=0.2)

    def output(self) -> str:
        return (self.folder / "out").read_text()

    def errors(self) -> str:
        return (self.folder / "err").read_text()

    def look(self) -> None:
        """Remember every process that is below it now."""
        assert self.process is not None
        try:
            root = psutil.Process(self.process.pid)
            self.seen |= {root.pid, *(child.pid for child in root.children(recursive=True))}
        except psutil.NoSuchProcess:
            pass

    def left(self) -> list[int]:
        """What was seen and still lives, by pid."""
        return [pid for pid in sorted(self.seen) if lives(pid)]

    def of_its_folder(self) -> list[str]:
        """The command lines of all processes that were started with its folder, whoever is their parent now."""
        found = []
        for process in psutil.process_iter():
            try:
                line, given = process.cmdline(), process.environ().values()
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
            if any(str(self.folder) in word for word in (*line, *given)):
                found.append(" ".join(line))
        return found

    def end(self, number: int, timeout_s: float = 60.0) -> int:
        """Send a signal, wait; the exit code."""
        assert self.process is not None
        self.look()
        self.process.send_signal(number)
        return self.process.wait(timeout_s)

    def state(self) -> State:
        found = self.home.read()
        assert found is not None
        return found

    def pid(self, process: str) -> int:
        """The pid of one process, 0 while it does not run."""
        self.look()
        return next(found.pid for found in self.state().processes if found.name == process)

    def status(self) -> dict[str, Any]:
        """`muninn status --json`."""
        done = self.run("status", "--json")
        found: dict[str, Any] = json.loads(done.stdout)
        assert (done.returncode == 0) == (found["health"] == "ok"), done.stdout
        return found
