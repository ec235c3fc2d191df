"""What can be asked for: metrics with kind, unit, labels and size, and the values of a label.

Belongs here: those two questions. Does not: what a name means (muninn.names).
"""

from dataclasses import dataclass

from pydantic import TypeAdapter

from muninn import names
from muninn.model.window import as_us
from muninn.reads.asking import Asker
from muninn.reads.memo import Answer
from muninn.reads.series import check_known, check_text
from muninn.reads.values import MetricInfo

ANSWER = Answer("catalogue", TypeAdapter(list[MetricInfo]), fresh_s=10.0, keep_s=3600.0)


@dataclass(frozen=True)
class Catalogue:
    """Metrics by name, as they were `age_s` ago. store_away: what the database said while it is away, else None."""

    metrics: list[MetricInfo]
    age_s: float
    store_away: str | None


def catalogue(ask: Asker) -> list[MetricInfo]:
    """Every metric, by name."""
    return [
        MetricInfo(
            metric_name=row.metric_name,
            kind=meta.kind,
            unit=meta.unit,
            help=meta.help,
            label_names=tuple(row.label_names),
            series_count=row.series_count,
            last_seen_ms=None if row.last_seen is None else as_us(row.last_seen) // 1000,
        )
        for row in ask.fetch("reads_catalogue")
        for meta in (names.describe(row.metric_name),)
    ]


def label_values(ask: Asker, metric: str, name: str, limit: int) -> list[str]:
    """The first `limit` values of a label, in order; UnknownMetric where no series has that metric's name."""
    check_text(metric, "metric")
    check_text(name, "name")
    rows = ask.fetch("reads_label_values", metric=metric, name=name, limit=limit)
    if not rows:
        check_known(ask, metric)
    return [row.value for row in rows]
