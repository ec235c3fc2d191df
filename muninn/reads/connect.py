"""Reads from settings: which servers, how many connections.

Belongs here: the wiring of one process's Reads. Does not: starting servers (run).
"""

from muninn import cache
from muninn.clock import SystemClock
from muninn.meter import Meter
from muninn.reads.dead_letters import DeadLetters, told
from muninn.reads.facade import Reads
from muninn.reads.steps import Kept
from muninn.settings import Settings
from muninn.store.database import Database

# A cache that takes longer than asking the database is of no use.
REDIS_TIMEOUT_S = 1.0


def connect(settings: Settings, *, meter: Meter | None = None, application_name: str = "muninn-reads") -> Reads:
    """A Reads on the settings' database and Redis; use it as a context manager or close it.

    Misconfigured when no database is set. Without a Redis URL it reads uncached.
    """
    database = Database(
        settings.require_database_url(),
        pool_size=settings.database.pool_size,
        statement_timeout_s=settings.database.statement_timeout_s,
        application_name=application_name,
        # A worker takes 5 ms to start: more than most reads need in all, and viewers share the cores.
        parallel_workers=0,
    ).open()
    clock = SystemClock()
    kept = Kept.of(settings.store)
    if settings.redis.url is None:
        return Reads(database, meter=meter, clock=clock, kept=kept, cold_folder=settings.cold_folder)
    # With its compiled tables, which whoever only imports reads need not load.
    from muninn.ingest.buffer.sharded import open_buffer

    client = cache.connect(settings.require_redis_url(), timeout_s=REDIS_TIMEOUT_S)
    broker = open_buffer(settings.require_redis_url(), settings.buffer.shards, timeout_s=REDIS_TIMEOUT_S)
    return Reads(
        database,
        cache.RedisCache(client, clock),
        cache.RedisBoard(client, clock),
        meter=meter,
        clock=clock,
        kept=kept,
        cold_folder=settings.cold_folder,
        closing=(client.close, broker.close),
        switched_off=[
            name
            for name, runs in (("alerter", settings.alerting.enabled), ("detector", settings.detection.enabled))
            if not runs
        ],
        letters=lambda limit: DeadLetters(broker.dead_letter_count(), told(broker.dead_letters(limit))),
    )
