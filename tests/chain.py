"""PostgreSQL, Valkey, a gateway and loaders as real processes, without a supervisor: the test kills and restarts."""

import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from servers import Postgres, Valkey, eventually, free_port, pause, unpause

from muninn.errors import Unavailable
from muninn.ingest.buffer.sharded import open_buffer
from muninn.run import lifeline
from muninn.run.probes import fetch
from muninn.store.database import Database
from muninn.store.migrations import migrate

ROOT = Path(__file__).parents[1]
# What has to answer before what: the order in which the dead come back.
SERVERS = ("valkey", "postgres")


@dataclass
class Chain:
    """folder: where logs go. loaders: how many run. environ: further settings of gateway and loaders."""

    folder: Path
    loaders: int = 1
    environ: dict[str, str] = field(default_factory=dict)
    postgres: Postgres = field(default_factory=Postgres)
    valkey: Valkey = field(default_factory=Valkey)
    port: int = field(default_factory=free_port)
    programs: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """Everything that can die, in the order in which it is started."""
        return [*SERVERS, "gateway", *(f"loader-{number}" for number in range(1, self.loaders + 1))]

    @property
    def url(self) -> str:
        """Of the gateway."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Everything, until the gateway is ready."""
        self.postgres.start()
        self.valkey.start()
        with Database(self.postgres.url, pool_size=1) as database:
            migrate(database)
        for name in self.names[len(SERVERS) :]:
            self._launch(name)
        eventually(lambda: fetch(f"{self.url}/readyz")[0] == 200, 60, "the gateway is ready")

    def kill(self, victim: str) -> None:
        """kill -9."""
        if victim in SERVERS:
            getattr(self, victim).kill()
        else:
            self.programs[victim].kill()
            self.programs[victim].wait(10)

    def restart(self, victims: Sequence[str]) -> None:
        """Start what was killed again, as a supervisor would."""
        for victim in sorted(victims, key=self.names.index):
            if victim in SERVERS:
                getattr(self, victim).restart()
            else:
                self._launch(victim)

    def pause(self, victim: str) -> None:
        """SIGSTOP: it hangs, and so do the processes that it made."""
        for pid in self._pids(victim):
            pause(pid)

    def unpause(self, victim: str) -> None:
        """SIGCONT."""
        for pid in self._pids(victim):
            unpause(pid)

    def depth(self) -> int:
        """Entries that are not in the store yet; -1 where Valkey does not answer."""
        broker = open_buffer(self.valkey.url, int(self.environ.get("MUNINN_BUFFER_SHARDS", "1")))
        try:
            return broker.depth()
        except Unavailable:
            return -1

    def close(self) -> None:
        """End everything."""
        with ExitStack() as stack:
            stack.callback(self.postgres.close)
            stack.callback(self.valkey.close)
            for process in self.programs.values():
                stack.callback(process.wait, 10)
                stack.callback(process.kill)

    def _launch(self, name: str) -> None:
        program, _, number = name.partition("-")
        environ = {
            "MUNINN_DATABASE_URL": self.postgres.url,
            "MUNINN_REDIS_URL": self.valkey.url,
            "MUNINN_GATEWAY_PORT": str(self.port),
            "MUNINN_LOADER_TAKEOVER_S": "2",
            **self.environ,
        }
        kept = {key: value for key, value in os.environ.items() if not key.startswith("MUNINN_")}
        with (self.folder / f"{name}.log").open("ab") as log:
            self.programs[name] = subprocess.Popen(
                [sys.executable, "-m", "muninn.run.programs", program, number or "1"],
                env={**kept, **environ},
                cwd=ROOT,
                stdout=log,
                stderr=log,
                preexec_fn=lifeline.dying_with_me(),
            )

    def _pids(self, victim: str) -> list[int]:
        pid = getattr(self, victim).pid if victim in SERVERS else self.programs[victim].pid
        return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
