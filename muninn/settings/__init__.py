"""The one place that reads the environment: typed, frozen sections; secrets typed as secrets.

A setting is an environment variable `MUNINN_<SECTION>_<NAME>`, such as MUNINN_GATEWAY_PORT.
docs/settings.md lists them all and is checked against this package by a test.
"""

import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, ValidationError

from muninn.errors import Misconfigured
from muninn.settings.alerting import Alerting
from muninn.settings.cold import Cold
from muninn.settings.detection import Detection
from muninn.settings.section import Section
from muninn.settings.servers import Access, Dagster, Database, Redis, Sidecar, Streamlit
from muninn.settings.sources import Cardinality, Collector, Gateway, Scraper, Statsd
from muninn.settings.storage import Buffer, Loader, Rollups, Store

__all__ = [
    "Access",
    "Alerting",
    "Buffer",
    "Cardinality",
    "Cold",
    "Collector",
    "Dagster",
    "Database",
    "Detection",
    "Gateway",
    "Loader",
    "Redis",
    "Rollups",
    "Scraper",
    "Section",
    "Settings",
    "Sidecar",
    "Statsd",
    "Store",
    "Streamlit",
    "load",
    "reachable",
    "variables",
    "without_password",
]

PREFIX = "MUNINN_"
# Clients of PostgreSQL and Redis take passwords among a URL's parameters too.
_PASSWORD = re.compile(r"((?:^|&)[^&=]*password=)[^&]*")
# Read by the test suite, the benchmarks and dagster.yaml, not here.
_NOT_OURS = ("MUNINN_TEST_", "MUNINN_BENCH_", "MUNINN_DAGSTER_POSTGRES_URL")


class Settings(Section):
    """Everything that can be set."""

    home: Path = Field(Path(".muninn"), description="the state folder: data, logs, run files")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="least severe log line kept")
    landing: Path | None = Field(
        None, description="CSV, NDJSON and Parquet files dropped here are taken in; empty: HOME/landing"
    )
    access: Access = Access()
    database: Database = Database()
    redis: Redis = Redis()
    gateway: Gateway = Gateway()
    sidecar: Sidecar = Sidecar()
    streamlit: Streamlit = Streamlit()
    dagster: Dagster = Dagster()
    buffer: Buffer = Buffer()
    loader: Loader = Loader()
    store: Store = Store()
    cold: Cold = Cold()
    rollups: Rollups = Rollups()
    cardinality: Cardinality = Cardinality()
    collector: Collector = Collector()
    scraper: Scraper = Scraper()
    statsd: Statsd = Statsd()
    alerting: Alerting = Alerting()
    detection: Detection = Detection()

    @property
    def landing_folder(self) -> Path:
        """Where dropped files are taken from."""
        return self.landing or self.home / "landing"

    @property
    def cold_folder(self) -> Path:
        """Where the files of the cold tier lie."""
        return self.cold.folder or self.home / "cold"

    @property
    def gateway_url(self) -> str:
        """http(s)://host:port of the gateway, as a client on this machine reaches it."""
        return f"{self.http}://{reachable(self.gateway.host)}:{self.gateway.port}"

    @property
    def http(self) -> str:
        """http, or https where there is a certificate."""
        return "http" if self.access.tls_certificate is None else "https"

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
        if isinstance(kind, type) and issubclass(kind, Section):
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
    """The URL fit for a log or a screen: its passwords, before the host or among the parameters, as `***`."""
    parts = urlsplit(url)
    address, mark, parameters = url.partition("?")
    if parts.password is not None:
        shown = f"{parts.username or ''}:***@{parts.netloc.rpartition('@')[2]}"
        address = address.replace(parts.netloc, shown, 1)
    return address + mark + _PASSWORD.sub(r"\1***", parameters)
