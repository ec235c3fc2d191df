"""Reads: every question in one object, safe for many threads; one per process is enough.

Belongs here: the questions' signatures and what is cached. Does not: how a question is answered (its own module).
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from muninn.alerting.noise import Record
from muninn.alerting.silence import Silence
from muninn.cache import Board, HotCache
from muninn.clock import DAY_US, MINUTE_US, Clock, SystemClock
from muninn.errors import Invalid
from muninn.meter import Meter
from muninn.model import Window
from muninn.reads import alerts as alerting
from muninn.reads import (
    cardinality,
    catalogue,
    compare,
    health,
    incidents,
    latest,
    lifecycle,
    overview,
    pipeline,
    recent,
    regressions,
    rising,
    times,
    top,
    trend,
    zones,
)
from muninn.reads.asking import Asker
from muninn.reads.catalogue import Catalogue
from muninn.reads.dead_letters import NO_LETTERS, DeadLetters
from muninn.reads.heartbeats import NONE, Heartbeats
from muninn.reads.incidents import IncidentDetail, IncidentInfo, IncidentState
from muninn.reads.lifecycle import LifecycleState
from muninn.reads.memo import Memo, Patience
from muninn.reads.rankings import Compared, Latest, Regressions, Top
from muninn.reads.rising import Rising
from muninn.reads.steps import Kept
from muninn.reads.values import Health, MetricInfo, Overview, PipelineState, Recent, Trend
from muninn.settings import Settings
from muninn.store.database import Database


class Reads:
    """Answers from the cache where they are fresh there, otherwise from the store.

    Every method may raise Unavailable when the database is away; without Redis only caching and the
    programs' heartbeats are missing. Unknown metric names raise UnknownMetric (an Invalid).
    kept: what retention has left. cold_folder: of the cold tier, where there is one.
    closing: what else to close at the end, besides the database. switched_off: programs that nobody misses.
    """

    def __init__(
        self,
        database: Database,
        cache: HotCache | None = None,
        board: Board | None = None,
        *,
        meter: Meter | None = None,
        clock: Clock | None = None,
        kept: Kept | None = None,
        cold_folder: Path | None = None,
        closing: Sequence[Callable[[], None]] = (),
        letters: Callable[[int], DeadLetters] | None = None,
        switched_off: Collection[str] = (),
    ):
        self.clock = clock or SystemClock()
        self.meter = meter or Meter()
        self._closing = (database.close, *closing)
        self._ask = Asker(database, self.meter, self.clock, cold_folder)
        self._board = board
        self._letters = letters
        self._switched_off = frozenset(switched_off)
        self._kept = kept or Kept()
        self._patience = Patience("Redis", self.clock)
        self._memo = Memo(cache, self._patience, self.meter)

    def catalogue(self, prefix: str = "") -> list[MetricInfo]:
        """Every metric whose name starts with `prefix`, by name; a new one shows within ten seconds."""
        found, _ = self._memo.answer(catalogue.ANSWER, self.fresh_catalogue)
        return [metric for metric in found if metric.metric_name.startswith(prefix)]

    def known_metrics(self, prefix: str = "") -> Catalogue:
        """Every metric whose name starts with `prefix`, and its age; while the store is away as last kept."""
        found, age_s, away = self._memo.answer_or_kept(catalogue.ANSWER, self.fresh_catalogue)
        return Catalogue([one for one in found if one.metric_name.startswith(prefix)], age_s, away)

    def fresh_catalogue(self) -> list[MetricInfo]:
        """Every metric, from the store."""
        return catalogue.catalogue(self._ask)

    def label_values(self, metric: str, name: str, limit: int = 1000) -> list[str]:
        """The values that label `name` has on this metric, in order; also `source_agent_id`, `instance_id`."""
        return catalogue.label_values(self._ask, metric, name, limit)

    def window(self, since: str | int, until: str | int = "now") -> Window:
        """A window from "-6h", "now-15m", "now", epoch milliseconds or RFC 3339; Invalid names the parameter."""
        return times.parse_window(since, until, self.clock.now_us())

    def trend(
        self,
        metric: str,
        window: Window,
        step_us: int | None = None,
        labels: Mapping[str, str] | None = None,
        *,
        max_series: int = 50,
        max_points: int = 1000,
        by: str | None = None,
        p95: bool = True,
    ) -> Trend:
        """The metric's series by step over the window.

        step_us: None chooses by range; a given one is rounded up to a multiple of what is kept, and
        coarsened where the window would hold more than `max_points` steps.
        labels: exact values, all must match; `source_agent_id` and `instance_id` are reserved names.
        by: a label (or reserved name) whose values each become one series, percentiles merged from all its samples.
        p95: without it p95 is NaN, and no sketch is read.
        """
        question = trend.Question(metric, window, step_us, labels, max_series, max_points, by, p95)
        return trend.trend(self._ask, question, self.clock.now_us(), self._kept)

    def rising(
        self,
        metric: str,
        window: Window,
        step_us: int | None = None,
        labels: Mapping[str, str] | None = None,
        *,
        max_series: int = 50,
        max_points: int = 1000,
    ) -> Rising:
        """The growth and the rate of a metric's counters by step, exact on the samples of exactly this window."""
        question = trend.Question(metric, window, step_us, labels, max_series, max_points)
        return rising.rising(self._ask, question, self.clock.now_us(), self._kept)

    def trends(
        self,
        metrics: Sequence[str],
        window: Window,
        step_us: int | None = None,
        labels: Mapping[str, str] | None = None,
        *,
        max_series: int = 50,
        max_points: int = 1000,
        p95: bool = True,
    ) -> list[Trend]:
        """A trend of each metric by one step of a minute or more, all from one query; unknown ones have no series."""
        question = trend.Question("", window, step_us, labels, max_series, max_points, None, p95)
        return trend.trends(self._ask, metrics, question, self.clock.now_us(), self._kept)

    def calendar(
        self,
        metric: str,
        window: Window,
        period: str,
        tz: str,
        labels: Mapping[str, str] | None = None,
        *,
        max_series: int = 50,
        by: str | None = None,
        p95: bool = True,
    ) -> Trend:
        """The same by local days, weeks (from Monday) or months of an IANA zone, exact to the sample.

        The window is the whole periods that it touches; Invalid names `period` or `tz`.
        """
        question = trend.Question(metric, window, None, labels, max_series, zones.MAX_PERIODS, by, p95)
        local = zones.period_of(period), zones.zone(tz)
        return trend.calendar(self._ask, question, *local, self.clock.now_us(), self._kept)

    def compare(
        self,
        metric: str,
        window: Window,
        offset_us: int,
        step_us: int | None = None,
        labels: Mapping[str, str] | None = None,
        *,
        max_series: int = 50,
        by: str | None = None,
        p95: bool = True,
    ) -> Compared:
        """A trend and the same one `offset_us` before, on one axis; a week is 7 times 24 hours."""
        question = trend.Question(metric, window, step_us, labels, max_series, 1000, by, p95)
        return compare.compare(self._ask, question, offset_us, self.clock.now_us(), self._kept)

    def top(
        self,
        metric: str,
        window: Window,
        figure: str = "avg",
        limit: int = 10,
        labels: Mapping[str, str] | None = None,
        *,
        by: str | None = None,
        least: bool = False,
    ) -> Top:
        """The first `limit` series (or groups, with `by`) by a figure over the window, whole minutes of it.

        figure: "avg", "min", "max", "p95", "sum", "count", or "rate", a counter's growth per second.
        """
        question = top.Question(metric, window, figure, limit, labels, by, least)
        return top.top(self._ask, question, self.clock.now_us(), self._kept)

    def regressions(
        self, metric: str | None = None, labels: Mapping[str, str] | None = None, limit: int = 50
    ) -> Regressions:
        """The last 24 full hours of each series against the 7 days before, the worst first.

        Without a metric: every series but Muninn's own, at most five minutes old; while the database is away
        the last answer kept, which says so.
        """
        if not 1 <= limit <= regressions.MAX_LISTED:
            raise Invalid(f"limit: must be from 1 to {regressions.MAX_LISTED}", "limit")
        if metric is not None:
            return regressions.of_metric(self._ask, metric, labels, limit, self.clock.now_us(), self._kept)
        found, _, away = self._memo.answer_or_kept(regressions.ANSWER, self.fresh_regressions)
        return replace(found, series=found.series[:limit], store_away=away)

    def fresh_regressions(self) -> Regressions:
        """Those of every series, from the store."""
        return regressions.of_all(self._ask, regressions.MAX_LISTED, self.clock.now_us(), self._kept)

    def latest(
        self,
        metric: str,
        labels: Mapping[str, str] | None = None,
        window: Window | None = None,
        silent_us: int = 5 * MINUTE_US,
        limit: int = 1000,
    ) -> Latest:
        """The newest value of each series that sent something in the window (the last day), silent ones first."""
        return self.latest_of([metric], labels, window, silent_us, limit)[0]

    def latest_of(
        self,
        metrics: Sequence[str],
        labels: Mapping[str, str] | None = None,
        window: Window | None = None,
        silent_us: int = 5 * MINUTE_US,
        limit: int = 1000,
    ) -> list[Latest]:
        """The same of several metrics, from one query; at most `limit` series of each."""
        now_us = self.clock.now_us()
        chosen = window or Window(now_us - DAY_US, now_us)
        return latest.latest(self._ask, latest.Question(metrics, labels, chosen, silent_us, limit))

    def recent(self, metric: str, labels: Mapping[str, str] | None, window: Window, max_series: int = 50) -> Recent:
        """The raw samples of a window of at most an hour: what a live chart starts from."""
        return recent.recent(self._ask, metric, labels, window, max_series, self.clock.now_us())

    def overview(self, now_us: int | None = None) -> Overview:
        """Health, totals, busiest hosts and what changed most; at most three seconds old (see `age_s`).

        While the database is away it is the last answer kept, however old, with a health that says so.
        With `now_us` it is computed for that instant.
        """
        if now_us is not None:
            return self._overview(now_us)
        found, age_s, away = self._memo.answer_or_kept(overview.ANSWER, self._overview)
        return replace(found, age_s=age_s, health=found.health if away is None else self.health())

    def pipeline(self, now_us: int | None = None) -> PipelineState:
        """Ingest, buffer, loader lag, rollups, partitions and programs, as they are now.

        While the database is away what the programs tell is there all the same; see `store_away`.
        """
        return pipeline.pipeline(self._ask, self._heartbeats(), self.clock.now_us() if now_us is None else now_us)

    def health(self) -> Health:
        """Every part as far as the programs tell, without asking the store: it counts as away."""
        return health.judge(self.clock.now_us(), self._heartbeats(), None, self._switched_off)

    def lag_s(self) -> float | None:
        """How long samples wait in the buffer, as the programs tell; None where none does."""
        return self._heartbeats().lag_s

    def incidents(self, window: Window, state: IncidentState = "all", most: int = 200) -> list[IncidentInfo]:
        """Incidents that were open at some time in the window, the newest first, at most so many."""
        return incidents.incidents(self._ask, window, state, most)

    def incident(self, incident_id: str) -> IncidentDetail:
        """One incident with its series, each with its expected band; Invalid where there is none of this id."""
        return incidents.incident(self._ask, incident_id)

    def mark_incident(self, incident_id: str, useful: bool | None, note: str | None = None) -> None:
        """Say whether an incident was useful; None takes it back. Invalid where there is none of this id."""
        incidents.mark(self._ask, incident_id, useful, note)

    def alerts(
        self,
        states: tuple[str, ...] = alerting.OPEN,
        since_us: int = 0,
        rule: str | None = None,
        limit: int = alerting.MAX_ALERTS,
    ) -> list[alerting.AlertRow]:
        """Alerts in these states, newest first; those that are over ended after `since_us`."""
        return self.alert_page(states, since_us, rule, limit).alerts

    def alert_page(
        self, states: tuple[str, ...], since_us: int, rule: str | None, limit: int, before: str | None = None
    ) -> alerting.AlertPage:
        """The same, and where it goes on: before takes what `older` of the page before said."""
        return alerting.alerts(self._ask, states, since_us, rule, limit, before)

    def silences(self, since_us: int | None = None) -> list[Silence]:
        """Silences that end after an instant; None: now."""
        return alerting.silences(self._ask, self.clock.now_us() if since_us is None else since_us)

    def notifications(self, since_us: int, limit: int = 200, before: str | None = None) -> alerting.LogPage:
        """The notify log, newest first, and where it goes on."""
        return alerting.notifications(self._ask, since_us, limit, before)

    def alert_records(self, window: Window) -> list[Record]:
        """What became of each rule's alerts that fired in the window."""
        return alerting.records(self._ask, window)

    def alert_evaluations(self, window: Window) -> list[alerting.EvaluationRow]:
        """How rules did, by rule and hour."""
        return alerting.evaluations(self._ask, window)

    def cardinality(self, metric: str | None = None, limit: int = 20) -> cardinality.Cardinality:
        """How many series there are, of which metrics, sources and labels, and how they grow."""
        return cardinality.cardinality(self._ask, self._heartbeats(), self.clock.now_us(), metric, limit)

    def dead_letters(self, limit: int = 50) -> DeadLetters:
        """What could not be stored, newest first; none where there is no Redis to ask, Unavailable where it is away."""
        return NO_LETTERS if self._letters is None else self._letters(limit)

    def lifecycle(self, settings: Settings) -> LifecycleState:
        """Where each day's samples lie, what becomes of them next by these settings, and what came late."""
        return lifecycle.lifecycle(self._ask, settings, self.clock.now_us())

    def check(self) -> None:
        """Return where the database answers; Unavailable or Misconfigured where it does not."""
        self._ask.fetch("store_engine")

    def close(self) -> None:
        """Give the connections back."""
        for close in self._closing:
            close()

    def _overview(self, now_us: int | None = None) -> Overview:
        at_us = self.clock.now_us() if now_us is None else now_us
        return overview.overview(self._ask, self._heartbeats(), at_us, self._switched_off)

    def _heartbeats(self) -> Heartbeats:
        board = self._board
        if board is None:
            return NONE
        return self._patience.ask(lambda: Heartbeats(board.read_all(), known=True), NONE)

    def __enter__(self) -> "Reads":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
