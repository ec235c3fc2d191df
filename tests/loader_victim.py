"""A loader in a process of its own, of a store that keeps a day, which ends itself by kill -9 at a given step.

python tests/loader_victim.py DATABASE_URL REDIS_URL before_keep|after_keep|after_commit
"""

import os
import signal
import sys
from collections.abc import Sequence

from muninn.ingest.buffer.valkey import ValkeyBroker
from muninn.ingest.loader import Loader
from muninn.model import BatchHandle, SampleBatch
from muninn.run.programs.loader import _OneStream
from muninn.store.database import Database
from muninn.store.writer import StoreWriter


class Victim(ValkeyBroker):
    """The real buffer, up to the step."""

    fatal = ""

    def keep_aside(self, batch: SampleBatch, reason: str, entry_id: str) -> None:
        self._at("before_keep")
        super().keep_aside(batch, reason, entry_id)
        self._at("after_keep")

    def acknowledge(self, handles: Sequence[BatchHandle]) -> None:
        self._at("after_commit")
        super().acknowledge(handles)

    def _at(self, step: str) -> None:
        if step == self.fatal:
            os.kill(os.getpid(), signal.SIGKILL)


def main(database_url: str, redis_url: str, fatal: str) -> None:
    broker = Victim(redis_url)
    broker.fatal = fatal
    with Database(database_url) as database:
        loader = Loader(broker, _OneStream(StoreWriter(database, raw_days=1), "muninn:ingest:0"), "test:1")
        while loader.step():
            pass


if __name__ == "__main__":
    main(*sys.argv[1:])
