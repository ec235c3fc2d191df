"""Matching: the right channels, each key resolved once, bounded."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from muninn.model import SampleBatch, SeriesKey
from muninn.stream.channel import Channel, Limits
from muninn.stream.index import SeriesIndex
from muninn.stream.protocol import ChannelSpec

NAMES = st.sampled_from(["a", "b"])
LABELS = st.dictionaries(st.sampled_from(["x", "y"]), st.sampled_from(["1", "2"]), max_size=2)
KEYS = st.builds(
    lambda metric, labels, agent: SeriesKey.of(metric, labels, agent), NAMES, LABELS, st.sampled_from("pq")
)
FILTERS = LABELS.flatmap(
    lambda labels: st.sampled_from([labels, {**labels, "source_agent_id": "p"}, {**labels, "instance_id": "none"}])
)
SPECS = st.builds(lambda metric, labels: ChannelSpec.of(metric, **labels), NAMES, FILTERS)
ROWS = st.lists(st.tuples(KEYS, st.integers(0, 5_000_000), st.floats(-1e3, 1e3)), max_size=20)


def open_channel(index: SeriesIndex, spec: ChannelSpec, number: int, limits: Limits) -> Channel:
    channel = Channel(spec, number, f"e-{number}", 0.0, limits)
    index.attach(channel)
    return channel


def naive_match(spec: ChannelSpec, key: SeriesKey) -> bool:
    has = {**dict(key.labels), "source_agent_id": key.source_agent_id, "instance_id": key.instance_id}
    return key.metric == spec.metric and dict(spec.labels).items() <= has.items()


@given(st.lists(SPECS, min_size=1, max_size=5, unique=True), st.lists(ROWS, max_size=4), st.integers(0, 4))
def test_every_channel_holds_exactly_what_matches(
    specs: list[ChannelSpec], batches: list[list[tuple[SeriesKey, int, float]]], opened_late: int
) -> None:
    limits = Limits()
    index = SeriesIndex(limits)
    early = specs[opened_late:]
    channels = [open_channel(index, spec, number, limits) for number, spec in enumerate(early, 1)]
    for rows in batches:
        index.route(SampleBatch.of(rows), oldest_ms=1000)
    channels += [open_channel(index, spec, number, limits) for number, spec in enumerate(specs[:opened_late], 50)]
    everything = [(key, at // 1000, value) for rows in batches for key, at, value in rows if at // 1000 >= 1000]
    kept_by_someone = {key for key, _, _ in everything if any(naive_match(spec, key) for spec in early)}
    for channel in channels:
        expected: dict[SeriesKey, dict[int, float]] = {}
        for key, at_ms, value in everything:
            if naive_match(channel.spec, key) and key in kept_by_someone:
                expected.setdefault(key, {})[at_ms] = value
        found = {}
        for series in channel.members.values():
            at, value = series.ring.points()
            if len(at):
                found[series.key] = dict(zip(at.tolist(), value.tolist(), strict=True))
        assert found == expected


def batch_of(keys: tuple[SeriesKey, ...]) -> SampleBatch:
    count = len(keys)
    return SampleBatch(np.full(count, 10**9), np.ones(count), np.arange(count, dtype=np.int32), keys)


def test_a_filter_is_resolved_once_per_key_however_many_batches_come() -> None:
    limits, index = Limits(), SeriesIndex(Limits())
    judged = 0

    class CountingChannel(Channel):
        def matches(self, key: SeriesKey) -> bool:
            nonlocal judged
            judged += 1
            return super().matches(key)

    for number in range(1, 11):
        index.attach(CountingChannel(ChannelSpec.of("m", host=str(number)), number, "e", 0.0, limits))
        index.attach(CountingChannel(ChannelSpec.of("other", host=str(number)), 100 + number, "e", 0.0, limits))
    keys = tuple(SeriesKey.of("m", {"host": str(host)}) for host in range(100))
    for _ in range(20):
        index.route(batch_of(keys), 0)
    assert judged == 10 * 100
    assert len(index) == 10


def test_a_channel_takes_so_many_series_and_tells_how_many_it_left_out() -> None:
    limits = Limits(series_per_channel=3)
    index = SeriesIndex(limits)
    channel = open_channel(index, ChannelSpec.of("m"), 1, limits)
    index.route(batch_of(tuple(SeriesKey.of("m", {"n": str(n)}) for n in range(10))), 0)
    assert len(channel.members) == 3
    assert channel.left_out == 7


def test_room_that_an_expired_series_leaves_is_taken_by_another() -> None:
    limits = Limits(series_per_channel=1)
    index = SeriesIndex(limits)
    channel = open_channel(index, ChannelSpec.of("m"), 1, limits)
    old, new = SeriesKey.of("m", {"n": "old"}), SeriesKey.of("m", {"n": "new"})
    index.route(SampleBatch.of([(old, 1_000_000, 1.0), (new, 9_000_000, 1.0)]), 0)
    assert [series.key for series in channel.members.values()] == [old]
    index.expire(oldest_ms=5_000)
    index.route(SampleBatch.of([(new, 10_000_000, 2.0)]), 5_000)
    assert [series.key for series in channel.members.values()] == [new]
    assert channel.left_out == 0
    assert len(index) == 1


def test_the_sidecar_keeps_so_many_series_in_all() -> None:
    limits = Limits(series=5)
    index = SeriesIndex(limits)
    channels = [open_channel(index, ChannelSpec.of(metric), number, limits) for number, metric in enumerate("ab", 1)]
    index.route(batch_of(tuple(SeriesKey.of(metric, {"n": str(n)}) for metric in "ab" for n in range(4))), 0)
    assert len(index) == 5
    assert [channel.left_out for channel in channels] == [0, 3]


def test_closing_a_channel_frees_what_only_it_showed() -> None:
    limits = Limits()
    index = SeriesIndex(limits)
    everything = open_channel(index, ChannelSpec.of("m"), 1, limits)
    some = open_channel(index, ChannelSpec.of("m", n="1"), 2, limits)
    index.route(batch_of(tuple(SeriesKey.of("m", {"n": str(n)}) for n in range(3))), 0)
    index.detach(everything)
    assert len(index) == 1
    assert [series.key for series in some.members.values()] == [SeriesKey.of("m", {"n": "1"})]
    index.detach(some)
    assert len(index) == 0
    assert index.route(batch_of((SeriesKey.of("m"),)), 0) == []
