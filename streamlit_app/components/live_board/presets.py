"""Which charts the live page offers: a few made for the host's and the platform's metrics, and one for any other.

Belongs here: pure values. Does not: Streamlit, the browser.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from muninn.names import describe
from muninn.reads.values import MetricInfo


@dataclass(frozen=True)
class Source:
    """The series of a metric under a label filter; `name` tells them from another source of the same chart."""

    metric: str
    labels: dict[str, str] = field(default_factory=dict)
    name: str = ""


@dataclass(frozen=True)
class Chart:
    """One chart; `rate`: its sources are counters, shown as increase per second, and `unit` is that of the rate."""

    id: str
    title: str
    unit: str
    channels: tuple[Source, ...]
    rate: bool = False


PRESETS = {
    chart.id: chart
    for chart in (
        Chart("cpu", "CPU busy per core", "%", (Source("cpu_busy_pct"),)),
        Chart(
            "memory", "Memory used", "%", (Source("memory_used_pct", {}, "memory"), Source("swap_used_pct", {}, "swap"))
        ),
        Chart(
            "network",
            "Network",
            "B/s",
            (Source("network_received_bytes_per_s", {}, "in"), Source("network_sent_bytes_per_s", {}, "out")),
        ),
        Chart(
            "disk",
            "Disk",
            "B/s",
            (Source("disk_read_bytes_per_s", {}, "read"), Source("disk_written_bytes_per_s", {}, "written")),
        ),
        Chart(
            "load",
            "Load",
            "",
            (Source("load_1m", {}, "1 min"), Source("load_5m", {}, "5 min"), Source("load_15m", {}, "15 min")),
        ),
        Chart("ingest", "Samples taken in", "/s", (Source("muninn_ingest_samples_total"),), rate=True),
        Chart("modes", "CPU by mode", "%", (Source("cpu_usage_pct", {"cpu": "total"}),)),
        Chart("processes", "Busiest processes", "%", (Source("process_cpu_pct"),)),
    )
}
FIRST_CHOICE = ("cpu", "memory", "network", "disk", "load", "ingest")


def chart_of(name: str, known: Iterable[MetricInfo]) -> Chart:
    """The preset of this name, or a chart of the metric of this name; what is not known follows from the name."""
    if name in PRESETS:
        return PRESETS[name]
    kinds = {metric.metric_name: (metric.kind, metric.unit) for metric in known}
    described = describe(name)
    kind, unit = kinds.get(name, (described.kind, described.unit))
    rate = kind == "counter"
    return Chart(name, name, f"{unit}/s" if rate else unit, (Source(name),), rate)


def of_host(charts: Sequence[Chart], host: str, known: Iterable[MetricInfo]) -> list[Chart]:
    """The same charts with only that host's series, where they are told apart by host."""
    by_host = {metric.metric_name for metric in known if "host" in metric.label_names}
    return [
        replace(
            chart,
            channels=tuple(
                replace(source, labels={**source.labels, "host": host}) if source.metric in by_host else source
                for source in chart.channels
            ),
        )
        for chart in charts
    ]
