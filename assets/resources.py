"""What assets, checks and sensors are handed: the settings, and the servers they name.

Belongs here: opening what the library offers, for as long as one step or tick. Does not: any work.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from muninn import cache
from muninn.clock import Clock, SystemClock
from muninn.reads.connect import connect
from muninn.reads.facade import Reads
from muninn.settings import Settings, load
from muninn.store.database import Database

_APPLICATION = "muninn-dagster"


class MuninnResource(dg.ConfigurableResource[None]):
    """Muninn's settings, read from `environ` (empty: the process's own environment), its clock and its servers."""

    environ: dict[str, str] = {}  # noqa: RUF012 (pydantic copies it)

    @property
    def settings(self) -> Settings:
        """The settings as they are now; Misconfigured names the variable at fault."""
        return load(self.environ or os.environ)

    @property
    def clock(self) -> Clock:
        """The machine's clock; a test hands in another by subclassing."""
        return SystemClock()

    @contextmanager
    def database(self) -> Iterator[Database]:
        """The database, for one step or tick: one connection."""
        settings = self.settings
        with Database(
            settings.require_database_url(),
            pool_size=1,
            statement_timeout_s=settings.database.statement_timeout_s,
            application_name=_APPLICATION,
        ) as database:
            yield database

    @contextmanager
    def reads(self) -> Iterator[Reads]:
        """What people ask, for one step."""
        with connect(self.settings, application_name=_APPLICATION) as reads:
            yield reads

    @contextmanager
    def cache(self) -> Iterator[cache.HotCache]:
        """The hot cache, for one step; Misconfigured where no Redis is set."""
        client = cache.connect(self.settings.require_redis_url())
        try:
            yield cache.RedisCache(client, self.clock)
        finally:
            client.close()
