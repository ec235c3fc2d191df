"""The protocol: what is understood, what is refused, and that nothing else ever happens."""

from itertools import pairwise

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muninn.stream import protocol
from muninn.stream.protocol import (
    MAX_MESSAGE_BYTES,
    OVERVIEW,
    Assembler,
    ChannelSpec,
    MessageTooLong,
    Ping,
    Position,
    ProtocolError,
    Subscribe,
    Unsubscribe,
    parse,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
NEARLY = st.fixed_dictionaries(
    {},
    optional={
        "op": st.sampled_from(["subscribe", "unsubscribe", "ping"]) | JSON,
        "id": st.text(max_size=70) | JSON,
        "channel": st.just("overview")
        | st.fixed_dictionaries({}, optional={"metric": st.text(max_size=9) | JSON, "labels": JSON})
        | JSON,
        "since": st.fixed_dictionaries(
            {}, optional={"epoch": st.text() | JSON, "offset": st.integers(-(2**63), 2**63 - 1) | JSON}
        )
        | JSON,
    },
)


def test_subscribe_to_a_metric() -> None:
    text = b'{"op":"subscribe","id":"c1","channel":{"metric":"cpu_usage_pct","labels":{"mode":"user","cpu":"0"}}}'
    assert parse(text) == Subscribe("c1", ChannelSpec("cpu_usage_pct", (("cpu", "0"), ("mode", "user"))), None)


def test_subscribe_to_the_overview_from_a_position() -> None:
    text = b'{"op":"subscribe","id":"o","channel":"overview","since":{"epoch":"ab-1","offset":41},"later":"field"}'
    assert parse(text) == Subscribe("o", OVERVIEW, Position("ab-1", 41))


def test_unsubscribe_and_ping() -> None:
    assert parse(b'{"op":"unsubscribe","id":"c1"}') == Unsubscribe("c1")
    assert parse(b'{"op":"ping"}') == Ping(None)
    assert parse(b'{"op":"ping","id":"x"}') == Ping("x")


@pytest.mark.parametrize(
    ("text", "code", "part", "id"),
    [
        (b"", "bad_json", "not JSON", None),
        (b"{", "bad_json", "not JSON", None),
        (b'\xff"', "bad_json", "not JSON", None),
        (b"[]", "bad_message", "an object", None),
        (b'{"op":"dance","id":"c1"}', "unknown_op", "'dance'", "c1"),
        (b'{"op":[1]}', "unknown_op", "subscribe, unsubscribe, ping or authenticate", None),
        (b"{}", "unknown_op", "subscribe, unsubscribe, ping or authenticate", None),
        (b'{"op":"subscribe","channel":"overview"}', "bad_message", "id is a string", None),
        (b'{"op":"subscribe","id":"","channel":"overview"}', "bad_message", "id is a string", None),
        (b'{"op":"subscribe","id":"c1"}', "bad_message", "channel is", "c1"),
        (b'{"op":"subscribe","id":"c1","channel":{"metric":""}}', "bad_message", "channel.metric", "c1"),
        (b'{"op":"subscribe","id":"c1","channel":{"metric":"m","labels":[]}}', None, "", None),
        (b'{"op":"subscribe","id":"c1","channel":{"metric":"m","labels":[1]}}', "bad_message", "labels", "c1"),
        (b'{"op":"subscribe","id":"c1","channel":{"metric":"m","labels":{"a":1}}}', "bad_message", "labels", "c1"),
        (b'{"op":"subscribe","id":"c1","channel":"overview","since":7}', "bad_message", "since is", "c1"),
        (
            b'{"op":"subscribe","id":"c1","channel":"overview","since":{"epoch":"e","offset":true}}',
            "bad_message",
            "since is",
            "c1",
        ),
        (b'{"op":"unsubscribe"}', "bad_message", "id is a string", None),
    ],
)
def test_what_is_wrong_is_named(text: bytes, code: str | None, part: str, id: str | None) -> None:
    if code is None:  # an empty list of labels is no filter, as an empty object is
        assert isinstance(parse(text), Subscribe)
        return
    with pytest.raises(ProtocolError) as fault:
        parse(text)
    assert (fault.value.code, fault.value.id) == (code, id)
    assert part in str(fault.value)
    (said,) = orjson.loads(protocol.message([protocol.error(fault.value)]))
    assert said["op"] == "error"
    assert said["code"] == code


@given(st.binary(max_size=200) | JSON.map(orjson.dumps) | NEARLY.map(orjson.dumps))
def test_any_bytes_are_a_message_or_a_protocol_error(text: bytes) -> None:
    try:
        said: object = parse(text)
    except ProtocolError as fault:
        said = fault
    if isinstance(said, ProtocolError):
        (told,) = orjson.loads(protocol.message([protocol.error(said)]))
        assert told["message"]
    else:
        assert isinstance(said, Subscribe | Unsubscribe | Ping)


def test_deep_nesting_is_only_an_error() -> None:
    deep = b'{"op":' + b"[" * 900 + b"]" * 900 + b"}"
    with pytest.raises(ProtocolError):
        parse(deep)


@given(st.binary(max_size=60), st.lists(st.integers(0, 60), max_size=8))
def test_a_message_in_pieces_equals_the_whole(text: bytes, cuts: list[int]) -> None:
    bounds = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    pieces = [text[start:end] for start, end in pairwise(bounds)]
    assembler = Assembler()
    for _ in range(2):  # and it is ready for the next one
        *early, last = [assembler.feed(piece, fin=piece_at == len(pieces) - 1) for piece_at, piece in enumerate(pieces)]
        assert early == [None] * (len(pieces) - 1)
        assert last == text


def test_a_message_that_is_too_long_is_refused_before_it_is_whole() -> None:
    assembler = Assembler()
    assert assembler.feed(b"x" * MAX_MESSAGE_BYTES, fin=False) is None
    with pytest.raises(MessageTooLong):
        assembler.feed(b"x", fin=False)


def test_alerts_are_a_channel_by_name() -> None:
    said = parse(b'{"op": "subscribe", "id": "a", "channel": "alerts"}')
    assert isinstance(said, Subscribe)
    assert said.channel == ChannelSpec("muninn_alert_state")
