"""Rules on hours, from the store's rollups: their figures against plain arithmetic over every raw sample."""

import random
from itertools import pairwise
from typing import Any

import pytest

from muninn.alerting.book import rule_of
from muninn.alerting.engine import Engine
from muninn.alerting.long import WIDTH_US, figures, key_of, needs
from muninn.alerting.rules import Rule
from muninn.clock import HOUR_US, MINUTE_US, SECOND_US, SystemClock
from muninn.model import BatchHandle, SampleBatch, SeriesKey
from muninn.store import alert_series
from muninn.store.database import Database
from muninn.store.writer import StoreWriter

Rows = list[tuple[int, float]]
EVERY_US = 20 * SECOND_US
SLO: dict[str, Any] = {
    "name": "slo", "kind": "slo", "metric": "requests_total", "by": ["service"],
    "objective": {"target": 99.5, "bad": {"status": "=~5.."}},
    "levels": [
        {"severity": "warning", "burn": 6, "long": "2h", "short": "30m"},
        {"severity": "critical", "burn": 14.4, "long": "1h", "short": "5m"},
    ],
}  # fmt: skip


def counters(now_us: int) -> dict[SeriesKey, Rows]:
    """Three hours of four counters that begin anew now and then; one service gets bad at the end."""
    chance, found = random.Random(5), dict[SeriesKey, Rows]()
    for service in ("shop", "mail"):
        for status, pace in (("200", 40), ("503", 1)):
            total, rows = 1000.0, Rows()
            for at_us in range(now_us - 3 * HOUR_US, now_us, EVERY_US):
                bad = service == "shop" and status == "503" and at_us > now_us - 100 * MINUTE_US
                step = chance.randint(0, pace * (12 if bad else 1))
                total = float(step) if chance.random() < 0.05 else total + step  # it began anew, and counted on
                rows.append((at_us, total))
            found[SeriesKey.of("requests_total", {"service": service, "status": status})] = rows
    return found


def grown(rows: Rows, since_us: int, until_us: int) -> float:
    """Sample by sample, from the last one before; where it fell it began anew at 0."""
    return sum(
        later - earlier if later >= earlier else later
        for (_, earlier), (at_us, later) in pairwise(rows)
        if since_us <= at_us < until_us
    )


def burn(all_rows: dict[SeriesKey, Rows], service: str, length_us: int, now_us: int) -> float:
    width = WIDTH_US["1min"]
    until_us = now_us // width * width
    window = until_us - length_us, until_us
    own = {dict(key.labels)["status"]: rows for key, rows in all_rows.items() if dict(key.labels)["service"] == service}
    bad, total = grown(own["503"], *window), sum(grown(rows, *window) for rows in own.values())
    return bad / total / (1 - 99.5 / 100)


def stored(database: Database, found: dict[SeriesKey, Rows]) -> None:
    rows = [(key, at_us, value) for key, each in found.items() for at_us, value in each]
    StoreWriter(database).load([BatchHandle("s", "1-1", SampleBatch.of(rows))])


def asked(database: Database, rule: Rule, now_us: int) -> Any:
    return {
        key_of(need, now_us): alert_series.buckets(database, need.level, need.metrics, need.window)
        for need in needs([rule], now_us)
    }


def test_a_budget_burns_as_fast_as_the_samples_say(postgres_url: str) -> None:
    now_us, rule = SystemClock().now_us() // MINUTE_US * MINUTE_US + 7 * SECOND_US, rule_of(SLO)
    found = counters(now_us)
    with Database(postgres_url, pool_size=2) as database:
        stored(database, found)
        histories = asked(database, rule, now_us)
    told = figures(rule, histories, now_us)
    assert told.levels is not None
    for place, labels in enumerate(told.labels):
        for level, (long, short) in enumerate(((120, 30), (60, 5))):
            both = [burn(found, labels["service"], minutes * MINUTE_US, now_us) for minutes in (long, short)]
            assert told.levels[place, level] == pytest.approx(min(both)), (labels, level)
    assert {labels["service"] for labels in told.labels} == {"shop", "mail"}
    changes = Engine([rule], now_us).evaluate_long(histories, now_us)
    fired = {dict(change.alert.labels)["service"]: change.alert for change in changes}
    assert set(fired) == {"shop"}, "one that spends as it may is no alert"
    worst = min(burn(found, "shop", minutes * MINUTE_US, now_us) for minutes in (60, 5))
    assert worst > 14.4
    assert (fired["shop"].severity, fired["shop"].value) == ("critical", pytest.approx(worst))


@pytest.mark.parametrize("unit", ["percent", "difference"])
def test_a_regression_is_that_of_the_samples(postgres_url: str, unit: str) -> None:
    """A gauge by its mean, weighted by samples over the series of a group; a counter by its growth per second."""
    now_us = SystemClock().now_us() // MINUTE_US * MINUTE_US + 7 * SECOND_US
    until_us = now_us // MINUTE_US * MINUTE_US
    base = {
        "kind": "regression", "window": "30m", "baseline": {"ago": "2h", "unit": unit},
        "levels": [{"severity": "warning", "above": 1}],
    }  # fmt: skip
    gauge = rule_of({**base, "name": "slower", "metric": "http_ms", "by": ["service"]})
    counter = rule_of({**base, "name": "busier", "metric": "requests_total", "match": {"status": "200"}})
    chance = random.Random(3)
    times = range(now_us - 3 * HOUR_US, now_us, EVERY_US)
    times_ms = {
        SeriesKey.of("http_ms", {"service": "shop", "host": host}): [
            (at_us, chance.uniform(100, 200) * (3 if at_us > now_us - HOUR_US else 1))
            for at_us in times
            if host == "a" or chance.random() < 0.3
        ]
        for host in ("a", "b")
    }
    totals = counters(now_us)
    with Database(postgres_url, pool_size=2) as database:
        stored(database, {**times_ms, **totals})
        both = [figures(rule, asked(database, rule, now_us), now_us) for rule in (gauge, counter)]

    def compared(now: float, before: float) -> float:
        return now - before if unit == "difference" else (now - before) / before * 100

    spans = [(until_us - ago - 30 * MINUTE_US, until_us - ago) for ago in (0, 2 * HOUR_US)]
    means = []
    for since, until in spans:
        inside = [value for rows in times_ms.values() for at_us, value in rows if since <= at_us < until]
        means.append(sum(inside) / len(inside))
    assert both[0].labels == ({"service": "shop"},)
    assert both[0].value[0] == pytest.approx(compared(*means))
    for labels, value in zip(both[1].labels, both[1].value, strict=True):
        rows = totals[SeriesKey.of("requests_total", {"service": labels["service"], "status": "200"})]
        assert value == pytest.approx(compared(*(grown(rows, *span) / 1800 for span in spans)))
    assert len(both[1].labels) == 2
