"""Cumulative histograms: what was counted in between, exactly once, whatever comes late, again or anew."""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import ExponentialHistogramDataPoint, HistogramDataPoint

from muninn.clock import SECOND_US, ManualClock
from muninn.errors import Invalid, Overtaken
from muninn.ingest.buffer.contract import BufferLimits
from muninn.ingest.buffer.memory import MemoryBroker
from muninn.ingest.decode import otlp
from muninn.ingest.decode.cumulative import BoundsTotal, ExponentsTotal
from muninn.ingest.gate.gate import Bounds, Gate, Limits
from muninn.ingest.gate.rules import parse
from muninn.ingest.tallies import Accountant
from muninn.ingest.validate import Decoded, Rules
from muninn.model import SampleBatch, TallyMove
from muninn.numerics import sketch

NOW_US = 1_790_000_000_000_000
BOUNDS = [1.0, 2.0, 5.0, 10.0, 50.0, 100.0]
RULES = Rules()


def of_values(values: Sequence[float]) -> HistogramDataPoint:
    """What an SDK would say of all these values."""
    counts = np.bincount(np.searchsorted(BOUNDS, values), minlength=len(BOUNDS) + 1)
    extremes = {"min": min(values), "max": max(values)} if values else {}
    return HistogramDataPoint(
        count=len(values), sum=math.fsum(values), bucket_counts=counts.tolist(), explicit_bounds=BOUNDS, **extremes
    )


def exponential(values: Sequence[float], scale: int) -> ExponentialHistogramDataPoint:
    """The same with exponential buckets, those of negative values and zero as well."""
    point = ExponentialHistogramDataPoint(
        count=len(values), sum=math.fsum(values), scale=scale, zero_count=sum(value == 0 for value in values)
    )
    if values:
        point.min, point.max = min(values), max(values)
    for side, sign in ((point.positive, 1), (point.negative, -1)):
        places = [math.ceil(math.log2(sign * value) * 2**scale) - 1 for value in values if sign * value > 0]
        if places:
            side.offset = min(places)
            side.bucket_counts.extend(np.bincount(np.array(places) - min(places)).tolist())
    return point


class House:
    """A buffer and gateways, of which each takes some of the requests."""

    def __init__(self, gate: Gate | None = None, start_us: int = NOW_US):
        self.clock = ManualClock(start_us)
        # Nobody loads here: entries wait for as long as a test says.
        self.broker = MemoryBroker(clock=self.clock, limits=BufferLimits(max_age_s=10 * 86_400))
        self.broker.tallies(())
        self.gateways = [Accountant(self.broker, gate, RULES, self.clock, 86_400) for _ in range(3)]
        self.left_out: Counter[str] = Counter()
        self.sent = 0

    def send(self, *points: tuple[float, float, Sequence[float]], name: str = "took") -> Decoded:
        """Points (seconds after the beginning that they are of, start likewise, all values so far), when due."""
        self.clock.advance(max(0.0, max(at_s for at_s, _, _ in points) - self.now_s()))
        return self.post(self.request(*points, name=name))

    def now_s(self) -> float:
        return (self.clock.now_us() - NOW_US) / SECOND_US

    def request(self, *points: tuple[float, float, Sequence[float]], name: str = "took") -> bytes:
        request = ExportMetricsServiceRequest()
        metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name=name)
        metric.histogram.aggregation_temporality = 2
        for at_s, start_s, values in points:
            point = of_values(values)
            point.time_unix_nano = (NOW_US + round(at_s * SECOND_US)) * 1000
            point.start_time_unix_nano = (NOW_US + round(start_s * SECOND_US)) * 1000 if start_s >= -9e6 else 0
            metric.histogram.data_points.append(point)
        return request.SerializeToString()

    def post(self, body: bytes) -> Decoded:
        gateway = self.gateways[self.sent % len(self.gateways)]
        self.sent += 1
        decoded = otlp.decode(body, "application/x-protobuf", RULES, self.clock.now_us(), self._count)
        return gateway.append(decoded, None, self._count)[0]

    def _count(self, kind: str, by: int) -> None:
        self.left_out[kind] += by

    def taken(self) -> dict[float, int]:
        """How many values each distribution in the buffer counts, by its second."""
        batch = SampleBatch.concat([handle.batch for handle in self.broker.follow("0-0", 0)])
        some = batch.distributions
        if some is None:
            return {}
        return dict(zip(((batch.at_us[some.rows] - NOW_US) / SECOND_US).tolist(), some.count.tolist(), strict=True))


def test_successive_points_count_what_came_in_between() -> None:
    house = House()
    house.clock.advance(10)
    house.send((10, 1, [3, 4]))
    house.send((20, 1, [3, 4, 60]))
    house.send((30, 1, [3, 4, 60]))
    house.send((40, 1, [3, 4, 60, 1, 1, 1]))
    assert house.taken() == {10: 2, 20: 1, 40: 3}
    assert not house.left_out
    kept = {key.metric for handle in house.broker.follow("0-0", 0) for key in handle.batch.keys}
    assert kept == {"took", "took_count", "took_sum", "took_bucket"}


def test_a_client_that_sends_again_or_out_of_order_doubles_nothing() -> None:
    house = House()
    for values, at in (([3], 10), ([3, 4], 20), ([3, 4], 20), ([3], 10), ([3, 4, 5, 6], 30), ([3, 4, 5], 25)):
        house.send((at, 1, values))
    assert house.taken() == {10: 1, 20: 1, 30: 2}
    assert house.left_out == {"cumulative_again": 3}


def test_a_request_may_hold_several_points_of_a_stream_in_any_order() -> None:
    house = House()
    house.send((30, 1, [3, 4, 5]), (10, 1, [3]), (20, 1, [3, 4]), (20, 1, [3, 4]))
    assert house.taken() == {10: 1, 20: 1, 30: 1}


def test_the_first_point_counts_only_where_it_began_while_we_remembered() -> None:
    house = House()
    house.send((10, -5, [3] * 100))  # began before us: it may have been counted
    house.send((20, -5, [3] * 103))
    house.send((10, -10_000_000, [3] * 100), name="never.told")
    house.send((20, -10_000_000, [3] * 101), name="never.told")
    assert house.taken() == {20: 1}
    assert house.left_out == {"cumulative_first": 2}
    batch = SampleBatch.concat([handle.batch for handle in house.broker.follow("0-0", 0)])
    assert batch.distributions is not None
    assert sorted(batch.distributions.count.tolist()) == [1, 3]


def test_a_clock_ahead_of_ours_does_not_hide_an_early_start() -> None:
    """It says that it began five minutes after us, and it is ten ahead."""
    house = House()
    house.post(house.request((600, 300, [3] * 100)))
    assert (house.taken(), house.left_out) == ({}, {"cumulative_first": 1})


def test_a_source_that_begins_anew_is_another_stream_and_the_old_one_may_still_come() -> None:
    house = House()
    house.send((10, 1, [3] * 5))
    house.send((20, 12, [3] * 2))
    house.send((15, 1, [3] * 9))  # what the dead process had not delivered yet
    house.send((30, 12, [3] * 4))
    assert house.taken() == {10: 5, 15: 4, 20: 2, 30: 2}


def test_two_processes_of_one_series_are_told_apart_by_their_start() -> None:
    house = House()
    for turn in range(1, 5):
        house.send((10 * turn, 1, [3] * 100 * turn))
        house.send((10 * turn + 1, 2, [3] * turn))
    assert house.taken() == {
        at: 100 if at % 10 == 0 else 1 for turn in range(1, 5) for at in (10 * turn, 10 * turn + 1)
    }


def test_a_count_that_falls_without_a_new_start_begins_again() -> None:
    house = House()
    house.send((10, 1, [3] * 5))
    house.send((20, 1, [3] * 2))
    house.send((30, 1, [3] * 4))
    assert (house.taken(), house.left_out) == ({10: 5, 30: 2}, {"cumulative_fell": 1})


def test_a_silent_stream_is_forgotten_and_not_counted_anew() -> None:
    house = House()
    house.send((10, 1, [3] * 5))
    house.send((86_420, 1, [3] * 9))
    house.send((86_430, 1, [3] * 10))
    assert (house.taken(), house.left_out) == ({10: 5, 86_430: 1}, {"cumulative_first": 1})


def test_a_buffer_that_lost_its_memory_counts_nothing_twice() -> None:
    house = House()
    house.send((10, 1, [3] * 5))
    house.clock.advance(5)
    house.broker = MemoryBroker(clock=house.clock)
    house.broker.tallies(())
    house.gateways = [Accountant(house.broker, None, RULES, house.clock, 86_400)]
    house.send((20, 1, [3] * 9))
    house.send((30, 1, [3] * 11))
    house.send((30, 16, [3] * 2), name="new")
    assert house.left_out == {"cumulative_first": 1}
    batch = SampleBatch.concat([handle.batch for handle in house.broker.follow("0-0", 0)])
    assert batch.distributions is not None
    assert batch.distributions.count.tolist() == [2, 2]


def test_who_is_overtaken_looks_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between a gateway's look and its write another one moves the total on."""
    house = House()
    house.send((10, 1, [3]))
    append, turns = house.broker.append, iter([True, False])

    def meanwhile(batch: SampleBatch, key: str | None = None, moves: Sequence[TallyMove] = ()) -> str:
        if next(turns, False):
            house.send((20, 1, [3] * 4))
        return append(batch, key, moves)

    monkeypatch.setattr(house.broker, "append", meanwhile)
    house.send((30, 1, [3] * 6))
    assert house.taken() == {10: 1, 20: 3, 30: 2}


def test_who_is_overtaken_for_ever_is_told_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    house = House()

    def always(*_: object) -> str:
        raise Overtaken("meanwhile")

    monkeypatch.setattr(house.broker, "append", always)
    with pytest.raises(Overtaken):
        house.send((10, 1, [3]))


def test_what_the_gate_refuses_is_not_remembered_and_what_it_renames_goes_on_renamed() -> None:
    rules = parse({"rule": [{"action": "rename", "metric": "took", "to": "lasted"}]})
    house = House(Gate(Limits(metric=Bounds(None, 0)), rules, lambda some: np.zeros(len(some), bool)))
    found = house.send((10, 1, [3]))
    assert found.by_reason["too_many_series"] == found.rejected
    assert house.taken() == {}
    house = House(Gate(rules=rules))
    house.send((10, 1, [3]))
    house.send((20, 1, [3, 4]))
    (batch,) = [SampleBatch.concat([handle.batch for handle in house.broker.follow("0-0", 0)])]
    assert batch.distributions is not None
    named = {batch.keys[int(batch.key_index[row])].metric for row in batch.distributions.rows}
    assert (named, house.taken()) == ({"lasted"}, {10: 1, 20: 1})


@given(st.lists(st.lists(st.floats(0.01, 1e4), max_size=20), min_size=1, max_size=6))
def test_the_parts_make_the_whole(parts: list[list[float]]) -> None:
    """With bounds: each part counts its own values, in their buckets; together all of them."""
    kept, so_far = None, list[float]()
    for part in parts:
        so_far += part
        total = BoundsTotal(of_values(so_far))
        found = total.since(kept)
        kept = total.kept()
        assert (0 if found is None else found.count) == len(part)
        if found is None:
            continue
        assert min(so_far) <= found.low <= found.mean <= found.high <= max(so_far)
        edges = [0.0, *BOUNDS, max(so_far)]
        for q in (0.5, 0.95, 1.0):
            exact = sorted(part)[math.ceil(q * len(part)) - 1]
            place = int(np.searchsorted(BOUNDS, exact)) + 1
            estimate = sketch.quantile(found.bins, q, found.low, found.high)
            assert edges[place - 1] * 0.98 <= estimate <= max(edges[place], exact) * 1.02


VALUE = st.one_of(st.just(0.0), st.floats(0.5, 1e3), st.floats(-1e3, -0.5))


@given(st.lists(st.tuples(st.integers(-2, 5), st.lists(VALUE, max_size=15)), min_size=1, max_size=6))
def test_exponential_buckets_are_compared_at_the_coarser_scale(parts: list[tuple[int, list[float]]]) -> None:
    kept, so_far, before = None, list[float](), 20
    for scale, part in parts:
        so_far += part
        total = ExponentsTotal(exponential(so_far, scale))
        found = total.since(kept)
        kept = total.kept()
        assert (0 if found is None else found.count) == len(part)
        if found is not None:
            coarser = min(scale, before)
            exact = sorted(part)[math.ceil(0.5 * len(part)) - 1]
            estimate = sketch.quantile(found.bins, 0.5, found.low, found.high)
            assert abs(estimate - exact) <= abs(exact) * (2 ** (2.0**-coarser) - 1 + 0.03)
        before = scale


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (BoundsTotal(of_values([3])), BoundsTotal(HistogramDataPoint(count=2, bucket_counts=[2]))),
        (BoundsTotal(of_values([3])), ExponentsTotal(exponential([3, 4], 3))),
        (ExponentsTotal(exponential([3], 3)), BoundsTotal(of_values([3, 4]))),
        (ExponentsTotal(exponential([3], 3)), ExponentsTotal(exponential([9, 9], 3))),
    ],
)
def test_what_is_no_later_state_is_not_compared(
    before: BoundsTotal | ExponentsTotal, now: BoundsTotal | ExponentsTotal
) -> None:
    with pytest.raises(Invalid):
        now.since(before.kept())


@pytest.mark.parametrize(
    "changes",
    [
        {"explicit_bounds": [1.0]},
        {"explicit_bounds": [math.nan] * 6},
        {"sum": math.inf},
        {"max": 1e300},
        {"count": 2**63},
        {"bucket_counts": [2**62] * 7},
    ],
)
def test_a_point_that_is_none_counts_as_left_out(changes: dict[str, object]) -> None:
    house = House()
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="m")
    metric.histogram.aggregation_temporality = 2
    point = of_values([3.0])
    for name, value in changes.items():
        point.ClearField(name)  # type: ignore[arg-type]
        point.MergeFrom(HistogramDataPoint(**{name: value}))  # type: ignore[arg-type]
    point.time_unix_nano, point.start_time_unix_nano = (NOW_US + SECOND_US) * 1000, NOW_US * 1000
    metric.histogram.data_points.append(point)
    house.post(request.SerializeToString())
    assert (house.taken(), house.left_out) == ({}, {"cumulative_unusable": 1})
