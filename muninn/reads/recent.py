"""The raw samples of the last minutes: what a live chart starts from.

Belongs here: that one question. Does not: steps and rollups (trend).
"""

from collections.abc import Mapping

from muninn import names
from muninn.clock import HOUR_US
from muninn.errors import Invalid
from muninn.model import Window
from muninn.reads import arrays, tiers
from muninn.reads.asking import Asker
from muninn.reads.series import choose
from muninn.reads.values import Recent, RecentSeries


def recent(
    ask: Asker, metric: str, labels: Mapping[str, str] | None, window: Window, max_series: int, now_us: int
) -> Recent:
    """Samples in [since, until) by series, in order of time; Invalid where the window is over an hour."""
    if window.length_us > HOUR_US:
        raise Invalid("raw samples are shown for an hour at the most: ask for a trend", "since")
    chosen = choose(ask, metric, labels, window, max_series)
    rows = _samples(ask, list(chosen.keys), window, now_us) if chosen.keys else {}
    meta = names.describe(metric)
    return Recent(
        metric=metric,
        kind=meta.kind,
        unit=meta.unit,
        series=tuple(
            RecentSeries(key, at_us // 1000, value)
            for ident, key in chosen.keys.items()
            if ident in rows
            for at_us, value in [rows[ident]]
        ),
        truncated=chosen.truncated,
    )


def _samples(ask: Asker, series: list[int], window: Window, now_us: int) -> dict[int, tuple[tiers.Ints, tiers.Floats]]:
    found = tiers.samples(ask, series, window, now_us)
    if found is not None:
        return {ident: (at_us, value) for ident, at_us, value in tiers.by_series(found)}
    rows = ask.fetch("reads_recent", series=series, since=window.since, until=window.until)
    return {row.series_id: (arrays.instants_us(row.at), arrays.float64s(row.value)) for row in rows}
