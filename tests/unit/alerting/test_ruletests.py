"""Unit tests of rules tell what differs; replay says the same as the alerter would."""

import numpy as np
import pytest

from muninn.alerting.book import rule_of
from muninn.alerting.noise import Record, suggest
from muninn.alerting.replay import replay
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
