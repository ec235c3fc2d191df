"""From the buffer to the rollups."""

from typing import Literal

from pydantic import Field, field_validator

from muninn.settings.section import Section


class Buffer(Section):
    """The durable buffer (a Redis stream) between the gateway and the loader."""

    max_bytes: int = Field(
        512 << 20, ge=1 << 20, description="high-water mark of the stream; above it the door says 429"
    )
    max_age_s: int = Field(
        86_400, ge=1, description="the other high-water mark: so long the oldest entry may wait to be loaded"
    )
    live_s: int = Field(30, ge=5, description="seconds that loaded entries stay for live viewers")
    idempotency_s: int = Field(
        86_400, ge=60, description="seconds that a request's Idempotency-Key is remembered (about 130 bytes each)"
    )
    tally_s: int = Field(
        86_400,
        ge=60,
        description="seconds that what a cumulative histogram had counted is remembered (some 300 bytes each): a source"
        " that is silent for longer begins anew, and so does one that started earlier than this",
    )
    shards: int = Field(
        1, ge=1, le=16, description="streams that entries are split over, by series; each is one loader's at a time"
    )
    durability: Literal["fsync", "memory"] = Field(
        "fsync", description="answer success after the entry is on disk (fsync) or in the server's memory (memory)"
    )
    replicas: int = Field(
        0, ge=0, le=8, description="and after so many replicas of the server have it, in memory; else the answer is 503"
    )


class Loader(Section):
    """The programs that move the buffer into the store."""

    count: int = Field(1, ge=1, le=32, description="how many run")
    max_entries: int = Field(256, ge=1, description="buffer entries that one transaction takes")
    max_rows: int = Field(200_000, ge=1, description="samples that one transaction takes")
    takeover_s: float = Field(15.0, gt=0, description="entries that a loader left for this long are taken over")


class Store(Section):
    """How long rows are kept, and how far ahead partitions are made."""

    raw_days: int = Field(90, ge=1, description="raw samples are kept for this long")
    rollup_1min_days: int = Field(90, ge=1, description="1-minute rollups are kept for this long")
    rollup_5min_days: int = Field(180, ge=1, description="5-minute rollups are kept for this long")
    rollup_1hour_days: int = Field(730, ge=1, description="1-hour rollups are kept for this long")
    duplicates: Literal["last", "first"] = Field(
        "last", description="which write stands where a series gets two samples of one instant"
    )
    ahead_days: int = Field(3, ge=1, le=30, description="partitions are made this far ahead")
    chunk_hours: int = Field(
        1,
        ge=1,
        le=24,
        description="TimescaleDB: hours of raw samples in a chunk, a divisor of 24: docs/decisions/0005-timescaledb.md",
    )
    columnstore_after_hours: int = Field(
        24, ge=1, description="TimescaleDB: a chunk is compressed this long after its end, when few late samples come"
    )

    @field_validator("chunk_hours")
    @classmethod
    def _days_hold_whole_chunks(cls, hours: int) -> int:
        """Retention drops whole days: a chunk over midnight would never go."""
        if 24 % hours:
            raise ValueError("must divide 24: 1, 2, 3, 4, 6, 8, 12 or 24")
        return hours


class Rollups(Section):
    """When fresh buckets are closed, and by whom."""

    refresh_s: float = Field(10.0, gt=0, description="seconds between two refreshes of the fresh end")
    settle_s: float = Field(15.0, ge=0, description="a bucket is closed this long after its end")
    refreshed_by: Literal["database", "muninn"] = Field(
        "database",
        description="TimescaleDB: who refreshes the fresh end, a job in the database or Muninn's refresher; on plain"
        " PostgreSQL always Muninn",
    )
    lateness_h: float = Field(
        24.0,
        gt=0,
        description="TimescaleDB: late samples of this many hours are the database's job, older ones Muninn's",
    )
