"""Which series a question is about: metric and label filter to series ids and keys.

Belongs here: selection, its limit, and what to say of an unknown metric. Does not: what their buckets mean (points).
"""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import orjson

from muninn.errors import Invalid
from muninn.model import SeriesKey, Window
from muninn.reads import arrays, points
from muninn.reads.asking import Asker
from muninn.reads.known import Ordered
from muninn.reads.points import Piece, Points, Sketches
from muninn.reads.values import UnknownMetric
from muninn.store.arrays import received, text_literal

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
    wanted = Wanted((metric,), labels, window, max_series, at_most)
    return choose_points(ask, wanted, (), "none")[0][metric]


@dataclass(frozen=True)
class Wanted:
    """Series of some metrics that have sent something since the window began, at most `max_series` of each.

    at_most: what `max_series` may be.
    """

    metrics: Sequence[str]
    labels: Mapping[str, str] | None
    window: Window
    max_series: int
    at_most: int = MAX_SERIES


def choose_points(
    ask: Asker, wanted: Wanted, pieces: Sequence[Piece], sketches: Sketches, most: int = MAX_MERGED
) -> tuple[dict[str, Chosen], Points]:
    """The chosen series of each metric, and their buckets: one question, or two where not all that match are wanted.

    most: of more series than that no buckets are read. Invalid where `max_series` is out of bounds; UnknownMetric
    where it is one metric, and no series has that name.
    """
    if not 1 <= wanted.max_series <= wanted.at_most:
        raise Invalid(f"max_series must be from 1 to {wanted.at_most}", "max_series")
    for metric in wanted.metrics:
        check_text(metric, "metric")
    some = {"metrics": text_literal(wanted.metrics), **filters("", wanted.labels)}
    at_once = min(most, wanted.max_series)
    head, *rows = ask.fetch(
        "reads_chosen", alive_since=wanted.window.since, most=at_once, sketches=sketches, **some, **points.asked(pieces)
    )
    count = (len(head.series) - arrays.HEADER_BYTES) // 8
    if count <= 0 and len(wanted.metrics) == 1:
        check_known(ask, wanted.metrics[0])
    chosen = _first_by_key(ask, wanted) if count > MAX_MERGED else _first_of(in_order(ask, head), wanted)
    if count <= at_once:
        return chosen, points.received(rows, pieces)
    ids = [ident for each in chosen.values() for ident in each.keys]
    return chosen, points.read(ask, pieces if len(ids) <= most else (), ids, sketches)


def in_order(ask: Asker, row: Any) -> Ordered:
    """The series whose ids are in a row, by metric and key."""

    def find() -> Ordered:
        sent = received(row.series, np.int32)
        rows = ask.fetch("reads_series_in_order", series=sent)
        ids = np.array([each.series_id for each in rows], np.int64)
        keys = tuple(SeriesKey.of(each.metric_name, each.tags, each.source_agent_id, each.instance_id) for each in rows)
        return Ordered(ids, np.searchsorted(sent, ids), keys)

    return ask.known.of(row.edition, row.series, find)


def _first_of(ordered: Ordered, wanted: Wanted) -> dict[str, Chosen]:
    found = {}
    for metric in wanted.metrics:
        keys = ordered.each.get(metric, {})
        some = keys if len(keys) <= wanted.max_series else dict(islice(keys.items(), wanted.max_series))
        found[metric] = Chosen(some, len(keys))
    return found


def _first_by_key(ask: Asker, wanted: Wanted) -> dict[str, Chosen]:
    """Where too many match to be sent: the server puts them in order."""
    rows = ask.fetch(
        "reads_series_of_metrics",
        metrics=list(wanted.metrics),
        since=wanted.window.since,
        max_series=wanted.max_series,
        **filters("", wanted.labels),
    )
    keys: dict[str, dict[int, SeriesKey]] = {metric: {} for metric in wanted.metrics}
    matching = dict.fromkeys(wanted.metrics, 0)
    for row in rows:
        key = SeriesKey.of(row.metric_name, row.tags, row.source_agent_id, row.instance_id)
        keys[row.metric_name][row.series_id] = key
        matching[row.metric_name] = row.matching
    return {metric: Chosen(keys[metric], matching[metric]) for metric in wanted.metrics}


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
