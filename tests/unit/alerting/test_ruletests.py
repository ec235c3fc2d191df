"""Unit tests of rules tell what differs; replay says the same as the alerter would."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muninn.alerting.book import rule_of
from muninn.alerting.long import WIDTH_US, Level
from muninn.alerting.noise import Record, suggest
from muninn.alerting.replay import replay
from muninn.alerting.rolled import buckets_of
from muninn.alerting.ruletests import RuleTest, parse_series, parse_values, run
from muninn.alerting.timeline import svg
from muninn.clock import SECOND_US
from muninn.errors import Invalid
from muninn.model import SampleBatch, SeriesKey, Window

T0 = 1_700_000_000 * SECOND_US
RULE = rule_of({"name": "high", "metric": "m", "window": "10s", "levels": [{"severity": "warning", "above": 5}]})
ODD = rule_of({"name": "odd", "kind": "anomaly", "metric": "*", "levels": [{"severity": "info", "above": 0.8}]})


def made(values: str, *expect: dict[str, object], kind: str = "sample") -> RuleTest:
    given = {"series": 'm{host="a"}', "values": values, "kind": kind}
    return RuleTest.model_validate({"name": "t", "input": [given], "expect": list(expect)})


def test_what_is_missing_and_what_is_too_much() -> None:
    wanted = {"at": "30s", "alerts": [{"rule": "high", "labels": {"host": "b"}}]}
    found = run(made("9x10", wanted), [RULE])
    assert found.differences == (
        "at 30s: expected and not there: high firing {'host': 'b'}",
        "at 30s: not expected: high warning firing {'host': 'a', 'metric': 'm'}",
    )
    assert run(made("9x10", {"at": "30s", "alerts": [{"rule": "high"}]}), [RULE]).ok
    assert not run(made("1x10", {"at": "30s", "alerts": [{"rule": "high"}]}), [RULE]).ok


def test_scores_as_input() -> None:
    rising = made("0.1x5 0.9x5", {"at": "40s", "alerts": []}, {"at": "70s", "alerts": [{"rule": "odd"}]}, kind="score")
    assert run(rising, [ODD]).ok


def test_a_rule_that_is_not_there() -> None:
    test = RuleTest.model_validate(
        {"name": "t", "rules": ["nope"], "input": [], "expect": [{"at": "1m", "alerts": []}]}
    )
    assert "no rule nope" in run(test, [RULE]).differences[0]


def test_rules_that_look_far_back_are_tested_too() -> None:
    """100 requests a minute of which one in ten fails for twenty minutes: 20 times as fast as half a percent allows."""
    slo = rule_of(
        {
            "name": "slo", "kind": "slo", "metric": "requests_total", "by": ["service"],
            "objective": {"target": 99.5, "bad": {"status": "=~5.."}},
            "levels": [{"severity": "critical", "burn": 6, "long": "1h", "short": "5m"}],
        }
    )  # fmt: skip
    slower = rule_of(
        {
            "name": "slower", "kind": "regression", "metric": "http_ms", "window": "10m", "baseline": {"ago": "1h"},
            "levels": [{"severity": "warning", "above": 30}],
        }
    )  # fmt: skip
    test = RuleTest.model_validate(
        {
            "name": "t", "interval": "1m",
            "input": [
                {"series": 'requests_total{service="shop",status="200"}', "values": "0+90x180"},
                {"series": 'requests_total{service="shop",status="500"}', "values": "0x60 0+10x21 200x99"},
                {"series": 'http_ms{service="shop"}', "values": "100x90 150x90"},
            ],
            "expect": [
                {"at": "60m", "alerts": []},
                {"at": "80m", "alerts": [{"rule": "slo", "labels": {"service": "shop"}}]},
                {"at": "89m", "alerts": []},
                {"at": "110m", "alerts": [{"rule": "slower", "labels": {"metric": "http_ms"}}]},
                {"at": "175m", "alerts": []},
            ],
        }
    )  # fmt: skip
    assert run(test, [slo, slower]).differences == ()
    late = test.model_copy(update={"expect": test.expect[:1]})
    assert run(late, [slo, slower]).ok


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 7200), st.integers(0, 50)), unique_by=lambda row: row[:2]),
    st.sampled_from(["1min", "5min", "1hour"]),
)
def test_buckets_of_samples_are_those_of_plain_arithmetic(rows: list[tuple[int, int, int]], level: Level) -> None:
    keys = [SeriesKey.of("m", {"n": str(n)}) for n in range(3)]
    found = buckets_of(SampleBatch.of([(keys[n], T0 + s * SECOND_US, float(v)) for n, s, v in rows]), level)
    width = WIDTH_US[level]
    expected: dict[tuple[str, int], list[float]] = {}
    for n, s, v in sorted(rows):
        expected.setdefault((str(n), (T0 + s * SECOND_US) // width * width), []).append(float(v))
    columns = zip(
        found.series, found.at_us, found.count, found.total, found.first, found.last, found.grown, strict=True
    )
    told = {(dict(found.keys[n].labels)["n"], int(at)): rest for n, at, *rest in columns}
    assert told == {
        place: [
            len(own), sum(own), own[0], own[-1],
            sum(later - earlier if later >= earlier else later for earlier, later in pairwise(own)),
        ]
        for place, own in expected.items()
    }  # fmt: skip


def test_series_and_values_in_short() -> None:
    key = parse_series('m{a="x, \\"y\\"", instance_id="i"}')
    assert key == SeriesKey.of("m", {"a": 'x, "y"'}, "", "i")
    assert parse_values("1 2x2 0+10x3 _x2 5-1x2 1e3") == [1, 2, 2, 0, 10, 20, None, None, 5, 4, 1000]
    for wrong in ("m{a=x}", "1m", 'm{a="x"'):
        with pytest.raises(Invalid):
            parse_series(wrong)
    with pytest.raises(Invalid):
        parse_values("five")


def test_replay_in_pieces_is_replay_as_a_whole() -> None:
    key = SeriesKey.of("m")
    at = T0 + np.arange(600) * SECOND_US + SECOND_US // 2  # not at the very end of a piece
    values = np.where((np.arange(600) // 100) % 2 == 1, 9.0, 1.0)
    whole = SampleBatch(at, values, np.zeros(600, np.int32), [key])
    window = Window(T0, T0 + 600 * SECOND_US)
    halves = [
        (whole.take(at < T0 + 300 * SECOND_US), T0 + 300 * SECOND_US),
        (whole.take(at >= T0 + 300 * SECOND_US), window.until_us),
    ]
    one, two = replay([RULE], [(whole, window.until_us)], window, 5.0), replay([RULE], halves, window, 5.0)
    assert one == two
    assert len(one.fired) == 3
    assert svg(one.fired, window).count("<title>") == 3
    assert "nothing would have fired" in svg([], window)


@pytest.mark.parametrize(
    ("record", "change"),
    [
        (Record("high", 2, 2, 0, 2, 0, 0), None),
        (Record("high", 10, 1, 5, 1, 0, 0), None),
        (Record("high", 10, 9, 0, 0, 0, 0), "warning for: 2m"),
        (Record("high", 10, 1, 1, 4, 0, 0), "warning for: 2m"),
        (Record("high", 10, 1, 0, 0, 0, 6), "recover_for: 5m"),
    ],
)
def test_noise_and_what_is_proposed(record: Record, change: str | None) -> None:
    found = suggest(RULE, record)
    assert (found.change if found else None) == change
