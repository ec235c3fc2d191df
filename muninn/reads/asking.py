"""Named queries against the store, each timed under its name.

Belongs here: the timing that every read shares. Does not: SQL (sql/queries/reads_*.sql), what to ask.
"""

from pathlib import Path
from typing import Any

from muninn.clock import Clock
from muninn.meter import Meter
from muninn.reads.known import Known
from muninn.store.database import Database


class Asker:
    """What the question modules ask through; safe for many threads. cold_folder: where files of days that left are."""

    def __init__(self, database: Database, meter: Meter, clock: Clock, cold_folder: Path | None = None):
        self.database = database
        self.cold_folder = cold_folder
        self.known = Known()
        self._meter = meter
        self.clock = clock

    def fetch(self, name: str, /, **params: object) -> list[Any]:
        """The rows of sql/queries/<name>.sql; Unavailable when the database is away."""
        started = self.clock.monotonic()
        try:
            return self.database.fetch(name, **params)
        finally:
            self._meter.duration("muninn_query", self.clock.monotonic() - started, query=name)
