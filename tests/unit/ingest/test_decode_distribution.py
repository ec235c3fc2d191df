"""The member `distribution` of a JSON sample, and what the client makes of distributions."""

import numpy as np
import orjson
import pytest
from made_distributions import batch_of

from muninn.clock import SECOND_US
from muninn.ingest.decode.json import decode_json
from muninn.ingest.validate import Rules
from muninn.model import SeriesKey
from muninn.numerics import sketch
from muninn.sources.wire import to_json

NOW_US = 1_700_000_000 * SECOND_US


def distributed(member: object) -> bytes:
    return orjson.dumps({"metric": "m", "timestamp": NOW_US // 1000, "distribution": member})


def test_a_distribution_takes_the_place_of_the_value() -> None:
    member = {"values": [1, 2.5], "counts": [3, 1], "sum": 5.6, "min": 0.9, "max": 2.6}
    found = decode_json(distributed(member), Rules(), NOW_US)
    some = found.batch.distributions
    assert (found.errors, found.batch.value.tolist()) == ([], [1.4])
    assert some is not None
    assert (some.count.tolist(), some.low.tolist(), some.high.tolist()) == ([4], [0.9], [2.6])
    assert some.bins.tolist() == sketch.sketch_of(np.array([1, 1, 1, 2.5])).tolist()


@pytest.mark.parametrize(
    ("member", "reason"),
    [
        (5, "must be an object"),
        ({}, "values must be an array"),
        ({"values": []}, "values must be an array"),
        ({"values": ["1"]}, "values must be numbers"),
        ({"values": [1e300]}, "between 1e-290 and 1e+290"),
        ({"values": [1], "counts": [0]}, "counts must be from 1"),
        ({"values": [1], "counts": [1, 2]}, "as many whole numbers"),
        ({"values": [1], "counts": [1.5]}, "as many whole numbers"),
        ({"values": [1], "min": "x"}, "min must be a finite number"),
        ({"values": [1], "min": 2}, "min is above max"),
    ],
)
def test_a_bad_distribution_is_named_and_the_others_count(member: object, reason: str) -> None:
    body = b"[" + distributed(member) + b"," + distributed({"values": [1.0]}) + b"]"
    found = decode_json(body, Rules(), NOW_US)
    assert [(bad.index, bad.reason.startswith("distribution: ")) for bad in found.errors] == [(0, True)]
    assert reason in found.errors[0].reason
    assert len(found.batch) == 1


def test_what_the_client_sends_comes_back_bin_by_bin() -> None:
    values = [0.0, -3.25, 1e-9, 7.0, 7.0, 1e12]
    sent = batch_of([(SeriesKey.of("m"), NOW_US, values), (SeriesKey.of("plain"), NOW_US, 1.5)])
    found = decode_json(to_json(sent), Rules(), NOW_US).batch
    assert found.value.tolist() == pytest.approx(sent.value.tolist())
    one, other = found.distributions, sent.distributions
    assert one is not None
    assert other is not None
    for name in ("rows", "count", "low", "high", "lengths", "bins"):
        assert getattr(one, name).tolist() == getattr(other, name).tolist()
