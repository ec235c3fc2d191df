"""The alerter: takes samples and scores in, judges the rules, keeps what changed, tells who has to know.

Belongs here: one turn of the loop, and what a restart goes on with. Does not: threads of others (feeds, outbox),
rules (rulebook), what an alert is (alerting).
"""

import logging
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from muninn.alerting.alert import Alert
from muninn.alerting.dispatch import Told, dispatch
from muninn.alerting.engine import Engine
from muninn.alerting.evaluate import Change
from muninn.alerting.inhibit import inhibited
from muninn.alerting.long import Buckets, Need, key_of, needs
from muninn.alerting.silence import Maintenance, Muted, Silence, in_force, silenced
from muninn.alerting.standing import INCIDENT
from muninn.clock import DAY_US, HOUR_US, SECOND_US, Clock
from muninn.errors import Misconfigured, MuninnError
from muninn.meter import Meter
from muninn.model import SampleBatch, SeriesKey, Window
from muninn.model.scores import ScoreHandle
from muninn.names import ALERT_AGENT, ALERTS
from muninn.operations.alerts.feeds import OWN_METRICS
from muninn.operations.alerts.journal import Journal
from muninn.operations.alerts.outbox import Outbox
from muninn.operations.alerts.rulebook import Rulebook
from muninn.store.alerts import AlertStore, Evaluated

log = logging.getLogger(__name__)

LONG_EVERY_S = 60.0
RULES_EVERY_S = 5.0
COUNTS_EVERY_S = 60.0
SCORES_EVERY_S = 10.0
PRUNE_EVERY_S = 86_400.0
ENDS_S = 7 * 86_400.0
CHANGES_S = 6 * 3600.0
# Series that were silent for longer than this before a start are no longer missed.
SEED_S = 86_400.0
PRECISION_DAYS = 30
_MAX_ENDED = 20_000
# While the store is away: as many steps as the detector's own log keeps.
_MAX_SCORES = 720
_MAX_KEPT_AT_ONCE = 60


@dataclass(frozen=True)
class History:
    """What the store is asked for: series that are known, their last samples, and buckets of long ago."""

    known: Callable[[Sequence[str], int], Iterable[tuple[SeriesKey, int, int]]]
    samples: Callable[[Sequence[str], Window], SampleBatch]
    buckets: Callable[[Need], Buckets]


@dataclass(frozen=True)
class Inputs:
    """What has come since the last turn. heard_us: until when samples are complete; 0: nothing was heard yet."""

    samples: Sequence[SampleBatch] = ()
    scores: Sequence[ScoreHandle] = ()
    own: SampleBatch | None = None
    heard_us: int = 0


class Alerter:
    """One thread calls `turn` every few seconds."""

    def __init__(
        self, rules: Rulebook, journal: Journal, outbox: Outbox, history: History, clock: Clock, meter: Meter,
        *, max_series: int = 20_000, keep_days: int = 400, keep_scores_days: int = 60,
    ):  # fmt: skip
        self._rules, self._journal, self._outbox = rules, journal, outbox
        self._history, self._clock, self._meter = history, clock, meter
        self._keep_days, self._keep_scores_days = keep_days, keep_scores_days
        self._scores: deque[ScoreHandle] = deque(maxlen=_MAX_SCORES)
        self._engine = Engine((), clock.now_us(), max_series)
        self._ended: dict[str, Alert] = {}
        self._outside: dict[str, Alert] = {}
        self._told: dict[tuple[str, str], Told] = {}
        self._silences: list[Silence] = []
        self._windows: list[Maintenance] = []
        self._counts: dict[str, Evaluated] = {}
        self._due_at: dict[str, float] = {}
        self._seeded: set[str] = set()
        self._loaded = False
        self.muted: dict[str, Muted] = {}
        self._streamed: set[SeriesKey] = set()
        self._muted_kept: dict[str, Muted] | None = None

    @property
    def alerts(self) -> list[Alert]:
        """All that are pending or firing."""
        return [*self._engine.alerts(), *(alert for alert in self._outside.values() if alert.is_open)]

    def turn(self, inputs: Inputs) -> None:
        """Everything that is due now."""
        changes = self._look_at_rules() if self._due("rules", RULES_EVERY_S) else []
        if not self._loaded:
            self._load()
        self._seed()
        for batch in (*inputs.samples, *([inputs.own] if inputs.own is not None else [])):
            self._engine.take(batch)
        for told in inputs.scores:
            self._engine.take_scores(told.batch)
        self._scores.extend(inputs.scores)
        self._look_at_incidents(any(len(told.batch) for told in inputs.scores))
        changes += self._judge(inputs.heard_us)
        self._finish(changes)
        if self._due("counts", COUNTS_EVERY_S):
            self._journal.count(self._counts.values())
            self._counts = {}
            self._journal.attempt(self._measure_precision)
        if self._scores and self._due("scores", SCORES_EVERY_S):
            self._keep_scores()
        if self._due("prune", PRUNE_EVERY_S):
            self._prune()
        self._measure()

    def _keep_scores(self) -> None:
        kept = list(self._scores)[:_MAX_KEPT_AT_ONCE]
        if self._journal.attempt(lambda store: store.keep_scores(kept)):
            for _ in kept:
                self._scores.popleft()

    def _prune(self) -> None:
        alerts_us, scores_us = (
            self._clock.now_us() - days * DAY_US for days in (self._keep_days, self._keep_scores_days)
        )
        self._journal.attempt(lambda store: store.prune(alerts_us))
        self._journal.attempt(lambda store: store.prune_scores(scores_us))

    def states(self) -> SampleBatch:
        """Every open alert as a sample of the series ALERTS, for the live stream: 1 pending, 2 firing, 3 muted.

        Those that were told as open the last time and are over are 0."""
        now_us = self._clock.now_us()
        rows = {_state_key(alert): self._state(alert) for alert in self.alerts}
        over = [(key, now_us, 0.0) for key in self._streamed - rows.keys()]
        self._streamed = set(rows)
        return SampleBatch.of([*((key, now_us, state) for key, state in rows.items()), *over])

    def _state(self, alert: Alert) -> float:
        return 1.0 if alert.state == "pending" else 3.0 if alert.alert_id in self.muted else 2.0

    def _look_at_rules(self) -> list[Change]:
        """Rules, silences and what others said of alerts; without the store, what is known stays."""
        api: list[dict[str, dict[str, object]]] = []
        self._journal.attempt(lambda store: api.append(store.rules()))
        self._journal.attempt(self._take_from)
        try:
            changed = self._rules.look(api[0] if api else None)
        except Misconfigured as error:
            log.error("rules are not read anew: %s", error)
            return []
        if not changed:
            return []
        for fault in self._rules.faults:
            log.error("a rule is left out: %s", fault)
        self._meter.gauge("muninn_alert_rules", len(self._rules.book.active))
        self._meter.gauge("muninn_alert_rule_faults", len(self._rules.faults))
        self._outbox.use(self._rules.book)
        return self._engine.use(self._rules.book.active)

    def _take_from(self, store: AlertStore) -> None:
        now_us = self._clock.now_us()
        self._silences, self._windows = store.silences(now_us), store.maintenance()
        outside = store.outside()
        for alert in outside:
            self._engine.acknowledge(alert.alert_id, alert.acknowledged_us, alert.acknowledged_by)
        found = {alert.alert_id: alert for alert in outside if alert.origin != "rule"}
        # One that we know as open and that is no longer so in the store was ended from outside.
        for alert_id, alert in self._outside.items():
            if alert_id not in found:
                self._ended[alert_id] = replace(alert, state="resolved", resolved_us=now_us)
        self._outside = found

    def _look_at_incidents(self, news: bool) -> None:
        """They are in the store before the scores that made them come: asked then, no alert is told without its head.

        Without the store those that are known stay."""
        if (self._due("incidents", RULES_EVERY_S) or news) and self._engine.looks_at_incidents:
            now_us = self._clock.now_us()
            self._journal.attempt(
                lambda store: self._engine.take_incidents(
                    each for each in store.incidents(Window(now_us, now_us + HOUR_US)) if each.closed_us is None
                )
            )

    def _load(self) -> None:
        reach_s = max((rule.flapping.within_s for rule in self._engine.rules), default=0.0)
        kept = self._journal.load(ENDS_S, max(CHANGES_S, reach_s))
        if kept is None:
            return
        orphans = self._engine.restore([alert for alert in kept.open if alert.origin == "rule"], kept.changes)
        self._journal.supersede(kept.open)
        self._told = {**self._told, **kept.told}
        known = {alert_id for told in self._told.values() for alert_id in told.alerts}
        self._ended |= {alert.alert_id: alert for alert in kept.ended if alert.alert_id in known}
        self._outbox.add(kept.waiting)
        self._loaded = True
        now_us = self._clock.now_us()
        gone = [Change("dropped", replace(alert, state="resolved", resolved_us=now_us)) for alert in orphans]
        self._finish(gone)
        log.info("goes on with %d open alerts, %d notifications to send", len(kept.open), len(kept.waiting))

    def _seed(self) -> None:
        """What metrics that were not looked at before did lately; tried again while the store is away."""
        fresh = self._engine.metrics - self._seeded - set(OWN_METRICS)
        if not fresh or not self._loaded:
            return
        now_us = self._clock.now_us()
        back_us = round(self._engine.samples.buckets * 5 * SECOND_US)
        found: list[object] = []

        def ask(_: AlertStore) -> None:
            for key, first_us, last_us in self._history.known(sorted(fresh), now_us):
                self._engine.samples.known(key, first_us, last_us)
            self._engine.take(self._history.samples(sorted(fresh), Window(now_us - back_us, now_us)))
            found.append(fresh)

        if self._journal.attempt(ask) and found:
            self._seeded |= fresh

    def _judge(self, heard_us: int) -> list[Change]:
        """Rules on samples are judged as of when samples were complete: silence of the buffer is nobody's absence."""
        now_us = self._clock.now_us()
        as_of_us = now_us if now_us - heard_us < 3 * SECOND_US else heard_us
        changes: list[Change] = []
        for rule in self._engine.rules:
            own = rule.metric in OWN_METRICS or rule.kind == "incident"
            if rule.is_long or (not heard_us and not own):
                continue
            started = time.perf_counter()
            found = self._engine.evaluate(now_us if own else as_of_us, [rule])
            self._note(rule.name, found, time.perf_counter() - started, now_us)
            changes += found
        if self._due("long", LONG_EVERY_S):
            changes += self._judge_long(now_us)
        return changes

    def _judge_long(self, now_us: int) -> list[Change]:
        rules = [rule for rule in self._engine.rules if rule.is_long]
        if not rules:
            return []
        started = time.perf_counter()
        histories = {}
        try:
            for need in needs(rules, now_us):
                histories[key_of(need, now_us)] = self._history.buckets(need)
        except MuninnError as error:
            log.warning("rules that look far back are not judged: %s", error)
            return []
        found = self._engine.evaluate_long(histories, now_us)
        for rule in rules:
            own = [change for change in found if change.alert.rule == rule.name]
            self._note(rule.name, own, (time.perf_counter() - started) / len(rules), now_us)
        return found

    def _finish(self, changes: list[Change]) -> None:
        """Say what follows from the changes, keep it, send it."""
        now_us = self._clock.now_us()
        changes = [*changes, *self._expired(now_us)]
        for change in changes:
            if not change.alert.is_open or change.what == "dropped":
                self._ended[change.alert.alert_id] = replace(
                    change.alert, state="resolved", resolved_us=change.alert.resolved_us or now_us
                )
            self._meter.count("muninn_alert_changes_total", what=change.what, rule=change.alert.rule)
        book, alerts = self._rules.book, self.alerts
        before = self.muted
        self.muted = silenced(alerts, self._silences, in_force(book.maintenance, self._windows), now_us)
        heads = inhibited(alerts, book.inhibitions)
        held = {who: Muted("inhibition", head) for who, head in heads.items()}
        self.muted = {**_still_held(alerts, before), **held, **self.muted}
        if not self._loaded and not self._journal.away:
            return
        due, told = dispatch([*alerts, *self._ended.values()], self.muted, self._told, book.routes, now_us)
        self._told |= told
        self._journal.write(_as_kept(changes), told, due)
        if self.muted != self._muted_kept and self._journal.attempt(lambda store: store.mute(self.muted)):
            self._muted_kept = dict(self.muted)
        self._forget_ended()

    def _expired(self, now_us: int) -> list[Change]:
        """Alerts from outside that were not sent again in time."""
        over = [
            alert for alert in self._outside.values() if alert.is_open and alert.ends_us and alert.ends_us <= now_us
        ]
        for alert in over:
            del self._outside[alert.alert_id]
        return [Change("resolved", replace(alert, state="resolved", resolved_us=alert.ends_us)) for alert in over]

    def _forget_ended(self) -> None:
        """Ends that everybody who has to was told."""
        awaited = {alert_id for told in self._told.values() for alert_id in told.alerts}
        kept = {alert_id: alert for alert_id, alert in self._ended.items() if alert_id in awaited}
        self._ended = dict(list(kept.items())[-_MAX_ENDED:])

    def _note(self, rule: str, changes: Sequence[Change], seconds: float, now_us: int) -> None:
        fired = sum(change.what == "fired" for change in changes)
        resolved = sum(change.what == "resolved" for change in changes)
        before = self._counts.get(rule) or Evaluated(rule, now_us, 0, 0, 0, 0, 0.0)
        self._counts[rule] = replace(
            before,
            evaluations=before.evaluations + 1,
            instances=max(before.instances, self._engine.series_of(rule)),
            fired=before.fired + fired,
            resolved=before.resolved + resolved,
            seconds=before.seconds + seconds,
        )
        self._meter.duration("muninn_alert_evaluation", seconds)

    def _due(self, what: str, every_s: float) -> bool:
        now_s = self._clock.monotonic()
        if now_s < self._due_at.get(what, float("-inf")):
            return False
        self._due_at[what] = now_s + every_s
        return True

    def _measure_precision(self, store: AlertStore) -> None:
        precision = store.precision(self._clock.now_us() - PRECISION_DAYS * 86_400 * SECOND_US)
        if precision is not None:
            self._meter.gauge("muninn_alert_precision_ratio", precision)

    def _measure(self) -> None:
        counts: dict[str, int] = defaultdict(int, {"pending": 0, "firing": 0, "muted": 0})
        for alert in self.alerts:
            counts["muted" if alert.alert_id in self.muted else alert.state] += 1
        for state, count in counts.items():
            self._meter.gauge("muninn_alerts", count, state=state)
        flapping = sum(self._engine.judge(rule.name).flapping for rule in self._engine.rules)
        self._meter.gauge("muninn_alerts_flapping", flapping)
        self._meter.gauge("muninn_alert_series", len(self._engine.samples))
        self._meter.gauge("muninn_alert_series_left_out", self._engine.samples.left_out)
        self._meter.gauge("muninn_alert_notifications_waiting", self._outbox.waiting())
        self._meter.gauge("muninn_alert_backlog", self._journal.backlog)


def _still_held(alerts: Iterable[Alert], before: Mapping[str, Muted]) -> dict[str, Muted]:
    """Alerts on an incident's series that were told as that incident are not told anew when it is over before them."""
    return {
        alert.alert_id: before[alert.alert_id]
        for alert in alerts
        if alert.alert_id in before and before[alert.alert_id].by == "inhibition" and INCIDENT in dict(alert.extra)
    }


def _as_kept(changes: Iterable[Change]) -> list[Change]:
    """An alert whose rule is gone is over, if it ever fired."""
    return [
        Change("resolved", replace(change.alert, state="resolved", resolved_us=change.alert.at_us))
        if change.what == "dropped" and change.alert.fired_us
        else change
        for change in changes
    ]


def _state_key(alert: Alert) -> SeriesKey:
    return SeriesKey.of(ALERTS, {**alert.all_labels, "alert_id": alert.alert_id}, ALERT_AGENT)
