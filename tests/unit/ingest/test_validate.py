"""What a sample may be, and what is said of one that is not."""

from typing import Any

import numpy as np
import pytest

from muninn.clock import DAY_US, SECOND_US
from muninn.errors import Invalid
from muninn.ingest.validate import BadSample, Rules, Screening, series_key, without_unused_keys
from muninn.model import SampleBatch, SeriesKey

NOW_US = 1_700_000_000 * SECOND_US
A, B, C = (SeriesKey.of("cpu", {"host": host}) for host in "abc")


@pytest.mark.parametrize("metric", ["a", "_x:y", ":a", "node.cpu-usage/total:rate5m", "A" * 200])
def test_good_metric_names(metric: str) -> None:
    assert series_key(metric, None, None, None) == SeriesKey.of(metric)


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ((None, None, None, None), "metric: missing"),
        (("", None, None, None), "metric: ''"),
        (("9a", None, None, None), "metric: '9a'"),
        (("a b", None, None, None), "metric: 'a b'"),
        (("a\n", None, None, None), r"metric: 'a\n'"),
        (("µ", None, None, None), "metric: 'µ'"),
        ((7, None, None, None), "metric: 'a number'"),
        (("A" * 201, None, None, None), "metric: 201 characters"),
        (("a", [], None, None), "labels: must be an object of strings, not an array"),
        (("a", {str(i): "x" for i in range(65)}, None, None), "labels: 65 labels, 64"),
        (("a", {"": "x"}, None, None), "labels: '' is not a label name"),
        (("a", {"x\0": "x"}, None, None), "is not a label name"),
        (("a", {"é" * 65: "x"}, None, None), "is not a label name"),
        (("a", {"x": "é" * 513}, None, None), "labels.x: 1026 bytes, 1024 at the most"),
        (("a", {"x": "a\0b"}, None, None), "labels.x: holds a NUL"),
        (("a", {"x": None}, None, None), "labels.x: must be a string, not null"),
        (("a", {"x": {}}, None, None), "labels.x: must be a string, not an object"),
        (("a", {"x": ["y"]}, None, None), "labels.x: must be a string, not an array"),
        (("a", None, {}, None), "source_agent_id: must be a string, not an object"),
        (("a", None, "x\0", None), "source_agent_id: 200 bytes"),
        (("a", None, None, "x" * 201), "instance_id: 200 bytes"),
        (("a", None, None, []), "instance_id: must be a string, not an array"),
    ],
)
def test_bad_parts_are_named(parts: tuple[Any, Any, Any, Any], reason: str) -> None:
    with pytest.raises(Invalid) as caught:
        series_key(*parts)
    assert reason in str(caught.value)


def test_scalars_become_their_json_text_and_empty_labels_vanish() -> None:
    labels = {"b": True, "f": 1.5, "i": 3, "s": "x", "empty": "", "long": "é" * 512}
    key = series_key("a", labels, 17, 2.5)
    assert dict(key.labels) == {"b": "true", "f": "1.5", "i": "3", "s": "x", "long": "é" * 512}
    assert (key.source_agent_id, key.instance_id) == ("17", "2.5")


def screened(at_us: list[int], value: list[float], rules: Rules) -> Any:
    n = len(at_us)
    batch = SampleBatch(np.array(at_us, np.int64), np.array(value), np.arange(n, dtype=np.int32), (A, B, C)[:n])
    return Screening(n).decoded(batch, rules, NOW_US, first_index=100)


def test_the_window_of_instants_is_exact() -> None:
    rules = Rules(future_s=10, raw_days=2)
    oldest, newest = NOW_US - 2 * DAY_US, NOW_US + 10 * SECOND_US
    assert screened([oldest, newest], [1.0, 2.0], rules).rejected == 0
    refused = screened([oldest - 1, newest + 1, NOW_US], [1.0, 2.0, 3.0], rules)
    assert [bad.index for bad in refused.errors] == [100, 101]
    assert "older than the 2 days" in refused.errors[0].reason
    assert "10 s ahead of our clock, 10 s are allowed" in refused.errors[1].reason
    assert refused.batch.keys == (C,)
    assert refused.batch.key_index.tolist() == [0]


def test_seconds_taken_for_milliseconds_get_a_hint() -> None:
    (bad,) = screened([1_700_000_000 * 1000], [1.0], Rules()).errors
    assert "milliseconds" in bad.reason


def test_values_must_be_finite() -> None:
    refused = screened([NOW_US] * 3, [np.nan, np.inf, 1.0], Rules())
    assert refused.errors == [BadSample(100, "value: must be finite"), BadSample(101, "value: must be finite")]
    assert refused.batch.value.tolist() == [1.0]


def test_values_stay_within_what_sums_can_hold() -> None:
    refused = screened([NOW_US] * 3, [1e291, -1e-291, 1.0], Rules())
    assert [bad.reason for bad in refused.errors] == [
        "value: 1e+291 is not 0 or between 1e-290 and 1e+290 in size",
        "value: -1e-291 is not 0 or between 1e-290 and 1e+290 in size",
    ]
    assert screened([NOW_US] * 3, [0.0, -1e290, 1e-290], Rules()).rejected == 0


def test_the_first_check_gives_the_reason_and_reports_are_bounded() -> None:
    screening = Screening(300)
    screening.refuse(np.ones(300, np.bool_), lambda row: f"first {row}")
    batch = SampleBatch(np.zeros(300, np.int64), np.full(300, np.nan), np.zeros(300, np.int32), (A,))
    decoded = screening.decoded(batch, Rules(), NOW_US)
    assert decoded.rejected == 300
    assert [bad.reason for bad in decoded.errors] == [f"first {row}" for row in range(100)]
    assert len(decoded.batch) == 0
    assert decoded.batch.keys == ()


def test_keys_without_samples_are_dropped() -> None:
    batch = SampleBatch(np.zeros(2, np.int64), np.zeros(2), np.array([2, 0], np.int32), (A, B, C))
    kept = without_unused_keys(batch)
    assert kept.keys == (A, C)
    assert kept.key_index.tolist() == [1, 0]
    assert without_unused_keys(kept) is kept
