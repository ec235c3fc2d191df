"""All rules over all their series: samples and scores in, changes of alerts out. The same live, in replay, in tests.

Belongs here: which series a rule is about, its frame at an instant, rules that change. Does not: I/O, time.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from muninn.alerting.alert import Alert
from muninn.alerting.evaluate import About, Change, Frame, Judge
from muninn.alerting.long import Histories, figures
from muninn.alerting.rules import MEMORY_S, Rule
from muninn.alerting.standing import INCIDENT, Standing, marks
from muninn.alerting.windows import Windows, grouped, labels_of
from muninn.clock import SECOND_US
from muninn.model import SampleBatch, SeriesKey
from muninn.model.scores import ScoreBatch
from muninn.names import describe

LEAST_REACH_S = 120.0
# A detector that has said nothing for this long is behind: a series that it does not name may be anything.
SCORES_CURRENT_S = 60.0
# Incidents that are over are forgotten when there are so many of them.
_MAX_OVER = 500
# Kinds that look at no samples.
NO_SAMPLES = ("anomaly", "incident")


class _Members:
    """The series of one rule and the instance that each belongs to; both only grow."""

    def __init__(self, rule: Rule):
        self.rule = rule
        self.labels: list[dict[str, str]] = []
        self.rows: NDArray[np.intp] = np.empty(0, np.intp)
        self.group: NDArray[np.intp] = np.empty(0, np.intp)
        self._places: dict[tuple[tuple[str, str], ...], int] = {}
        self._seen = 0

    def look(self, keys: Sequence[SeriesKey]) -> None:
        """Take in what has come since the last look."""
        rows, groups = [], []
        for row in range(self._seen, len(keys)):
            if _is_of(self.rule, keys[row]):
                rows.append(row)
                groups.append(self.place(labels_of(keys[row], self.rule.by)))
        self._seen = len(keys)
        if rows:
            self.rows = np.concatenate([self.rows, np.array(rows, np.intp)])
            self.group = np.concatenate([self.group, np.array(groups, np.intp)])

    def find(self, identity: tuple[tuple[str, str], ...]) -> int | None:
        """The instance of these sorted labels, where there is one."""
        return self._places.get(identity)

    def place(self, labels: dict[str, str]) -> int:
        """The instance of these labels, the same for ever."""
        identity = tuple(sorted(labels.items()))
        place = self._places.get(identity)
        if place is None:
            place = self._places[identity] = len(self.labels)
            self.labels.append(labels)
        return place


def _is_of(rule: Rule, key: SeriesKey) -> bool:
    anything = rule.kind == "anomaly" and rule.metric == "*"
    return (anything or key.metric == rule.metric) and rule.matchers.holds(labels_of(key, ()))


class Engine:
    """Rules, the windows that they look at, and a judge each. Not for two threads at once."""

    def __init__(self, rules: Sequence[Rule], started_us: int, max_series: int = 20_000):
        self.started_us = started_us
        self.scored_until_us = 0
        self._max_series = max_series
        self._judges: dict[str, Judge] = {}
        self._members: dict[str, _Members] = {}
        self._rules: tuple[Rule, ...] = ()
        self._incidents: tuple[Standing, ...] | None = None
        self._marks: dict[str, dict[tuple[tuple[str, str], ...], str]] = {}
        self.samples = self._windows(LEAST_REACH_S)
        self.scores = self._score_windows()
        self.use(rules)

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules that are judged."""
        return self._rules

    @property
    def metrics(self) -> set[str]:
        """What short rules look at."""
        return {rule.metric for rule in self._rules if not rule.is_long and rule.kind not in NO_SAMPLES}

    @property
    def looks_at_incidents(self) -> bool:
        """Whether a rule is about incidents, or about scores, which belong to incidents."""
        return any(rule.kind in NO_SAMPLES for rule in self._rules)

    def use(self, rules: Sequence[Rule]) -> list[Change]:
        """These rules from now on: what they share with those before goes on; alerts of rules that are gone end."""
        kept = {rule.name: rule for rule in rules}
        changes = []
        for name, judge in list(self._judges.items()):
            if kept.get(name) == judge.rule:
                continue
            del self._judges[name], self._members[name]
            if name in kept:
                self._judges[name] = _succeeding(judge, kept[name])
            else:
                changes += [Change("dropped", alert) for alert in judge.alerts.values()]
        self._rules = tuple(rules)
        for rule in rules:
            self._judges.setdefault(rule.name, Judge(rule))
            self._members.setdefault(rule.name, _Members(rule))
        self._rewatch()
        self._mark()
        return changes

    def restore(self, alerts: Iterable[Alert], changes: Mapping[str, Sequence[int]]) -> list[Alert]:
        """Go on with these open alerts; returned are those whose rule is gone."""
        by_rule: dict[str, list[Alert]] = {}
        for alert in alerts:
            by_rule.setdefault(alert.rule, []).append(alert)
        for name, judge in self._judges.items():
            judge.restore(by_rule.get(name, ()), changes)
        return [alert for name, own in by_rule.items() if name not in self._judges for alert in own]

    def take(self, batch: SampleBatch) -> None:
        """Samples."""
        self.samples.take(batch)

    def take_scores(self, batch: ScoreBatch) -> None:
        """Scores, and up to when everything has been scored."""
        self.scored_until_us = max(self.scored_until_us, batch.until_us)
        if len(batch):
            judged = ~batch.learning
            self.scores.take(SampleBatch(batch.at_us, batch.score, batch.key_index, batch.keys).take(judged))

    def take_incidents(self, incidents: Iterable[Standing]) -> None:
        """All incidents that are open now; one that was and is not among them is over."""
        self._incidents = tuple(incidents)
        self._mark()

    def evaluate(self, now_us: int, rules: Iterable[Rule] | None = None) -> list[Change]:
        """Judge the short rules (or those given) as of now."""
        changes = []
        for rule in self._rules if rules is None else rules:
            if not rule.is_long:
                frame = self._frame(rule, now_us)
                changes += self._judges[rule.name].judge(frame, now_us)
        return changes

    def evaluate_long(self, histories: Histories, now_us: int) -> list[Change]:
        """Judge the rules whose figures come from the store, as of now."""
        changes = []
        for rule in self._rules:
            if rule.is_long:
                changes += self._judges[rule.name].judge(self._long_frame(rule, histories, now_us), now_us)
        return changes

    def alerts(self) -> list[Alert]:
        """All that are pending or firing."""
        return [alert for judge in self._judges.values() for alert in judge.alerts.values()]

    def judge(self, rule: str) -> Judge:
        """A rule's judge."""
        return self._judges[rule]

    def series_of(self, rule: str) -> int:
        """How many instances a rule has."""
        return len(self._members[rule].labels)

    def acknowledge(self, alert_id: str, at_us: int | None, by: str) -> None:
        """Someone looks after it."""
        for judge in self._judges.values():
            judge.acknowledge(alert_id, at_us, by)

    def _frame(self, rule: Rule, now_us: int) -> Frame:
        if rule.kind == "incident":
            return self._incident_frame(rule, now_us)
        members = self._members[rule.name]
        windows = self.scores if rule.kind == "anomaly" else self.samples
        if rule.kind == "absence" and not rule.by and not members.labels:
            members.place({"metric": rule.metric, **rule.matchers.exact})  # it may never come at all
        members.look(windows.keys)
        until_us = now_us - round(rule.delay_s * SECOND_US)
        since_us = until_us - round(rule.window_s * SECOND_US) + 1
        if rule.kind == "rate":
            counter = describe(rule.metric).kind == "counter"
            seen = windows.growth_per_s(members.rows, since_us, until_us, counter=counter)
        else:
            seen = windows.figure(members.rows, "max" if rule.kind == "anomaly" else rule.over, since_us, until_us)
        count = len(members.labels)
        last_us, first_us = np.zeros(count, np.int64), np.full(count, np.iinfo(np.int64).max)
        np.maximum.at(last_us, members.group, seen.last_us)
        np.minimum.at(first_us, members.group, windows.first_us(members.rows))
        value = np.where(seen.points >= rule.min_points, seen.value, np.nan)
        if rule.kind == "absence":
            return Frame(members.labels, self._silence_s(rule, last_us, until_us), last_us, first_us * 0)
        if rule.kind == "anomaly":
            value, last_us = self._quiet_where_scored(value, last_us, now_us)
        figure = grouped(value, members.group, count, rule.across)
        return Frame(members.labels, figure, last_us, first_us, about=self._marked(rule, members))

    def _incident_frame(self, rule: Rule, now_us: int) -> Frame:
        """An instance an incident: its score or its number of series while it is open, 0 once it is over."""
        if len(self._members[rule.name].labels) > _MAX_OVER + 2 * len(self._incidents or ()):
            self._judges[rule.name] = _succeeding(self._judges[rule.name], rule)
            self._members[rule.name] = _Members(rule)
        members, found, about = self._members[rule.name], dict[int, float](), dict[int, About]()
        for alert in self._judges[rule.name].alerts.values():
            members.place(dict(alert.labels))  # of before a restart, and perhaps over by now
        for each in self._incidents or ():
            known = members.find(tuple(each.labels.items())) is not None
            if known or rule.matchers.holds(each.head_labels):
                place = members.place(each.labels)
                found[place] = float(each.series_count) if rule.over == "count" else each.score
                about[place] = each.about()
        count = len(members.labels)
        value = np.full(count, np.nan if self._incidents is None else 0.0)
        value[list(found)] = list(found.values())
        heard_us = np.full(count, now_us)
        return Frame(members.labels, value, heard_us, heard_us * 0, about=about)

    def _marked(self, rule: Rule, members: _Members) -> dict[int, About]:
        """The instances of a rule on scores that belong to an open incident."""
        found = {}
        for identity, incident_id in self._marks.get(rule.name, {}).items():
            place = members.find(identity)
            if place is not None:
                found[place] = About(extra=((INCIDENT, incident_id),))
        return found

    def _mark(self) -> None:
        own = self._incidents or ()
        self._marks = {rule.name: marks(own, rule.by) for rule in self._rules if rule.kind == "anomaly" and own}

    def _silence_s(self, rule: Rule, last_us: NDArray[np.int64], now_us: int) -> NDArray[np.float64]:
        """For how long each instance has said nothing; one that is forgotten counts as well."""
        heard_us = np.where(last_us == 0, self.started_us if len(last_us) == 1 else now_us, last_us)
        silence = np.maximum(0, now_us - heard_us) / SECOND_US
        return np.where(silence > rule.forget_s, 0.0, silence)

    def _quiet_where_scored(
        self, value: NDArray[np.float64], last_us: NDArray[np.int64], now_us: int
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """The detector tells only of what is odd: the others are known to be normal as long as it is not behind."""
        if now_us - self.scored_until_us > SCORES_CURRENT_S * SECOND_US:
            return value, last_us
        return np.where(np.isnan(value), 0.0, value), np.maximum(last_us, self.scored_until_us)

    def _long_frame(self, rule: Rule, histories: Histories, now_us: int) -> Frame:
        members, found = self._members[rule.name], figures(rule, histories, now_us)
        places = [members.place(labels) for labels in found.labels]
        count = len(members.labels)
        value, last_us = np.full(count, np.nan), np.zeros(count, np.int64)
        value[places] = found.value
        last_us[places] = np.where(np.isnan(found.value), 0, now_us)
        levels = None
        if found.levels is not None:
            levels = np.full((count, found.levels.shape[1]), np.nan)
            levels[places] = found.levels
        return Frame(members.labels, value, last_us, np.zeros(count, np.int64), levels)

    def _rewatch(self) -> None:
        """Windows that reach as far as the rules look; those that are there stay where they do."""
        short = [rule.reach_s for rule in self._rules if not rule.is_long]
        reach_s = min(MEMORY_S, max([LEAST_REACH_S, *short]))
        if self.samples.reaches(reach_s):
            self.samples.rewatch(self._watches)
        else:
            self.samples = self._windows(reach_s)
            self._members = {rule.name: _Members(rule) for rule in self._rules}
            for judge in self._judges.values():
                judge.forget_frame()
        self.scores.rewatch(self._watches_score)

    def _windows(self, reach_s: float) -> Windows:
        return Windows(self._watches, reach_s, self._max_series)

    def _score_windows(self) -> Windows:
        return Windows(self._watches_score, MEMORY_S, self._max_series)

    def _watches(self, key: SeriesKey) -> bool:
        return any(_is_of(rule, key) for rule in self._rules if not rule.is_long and rule.kind not in NO_SAMPLES)

    def _watches_score(self, key: SeriesKey) -> bool:
        return any(_is_of(rule, key) for rule in self._rules if rule.kind == "anomaly")


def _succeeding(judge: Judge, rule: Rule) -> Judge:
    """A judge of the changed rule that goes on with the alerts of the one before."""
    fresh = Judge(rule)
    fresh.restore(judge.alerts.values(), judge.changes)
    return fresh
