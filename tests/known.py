"""Known data for tests that look at a store from outside: two hosts and Muninn's own series, up to now."""

import math

from muninn.clock import SECOND_US, SystemClock
from muninn.model import BatchHandle, SampleBatch, SeriesKey
from muninn.store.database import Database
from muninn.store.writer import StoreWriter

# This many minutes up to now, a sample every so many seconds.
KNOWN_MINUTES = 40
KNOWN_EVERY_S = 10
KNOWN_HOSTS = ("alpha", "beta")
# What a counter of known data grows by per second.
KNOWN_RATE = 5.0


def known_samples(now_us: int) -> SampleBatch:
    """Two hosts, one twice as busy as the other, a queue that grew, and Muninn's own series, up to `now_us`."""
    steps = KNOWN_MINUTES * 60 // KNOWN_EVERY_S
    instants = [(n, now_us - (steps - 1 - n) * KNOWN_EVERY_S * SECOND_US) for n in range(steps)]
    rows: list[tuple[SeriesKey, int, float]] = []
    for rank, host in enumerate(KNOWN_HOSTS, start=1):

        def key(metric: str, host: str = host, **labels: str) -> SeriesKey:
            return SeriesKey.of(metric, {"host": host, **labels}, "host-collector", host)

        for n, at_us in instants:
            wave = math.sin(n / 20)
            rows += [
                (key("cpu_busy_pct", cpu="total"), at_us, (40 + 20 * wave) / rank),
                (key("memory_used_pct"), at_us, 50 + rank),
                (key("memory_used_bytes"), at_us, rank * 2.0**30),
                (key("load_1m"), at_us, 1.5 / rank),
                (key("network_received_bytes_per_s", device="eth0"), at_us, 2048.0),
                (key("network_received_bytes_per_s", device="lo"), at_us, 1e9),
                (key("network_sent_bytes_per_s", device="eth0"), at_us, 1024.0),
            ]
    # What changes most: constant but for a little, then five times as much for the last ten minutes.
    queue = SeriesKey.of("queue_depth", {"queue": "mail"}, "agent", "one")
    rows += [(queue, at_us, 50.0 if now_us - at_us < 600 * SECOND_US else 10.0 + n % 2 * 0.01) for n, at_us in instants]
    for n, at_us in instants:
        grown = n * KNOWN_EVERY_S * KNOWN_RATE
        rows += [
            (SeriesKey.of(name, {}, "muninn", "one"), at_us, value)
            for name, value in (
                ("muninn_ingest_samples_total", grown),
                ("muninn_loader_rows_total", grown),
                ("muninn_buffer_lag_s", 0.25),
                ("muninn_loader_lag_s", 0.5),
                ("muninn_buffer_depth_entries", 2.0),
                ("muninn_process_resident_bytes", 2.0**27),
            )
        ]
    return SampleBatch.of(rows)


def load_known(url: str) -> None:
    """Load known data into a migrated database."""
    with Database(url, pool_size=1) as database:
        StoreWriter(database).load([BatchHandle("known", "1-1", known_samples(SystemClock().now_us()))])
