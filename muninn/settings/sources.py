"""Where samples come in or from: the gateway, the collector, the scraper, StatsD."""

from pathlib import Path

from pydantic import Field

from muninn.settings.section import Section


class Gateway(Section):
    """The HTTP door: ingest and the JSON read API."""

    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8480, ge=1, le=65535, description="port to listen on")
    max_body_bytes: int = Field(32 << 20, ge=1024, description="a request body, unpacked, may be this large")
    future_s: float = Field(600.0, ge=0, description="a sample may lie this far ahead of our clock")


class Cardinality(Section):
    """How many series may come in, and what they may look like: docs/cardinality.md."""

    metric_series: int = Field(
        150_000, ge=0, description="active series (within an hour) of one metric; new ones beyond it are refused"
    )
    metric_new_per_hour: int = Field(100_000, ge=0, description="new series of one metric within an hour")
    source_series: int = Field(300_000, ge=0, description="active series of one source agent")
    source_new_per_hour: int = Field(200_000, ge=0, description="new series of one source agent within an hour")
    max_labels: int = Field(64, ge=0, le=64, description="labels of one series")
    max_label_value_bytes: int = Field(1024, ge=1, le=1024, description="bytes of a label's value")
    rules: Path | None = Field(
        None, description="TOML file of rules at the door: drop, keep, rename, limits; read again when it changes"
    )


class Collector(Section):
    """The host collector."""

    enabled: bool = Field(True, description="collect this machine's metrics under `muninn up`")
    interval_s: float = Field(1.0, ge=0.1, le=60, description="seconds between two readings")
    top_processes: int = Field(5, ge=0, le=50, description="how many of the busiest processes are reported")
    url: str = Field("", description="gateway to send to; empty: the one of these settings")


class Scraper(Section):
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


class Statsd(Section):
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
