"""Servers that Muninn uses or shows itself with: PostgreSQL, Redis, Dagster, Streamlit, the WebSocket stream."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator

from muninn.settings.section import Section


class Access(Section):
    """Who may come in: docs/access.md."""

    loopback: Literal["open", "token"] = Field(
        "open", description="whether programs of this machine need a token: open or token"
    )
    open: str = Field(
        "",
        description="what may listen beyond loopback and ask for no token, comma-separated: gateway, sidecar, "
        "streamlit, dagster, statsd; for networks that are closed, and proxies that ask themselves",
    )
    token: SecretStr | None = Field(
        None, description="token that Muninn's own programs send to a gateway that asks for one"
    )
    refresh_s: float = Field(2.0, ge=0.1, le=60, description="a revoked token is refused after this long")
    tls_certificate: Path | None = Field(
        None, description="PEM file of gateway, sidecar and dashboards: certificate and chain; empty: no TLS"
    )
    tls_key: Path | None = Field(None, description="PEM file of its key; empty: it is in the certificate's file")

    @field_validator("open")
    @classmethod
    def _known(cls, text: str) -> str:
        known = ("gateway", "sidecar", "streamlit", "dagster", "statsd")
        for name in filter(None, (part.strip() for part in text.split(","))):
            if name not in known:
                raise ValueError(f"{name!r} is not one of {', '.join(known)}")
        return text

    @property
    def opened(self) -> frozenset[str]:
        """The listeners that ask for no token, wherever they listen."""
        return frozenset(part.strip() for part in self.open.split(",") if part.strip())


class Database(Section):
    """PostgreSQL or TimescaleDB; without a URL an embedded PostgreSQL is started."""

    url: SecretStr | None = Field(None, description="postgresql://… of a real server; empty: embedded")
    pool_size: int = Field(4, ge=1, le=200, description="connections that one process keeps at the most")
    statement_timeout_s: float = Field(30.0, gt=0, description="a read query is cancelled after this long")


class Redis(Section):
    """Redis or Valkey; without a URL an embedded Valkey is started."""

    url: SecretStr | None = Field(None, description="redis://… of a real server; empty: embedded")


class Sidecar(Section):
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


class Streamlit(Section):
    """The dashboards."""

    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8501, ge=1, le=65535, description="port to listen on")


class Dagster(Section):
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
