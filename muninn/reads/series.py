"""Which series a question is about: metric and label filter to series ids and keys.

Belongs here: selection, its limit, and what to say of an unknown metric. Does not: their samples.
"""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson

from muninn.errors import Invalid
from muninn.model import SeriesKey, Window
from muninn.reads.asking import Asker
from muninn.reads.values import UnknownMetric

# What stands beside the labels and is filtered by the same way.
RESERVED = ("source_agent_id", "instance_id")
MAX_SERIES = 1000
# Where series are merged or ranked, and not shown each by itself.
MAX_MERGED = 10_000


@dataclass(frozen=True)
class Chosen:
    """Series ids with their keys, in order of the keys; `matching` counts those beyond the limit as well."""

    keys: Mapping[int, SeriesKey]
    matching: int

    @property
    def truncated(self) -> int | None:
        """How many match in all, where that is more than were chosen."""
        return self.matching if self.matching > len(self.keys) else None


def choose(
    ask: Asker,
    metric: str,
    labels: Mapping[str, str] | None,
    window: Window,
    max_series: int,
    *,
    at_most: int = MAX_SERIES,
) -> Chosen:
    """The series that have sent something since the window began.

    Invalid where `max_series` is not from 1 to `at_most`; UnknownMetric where no series has that name.
    """
    if not 1 <= max_series <= at_most:
        raise Invalid(f"max_series must be from 1 to {at_most}", "max_series")
    rows = ask.fetch(
        "reads_series", metric=metric, since=window.since, max_series=max_series, **filters(metric, labels)
    )
    if not rows:
        check_known(ask, metric)
    keys = {row.series_id: SeriesKey.of(metric, row.tags, row.source_agent_id, row.instance_id) for row in rows}
    return Chosen(keys, rows[0].matching if rows else 0)


def choose_each(
    ask: Asker, metrics: Sequence[str], labels: Mapping[str, str] | None, window: Window, max_series: int
) -> dict[str, Chosen]:
    """The series of several metrics at once, at most `max_series` of each; a metric that nobody sends has none."""
    if not 1 <= max_series <= MAX_SERIES:
        raise Invalid(f"max_series must be from 1 to {MAX_SERIES}", "max_series")
    for metric in metrics:
        check_text(metric, "metric")
    rows = ask.fetch(
        "reads_series_of_metrics",
        metrics=list(metrics),
        since=window.since,
        max_series=max_series,
        **filters("", labels),
    )
    keys: dict[str, dict[int, SeriesKey]] = {metric: {} for metric in metrics}
    matching = dict.fromkeys(metrics, 0)
    for row in rows:
        key = SeriesKey.of(row.metric_name, row.tags, row.source_agent_id, row.instance_id)
        keys[row.metric_name][row.series_id] = key
        matching[row.metric_name] = row.matching
    return {metric: Chosen(keys[metric], matching[metric]) for metric in metrics}


def filters(metric: str, labels: Mapping[str, str] | None) -> dict[str, str | None]:
    """The parameters of a query that chooses series: tags, source_agent_id, instance_id. Invalid names the bad one."""
    given = dict(labels or {})
    check_text(metric, "metric")
    for name, value in given.items():
        check_text(name, "label.")
        check_text(value, f"label.{name}")
    reserved = {name: given.pop(name, None) for name in RESERVED}
    return {"tags": orjson.dumps(given).decode(), **reserved}


@dataclass(frozen=True)
class Groups:
    """of: series id -> its group's number. keys: each group's key, in their order; a series by itself is a group."""

    of: Mapping[int, int]
    keys: tuple[SeriesKey, ...]


def grouped_by(chosen: Chosen, metric: str, by: str | None) -> Groups:
    """The chosen series by the values of a label (or of what stands beside labels), or each by itself (None)."""
    if by is None:
        return Groups({ident: place for place, ident in enumerate(chosen.keys)}, tuple(chosen.keys.values()))
    check_text(by, "by")
    values = {ident: _value_of(key, by) for ident, key in chosen.keys.items()}
    places = {value: place for place, value in enumerate(sorted(set(values.values())))}
    keys = tuple(SeriesKey(metric, ((by, value),)) for value in places)
    return Groups({ident: places[value] for ident, value in values.items()}, keys)


def _value_of(key: SeriesKey, by: str) -> str:
    if by in RESERVED:
        return str(getattr(key, by))
    return dict(key.labels).get(by, "")


def check_text(text: str, parameter: str) -> None:
    """Raise Invalid for what no stored text can equal, and the server does not take: NUL, half a character."""
    if "\0" in text or any("\ud800" <= char <= "\udfff" for char in text):
        raise Invalid(f"{parameter}: holds a NUL or half a character", parameter)


def check_known(ask: Asker, metric: str) -> None:
    """Raise UnknownMetric, with close matches, unless some series has this name."""
    names = [row.metric_name for row in ask.fetch("reads_metric_names")]
    if metric not in names:
        raise UnknownMetric(metric, tuple(difflib.get_close_matches(metric, names, 3)))
