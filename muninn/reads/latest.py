"""The newest value of each series of a metric, and which of them fell silent.

Belongs here: that one question, from the table of latest samples. Does not: a series' course (trend).
"""

from collections.abc import Mapping

from muninn import names
from muninn.errors import Invalid
from muninn.model import SeriesKey, Window
from muninn.model.window import as_datetime
from muninn.reads.asking import Asker
from muninn.reads.rankings import Latest, LatestValue
from muninn.reads.series import MAX_MERGED, check_known, filters


def latest(
    ask: Asker, metric: str, labels: Mapping[str, str] | None, window: Window, silent_us: int, max_series: int
) -> Latest:
    """Series whose newest sample lies in the window; silent: older than `silent_us` at its end.

    Invalid where `max_series` is not from 1 to 10000; UnknownMetric where no series has that name.
    """
    if not 1 <= max_series <= MAX_MERGED:
        raise Invalid(f"limit: must be from 1 to {MAX_MERGED}", "limit")
    rows = ask.fetch(
        "reads_latest",
        metric=metric,
        since=window.since,
        until=window.until,
        silent_before=as_datetime(window.until_us - silent_us),
        max_series=max_series,
        **filters(metric, labels),
    )
    if not rows:
        check_known(ask, metric)
    matching = rows[0].matching if rows else 0
    return Latest(
        metric=metric,
        unit=names.describe(metric).unit,
        since_ms=window.since_us // 1000,
        until_ms=window.until_us // 1000,
        series=tuple(
            LatestValue(
                SeriesKey.of(metric, row.tags, row.source_agent_id, row.instance_id),
                row.at_ms,
                row.value,
                "silent" if row.silent else "ok",
            )
            for row in rows
        ),
        silent=rows[0].silent_count if rows else 0,
        truncated=matching if matching > len(rows) else None,
    )
