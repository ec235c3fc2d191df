"""Rules over what the store holds: the samples for alerting.replay, piece by piece.

Belongs here: which resolution, pieces. Does not: stepping (replay), queries (store), files (recorded).
"""

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from muninn.alerting.engine import NO_SAMPLES
from muninn.alerting.long import Buckets, Histories, key_of, needs
from muninn.alerting.replay import Replayed, no_scores, replay
from muninn.alerting.rules import Rule
from muninn.clock import HOUR_US, MINUTE_US, SECOND_US
from muninn.errors import Invalid
from muninn.model import SampleBatch, Window
from muninn.model.scores import ScoreBatch
from muninn.names import describe
from muninn.store import alert_series, score_history
from muninn.store.alerts import AlertStore
from muninn.store.database import Database

# Up to so long raw samples are replayed, beyond it the means of minutes.
RAW_US = 6 * HOUR_US
STEP_S = 5.0
_PIECE_US = {"raw": HOUR_US, "1min": 12 * HOUR_US}
MAX_US = 60 * 24 * HOUR_US


def over_store(database: Database, rules: Sequence[Rule], window: Window) -> tuple[Replayed, str]:
    """What would have fired, and from what it was read: "raw" or "1min".

    Rules on scores see what the detector said at the time, and rules on incidents what it made of it.
    """
    if window.length_us > MAX_US:
        raise Invalid("since: rules are replayed over at most 60 days", "since")
    kind = "raw" if window.length_us <= RAW_US else "1min"
    metrics = sorted({rule.metric for rule in rules if not rule.is_long and rule.kind not in NO_SAMPLES})
    if kind == "1min":
        rules = [_by_the_minute(rule) for rule in rules]
    histories = _Histories(database, rules) if any(rule.is_long for rule in rules) else None
    step_s = STEP_S if kind == "raw" else MINUTE_US / SECOND_US
    found = replay(
        rules,
        _pieces(database, metrics, window, kind),
        window,
        step_s,
        histories.at if histories else None,
        AlertStore(database).incidents(window) if any(rule.kind in ("incident", "anomaly") for rule in rules) else (),
        partial(_scores, database, kind) if any(rule.kind == "anomaly" for rule in rules) else no_scores,
    )
    return found, kind


def _scores(database: Database, kind: str, window: Window) -> Iterator[ScoreBatch]:
    return score_history.read(database, window, 1 if kind == "raw" else MINUTE_US)


def _by_the_minute(rule: Rule) -> Rule:
    """A mean a minute is all there is: one point is enough, and it stays in the window until the next."""
    return rule.model_copy(update={"min_points": 1, "window_s": max(rule.window_s, 60.0)})


def _pieces(database: Database, metrics: Sequence[str], window: Window, kind: str) -> Iterator[tuple[SampleBatch, int]]:
    since_us, width = window.since_us, _PIECE_US[kind]
    while since_us < window.until_us:
        piece = Window(since_us, min(since_us + width, window.until_us))
        if kind == "raw":
            batch = alert_series.samples(database, metrics, piece)
        else:
            batch = _minutes(alert_series.buckets(database, "1min", metrics, piece))
        yield batch, piece.until_us
        since_us = piece.until_us


def _minutes(found: Buckets) -> SampleBatch:
    """Of a gauge the mean of each minute, of a counter its last value, at the minute's end."""
    counters = np.array([describe(key.metric).kind == "counter" for key in found.keys], np.bool_)
    is_counter = counters[found.series] if len(found.keys) else np.empty(0, np.bool_)
    value = np.where(is_counter, found.last, found.total / np.maximum(found.count, 1))
    return SampleBatch(found.at_us + MINUTE_US - 1, value, found.series.astype(np.int32), found.keys)


class _Histories:
    """Buckets for rules that look far back, read for each instant that is judged."""

    def __init__(self, database: Database, rules: Sequence[Rule]):
        self._database, self._rules = database, rules

    def at(self, now_us: int) -> Histories:
        return {
            key_of(need, now_us): alert_series.buckets(self._database, need.level, need.metrics, need.window)
            for need in needs(self._rules, now_us)
        }
