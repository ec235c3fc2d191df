"""The raw samples of the last minutes: what a live chart starts from.

Belongs here: that one question. Does not: steps and rollups (trend).
"""

from collections.abc import Mapping

from muninn import names
from muninn.clock import HOUR_US
from muninn.errors import Invalid
from muninn.model import Window
from muninn.reads import arrays
from muninn.reads.asking import Asker
from muninn.reads.series import choose
from muninn.reads.values import Recent, RecentSeries


def recent(ask: Asker, metric: str, labels: Mapping[str, str] | None, window: Window, max_series: int) -> Recent:
    """Samples in [since, until) by series, in order of time; Invalid where the window is over an hour."""
    if window.length_us > HOUR_US:
        raise Invalid("raw samples are shown for an hour at the most: ask for a trend", "since")
    chosen = choose(ask, metric, labels, window, max_series)
    limits = {"series": list(chosen.keys), "since": window.since, "until": window.until}
    rows = {row.series_id: row for row in ask.fetch("reads_recent", **limits)} if chosen.keys else {}
    meta = names.describe(metric)
    return Recent(
        metric=metric,
        kind=meta.kind,
        unit=meta.unit,
        series=tuple(
            RecentSeries(key, arrays.instants_us(rows[at].at) // 1000, arrays.float64s(rows[at].value))
            for at, key in chosen.keys.items()
            if at in rows
        ),
        truncated=chosen.truncated,
    )
