"""StatsD: lines, and what they come to, held to sums made another way."""

import socket
import threading
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muninn.clock import ManualClock
from muninn.errors import Misconfigured
from muninn.meter import Meter
from muninn.model import SampleBatch
from muninn.numerics import sketch
from muninn.numerics.distributions import Distribution
from muninn.sources.statsd.aggregate import Aggregate, Bounds
from muninn.sources.statsd.lines import BadLineError, Line, parse_line, series_of
from muninn.sources.statsd.listener import StatsdListener


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b"a:1|c", Line((b"a", b""), "counter", (1.0,), 1.0)),
        (b"a:-2.5|c|@0.5|#x:y,z", Line((b"a", b"x:y,z"), "counter", (-2.5,), 2.0)),
        (b"a:3|g", Line((b"a", b""), "gauge", (3.0,), 1.0)),
        (b"a:+3|g", Line((b"a", b""), "change", (3.0,), 1.0)),
        (b"a:-3|g", Line((b"a", b""), "change", (-3.0,), 1.0)),
        (b"a:1e3|ms|@.1", Line((b"a", b""), "timer", (1000.0,), 10.0)),
        (b"a:1:2:3|d|#e:f", Line((b"a", b"e:f"), "timer", (1.0, 2.0, 3.0), 1.0)),
        (b"a:4|h|c:abc|e:it-false|card:low", Line((b"a", b""), "timer", (4.0,), 1.0)),
        (b"a:x:y|s", Line((b"a", b""), "set", (b"x:y",), 1.0)),
        (b"_e{5,4}:title|text", None),
        (b"_sc|disk|0", None),
    ],
)
def test_lines(text: bytes, found: Line | None) -> None:
    assert parse_line(text) == found


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"a", "not name:value"),
        (b"a|c", "not name:value"),
        (b"a:1", "not name:value"),
        (b":1|c", "not name:value"),
        (b"a:1|x", "unknown type"),
        (b"a:|c", "no number"),
        (b"a:nan|g", "no number"),
        (b"a:1e999|g", "no number"),
        (b"a:1_0|c", "no number"),
        (b"a:1:|h", "no number"),
        (b"a:1|c|@0", "sample rate"),
        (b"a:1|c|@2", "sample rate"),
        (b"a:1|ms|@1e-30", "one in a million"),
        (b"a:1e299|c", "too large"),
        (b"a:-1e-300|ms", "too near to 0"),
        (b"a:" + b"1" * 500 + b"|g", "no number"),
        (b"a:1|c|@x", "no number"),
        (b"a:1|c|T1700000000", "timestamp"),
        (b"a:1|c|x", "unknown field"),
        (b"a" * 5000 + b":1|c", "too long"),
    ],
)
def test_lines_that_are_bad(text: bytes, reason: str) -> None:
    with pytest.raises(BadLineError, match=reason):
        parse_line(text)


@given(st.binary(max_size=60) | st.text(st.sampled_from("a:1|cgmshd@.#,\n+-e"), max_size=30).map(str.encode))
def test_any_packet_is_taken_or_counted(packet: bytes) -> None:
    meter = Meter()
    listener = StatsdListener(("127.0.0.1", 0), lambda _: None, instance="i", meter=meter)
    listener.take(packet)
    listener.flush()
    listener._socket.close()
    counted = sum(value for name, _, value in meter.snapshot() if name == "muninn_statsd_lines_total")
    assert counted == sum(1 for line in packet.split(b"\n") if line.strip())


@pytest.mark.parametrize(
    ("ident", "found"),
    [
        ((b"web.hits", b""), ("web.hits", {})),
        ((b"a b\xffc", b"host:x,canary,path:/a:b,,:odd"), ("a_b_c", {"host": "x", "canary": "true", "path": "/a:b"})),
        ((b"95th", b""), ("_95th", {})),
    ],
)
def test_names_and_labels(ident: tuple[bytes, bytes], found: tuple[str, dict[str, str]]) -> None:
    assert series_of(ident) == found


def figures(aggregate: Aggregate) -> dict[str, float | Distribution]:
    return {
        ",".join([name, *(f"{k}={v}" for k, v in sorted(labels.items()))]): v for name, labels, v in flushed(aggregate)
    }


def flushed(aggregate: Aggregate) -> list[tuple[str, dict[str, str], float | Distribution]]:
    found = aggregate.flush()
    assert len({(name, tuple(sorted(labels.items()))) for name, labels, _ in found}) == len(found)
    return found


def feed(aggregate: Aggregate, *lines: bytes) -> None:
    for text in lines:
        line = parse_line(text)
        assert line is not None
        aggregate.add(line)


NAMES = st.sampled_from(["a", "b", "c"])
TAGS = st.sampled_from(["", "|#x:1", "|#x:1,y:2", "|#y:2,x:1"])
# Rates that are 1/n exactly, so that the sums can be made in fractions.
RATES = st.sampled_from([1, 2, 4, 8])
WHOLE = st.integers(-1000, 1000)


def key(name: str, tags: str) -> str:
    return ",".join([name, *sorted(tag.replace(":", "=") for tag in tags[2:].split(",") if tag)])


@given(st.lists(st.tuples(NAMES, TAGS, RATES, WHOLE), max_size=30))
def test_counters_are_sums_of_increments(lines: list[tuple[str, str, int, int]]) -> None:
    aggregate, expected = Aggregate(), defaultdict(int)
    for name, tags, inverse, value in lines:
        feed(aggregate, f"{name}:{value}|c|@{1 / inverse}{tags}".encode())
        expected[key(name, tags)] += value * inverse
    assert figures(aggregate) == expected
    assert figures(aggregate) == {}


@given(st.lists(st.tuples(NAMES, st.sampled_from(["", "+", "-"]), st.integers(0, 1000)), max_size=30))
def test_gauges_are_set_and_changed(lines: list[tuple[str, str, int]]) -> None:
    aggregate, expected = Aggregate(), dict[str, float]()
    seen: dict[str, float] = {}
    for number, (name, sign, value) in enumerate(lines):
        feed(aggregate, f"{name}:{sign}{value}|g".encode())
        change = {"": value - expected.get(name, 0), "+": value, "-": -value}[sign]
        expected[name] = expected.get(name, 0) + change
        if number % 3 == 0:
            seen |= figures(aggregate)
    assert seen | figures(aggregate) == expected


def test_a_change_that_leads_out_of_what_can_be_kept_is_dropped_and_the_gauge_goes_on() -> None:
    aggregate = Aggregate()
    feed(aggregate, b"a:9e289|g", b"a:+9e289|g", b"b:5|g", b"a:-9e289|g", b"a:+2|g")
    assert figures(aggregate) == {"a": 2.0, "b": 5.0}
    assert aggregate.dropped == 1


@given(st.lists(st.tuples(NAMES, st.text("xyzäö|".replace("|", ""), max_size=40)), max_size=40))
def test_sets_count_distinct_members(lines: list[tuple[str, str]]) -> None:
    aggregate, expected = Aggregate(), defaultdict(set)
    for name, member in lines:
        feed(aggregate, f"{name}:{member}|s".encode())
        expected[name].add(member)
    assert figures(aggregate) == {name: len(members) for name, members in expected.items()}


@given(st.lists(st.tuples(WHOLE, RATES), min_size=1, max_size=60), st.sampled_from(["ms", "h", "d"]))
def test_timers_are_distributions(values: list[tuple[int, int]], kind: str) -> None:
    """Of the values, each as often as its sample rate says."""
    aggregate = Aggregate()
    for value, inverse in values:
        feed(aggregate, f"t:{value}|{kind}|@{1 / inverse}".encode())
    every = np.array([float(value) for value, inverse in values for _ in range(inverse)])
    found = figures(aggregate)["t"]
    assert isinstance(found, Distribution)
    assert (found.count, found.low, found.high) == (len(every), every.min(), every.max())
    assert found.mean == pytest.approx(every.mean())
    assert found.bins.tolist() == sketch.sketch_of(every).tolist()


def test_fractions_of_a_sample_rate_do_not_add_up() -> None:
    aggregate = Aggregate()
    feed(aggregate, *[b"t:5|ms|@0.3"] * 300)
    found = figures(aggregate)["t"]
    assert isinstance(found, Distribution)
    assert found.count == 1000


def test_several_values_of_one_line() -> None:
    aggregate = Aggregate()
    feed(aggregate, b"t:1:2:3:4|d|@0.5", b"c:1:2|c", b"g:1:5|g")
    found = figures(aggregate)
    timer = found["t"]
    assert isinstance(timer, Distribution)
    assert (timer.count, timer.mean, timer.low, timer.high) == (8, 2.5, 1, 4)
    assert (found["c"], found["g"]) == (3, 5)


def test_series_are_bounded_and_gauges_at_rest_go_first() -> None:
    aggregate = Aggregate(Bounds(max_series=3))
    feed(aggregate, b"old:1|g", b"older:1|g", b"old:2|g")
    aggregate.flush()
    feed(aggregate, b"c:1|c", b"s:x|s", b"c:1|c")
    assert aggregate.series == 3
    assert aggregate.dropped == 0
    feed(aggregate, b"old:+1|g", b"new:1|c", b"t:1:2|ms", b"g:1|g", b"c:5|c")
    assert aggregate.dropped == 4
    assert figures(aggregate) == {"c": 7, "s": 1, "old": 3}
    feed(aggregate, b"t:1|ms", b"new:1|c", b"newer:1|c")
    assert figures(aggregate).keys() == {"new", "newer", "t"}
    assert aggregate.series == 0


def test_values_are_bounded() -> None:
    aggregate = Aggregate(Bounds(max_values=4))
    feed(aggregate, b"t:1:2|ms", b"s:x|s", b"s:x|s", b"s:y|s", b"t:9|ms", b"s:z|s", b"c:1|c")
    found = figures(aggregate)
    timer = found["t"]
    assert isinstance(timer, Distribution)
    assert (timer.count, found["s"], found["c"], aggregate.dropped) == (2, 2, 1, 2)
    feed(aggregate, b"t:9|ms")
    assert figures(aggregate).keys() == {"t"}


def test_a_flush_sends_what_was_touched(caplog: pytest.LogCaptureFixture) -> None:
    clock, meter, sent = ManualClock(), Meter(), list[SampleBatch]()
    listener = StatsdListener(
        ("127.0.0.1", 0), sent.append, instance="h:1", clock=clock, meter=meter, bounds=Bounds(max_series=2)
    )
    listener.take(b"a:1|c\n\nb:2|g|#x:y\r\nworse\n_sc|x|0\nworse\nc:1|c\n")
    listener.flush()
    listener._socket.close()
    rows = [(sent[0].keys[key], value) for key, value in zip(sent[0].key_index, sent[0].value.tolist(), strict=True)]
    assert [(key.metric, key.labels, value) for key, value in rows] == [("a", (), 1), ("b", (("x", "y"),), 2)]
    assert {(key.source_agent_id, key.instance_id) for key, _ in rows} == {("statsd", "h:1")}
    assert set(sent[0].at_us.tolist()) == {clock.now_us()}
    counted = {(name, labels.get("result")): value for name, labels, value in meter.snapshot()}
    assert [counted["muninn_statsd_lines_total", result] for result in ("taken", "bad", "no_metric")] == [3, 2, 1]
    assert counted["muninn_statsd_dropped_total", None] == 1
    assert [record.message.partition(",")[0] for record in caplog.records] == [
        "bad lines are left out",
        "more series or values than MUNINN_STATSD_MAX_SERIES and _MAX_VALUES: new ones are dropped",
    ]


def test_what_has_arrived_is_sent_at_the_end() -> None:
    sent: list[SampleBatch] = []
    listener = StatsdListener(("127.0.0.1", 0), sent.append, instance="i", flush_s=3600)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        for _ in range(50):
            client.sendto(b"a:1|c", listener.address)
    stop = threading.Event()
    stop.set()
    listener.run(stop)
    assert [batch.value.tolist() for batch in sent] == [[50.0]]


def test_a_port_that_is_taken_is_told() -> None:
    first = StatsdListener(("127.0.0.1", 0), lambda _: None, instance="i")
    with pytest.raises(Misconfigured, match="set MUNINN_STATSD_PORT"):
        StatsdListener(first.address, lambda _: None, instance="i")
    first._socket.close()
