"""kill -9, one after the other and all at once: what was acknowledged is in the store exactly once."""

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from known_samples import KnownSamples, assert_exactly_once
from servers import Postgres, Valkey, eventually, free_port

from muninn.errors import Unavailable
from muninn.ingest.buffer.valkey import ValkeyBroker
from muninn.run import lifeline
from muninn.run.probes import fetch
from muninn.store.database import Database
from muninn.store.migrations import migrate

ROOT = Path(__file__).parents[2]


@dataclass
class Chain:
    """PostgreSQL, Valkey, gateway and loader as real processes, without a supervisor: the test restarts them."""

    folder: Path
    postgres: Postgres = field(default_factory=Postgres)
    valkey: Valkey = field(default_factory=Valkey)
    port: int = field(default_factory=free_port)
    programs: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self) -> None:
        self.postgres.start()
        self.valkey.start()
        with Database(self.postgres.url, pool_size=1) as database:
            migrate(database)
        for name in ("gateway", "loader"):
            self.launch(name)
        eventually(lambda: fetch(f"{self.url}/readyz")[0] == 200, 60, "the gateway is ready")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def launch(self, name: str) -> None:
        """Start (again) the gateway or the loader."""
        environ = {
            "MUNINN_DATABASE_URL": self.postgres.url,
            "MUNINN_REDIS_URL": self.valkey.url,
            "MUNINN_GATEWAY_PORT": str(self.port),
            "MUNINN_LOADER_TAKEOVER_S": "2",
        }
        kept = {key: value for key, value in os.environ.items() if not key.startswith("MUNINN_")}
        with (self.folder / f"{name}.log").open("ab") as log:
            self.programs[name] = subprocess.Popen(
                [sys.executable, "-m", "muninn.run.programs", name],
                env={**kept, **environ},
                cwd=ROOT,
                stdout=log,
                stderr=log,
                preexec_fn=lifeline.dying_with_me(),
            )

    def kill(self, victim: str) -> None:
        """kill -9."""
        if victim in self.programs:
            self.programs[victim].kill()
            self.programs[victim].wait(10)
        else:
            getattr(self, victim).kill()

    def restart(self, victim: str) -> None:
        """As the supervisor would."""
        if victim in self.programs:
            self.launch(victim)
        else:
            getattr(self, victim).restart()

    def depth(self) -> int:
        """Entries that are not in the store yet; -1 where Valkey does not answer."""
        broker = ValkeyBroker(self.valkey.url)
        try:
            return broker.depth()
        except Unavailable:
            return -1

    def close(self) -> None:
        with ExitStack() as stack:
            stack.callback(self.postgres.close)
            stack.callback(self.valkey.close)
            for process in self.programs.values():
                stack.callback(process.wait, 10)
                stack.callback(process.kill)


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[Chain]:
    made = Chain(tmp_path)
    try:
        made.start()
        yield made
    finally:
        made.close()


@pytest.mark.stack
@pytest.mark.parametrize("seed", [7, 42])
def test_every_acknowledged_sample_is_stored_once(chain: Chain, seed: int) -> None:
    chance = random.Random(seed)
    client = KnownSamples(chain.url, seed).start()
    victims = ["loader", "valkey", "postgres", "gateway"]
    rounds = [[victim] for victim in victims[:3]] + [chance.sample(victims, 2), chance.sample(victims, 4)]
    for dying in rounds:
        time.sleep(chance.uniform(0.3, 1.2))  # the random moment: part of what is tested
        acknowledged = len(client.acknowledged)
        for victim in dying:
            chain.kill(victim)
        time.sleep(chance.uniform(0.0, 0.5))
        for victim in sorted(dying, key=["valkey", "postgres", "gateway", "loader"].index):
            chain.restart(victim)
        eventually(
            lambda before=acknowledged: len(client.acknowledged) > before, 60, f"samples flow after {dying} died"
        )
    client.finish(60)
    eventually(lambda: chain.depth() == 0, 60, "everything is loaded")
    assert client.retries > 0
    assert client.batches > 50
    assert_exactly_once(client, chain.postgres.url)
