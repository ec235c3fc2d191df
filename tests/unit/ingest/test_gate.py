"""The gate: existing series always flow, new ones within limits, rules before both, and each reason named."""

from collections.abc import Iterable

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muninn.clock import ManualClock
from muninn.errors import Invalid, Unavailable
from muninn.ingest.decode.json import decode_json
from muninn.ingest.gate.gate import Bounds, Gate, Limits
from muninn.ingest.gate.rules import DoorRules, parse
from muninn.ingest.validate import BadSample, Decoded, Rules
from muninn.meter import Meter
from muninn.model import SampleBatch, SeriesKey, SeriesSet
from muninn.model.series_set import Fingerprints

Rows = list[tuple[SeriesKey, int, float]]


class House:
    """A gate over a store in memory, which may be away."""

    def __init__(self, limits: Limits | None = None, rules: DoorRules | None = None):
        self.stored: set[bytes] = set()
        self.away = False
        self.asked = 0
        self.clock = ManualClock()
        self.meter = Meter()
        self.gate = Gate(limits, rules, self.registered, clock=self.clock, meter=self.meter)

    def registered(self, fingerprints: Fingerprints) -> np.ndarray:
        if self.away:
            raise Unavailable("the store is away")
        self.asked += len(fingerprints)
        return np.array([each in self.stored for each in fingerprints.tolist()], np.bool_)

    def send(self, keys: Iterable[SeriesKey], decoded: Decoded | None = None) -> Decoded:
        return self.gate.admit(decoded or Decoded(SampleBatch.of([(key, 1, 2.0) for key in keys])), 100)


def series(number: int, metric: str = "requests", agent: str = "a", **labels: str) -> SeriesKey:
    return SeriesKey.of(metric, {"path": f"/{number % 3}", "request_id": str(number), **labels}, agent)


def rows(decoded: Decoded) -> Rows:
    batch = decoded.batch
    names = [batch.keys[int(place)] for place in batch.key_index]
    return [*zip(names, batch.at_us.tolist(), batch.value.tolist(), strict=True)]


def test_over_the_limit_known_series_flow_and_the_label_to_blame_is_named() -> None:
    house = House(Limits(metric=Bounds(None, 30)))
    first = [series(number) for number in range(30)]
    assert house.send(first).rejected == 0
    mixed = [*first[:5], *(series(number) for number in range(30, 40)), series(0, "other")]
    found = house.send(mixed)
    assert [key for key, _, _ in rows(found)] == [*first[:5], series(0, "other")]
    assert found.rejected == 10
    assert [bad.index for bad in found.errors] == [*range(5, 15)]
    assert "metric 'requests' has 30 new series in the last hour, 30 are allowed" in found.errors[0].reason
    assert "label 'request_id'" in found.errors[0].reason
    assert ("muninn_gate_refused_total", {}, 10.0) in house.meter.snapshot()


def test_what_the_store_has_is_not_new() -> None:
    house = House(Limits(metric=Bounds(None, 0), source=Bounds(None, 0)))
    house.stored = {series(number).digest for number in range(5)}
    assert house.send(series(number) for number in range(6)).rejected == 1
    asked = house.asked
    assert house.send(series(number) for number in range(6)).rejected == 1
    assert house.asked == asked  # neither the known ones nor the refused one are asked for again at once


def test_a_source_has_its_own_limit_and_the_hour_passes() -> None:
    house = House(Limits(source=Bounds(None, 2)))
    assert house.send([series(1), series(2), series(3), series(4, agent="b")]).rejected == 1
    house.clock.advance(3500)
    assert "source 'a'" in house.send([series(5)]).errors[0].reason
    house.clock.advance(160)
    assert house.send([series(5)]).rejected == 0


def test_active_series_count_and_those_that_went_silent_do_not() -> None:
    house = House(Limits(metric=Bounds(3, None)))
    assert house.send(series(number) for number in range(4)).rejected == 1
    for _ in range(61):
        house.clock.advance(60)
        house.send([series(0)])
    house.gate.take_over({})
    assert house.send([series(7), series(8), series(9)]).rejected == 1
    assert "3 active series, 3 are allowed" in house.send([series(9)]).errors[0].reason


def test_what_other_gateways_let_in_counts_too() -> None:
    house = House(Limits(metric=Bounds(None, 10)))
    house.gate.take_over({"metric": {"requests": 10}})
    assert house.send([series(1), series(1, "other")]).rejected == 1


def test_while_the_store_is_away_everything_counts_as_known() -> None:
    house = House(Limits(metric=Bounds(None, 0)))
    house.away = True
    assert house.send([series(1)]).rejected == 0
    house.away = False
    house.clock.advance(6)
    assert house.send([series(1), series(2)]).rejected == 1


def test_labels_beyond_the_settings_are_refused() -> None:
    house = House(Limits(max_labels=2, max_label_value_bytes=8))
    found = house.send([series(1), series(2, more="x"), series(3, path="x" * 9)])
    assert [bad.reason for bad in found.errors] == [
        "labels: 3 labels, 2 are allowed",
        "labels.path: 9 bytes, 8 are allowed",
    ]
    assert house.send([series(2, more="x")]).rejected == 1


def test_the_index_of_a_refused_sample_is_that_of_the_request() -> None:
    house = House(Limits(metric=Bounds(None, 1)))
    batch = SampleBatch.of([(series(1), 1, 1.0), (series(2), 1, 1.0)])
    found = house.send([], Decoded(batch, [BadSample(0, "bad"), BadSample(2, "bad")], 2))
    assert [bad.index for bad in found.errors] == [0, 2, 3]


RULES = parse(
    {
        "rule": [
            {"name": "no debug", "action": "drop", "metric": "debug_*"},
            {"action": "rename", "metric": "/old_(.*)/", "to": r"new_\1"},
            {"action": "drop_label", "metric": "new_*", "label": "request_id"},
            {"action": "rename", "label": "path", "to": "route"},
        ],
        "limit": [{"metric": "new_*", "new_per_hour": 2}],
    }
)


def test_rules_leave_out_rename_and_merge_before_limits_count() -> None:
    house = House(rules=RULES)
    for _ in range(2):  # the second time from memory
        found = house.send([*(series(number, "old_x") for number in range(9)), series(1, "debug_y"), series(1)])
        assert (found.rejected, found.left_out) == (3, 1)
        kept = [key for key, _, _ in rows(found)]
        assert {key.metric for key in kept} == {"new_x", "requests"}
        assert {dict(key.labels)["route"] for key in kept if key.metric == "new_x"} == {"/0", "/1"}
        assert len(found.batch.keys) == 3  # nine became three, of which one was too many; and the other
        assert len(rows(found)) == 7


def test_a_keep_rule_leaves_out_everything_else() -> None:
    house = House(rules=parse({"rule": [{"action": "keep", "labels": {"path": "/[01]"}}]}))
    found = house.send([*(series(number) for number in range(6)), SeriesKey.of("up")])
    assert (found.rejected, found.left_out) == (0, 3)
    assert {dict(key.labels)["path"] for key, _, _ in rows(found)} == {"/0", "/1"}


def test_distributions_stay_with_their_samples() -> None:
    house = House(rules=RULES)
    body = [
        {"metric": metric, "timestamp": 1_700_000_000_000, "distribution": {"values": values}, "labels": {"path": "/"}}
        for metric, values in (("debug_y", [1, 2]), ("old_x", [3, 4, 5]))
    ]
    found = house.send([], decode_json(orjson.dumps(body), Rules(), house.clock.now_us()))
    assert (found.left_out, [key.metric for key in found.batch.keys]) == (1, ["new_x"])
    made = found.batch.distributions
    assert made is not None
    assert len(made) == 1
    assert found.batch.value.tolist() == [4.0]


def test_other_rules_are_taken_up() -> None:
    house = House(rules=RULES)
    assert house.send([series(1, "debug_y")]).left_out == 1
    house.gate.use_rules(DoorRules())
    assert house.send([series(1, "debug_y")]).left_out == 0


@given(st.lists(st.lists(st.integers(0, 30), max_size=12), max_size=12), st.integers(0, 12))
def test_no_order_lets_more_in_than_allowed_or_takes_back_what_was_let_in(sent: list[list[int]], allowed: int) -> None:
    house = House(Limits(metric=Bounds(None, allowed)))
    let_in: set[SeriesKey] = set()
    for numbers in sent:
        keys = [series(number) for number in dict.fromkeys(numbers)]
        found = house.send(keys)
        flowed = {key for key, _, _ in rows(found)}
        assert flowed >= let_in & set(keys)
        assert found.rejected == len(keys) - len(flowed)
        let_in |= flowed
        assert len(let_in) <= allowed
        assert not found.rejected or len(let_in) == allowed


def test_it_stays_within_its_bounds_and_right_when_it_is_full() -> None:
    renaming = {"action": "rename", "metric": "requests", "to": "renamed"}
    house = House(rules=parse({"rule": [renaming]}))
    house.gate._max_series = 100
    for turn in range(3):
        for start in range(0, 400, 20):
            found = house.send(series(number) for number in range(start, start + 20))
            assert found.rejected == 0
            assert {key.metric for key in found.batch.keys} == {"renamed"}, turn
            assert len(house.gate._table) <= 100
            assert len(house.gate._others) <= 100


def test_a_flood_of_names_is_bounded_and_limits_hold_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("muninn.ingest.gate.usage._MAX_NAMES", 50)
    monkeypatch.setattr("muninn.ingest.gate.usage._MAX_KEPT", 100)
    house = House(Limits(source=Bounds(None, 500)))
    let_in = 0
    for turn in range(40):
        found = house.send(series(number, f"metric_{turn}_{number}") for number in range(20))
        let_in += len(found.batch)
        house.stored |= {key.digest for key in found.batch.keys}
        house.gate.take_over({"source": {"a": let_in}})
        usage = house.gate._usage["metric"]
        assert len(usage._codes) <= 50 + 20
        assert usage._kept == sum(len(seen) for labels in usage._values.values() for seen in labels.values()) <= 100
    assert let_in == 500
    assert house.send(series(number, f"metric_0_{number}") for number in range(20)).rejected == 0


def test_what_was_silent_for_an_hour_is_forgotten_first() -> None:
    house = House()
    house.gate._max_series = 100
    house.send(series(number) for number in range(40))
    house.clock.advance(2 * 3600)
    lately = [series(number) for number in range(100, 130)]
    house.send(lately)
    house.send(series(number) for number in range(200, 230))
    assert (house.gate._table.find(SeriesSet.of(lately).fingerprints) >= 0).all()


@pytest.mark.parametrize(
    ("found", "says"),
    [
        ({"rules": []}, "only"),
        ({"rule": {"action": "drop"}}, r"write \[\[rule\]\]"),
        ({"rule": [{"action": "explode"}]}, "rule 1: action"),
        ({"rule": [{"action": "drop"}]}, "about everything"),
        ({"rule": [{"action": "drop", "metric": "/(/"}]}, "rule 1: metric"),
        ({"rule": [{"action": "drop", "metric": 7}]}, "must be text"),
        ({"rule": [{"action": "drop", "metrics": "x"}]}, "metrics: not known"),
        ({"rule": [{"action": "drop", "metric": "a", "to": "b"}]}, "not of use"),
        ({"rule": [{"action": "rename", "metric": "a"}]}, "rename needs"),
        ({"rule": [{"action": "rename", "metric": "a", "to": "1 b"}]}, "no name of a metric"),
        ({"rule": [{"action": "rename", "metric": "/(a)b/", "to": r"x\2"}]}, "does not go with '\\(a\\)b'"),
        ({"rule": [{"action": "rename", "metric": "/(a)b/", "to": r"\g<other>"}]}, "does not go with '\\(a\\)b'"),
        ({"rule": [{"action": "rename", "metric": "ab*", "to": r"x\1"}]}, "only one between slashes has groups"),
        ({"rule": [{"action": "drop", "metric": "/a(?=b)/"}]}, "rule 1: metric: .* no regular expression .RE2."),
        ({"rule": [{"action": "drop", "labels": {"x": "/a{0,1000}b{0,1000}/"}}]}, "x: .* too long .* 2000 parts"),
        ({"limit": [{"metric": "/(/", "series": 1}]}, "limit 1: metric"),
        ({"rule": [{"action": "drop_label"}]}, "which one"),
        ({"rule": [{"action": "drop", "labels": "x"}]}, "labels: write"),
        ({"limit": [{"series": 5}]}, "limit 1: a limit is of metric or of source"),
        ({"limit": [{"metric": "a"}]}, "needs series or new_per_hour"),
        ({"limit": [{"metric": "a", "series": -1}]}, "whole number"),
    ],
)
def test_a_wrong_rule_is_named(found: dict[str, object], says: str) -> None:
    with pytest.raises(Invalid, match=says):
        parse(found)
