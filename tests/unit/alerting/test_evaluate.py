"""The life of an alert: levels, `for`, hysteresis, no data, grace, flapping, restarts."""

from typing import Any

import numpy as np
import pytest

from muninn.alerting.book import rule_of
from muninn.alerting.engine import Engine
from muninn.alerting.evaluate import Change
from muninn.clock import SECOND_US
from muninn.model import SampleBatch, SeriesKey
from muninn.model.scores import ScoreBatch

T0 = 1_700_000_000 * SECOND_US
CPU = SeriesKey.of("cpu_busy_pct", {"host": "a", "cpu": "total"})
BASE: dict[str, Any] = {"name": "cpu", "metric": "cpu_busy_pct", "over": "mean", "window": "10s", "by": ["host"]}


class Bench:
    """An engine fed by the second."""

    def __init__(self, *rules: dict[str, Any]):
        self.rules = [rule_of(rule) for rule in rules]
        self.engine = Engine(self.rules, T0)
        self.second = 0
        self.told: list[tuple[int, str, str]] = []

    @property
    def now_us(self) -> int:
        return T0 + self.second * SECOND_US

    def run(self, seconds: int, value: float | None, key: SeriesKey = CPU) -> list[tuple[int, str, str]]:
        """Every second a sample (None: none), every five seconds a judgement; what was told meanwhile."""
        start = len(self.told)
        for _ in range(seconds):
            if value is not None:
                self.engine.take(SampleBatch.of([(key, self.now_us, value)]))
            if self.second % 5 == 0:
                self.note(self.engine.evaluate(self.now_us))
            self.second += 1
        return self.told[start:]

    def note(self, changes: list[Change]) -> None:
        self.told += [(self.second, change.what, change.alert.severity) for change in changes if change.what != "moved"]


def levels(*given: dict[str, Any]) -> dict[str, Any]:
    return {**BASE, "levels": list(given)}


WARN = {"severity": "warning", "above": 80, "recover": 70, "for": "30s"}
CRIT = {"severity": "critical", "above": 95, "for": "10s"}


def test_pending_firing_worse_better_resolved() -> None:
    bench = Bench(levels(WARN, CRIT))
    assert bench.run(60, 50) == []
    told = bench.run(60, 90)
    assert [what for _, what, _ in told] == ["pending", "fired"]
    assert 30 <= told[1][0] - told[0][0] <= 35
    assert [(what, severity) for _, what, severity in bench.run(60, 99)] == [("severity", "critical")]
    assert [(what, severity) for _, what, severity in bench.run(30, 85)] == [("severity", "warning")]
    assert [(what, severity) for _, what, severity in bench.run(30, 20)] == [("resolved", "warning")]
    assert bench.engine.alerts() == []


def test_between_limit_and_recovery_nothing_changes() -> None:
    bench = Bench(levels({"severity": "warning", "above": 80, "recover": 70}))
    assert bench.run(60, 75) == []  # above the recovery, below the limit: not an alert
    bench.run(30, 85)
    assert bench.run(120, 75) == []  # ... and no end of one
    assert [what for _, what, _ in bench.run(30, 60)] == ["resolved"]


def test_a_short_peak_is_dropped() -> None:
    bench = Bench(levels(WARN))
    bench.run(30, 50)
    assert [what for _, what, _ in bench.run(20, 99) + bench.run(60, 50)] == ["pending", "dropped"]


def test_below() -> None:
    bench = Bench(levels({"severity": "critical", "below": 10, "recover": 20}))
    assert bench.run(20, 50) == []
    assert [what for _, what, _ in bench.run(30, 5)] == ["fired"]
    assert bench.run(30, 15) == []
    assert [what for _, what, _ in bench.run(30, 25)] == ["resolved"]


@pytest.mark.parametrize(
    ("policy", "after_fire", "after_quiet"),
    [("ok", ["resolved"], []), ("keep", [], []), ("alert", [], ["fired"]), ("ignore", ["resolved"], [])],
)
def test_what_no_data_means(policy: str, after_fire: list[str], after_quiet: list[str]) -> None:
    rule = levels({"severity": "warning", "above": 80}) | {"no_data": policy, "no_data_after": "60s"}
    firing, quiet = Bench(rule), Bench(rule)
    firing.run(30, 90)
    quiet.run(30, 50)
    assert [what for _, what, _ in firing.run(120, None)] == after_fire
    assert [what for _, what, _ in quiet.run(120, None)] == after_quiet


def test_good_for_lack_of_data_has_to_last_as_well_and_ignored_is_given_up_at_once() -> None:
    rule = levels({"severity": "warning", "above": 80}) | {"no_data_after": "60s", "recover_for": "10m"}
    counted, given_up = Bench(rule | {"no_data": "ok"}), Bench(rule | {"no_data": "ignore"})
    for bench in (counted, given_up):
        bench.run(30, 90)
    assert counted.run(120, None) == []
    assert [what for _, what, _ in given_up.run(120, None)] == ["resolved"]
    assert [what for _, what, _ in counted.run(600, None)] == ["resolved"]


@pytest.mark.parametrize(
    ("policy", "pending", "back"),
    [
        ("ok", ["dropped"], []),
        ("keep", [], []),
        ("alert", ["fired"], ["resolved"]),
        ("ignore", ["dropped"], []),
    ],
)
def test_no_data_while_it_was_only_pending_and_data_that_comes_back(
    policy: str, pending: list[str], back: list[str]
) -> None:
    """keep: it stays pending for as long as nothing is known, and goes by what comes then."""
    rule = levels({"severity": "warning", "above": 80, "for": "90s"}) | {"no_data": policy, "no_data_after": "60s"}
    bench = Bench(rule)
    bench.run(60, 50)
    assert [what for _, what, _ in bench.run(30, 99)] == ["pending"]
    assert [what for _, what, _ in bench.run(200, None)] == pending
    assert [what for _, what, _ in bench.run(30, 50)] == (["dropped"] if policy == "keep" else back)


def test_no_data_says_so() -> None:
    bench = Bench(levels({"severity": "warning", "above": 80}) | {"no_data": "alert", "no_data_after": "60s"})
    bench.run(30, 50)
    bench.run(120, None)
    (alert,) = bench.engine.alerts()
    assert alert.no_data
    assert "no data of cpu_busy_pct on host=a" in alert.summary


def test_grace_of_a_new_series_and_least_points() -> None:
    bench = Bench(levels({"severity": "warning", "above": 80}) | {"grace": "60s"})
    assert bench.run(55, 99) == []
    assert [what for _, what, _ in bench.run(20, 99)] == ["fired"]
    few = Bench(levels({"severity": "warning", "above": 80}) | {"min_points": 8})
    few.engine.take(SampleBatch.of([(CPU, few.now_us, 99.0)]))
    assert few.engine.evaluate(few.now_us) == []
    assert [what for _, what, _ in few.run(20, 99)] == ["fired"]


def test_evaluation_waits_for_late_samples() -> None:
    bench = Bench(levels({"severity": "warning", "above": 80}) | {"delay": "30s"})
    assert bench.run(50, 99) == [(30, "fired", "warning")]  # when the window reaches the first sample, not sooner

    def all_told(delay: str) -> list[str]:
        bench = Bench(levels({"severity": "warning", "above": 80}) | {"delay": delay, "over": "min"})
        bench.run(60, 50)
        bench.run(20, 99)
        late = [(CPU, bench.now_us - back * SECOND_US, 50.0) for back in range(20, 0, -5)]
        bench.engine.take(SampleBatch.of(late))
        bench.run(60, 50)
        return [what for _, what, _ in bench.told]

    assert all_told("0s") == ["fired", "resolved"]
    assert all_told("30s") == [], "by the time that the window is looked at, all of it is there"


def test_rate_of_a_counter_that_begins_anew() -> None:
    key = SeriesKey.of("jobs_failed_total", {"queue": "mail"})
    rule = {"name": "failing", "kind": "rate", "metric": key.metric, "window": "30s"}
    bench = Bench(rule | {"levels": [{"severity": "warning", "above": 0.5}]})
    total = 1000.0
    for step in range(12):
        bench.engine.take(SampleBatch.of([(key, bench.now_us + step * 5 * SECOND_US, total)]))
        total = 0.0 if step == 5 else total + 1
    bench.second = 55
    assert bench.engine.evaluate(bench.now_us) == []  # 0.2 a second, also across the restart
    bench.engine.take(SampleBatch.of([(key, bench.now_us + 5 * SECOND_US, total + 100)]))
    bench.second = 60
    bench.note(bench.engine.evaluate(bench.now_us))
    assert bench.told == [(60, "fired", "warning")]


def test_absence_of_one_of_many_and_of_all() -> None:
    rule = {"name": "silent", "kind": "absence", "metric": "uptime_s", "by": ["host"]}
    rule |= {"levels": [{"severity": "critical", "above": "60s"}], "forget": "1h"}
    bench = Bench(rule)
    keys = [SeriesKey.of("uptime_s", {"host": host}) for host in ("a", "b")]
    bench.engine.take(SampleBatch.of([(key, bench.now_us, 1.0) for key in keys]))
    told = bench.run(120, 1.0, keys[1])
    assert [what for _, what, _ in told] == ["fired"]
    assert dict(bench.engine.alerts()[0].labels) == {"host": "a"}
    assert [what for _, what, _ in bench.run(4000, 1.0, keys[1])] == ["resolved"]  # forgotten
    never = Bench({**rule, "name": "never", "by": [], "match": {"job": "backup"}})
    assert [what for _, what, _ in never.run(120, None)] == ["fired"]
    assert dict(never.engine.alerts()[0].labels)["job"] == "backup"


def test_scores_and_their_absence() -> None:
    bench = Bench({"name": "odd", "kind": "anomaly", "metric": "*", "levels": [{"severity": "warning", "above": 0.8}]})

    def say(score: float | None) -> list[str]:
        bench.second += 10
        batch = ScoreBatch.empty(bench.now_us)
        if score is not None:
            one, none = np.array([score]), np.zeros((1, 0))
            at, index = np.array([bench.now_us]), np.zeros(1, np.int32)
            batch = ScoreBatch(bench.now_us, at, index, (CPU,), one, one, one, one, one, one, one < 0, none, ())
        bench.engine.take_scores(batch)
        return [change.what for change in bench.engine.evaluate(bench.now_us)]

    assert say(0.5) == []
    assert say(0.9) == ["fired"]
    bench.second += 300
    assert bench.engine.evaluate(bench.now_us) == []  # the detector is behind: nothing is known
    assert say(None) == ["resolved"]  # not named: normal


def test_flapping_is_damped() -> None:
    rule = levels({"severity": "warning", "above": 80}) | {"flapping": {"changes": 4, "within": "1h", "hold": "5m"}}
    bench = Bench(rule)
    told = [what for _ in range(10) for value in (99, 20) for _, what, _ in bench.run(30, value)]
    assert told == ["fired", "resolved", "fired", "resolved", "fired"]
    assert bench.engine.alerts()[0].flapping
    assert bench.engine.judge("cpu").flapping == 1
    assert [what for _, what, _ in bench.run(400, 20)] == ["resolved"]


def test_what_comes_and_goes_seldom_does_not_flap() -> None:
    rule = levels({"severity": "warning", "above": 80}) | {"flapping": {"changes": 4, "within": "2m", "hold": "5m"}}
    bench = Bench(rule)
    told = [what for _ in range(5) for value in (99, 20) for _, what, _ in bench.run(60, value)]
    assert told == ["fired", "resolved"] * 5
    assert bench.engine.judge("cpu").flapping == 0


def test_a_restart_goes_on_where_it_was() -> None:
    rule = levels(WARN, CRIT) | {"recover_for": "60s", "grace": "10s"}
    first, whole = Bench(rule), Bench(rule)
    for bench in (first, whole):
        bench.run(60, 50)
        bench.run(20, 90)
    second = Bench(rule)
    second.second = first.second
    assert second.engine.restore(first.engine.alerts(), {}) == []
    for value, seconds in ((90, 60), (99, 40), (50, 20)):
        assert second.run(seconds, value) == whole.run(seconds, value)
    third = Bench(rule)
    third.second = second.second
    third.engine.restore(second.engine.alerts(), {})
    assert third.run(120, 50) == whole.run(120, 50)
    assert third.told[-1][1] == "resolved"


def test_a_rule_that_changes_keeps_its_alerts_and_one_that_goes_ends_them() -> None:
    bench = Bench(levels({"severity": "warning", "above": 80}))
    bench.run(30, 90)
    (before,) = bench.engine.alerts()
    changed = rule_of(levels({"severity": "warning", "above": 60}) | {"window": "4m"})
    assert bench.engine.use([changed]) == []
    assert bench.run(30, 90) == []
    assert bench.engine.alerts()[0].alert_id == before.alert_id
    assert [change.what for change in bench.engine.use([])] == ["dropped"]


def test_many_series_are_judged_as_columns() -> None:
    keys = [SeriesKey.of("cpu_busy_pct", {"host": f"h{n}", "cpu": "total"}) for n in range(2000)]
    bench = Bench(levels({"severity": "warning", "above": 80}))
    bench.engine.take(SampleBatch.of([(key, bench.now_us, float(n % 100)) for n, key in enumerate(keys)]))
    fired = bench.engine.evaluate(bench.now_us)
    assert len(fired) == 380
    assert {dict(change.alert.labels)["host"] for change in fired} == {f"h{n}" for n in range(2000) if n % 100 > 80}
