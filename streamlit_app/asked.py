"""Questions that several pages ask, put to muninn.reads: Muninn's own series, the hosts' courses.

Belongs here: which metric answers which question. Does not: arithmetic (widgets), drawing.
"""

from collections.abc import Mapping, Sequence

from muninn.clock import HOUR_US, MINUTE_US
from muninn.model import Window
from muninn.names import OWN_AGENT
from muninn.reads import Trend, UnknownMetric
from streamlit_app import shell
from streamlit_app.widgets.labels import legend
from streamlit_app.widgets.lines import Line
from streamlit_app.widgets.panels import drawn, total

INGESTED = "muninn_ingest_samples_total"
REJECTED = "muninn_ingest_rejected_total"
STORED = "muninn_loader_rows_total"
BUFFER_DEPTH = "muninn_buffer_depth_entries"
BUFFER_LAG = "muninn_buffer_lag_s"
LOADER_LAG = "muninn_loader_lag_s"
RECEIVED = "network_received_bytes_per_s"
SENT = "network_sent_bytes_per_s"
PROGRAM_MEMORY = "muninn_process_resident_bytes"
# As Muninn itself sends them: who scrapes its /metrics, too, must not see everything twice.
OWN = {"source_agent_id": OWN_AGENT}
YOUNG_US = 55 * MINUTE_US
# Loopback carries what a host says to itself: it would hide what crosses the network.
_LOOPBACK = ("lo", "lo0")


def last_hour() -> Window:
    """The hour that ends now."""
    now_us = shell.now_us()
    return Window(now_us - HOUR_US, now_us)


def so_far(metric: str, labels: Mapping[str, str] | None = None) -> Window:
    """The last hour; while the metric is younger than that, since its first sample: a chart that is not half empty."""
    hour = last_hour()
    trend = trend_or_none(metric, hour, labels)
    if trend is None or not trend.series:
        return hour
    age_us = hour.until_us - min(int(series.at_ms[0]) for series in trend.series) * 1000
    # A first sample in the hour's first minutes is the edge of the hour, or of a step: it says nothing of age.
    return hour if age_us > YOUNG_US else Window(hour.until_us - max(age_us, MINUTE_US), hour.until_us)


def trend_or_none(metric: str, window: Window, labels: Mapping[str, str] | None = None) -> Trend | None:
    """The trend, or None while nobody has sent that metric."""
    try:
        return shell.current_reads().trend(metric, window, labels=labels)
    except UnknownMetric:
        return None


def summed(
    metric: str,
    window: Window,
    name: str = "",
    labels: Mapping[str, str] | None = None,
    *,
    without_devices: Sequence[str] = (),
) -> Line:
    """One line for the metric: the sum over its series (of the growth per second for a counter)."""
    trend = trend_or_none(metric, window, labels)
    if trend is None:
        return total((), name, HOUR_US)
    found = drawn(trend, "avg", window.until_us)
    lines = [one.line for one in found if dict(one.key.labels).get("device") not in without_devices]
    return total(lines, name, trend.step_us)


def by_host(metric: str, window: Window, hosts: Sequence[str], labels: Mapping[str, str] | None = None) -> list[Line]:
    """One line a host that sends the metric (summed over its series but loopback), named by the host."""
    found = [
        summed(metric, window, host, {**(labels or {}), "host": host}, without_devices=_LOOPBACK) for host in hosts
    ]
    return [line for line in found if line.points]


def network(window: Window, hosts: Sequence[str]) -> list[Line]:
    """One line a host: what it received and sent, in bytes per second."""
    both = [*by_host(RECEIVED, window, hosts), *by_host(SENT, window, hosts)]
    ways = {host: [line for line in both if line.name == host] for host in hosts}
    return [total(lines, host, MINUTE_US) for host, lines in ways.items() if lines]


def each(metric: str, window: Window, name: str) -> list[Line]:
    """One line a series of Muninn's own, the greatest of each step: of a lag, a sum would tell nothing."""
    trend = trend_or_none(metric, window, OWN)
    if trend is None:
        return []
    found = [one.line for one in drawn(trend, "max", window.until_us)]
    names = legend([series.key for series in trend.series]).names if len(found) > 1 else (name,)
    return [Line(called, line.at_ms, line.y) for called, line in zip(names, found, strict=True)]
