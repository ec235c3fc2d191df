"""Muninn's real programs as children of a test, without a supervisor: what is killed stays dead until it is started."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from muninn.run import lifeline

ROOT = Path(__file__).parents[1]


class Programs:
    """One home, one database, one Redis; programs are started and killed by name."""

    def __init__(self, home: Path, database_url: str, redis_url: str, **environ: str):
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MUNINN_")}
        own = {"HOME": str(home), "DATABASE_URL": database_url, "REDIS_URL": redis_url, **environ}
        self.home = home
        self.environ = {**kept, **{f"MUNINN_{name}": value for name, value in own.items()}}
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, *names: str) -> None:
        for name in names:
            with (self.home / f"{name}.log").open("ab") as log:
                self._running[name] = subprocess.Popen(
                    [sys.executable, "-m", "muninn.run.programs", name],
                    cwd=ROOT, env=self.environ, stdout=log, stderr=log, preexec_fn=lifeline.dying_with_me(),
                )  # fmt: skip

    def kill(self, name: str) -> None:
        """kill -9."""
        process = self._running.pop(name)
        process.send_signal(signal.SIGKILL)
        process.wait(10)

    def log(self, name: str) -> str:
        path = self.home / f"{name}.log"
        return path.read_text() if path.exists() else ""

    def end(self) -> None:
        """All, politely, then by force."""
        for process in self._running.values():
            process.terminate()
        for process in self._running.values():
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)
        self._running.clear()
