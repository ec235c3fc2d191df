"""A turn of the alerter with a store that comes and goes: what is kept, what is said, in which order."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from muninn import settings
from muninn.alerting.alert import Alert
from muninn.alerting.book import maintenance_of
from muninn.alerting.outbox import Outcome, Result
from muninn.alerting.silence import Maintenance, Silence
from muninn.alerting.standing import Cause, Standing
from muninn.clock import SECOND_US, ManualClock
from muninn.errors import Unavailable
from muninn.meter import Meter
from muninn.model import SampleBatch, SeriesKey, Window
from muninn.model.scores import ScoreBatch, ScoreHandle
from muninn.model.window import as_datetime
from muninn.operations.alerts.alerter import Alerter, History, Inputs
from muninn.operations.alerts.feeds import PART_UP, Parts, seconds_behind
from muninn.operations.alerts.journal import Journal
from muninn.operations.alerts.outbox import Outbox
from muninn.operations.alerts.rulebook import Rulebook
from muninn.store.alerts import Evaluated, Kept

RULES = """
rules:
  - {name: high, metric: m, window: 10s, levels: [{severity: warning, above: 5}]}
  - {name: gone, kind: absence, metric: m, by: [host], levels: [{severity: warning, above: 30s}]}
  - {name: down, metric: muninn_part_up, by: [part], window: 10s, levels: [{severity: critical, below: 0.5}]}
  - {name: incident, kind: incident, levels: [{severity: warning, above: 0.8}]}
  - {name: odd, kind: anomaly, metric: "*", window: 30s, levels: [{severity: info, above: 0.8}], recover_for: 2m}
inhibit: [{source: {rule: incident}, target: {incident: "=~.+", rule: "!=incident"}, equal: [incident]}]
receivers: [{name: hook, type: webhook, url: "http://127.0.0.1:1"}]
routes: [{receivers: [hook], group_wait: 0s, group_interval: 0s, group_by: [rule]}]
"""


class Store:
    """The store's face in memory; `away` makes every call fail."""

    def __init__(self) -> None:
        self.away = self.wrong = False
        self.log: list[str] = []
        self.alerts: dict[str, Alert] = {}
        self.told: dict[Any, Any] = {}
        self.due: list[str] = []
        self.done: list[Outcome] = []
        self.muted: dict[str, Any] = {}
        self.standing: list[Standing] = []
        self.scores: list[str] = []
        self.windows: list[Maintenance] = []

    def _ask(self, what: str) -> None:
        if self.away:
            raise Unavailable("away")
        if self.wrong:
            raise ValueError("wrong")
        self.log.append(what)

    def load(self, now_us: int, ends_s: float, changes_s: float) -> Kept:
        self._ask("load")
        return Kept(tuple(each for each in self.alerts.values() if each.is_open), (), dict(self.told), {}, ())

    def commit(self, changes: Any, told: Any, due: Any) -> None:
        self._ask("commit")
        self.alerts |= {change.alert.alert_id: change.alert for change in changes if change.what != "dropped"}
        self.told |= {each.key: each for each in told}
        self.due += [f"{each.why} {each.alerts[0].rule}" for each in due]

    def rules(self) -> dict[str, Any]:
        self._ask("rules")
        return {}

    def silences(self, since_us: int) -> list[Silence]:
        return []

    def maintenance(self) -> list[Maintenance]:
        return self.windows

    def outside(self) -> list[Alert]:
        return []

    def incidents(self, window: Window) -> list[Standing]:
        self._ask("incidents")
        return [each for each in self.standing if each.is_open(window.since_us)]

    def mute(self, muted: Any) -> None:
        self.muted = dict(muted)

    def outcomes(self, outcomes: list[Outcome]) -> None:
        self._ask("outcomes")
        self.done += outcomes

    def evaluated(self, counts: list[Evaluated]) -> None:
        self._ask("evaluated")

    def precision(self, since_us: int) -> float | None:
        return 0.5

    def prune(self, before_us: int) -> int:
        return 0

    def prune_scores(self, before_us: int) -> None:
        pass

    def keep_scores(self, handles: list[ScoreHandle]) -> None:
        self._ask("scores")
        self.scores += [handle.entry_id for handle in handles]


class Rig:
    """An alerter by hand."""

    def __init__(self, folder: Path, store: Store, clock: ManualClock | None = None):
        (folder / "rules").mkdir(exist_ok=True)
        (folder / "rules" / "own.yaml").write_text(RULES)
        chosen = settings.load({"MUNINN_HOME": str(folder), "MUNINN_ALERTING_SHIPPED": "false"})
        self.store, self.clock, self.sent = store, clock or ManualClock(), []
        self.send_s, self.meter = 0.0, Meter()
        self.outbox = Outbox(self._send, self.clock, self.meter)
        self.journal = Journal(store, self.outbox, self.clock)  # type: ignore[arg-type]
        nothing = History(lambda *_: [], lambda *_: SampleBatch.empty(), lambda _: _never())
        self.alerter = Alerter(Rulebook(chosen), self.journal, self.outbox, nothing, self.clock, self.meter)

    def _send(self, receiver: Any, due: Any) -> Result:
        if self.send_s:
            self.clock.advance(self.send_s)
        self.sent.append((f"{due.why} {due.alerts[0].rule}", len(self.store.due)))
        return Result(True)

    def turn(
        self, value: float | None = None, *, heard: bool = True, up: float | None = None, score: float | None = None
    ) -> None:
        self.clock.advance(5)
        now_us = self.clock.now_us()
        rows = [] if value is None else [(SeriesKey.of("m", {"host": "a"}), now_us, value)]
        own = None if up is None else SampleBatch.of([(SeriesKey.of(PART_UP, {"part": "redis"}), now_us, up)])
        self.heard_us = now_us if heard else getattr(self, "heard_us", 0)
        told = () if score is None else (ScoreHandle(f"{now_us // 1000}-0", scored(MAIL, score, now_us)),)
        self.alerter.turn(Inputs([SampleBatch.of(rows)] if rows else [], told, own, self.heard_us))

    def settle(self, done: Callable[[], bool]) -> None:
        from servers import eventually

        eventually(done, 10, "it is sent")


MAIL = SeriesKey.of("queue_depth", {"queue": "mail"})


def scored(key: SeriesKey, score: float, now_us: int) -> ScoreBatch:
    one, none = np.zeros(1), np.zeros((1, 0))
    at, index = np.array([now_us]), np.zeros(1, np.int32)
    return ScoreBatch(now_us, at, index, (key,), one + score, one, one, one, one, one, one > 0, none, ())


def _never() -> Any:
    raise AssertionError


def test_it_is_kept_before_it_is_said(tmp_path: Path) -> None:
    rig = Rig(tmp_path, Store())
    rig.turn(1)
    rig.turn(9)
    rig.settle(lambda: bool(rig.sent))
    assert rig.sent == [("new high", 1)]
    rig.turn(1)
    rig.turn(1)
    rig.settle(lambda: len(rig.sent) == 2)
    assert rig.sent[1] == ("resolved high", 2)
    rig.turn(1)
    assert [each.state for each in rig.store.done] == ["sent", "sent"]
    rig.outbox.stop()


def test_without_the_store_it_is_said_anyway_and_kept_later(tmp_path: Path) -> None:
    rig = Rig(tmp_path, Store())
    rig.turn(1)
    rig.store.away = True
    rig.turn(9)
    rig.settle(lambda: bool(rig.sent))
    assert rig.sent == [("new high", 0)]
    assert not rig.store.alerts
    rig.store.away = False
    rig.clock.advance(10)
    rig.turn(9)
    assert [each.state for each in rig.store.alerts.values()] == ["firing"]
    assert rig.store.due == ["new high"]
    rig.turn(9)
    assert len(rig.sent) == 1
    rig.outbox.stop()


def test_what_cannot_be_kept_is_said_all_the_same(tmp_path: Path) -> None:
    """Not only a database that is away: also one that takes a row for wrong."""
    rig = Rig(tmp_path, Store())
    rig.turn(1)
    rig.store.wrong = True
    rig.turn(9)
    rig.settle(lambda: bool(rig.sent))
    assert rig.sent == [("new high", 0)]
    rig.store.wrong = False
    rig.clock.advance(10)
    rig.turn(9)
    assert [each.state for each in rig.store.alerts.values()] == ["firing"]
    assert len(rig.sent) == 1
    rig.outbox.stop()


def test_a_start_without_the_store_goes_on_with_what_was_there_once_it_is_back(tmp_path: Path) -> None:
    store = Store()
    first = Rig(tmp_path, store)
    first.turn(1)
    first.turn(9)
    first.settle(lambda: bool(first.sent))
    first.outbox.stop()
    (before,) = store.alerts
    store.away = True
    second = Rig(tmp_path, store, first.clock)
    second.turn(9)
    second.turn(9)
    store.away = False
    second.clock.advance(10)
    second.turn(9)
    second.turn(9)
    assert list(store.alerts) == [before]
    assert store.alerts[before].state == "firing"
    second.outbox.stop()


def test_an_incident_is_one_alert_and_its_series_are_not_told(tmp_path: Path) -> None:
    rig = Rig(tmp_path, Store())
    rig.turn(1, score=0.1)
    cause = Cause("The mailer hangs", 0.7, (("depth went up", "queue_depth"),), ("Restart it.",), "dependency-down")
    opened = Standing("i1", rig.clock.now_us(), None, "queue_depth higher", 0.95, 2, MAIL, (MAIL,), (cause,))
    rig.store.standing = [opened]
    rig.turn(1, score=0.95)
    rig.settle(lambda: len(rig.sent) == 1)
    assert [what for what, _ in rig.sent] == ["new incident"]
    told = {each.rule: each for each in rig.store.alerts.values()}
    assert told["incident"].all_labels == {
        "incident": "i1", "metric": "queue_depth", "queue": "mail", "rule": "incident", "severity": "warning",
    }  # fmt: skip
    assert (told["incident"].summary, told["incident"].runbook) == (
        "queue_depth higher", "docs/runbooks/dependency-down.md",
    )  # fmt: skip
    assert "do: Restart it." in told["incident"].description
    assert (told["odd"].state, dict(told["odd"].extra)) == ("firing", {"incident": "i1"})
    assert {rig.store.alerts[who].rule: why.by for who, why in rig.store.muted.items()} == {"odd": "inhibition"}
    # It grows, and says so; nobody is told again. Without the store what is known stays.
    rig.store.standing = [replace(opened, title="queue_depth higher, and 3 more series", series_count=5)]
    rig.turn(1, score=0.95)
    assert "3 more" in next(each.summary for each in rig.store.alerts.values() if each.rule == "incident")
    rig.store.away = True
    rig.turn(1, score=0.95)
    assert {each.rule for each in rig.alerter.alerts} == {"incident", "odd"}
    rig.store.away, rig.store.standing = False, []
    rig.clock.advance(10)
    # It is over before the score has been low for long enough: that is no news.
    rig.turn(1, score=0.95)
    rig.turn(1, score=0.95)
    rig.settle(lambda: len(rig.sent) == 2)
    assert [what for what, _ in rig.sent] == ["new incident", "resolved incident"]
    assert [each.rule for each in rig.alerter.alerts] == ["odd"]
    for _ in range(40):
        rig.turn(1, score=0.0)
    assert rig.alerter.alerts == []
    assert len(rig.sent) == 2
    rig.outbox.stop()


def test_what_the_detector_says_is_kept_once_also_when_the_store_was_away(tmp_path: Path) -> None:
    rig = Rig(tmp_path, Store())
    for _ in range(4):
        rig.turn(1, score=0.5)
    rig.store.away = True
    for _ in range(4):
        rig.turn(1, score=0.5)
    rig.store.away = False
    rig.clock.advance(10)
    for _ in range(4):
        rig.turn(1, score=0.5)
    assert len(rig.store.scores) == len(set(rig.store.scores)) >= 10
    assert rig.store.scores == sorted(rig.store.scores, key=lambda entry: int(entry.partition("-")[0]))
    rig.outbox.stop()


def test_an_incident_that_ended_while_nobody_looked_ends_its_alert(tmp_path: Path) -> None:
    store = Store()
    first = Rig(tmp_path, store)
    store.standing = [Standing("i1", first.clock.now_us(), None, "mail", 0.95, 1, MAIL, (MAIL,))]
    first.turn(1)
    first.settle(lambda: bool(first.sent))
    first.outbox.stop()
    store.standing = []
    second = Rig(tmp_path, store, first.clock)
    second.turn(1)
    second.settle(lambda: bool(second.sent))
    assert second.sent[0][0] == "resolved incident"
    assert [each.state for each in store.alerts.values()] == ["resolved"]
    second.outbox.stop()


def test_with_the_rule_on_incidents_switched_off_scores_are_told(tmp_path: Path) -> None:
    rig = Rig(tmp_path, Store())
    (tmp_path / "rules" / "own.yaml").write_text(RULES.replace("kind: incident,", "kind: incident, enabled: false,"))
    rig.store.standing = [Standing("i1", rig.clock.now_us(), None, "mail", 0.95, 1, MAIL, (MAIL,))]
    rig.turn(1, score=0.95)
    rig.settle(lambda: bool(rig.sent))
    assert [what for what, _ in rig.sent] == ["new odd"]
    rig.outbox.stop()


def test_a_window_made_through_the_api_holds_back_what_it_matches(tmp_path: Path) -> None:
    rig = Rig(tmp_path, Store())
    rig.turn(1)
    begins = as_datetime(rig.clock.now_us()).strftime("%H:%M")
    rig.store.windows = [maintenance_of({"name": "patch", "match": {"host": "a"}, "at": begins, "duration": "2m"})]
    rig.turn(9)
    rig.turn(9)
    assert [(why.by, why.which) for why in rig.store.muted.values()] == [("maintenance", "patch")]
    rig.clock.advance(150)
    rig.turn(9)
    rig.settle(lambda: len(rig.sent) == 1)
    assert rig.sent[0][0] == "new high"
    rig.outbox.stop()


def test_silence_of_the_buffer_is_nobodys_absence_but_parts_are_missed(tmp_path: Path) -> None:
    rig = Rig(tmp_path, Store())
    rig.turn(1, up=1)
    for _ in range(20):
        rig.turn(heard=False, up=0)
    assert {each.rule for each in rig.alerter.alerts} == {"down"}
    for _ in range(8):
        rig.turn(up=1)
    assert {each.rule for each in rig.alerter.alerts} == {"gone"}
    rig.outbox.stop()


def test_open_alerts_are_series_that_end_with_0(tmp_path: Path) -> None:
    rig = Rig(tmp_path, Store())
    rig.turn(9)
    states = rig.alerter.states()
    assert (states.value.tolist(), dict(states.keys[0].labels)["rule"]) == ([2.0], "high")
    rig.turn(1)
    rig.turn(1)
    assert rig.alerter.states().value.tolist() == [0.0]
    assert len(rig.alerter.states()) == 0
    figures = {(name, labels.get("state")): value for name, labels, value in rig.meter.snapshot()}
    assert figures["muninn_alerts", "firing"] == 0
    assert figures["muninn_alert_precision_ratio", None] == 0.5
    rig.outbox.stop()


def test_the_platform_says_of_its_alerts_how_many_and_how_soon_they_are_told(tmp_path: Path) -> None:
    rig = Rig(tmp_path, Store())
    rig.send_s = 3
    rig.turn(1, up=1)
    rig.turn(9, up=0)
    rig.settle(lambda: len(rig.sent) == 2)
    rig.outbox.stop()
    rig.turn(9, up=0)
    figures = {(name, *sorted(labels.items())): value for name, labels, value in rig.meter.snapshot()}
    states = {state: figures["muninn_alerts", ("state", state)] for state in ("pending", "firing", "muted")}
    assert states == {"pending": 0, "firing": 2, "muted": 0}
    assert figures["muninn_alert_changes_total", ("rule", "high"), ("what", "fired")] == 1
    assert figures["muninn_alert_rules",] == 5
    assert figures["muninn_alert_notifications_waiting",] == 0
    told = {name: value for (name, *labels), value in figures.items() if ("receiver", "hook") in labels}
    assert told["muninn_alert_notifications_total"] == 2
    assert told["muninn_alert_notify_latency_s"] == 6, "the second waited for the first, each took three seconds"


def test_parts_are_asked_and_one_that_fails_is_down() -> None:
    def broken() -> None:
        raise OSError

    def away() -> dict[str, float]:
        raise Unavailable("away")

    clock = ManualClock()
    parts = Parts({"good": lambda: None, "bad": broken}, away, clock)
    parts.ask()
    batch = parts.take()
    assert {dict(key.labels)["part"]: value for key, value in zip(batch.keys, batch.value, strict=True)} == {
        "good": 1.0, "bad": 0.0,
    }  # fmt: skip
    assert len(parts.take()) == 0
    minute = 60 * SECOND_US
    assert seconds_behind([("1min", 10 * minute, minute), ("1day", 0, minute)], 13 * minute) == {"1min": 120.0}
