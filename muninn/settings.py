"""The one place that reads the environment: typed, frozen sections; secrets typed as secrets.

A setting is an environment variable `MUNINN_<SECTION>_<NAME>`, such as MUNINN_GATEWAY_PORT.
docs/settings.md lists them all and is checked against this file by a test.
"""

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from muninn.errors import Misconfigured

PREFIX = "MUNINN_"
# Read by the test suite, the benchmarks and dagster.yaml, not here.
_NOT_OURS = ("MUNINN_TEST_", "MUNINN_BENCH_", "MUNINN_DAGSTER_POSTGRES_URL")


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)


class Database(_Section):
    """PostgreSQL or TimescaleDB; without a URL an embedded PostgreSQL is started."""

    url: SecretStr | None = Field(None, description="postgresql://… of a real server; empty: embedded")
    pool_size: int = Field(4, ge=1, le=200, description="connections that one process keeps at the most")
    statement_timeout_s: float = Field(30.0, gt=0, description="a read query is cancelled after this long")


class Redis(_Section):
    """Redis or Valkey; without a URL an embedded Valkey is started."""

    url: SecretStr | None = Field(None, description="redis://… of a real server; empty: embedded")


class Gateway(_Section):
    """The HTTP door: ingest and the JSON read API."""

    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8480, ge=1, le=65535, description="port to listen on")
    max_body_bytes: int = Field(32 << 20, ge=1024, description="a request body, unpacked, may be this large")
    future_s: float = Field(600.0, ge=0, description="a sample may lie this far ahead of our clock")


class Sidecar(_Section):
    """The WebSocket stream."""

    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8481, ge=1, le=65535, description="port to listen on")
    window_s: int = Field(300, ge=10, le=3600, description="seconds of history that a snapshot holds")
    max_clients: int = Field(20_000, ge=1, description="connections that one process takes")
    origins: str = Field(
        "",
        description="origins of pages that may read the stream, besides loopback: https://host[:port], comma-separated",
    )
    public_url: str = Field(
        "", description="ws:// or wss:// address that browsers use; empty: the page's own host with this port"
    )


class Streamlit(_Section):
    """The dashboards."""

    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8501, ge=1, le=65535, description="port to listen on")


class Dagster(_Section):
    """The lineage UI and its code server."""

    host: str = Field("127.0.0.1", description="address to listen on (it has no login: keep it on loopback)")
    port: int = Field(3000, ge=1, le=65535, description="port of the web UI")
    code_port: int = Field(3030, ge=1, le=65535, description="port of the code server")
    database_url: SecretStr | None = Field(
        None, description="postgresql://… for Dagster's own storage; empty: database `dagster` on the same server"
    )
    keep_days: int = Field(
        14, ge=1, description="finished runs and their logs are kept this long; what is materialised stays known"
    )


class Buffer(_Section):
    """The durable buffer (a Redis stream) between the gateway and the loader."""

    max_bytes: int = Field(
        512 << 20, ge=1 << 20, description="high-water mark of the stream; above it the door says 429"
    )
    live_s: int = Field(30, ge=5, description="seconds that loaded entries stay for live viewers")
    idempotency_s: int = Field(
        86_400, ge=60, description="seconds that a request's Idempotency-Key is remembered (about 130 bytes each)"
    )
    durability: Literal["fsync", "memory"] = Field(
        "fsync", description="answer success after the entry is on disk (fsync) or in the server's memory (memory)"
    )


class Loader(_Section):
    """The programs that move the buffer into the store."""

    count: int = Field(1, ge=1, le=32, description="how many run")
    max_entries: int = Field(256, ge=1, description="buffer entries that one transaction takes")
    max_rows: int = Field(200_000, ge=1, description="samples that one transaction takes")
    takeover_s: float = Field(15.0, gt=0, description="entries that a loader left for this long are taken over")


class Store(_Section):
    """How long rows are kept, and how far ahead partitions are made."""

    raw_days: int = Field(90, ge=1, description="raw samples are kept for this long")
    rollup_1min_days: int = Field(90, ge=1, description="1-minute rollups are kept for this long")
    rollup_5min_days: int = Field(180, ge=1, description="5-minute rollups are kept for this long")
    rollup_1hour_days: int = Field(730, ge=1, description="1-hour rollups are kept for this long")
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


class Rollups(_Section):
    """When fresh buckets are closed."""

    refresh_s: float = Field(10.0, gt=0, description="seconds between two refreshes of the fresh end")
    settle_s: float = Field(15.0, ge=0, description="a bucket is closed this long after its end")


class Collector(_Section):
    """The host collector."""

    enabled: bool = Field(True, description="collect this machine's metrics under `muninn up`")
    interval_s: float = Field(1.0, ge=0.1, le=60, description="seconds between two readings")
    top_processes: int = Field(5, ge=0, le=50, description="how many of the busiest processes are reported")
    url: str = Field("", description="gateway to send to; empty: the one of these settings")


class Scraper(_Section):
    """Prometheus and OpenMetrics text, pulled from targets; runs under `muninn up` where there are any."""

    targets: str = Field("", description="what to scrape: http://host:port/path, comma-separated")
    file: Path | None = Field(
        None, description="more targets, in the JSON form of Prometheus' file_sd; read again when it changes"
    )
    job: str = Field("scrape", min_length=1, description="label `job` of targets that have none of their own")
    interval_s: float = Field(
        15.0, ge=0.1, description="seconds between two scrapes of a target that says nothing else"
    )
    timeout_s: float = Field(10.0, gt=0, description="a target is given up after this long, or its interval if shorter")
    max_body_bytes: int = Field(32 << 20, ge=1024, description="a target's text, unpacked, may be this large")
    url: str = Field("", description="gateway to send to; empty: the one of these settings")

    @property
    def wanted(self) -> bool:
        """Whether there is anything to scrape."""
        return bool(self.targets or self.file)


class Statsd(_Section):
    """StatsD and DogStatsD over UDP; runs under `muninn up` where a port is set."""

    port: int | None = Field(None, ge=1, le=65535, description="UDP port to listen on, usually 8125; empty: off")
    host: str = Field("127.0.0.1", description="address to listen on (StatsD knows no login: keep it on loopback)")
    flush_s: float = Field(10.0, ge=0.1, le=3600, description="seconds that one sample of a series stands for")
    max_series: int = Field(
        10_000, ge=1, description="series kept at once; values of further ones are dropped, counted"
    )
    max_values: int = Field(
        1_000_000, ge=1, description="timer values and set members kept between two flushes; further ones are dropped"
    )
    url: str = Field("", description="gateway to send to; empty: the one of these settings")


class Settings(_Section):
    """Everything that can be set."""

    home: Path = Field(Path(".muninn"), description="the state folder: data, logs, run files")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="least severe log line kept")
    landing: Path | None = Field(
        None, description="CSV, NDJSON and Parquet files dropped here are taken in; empty: HOME/landing"
    )
    database: Database = Database()
    redis: Redis = Redis()
    gateway: Gateway = Gateway()
    sidecar: Sidecar = Sidecar()
    streamlit: Streamlit = Streamlit()
    dagster: Dagster = Dagster()
    buffer: Buffer = Buffer()
    loader: Loader = Loader()
    store: Store = Store()
    rollups: Rollups = Rollups()
    collector: Collector = Collector()
    scraper: Scraper = Scraper()
    statsd: Statsd = Statsd()

    @property
    def landing_folder(self) -> Path:
        """Where dropped files are taken from."""
        return self.landing or self.home / "landing"

    @property
    def gateway_url(self) -> str:
        """http://host:port of the gateway, as a client on this machine reaches it."""
        return f"http://{reachable(self.gateway.host)}:{self.gateway.port}"

    def require_database_url(self) -> str:
        """The database URL, or Misconfigured where none is set and nothing embedded runs."""
        if self.database.url is None:
            raise Misconfigured("no database: set MUNINN_DATABASE_URL, or start Muninn with `make up`")
        return self.database.url.get_secret_value()

    def require_redis_url(self) -> str:
        """The Redis URL, or Misconfigured where none is set and nothing embedded runs."""
        if self.redis.url is None:
            raise Misconfigured("no Redis: set MUNINN_REDIS_URL, or start Muninn with `make up`")
        return self.redis.url.get_secret_value()


def variables() -> dict[str, tuple[str | None, str]]:
    """Every variable's name -> (section or None, field)."""
    found: dict[str, tuple[str | None, str]] = {}
    for name, field in Settings.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, _Section):
            for inner in kind.model_fields:
                found[f"{PREFIX}{name}_{inner}".upper()] = (name, inner)
        else:
            found[f"{PREFIX}{name}".upper()] = (None, name)
    return found


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings; Misconfigured names the variable at fault and what it may be.

    An empty variable counts as not set. An unknown MUNINN_ variable is an error: it is a typing slip.
    """
    environ = os.environ if environ is None else environ
    known = variables()
    values: dict[str, object] = {}
    for name, text in environ.items():
        if not name.startswith(PREFIX) or name.startswith(_NOT_OURS) or not text.strip():
            continue
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]}?" if near else "see docs/settings.md."
            raise Misconfigured(f"{name} is not a setting: {hint}")
        section, field = known[name]
        if section is None:
            values[field] = text
        else:
            values.setdefault(section, {})[field] = text  # type: ignore[index]
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        name = PREFIX + "_".join(str(part) for part in first["loc"]).upper()
        raise Misconfigured(f"{name} is wrong: {first['msg']}.") from None


def reachable(host: str) -> str:
    """The address under which a wildcard listener answers on this machine."""
    return {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)  # noqa: S104 - compared, not bound


def without_password(url: str) -> str:
    """The URL fit for a log or a screen: its password, if any, as `***`."""
    parts = urlsplit(url)
    if parts.password is None:
        return url
    where = f"{parts.username or ''}:***@{parts.netloc.rpartition('@')[2]}"
    return urlunsplit(parts._replace(netloc=where))
