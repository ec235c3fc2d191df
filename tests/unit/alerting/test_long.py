"""Rules that look far back: burn rates of two windows, regressions; growth of counters from buckets."""

from typing import Any

import numpy as np
import pytest

from muninn.alerting.book import rule_of
from muninn.alerting.engine import Engine
from muninn.alerting.long import WIDTH_US, Buckets, Histories, key_of, needs
from muninn.clock import DAY_US, HOUR_US, MINUTE_US, SECOND_US
from muninn.model import SeriesKey, Window

NOW = 1_700_006_400 * SECOND_US
SLO: dict[str, Any] = {
    "name": "slo",
    "kind": "slo",
    "metric": "http_requests_total",
    "objective": {"target": 99.0, "bad": {"status": "=~5.."}},
    "by": ["service"],
    "levels": [{"severity": "critical", "burn": 14.4, "long": "1h", "short": "5m"}],
}
SLOWER = {
    "name": "slower",
    "kind": "regression",
    "metric": "http_ms",
    "window": "1h",
    "baseline": {"ago": "7d"},
    "levels": [{"severity": "warning", "above": 30, "recover": 10}],
}


def counters(keys: list[SeriesKey], at_us: np.ndarray, values: list[np.ndarray]) -> Buckets:
    """Buckets with one sample each: a counter's value at its end."""
    every = np.concatenate(values).astype(np.float64)
    series = np.repeat(np.arange(len(keys)), len(at_us))
    one = np.ones(len(every), np.int64)
    return Buckets(tuple(keys), series, np.tile(at_us, len(keys)), one, every, every, every, np.zeros(len(every)))


def answer(rules: list[Any], now_us: int, make: Any) -> Histories:
    return {key_of(need, now_us): make(need) for need in needs(rules, now_us)}


def test_growth_over_a_restart() -> None:
    key = SeriesKey.of("x_total")
    at = NOW + np.arange(5) * MINUTE_US
    found = counters([key], at, [np.array([100, 110, 5, 20, 30])])
    assert found.growth(Window(NOW + MINUTE_US, NOW + 5 * MINUTE_US)).tolist() == [10 + 5 + 15 + 10]
    assert found.growth(Window(NOW, NOW + MINUTE_US)).tolist() == [0]
    assert np.isnan(found.growth(Window(NOW - DAY_US, NOW))).all()
    assert Buckets.empty().growth(Window(NOW, NOW + 1)).tolist() == []


@pytest.mark.parametrize(
    ("recent", "earlier", "fires"),
    [(0.20, 0.20, True), (0.0, 0.20, False), (0.20, 0.0, False), (0.005, 0.005, False)],
)
def test_a_burn_has_to_last_and_to_go_on(recent: float, earlier: float, fires: bool) -> None:
    rule = rule_of(SLO)

    def make(need: Any) -> Buckets:
        at = np.arange(need.window.since_us, need.window.until_us, WIDTH_US[need.level])
        share = np.where(at >= NOW - 6 * MINUTE_US, recent, earlier)
        total, bad = np.cumsum(np.full(len(at), 1000.0)), np.cumsum(1000.0 * share)
        keys = [SeriesKey.of("http_requests_total", {"service": "shop", "status": code}) for code in ("200", "503")]
        return counters(keys, at, [total - bad, bad])

    engine = Engine([rule], NOW)
    changes = engine.evaluate_long(answer([rule], NOW, make), NOW)
    assert [change.what for change in changes] == (["fired"] if fires else [])
    if fires:
        assert changes[0].alert.value == pytest.approx(20.0)
        assert dict(changes[0].alert.labels) == {"service": "shop"}


def test_what_is_asked_of_the_store_does_not_grow_with_the_rules() -> None:
    many = [rule_of({**SLO, "name": f"slo{n}"}) for n in range(20)] + [rule_of(SLOWER)]
    found = needs(many, NOW)
    assert [(need.level, need.metrics) for need in found] == [
        ("1min", ("http_ms", "http_requests_total")),
        ("1min", ("http_ms",)),
    ]
    assert found[0].window.since_us <= NOW - HOUR_US - MINUTE_US
    assert found[1].window.until_us == NOW - 7 * DAY_US
    days = rule_of({**SLO, "levels": [{"severity": "warning", "burn": 1, "long": "3d", "short": "6h"}]})
    assert [need.level for need in needs([days], NOW)] == ["1hour", "5min"] or {
        need.level for need in needs([days], NOW)
    } == {"1hour", "5min"}


def test_regression_against_last_week() -> None:
    rule = rule_of(SLOWER)
    engine = Engine([rule], NOW)

    def history(now_ms: float) -> Histories:
        def make(need: Any) -> Buckets:
            at = np.arange(need.window.since_us, need.window.until_us, MINUTE_US)
            keys = [SeriesKey.of("http_ms", {"host": host}) for host in ("a", "b")]
            fresh = need.window.until_us > NOW - DAY_US
            count, mean = np.full(2 * len(at), 60, np.int64), np.repeat([now_ms if fresh else 100.0, 100.0], len(at))
            series = np.repeat([0, 1], len(at))
            return Buckets(tuple(keys), series, np.tile(at, 2), count, mean * count, mean, mean, mean * 0)

        return answer([rule], NOW, make)

    assert engine.evaluate_long(history(120), NOW) == []
    (change,) = engine.evaluate_long(history(150), NOW)
    assert (change.what, change.alert.value) == ("fired", pytest.approx(50.0))
    assert dict(change.alert.labels)["host"] == "a"
    assert engine.evaluate_long(history(120), NOW) == []  # above the recovery level
    assert [each.what for each in engine.evaluate_long(history(105), NOW)] == ["resolved"]


def test_an_answer_that_is_missing_is_nothing_known() -> None:
    engine = Engine([rule_of(SLO), rule_of(SLOWER)], NOW)
    assert engine.evaluate_long({}, NOW) == []
