"""Figures over hours and days, from rollups: how a span compares with an earlier one, how fast a budget burns.

Belongs here: what has to be read, and the arithmetic on it. Does not: reading (operations.alerts), judging (evaluate).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from muninn.alerting.matchers import Matchers
from muninn.alerting.rules import Rule
from muninn.alerting.windows import labels_of
from muninn.clock import DAY_US, HOUR_US, MINUTE_US, SECOND_US
from muninn.model import SeriesKey, Window
from muninn.names import describe

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Level = Literal["1min", "5min", "1hour"]
WIDTH_US: Mapping[Level, int] = {"1min": MINUTE_US, "5min": 5 * MINUTE_US, "1hour": HOUR_US}


@dataclass(frozen=True)
class Need:
    """Buckets of these metrics that have to be read at one resolution."""

    level: Level
    metrics: tuple[str, ...]
    window: Window


@dataclass(frozen=True, eq=False)
class Buckets:
    """Rollup buckets of k series, by series and then by time: columns of length n.

    series: int64[n], each in [0, k). at_us: int64[n], start. count: int64[n]. total, first, last, grown: float64[n]:
    sum, first and last sample, and growth in between as a counter.
    """

    keys: tuple[SeriesKey, ...]
    series: Ints
    at_us: Ints
    count: Ints
    total: Floats
    first: Floats
    last: Floats
    grown: Floats

    @classmethod
    def empty(cls) -> "Buckets":
        """Nothing."""
        ints, floats = np.empty(0, np.int64), np.empty(0)
        return cls((), ints, ints, ints, floats, floats, floats, floats)

    def growth(self, window: Window) -> Floats:
        """float64[k]: how much each counter grew within the window; one that fell began anew at 0. NaN: no buckets."""
        same = np.diff(self.series, prepend=-1) == 0
        before = np.where(same, np.concatenate((np.zeros(min(1, len(self.last))), self.last[:-1])), self.first)
        between = self.first - before
        between = np.where(between < 0, self.first, between)
        return self._summed(self.grown + between, window)

    def sums(self, window: Window) -> tuple[Floats, Ints]:
        """float64[k], int64[k]: sum and number of the samples within the window."""
        inside = self._inside(window)
        count = np.bincount(self.series[inside], weights=self.count[inside], minlength=len(self.keys))
        return self._summed(self.total, window), count.astype(np.int64)

    def _inside(self, window: Window) -> NDArray[np.bool_]:
        return (self.at_us >= window.since_us) & (self.at_us < window.until_us)

    def _summed(self, column: Floats, window: Window) -> Floats:
        inside = self._inside(window)
        total = np.bincount(self.series[inside], weights=column[inside], minlength=len(self.keys))
        there = np.bincount(self.series[inside], minlength=len(self.keys)) > 0
        return np.where(there, total, np.nan)


Histories = Mapping[tuple[str, int], Buckets]


@dataclass(frozen=True)
class _Span:
    """One span that a rule looks at: of `metric`, `length_us` long, `ago_us` back."""

    metric: str
    length_us: int
    ago_us: int = 0

    @property
    def level(self) -> Level:
        return "1min" if self.length_us <= 2 * HOUR_US else "5min" if self.length_us <= DAY_US else "1hour"

    def window(self, now_us: int) -> Window:
        """Whole buckets: those that are over by then, so that a growing one is not taken for a small one."""
        width = WIDTH_US[self.level]
        until = (now_us - self.ago_us) // width * width
        return Window(until - self.length_us // width * width, until)


def needs(rules: Iterable[Rule], now_us: int) -> list[Need]:
    """What has to be read for these rules: per resolution and distance one question, whatever the number of rules."""
    spans = [span for rule in rules if rule.is_long for span in _spans(rule)]
    found: dict[tuple[Level, int], list[_Span]] = {}
    for span in spans:
        found.setdefault((span.level, span.ago_us), []).append(span)
    result = []
    for (level, _), group in found.items():
        windows = [span.window(now_us) for span in group]
        # One bucket more: a counter's growth in the first bucket is counted from the end of the one before.
        since = min(window.since_us for window in windows) - WIDTH_US[level]
        metrics = tuple(sorted({span.metric for span in group}))
        result.append(Need(level, metrics, Window(since, max(window.until_us for window in windows))))
    return result


def key_of(need: Need, now_us: int) -> tuple[str, int]:
    """What a need's answer is kept by in Histories: resolution, and about how long ago it ends, in buckets."""
    width = WIDTH_US[need.level]
    return need.level, now_us // width - need.window.until_us // width


def _spans(rule: Rule) -> list[_Span]:
    if rule.kind == "regression":
        length, ago = round(rule.window_s * SECOND_US), round(rule.baseline.ago_s * SECOND_US)
        return [_Span(rule.metric, length), _Span(rule.metric, length, ago)]
    goal = rule.objective
    assert goal is not None
    metrics = {goal.bad_metric or rule.metric, goal.total_metric or rule.metric}
    spans = {span for level in rule.levels for span in (level.long_s or 0, level.short_s or 0)}
    return [_Span(metric, round(span * SECOND_US)) for metric in sorted(metrics) for span in sorted(spans)]


@dataclass(frozen=True, eq=False)
class Figures:
    """What a long rule came to: labels of its n groups, value float64[n], and per level float64[n, k] (SLO)."""

    labels: tuple[dict[str, str], ...]
    value: Floats
    levels: Floats | None = None


def figures(rule: Rule, histories: Histories, now_us: int) -> Figures:
    """The rule's figure for every series or group."""
    return _regression(rule, histories, now_us) if rule.kind == "regression" else _burn(rule, histories, now_us)


def _regression(rule: Rule, histories: Histories, now_us: int) -> Figures:
    now, before = (_means(rule, span, histories, now_us) for span in _spans(rule))
    labels = list(dict.fromkeys([*now, *before]))
    value = np.array([_compared(rule, now.get(each), before.get(each)) for each in labels])
    return Figures(tuple(dict(each) for each in labels), value)


def _compared(rule: Rule, now: float | None, before: float | None) -> float:
    if now is None or before is None:
        return float("nan")
    if rule.baseline.unit == "difference":
        return now - before
    return (now - before) / abs(before) * 100 if before else float("nan")


_Group = tuple[tuple[str, str], ...]


def _means(rule: Rule, span: _Span, histories: Histories, now_us: int) -> dict[_Group, float]:
    """Per group the mean over the span; of a counter its growth per second."""
    if describe(rule.metric).kind == "counter":
        grown = _growth(span, rule.matchers, rule.by, histories, now_us, each=True)
        return {group: value / (span.length_us / SECOND_US) for group, value in grown.items()}
    sums: dict[_Group, float] = {}
    counts: dict[_Group, int] = {}
    buckets = _buckets(span, histories, now_us)
    total, count = buckets.sums(span.window(now_us))
    for place, group in _members(buckets, span.metric, rule.matchers, rule.by, each=True):
        if count[place]:
            sums[group] = sums.get(group, 0.0) + float(total[place])
            counts[group] = counts.get(group, 0) + int(count[place])
    return {group: sums[group] / counts[group] for group in sums if counts[group] >= rule.min_points}


def _burn(rule: Rule, histories: Histories, now_us: int) -> Figures:
    goal = rule.objective
    assert goal is not None
    budget = 1 - goal.target / 100
    spent: dict[float, dict[_Group, float]] = {}
    for length in {span for level in rule.levels for span in (level.long_s or 0, level.short_s or 0)}:
        spans = [_Span(name or rule.metric, round(length * SECOND_US)) for name in (goal.bad_metric, goal.total_metric)]
        matchers = [Matchers.of({**rule.match, **own}) for own in (goal.bad, goal.total)]
        bad, total = (
            _growth(span, match, rule.by, histories, now_us) for span, match in zip(spans, matchers, strict=True)
        )
        spent[length] = {group: bad.get(group, 0.0) / all_ / budget for group, all_ in total.items() if all_ > 0}
    labels = list(dict.fromkeys(group for each in spent.values() for group in each))
    levels = np.array([[_both(level.long_s, level.short_s, group, spent) for level in rule.levels] for group in labels])
    levels = levels.reshape(len(labels), len(rule.levels))
    return Figures(tuple(dict(group) for group in labels), levels.max(axis=1, initial=-np.inf), levels)


def _both(
    long_s: float | None, short_s: float | None, group: _Group, spent: Mapping[float, Mapping[_Group, float]]
) -> float:
    """What both windows burn at least: the long one says that it matters, the short one that it still goes on."""
    nothing = float("nan")
    return min(spent[long_s or 0].get(group, nothing), spent[short_s or 0].get(group, nothing))


def _growth(
    span: _Span, matchers: Matchers, by: Sequence[str], histories: Histories, now_us: int, *, each: bool = False
) -> dict[_Group, float]:
    buckets = _buckets(span, histories, now_us)
    grown = buckets.growth(span.window(now_us))
    found: dict[_Group, float] = {}
    for place, group in _members(buckets, span.metric, matchers, by, each=each):
        if not np.isnan(grown[place]):
            found[group] = found.get(group, 0.0) + float(grown[place])
    return found


def _members(
    buckets: Buckets, metric: str, matchers: Matchers, by: Sequence[str], *, each: bool = False
) -> Iterable[tuple[int, _Group]]:
    """The series of a metric that match, with the group of each; without `by` all are one, or `each` its own."""
    for place, key in enumerate(buckets.keys):
        if key.metric == metric:
            labels = labels_of(key, ())
            if matchers.holds(labels):
                chosen = labels if each and not by else {name: labels.get(name, "") for name in by}
                yield place, tuple(sorted(chosen.items()))


def _buckets(span: _Span, histories: Histories, now_us: int) -> Buckets:
    width = WIDTH_US[span.level]
    return histories.get((span.level, now_us // width - span.window(now_us).until_us // width)) or Buckets.empty()
