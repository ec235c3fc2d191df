"""The newest value of each series of some metrics, and which of them fell silent.

Belongs here: that one question, from the table of latest samples. Does not: a series' course (trend).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from muninn import names
from muninn.errors import Invalid
from muninn.model import SeriesKey, Window
from muninn.model.window import as_datetime
from muninn.reads import arrays
from muninn.reads.asking import Asker
from muninn.reads.points import Floats, Ints
from muninn.reads.rankings import Latest
from muninn.reads.series import MAX_MERGED, check_known, check_text, filters, in_order
from muninn.store.arrays import text_literal


@dataclass(frozen=True)
class Question:
    """See Reads.latest."""

    metrics: Sequence[str]
    labels: Mapping[str, str] | None
    window: Window
    silent_us: int
    max_series: int


def latest(ask: Asker, question: Question) -> list[Latest]:
    """Series whose newest sample lies in the window, of each metric; silent: older than `silent_us` at its end.

    Invalid where `max_series` is not from 1 to 10000; UnknownMetric where no series has one of the names.
    """
    if not 1 <= question.max_series <= MAX_MERGED:
        raise Invalid(f"limit: must be from 1 to {MAX_MERGED}", "limit")
    for metric in question.metrics:
        check_text(metric, "metric")
    row = ask.fetch(
        "reads_latest_values",
        metrics=text_literal(question.metrics),
        since=question.window.since,
        until=question.window.until,
        **filters("", question.labels),
    )[0]
    at_us = np.empty(0, np.int64) if row.at is None else arrays.instants_us(row.at)
    if len(at_us) > MAX_MERGED:
        return [_by_the_server(ask, metric, question) for metric in question.metrics]
    ordered = in_order(ask, row) if len(at_us) else None
    found = []
    for metric in question.metrics:
        span = None if ordered is None else ordered.spans.get(metric)
        if ordered is None or span is None:
            check_known(ask, metric)
            found.append(_told(metric, question, (), at_us[:0], np.empty(0), 0))
            continue
        places = ordered.places[span]
        found.append(_first(metric, question, ordered.keys[span], at_us[places], arrays.float64s(row.value)[places]))
    return found


def _first(metric: str, question: Question, keys: tuple[SeriesKey, ...], at_us: Ints, value: Floats) -> Latest:
    """Silent ones first, at most `max_series`. keys: in their order."""
    silent = at_us < question.window.until_us - question.silent_us
    count, number = len(keys), int(np.count_nonzero(silent))
    if number or count > question.max_series:
        order = np.argsort(~silent, kind="stable")[: question.max_series]
        keys, at_us, value = tuple(keys[place] for place in order.tolist()), at_us[order], value[order]
    return _told(metric, question, keys, at_us // 1000, value, number, count)


def _told(
    metric: str,
    question: Question,
    keys: tuple[SeriesKey, ...],
    at_ms: Ints,
    value: Floats,
    silent: int,
    matching: int = 0,
) -> Latest:
    return Latest(
        metric=metric,
        unit=names.describe(metric).unit,
        since_ms=question.window.since_us // 1000,
        until_ms=question.window.until_us // 1000,
        keys=keys,
        at_ms=at_ms,
        value=value,
        silent=silent,
        truncated=matching if matching > len(keys) else None,
    )


def _by_the_server(ask: Asker, metric: str, question: Question) -> Latest:
    """Of so many series that only the first are sent."""
    rows: list[Any] = ask.fetch(
        "reads_latest",
        metric=metric,
        since=question.window.since,
        until=question.window.until,
        silent_before=as_datetime(question.window.until_us - question.silent_us),
        max_series=question.max_series,
        **filters(metric, question.labels),
    )
    if not rows:
        check_known(ask, metric)
    return _told(
        metric,
        question,
        tuple(SeriesKey.of(metric, row.tags, row.source_agent_id, row.instance_id) for row in rows),
        np.array([row.at_ms for row in rows], np.int64),
        np.array([row.value for row in rows], np.float64),
        rows[0].silent_count if rows else 0,
        rows[0].matching if rows else 0,
    )
