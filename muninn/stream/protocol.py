"""The stream's messages, without I/O: what a client says, parsed; what the sidecar says, encoded.

Belongs here: the shapes of docs/stream-protocol.md and their limits. Does not: sockets, subscriptions, time.
A message to a client is a JSON array of frames, so that frames encoded once are joined, not encoded again.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from muninn.errors import Invalid
from muninn.names import ALERTS

PROTOCOL = 1
MAX_MESSAGE_BYTES = 16 * 1024
MAX_ID_CHARS = 64
MAX_NAME_CHARS = 256
MAX_LABELS = 32

ErrorCode = Literal[
    "unauthenticated", "bad_json", "bad_message", "unknown_op", "unknown_id", "too_many_channels", "internal"
]
Points = tuple[int, list[int], list[float]]


class ProtocolError(Invalid):
    """A client's message that cannot be carried out; `id` is the subscription it was about, where known."""

    def __init__(self, code: ErrorCode, message: str, id: str | None = None):
        super().__init__(message)
        self.code = code
        self.id = id


class MessageTooLong(Invalid):
    """A message above MAX_MESSAGE_BYTES: the connection ends with close code 1009."""


@dataclass(frozen=True, slots=True)
class ChannelSpec:
    """What a channel shows: the series of `metric` whose labels hold all of `labels`; no metric: the overview."""

    metric: str | None
    labels: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, metric: str, **labels: str) -> "ChannelSpec":
        """The channel of a metric with a label filter."""
        return cls(metric, tuple(sorted(labels.items())))


OVERVIEW = ChannelSpec(None)
# Open alerts are series that the alerter sends.
NAMED = {"overview": OVERVIEW, "alerts": ChannelSpec(ALERTS)}


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a channel's deltas; it means nothing in another epoch."""

    epoch: str
    offset: int


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Start sending a channel under the client's `id`; `since`: what the client has already."""

    id: str
    channel: ChannelSpec
    since: Position | None


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """Stop sending the subscription `id`."""

    id: str


@dataclass(frozen=True, slots=True)
class Ping:
    """Ask for a pong that carries the same `id`."""

    id: str | None


@dataclass(frozen=True, slots=True)
class Authenticate:
    """Who I am: a ticket from a dashboard, or a token that may read."""

    token: str


Message = Subscribe | Unsubscribe | Ping | Authenticate


class Assembler:
    """Joins the fragments of a WebSocket message: in however many pieces it comes, the whole is the same."""

    __slots__ = ("_parts", "_size")

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, payload: bytes, fin: bool) -> bytes | None:
        """The whole message with its last fragment, None before; MessageTooLong above the limit."""
        self._size += len(payload)
        if self._size > MAX_MESSAGE_BYTES:
            raise MessageTooLong(f"a message may have {MAX_MESSAGE_BYTES} bytes")
        if fin and not self._parts:
            self._size = 0
            return payload
        self._parts.append(payload)
        if not fin:
            return None
        whole = b"".join(self._parts)
        self._parts, self._size = [], 0
        return whole


def parse(text: bytes) -> Message:
    """A client's message; ProtocolError says what is wrong with it and nothing else is ever raised.

    Fields that are not known are passed over, so that newer clients may say more.
    """
    try:
        said = orjson.loads(text)
    except ValueError as error:
        raise ProtocolError("bad_json", f"not JSON: {error}") from error
    if not isinstance(said, dict):
        raise ProtocolError("bad_message", 'a message is an object such as {"op": "ping"}')
    match said.get("op"):
        case "subscribe":
            name = _id(said)
            return Subscribe(name, _channel(said.get("channel"), name), _since(said.get("since"), name))
        case "unsubscribe":
            return Unsubscribe(_id(said))
        case "ping":
            return Ping(_id(said) if said.get("id") is not None else None)
        case "authenticate":
            token = said.get("token")
            if not isinstance(token, str):
                raise ProtocolError("bad_message", "token is a string: a dashboard's ticket, or a token that may read")
            return Authenticate(token)
        case op:
            given = repr(op[:MAX_ID_CHARS]) if isinstance(op, str) else "that"
            known = "subscribe, unsubscribe, ping or authenticate"
            raise ProtocolError("unknown_op", f"op is {known}, not {given}", _id_or_none(said))


def _id_or_none(said: dict[str, Any]) -> str | None:
    name = said.get("id")
    return name if isinstance(name, str) and 0 < len(name) <= MAX_ID_CHARS else None


def _id(said: dict[str, Any]) -> str:
    name = _id_or_none(said)
    if name is None:
        raise ProtocolError("bad_message", f"id is a string of 1 to {MAX_ID_CHARS} characters")
    return name


def _channel(channel: object, name: str) -> ChannelSpec:
    if isinstance(channel, str) and channel in NAMED:
        return NAMED[channel]
    if not isinstance(channel, dict):
        raise ProtocolError("bad_message", 'channel is "overview", "alerts" or {"metric": NAME, "labels": {…}}', name)
    metric, labels = channel.get("metric"), channel.get("labels") or {}
    if not isinstance(metric, str) or not 0 < len(metric) <= MAX_NAME_CHARS:
        raise ProtocolError("bad_message", f"channel.metric is a string of 1 to {MAX_NAME_CHARS} characters", name)
    if not isinstance(labels, dict) or not all(isinstance(value, str) for value in labels.values()):
        raise ProtocolError("bad_message", "channel.labels is an object of strings", name)
    if len(labels) > MAX_LABELS or any(len(part) > MAX_NAME_CHARS for pair in labels.items() for part in pair):
        limits = f"at most {MAX_LABELS} labels of at most {MAX_NAME_CHARS} characters"
        raise ProtocolError("bad_message", f"channel.labels has {limits}", name)
    return ChannelSpec(metric, tuple(sorted(labels.items())))


def _since(since: object, name: str) -> Position | None:
    if since is None:
        return None
    if isinstance(since, dict):
        epoch, offset = since.get("epoch"), since.get("offset")
        if isinstance(epoch, str) and type(offset) is int and offset >= 0:
            return Position(epoch, offset)
    raise ProtocolError("bad_message", 'since is {"epoch": TEXT, "offset": NUMBER} as last received', name)


def message(frames: Iterable[bytes]) -> bytes:
    """Encoded frames as one message."""
    return b"[" + b",".join(frames) + b"]"


def hello(at_ms: int, window_s: int, tick_ms: int, live: bool, reason: str) -> bytes:
    """The first frame of a connection."""
    return orjson.dumps(
        {
            "op": "hello",
            "protocol": PROTOCOL,
            "at_ms": at_ms,
            "window_s": window_s,
            "tick_ms": tick_ms,
            "live": live,
            "reason": reason,
        }
    )


def status(at_ms: int, live: bool, reason: str) -> bytes:
    """Whether samples flow; `reason` says why not."""
    return orjson.dumps({"op": "status", "at_ms": at_ms, "live": live, "reason": reason})


def subscribed(name: str, ch: int, recovered: bool) -> bytes:
    """The client's `id` now means channel number `ch`; recovered: the missed deltas follow, else a snapshot."""
    return orjson.dumps({"op": "subscribed", "id": name, "ch": ch, "recovered": recovered})


def unsubscribed(name: str) -> bytes:
    """Nothing more comes for this `id`."""
    return orjson.dumps({"op": "unsubscribed", "id": name})


def pong(name: str | None, at_ms: int) -> bytes:
    """The answer to a ping."""
    return orjson.dumps({"op": "pong", "id": name, "at_ms": at_ms})


def error(fault: ProtocolError) -> bytes:
    """What was wrong with a message."""
    return orjson.dumps({"op": "error", "id": fault.id, "code": fault.code, "message": str(fault)})


def resync(missed: int) -> bytes:
    """`missed` messages were withheld because the client read too slowly: snapshots follow."""
    return orjson.dumps({"op": "resync", "missed": missed})


def series_entry(ref: int, metric: str, labels: dict[str, str], agent: str, instance: str) -> dict[str, object]:
    """A row of the series table: from now on `ref` stands for this series."""
    return {"ref": ref, "metric": metric, "labels": labels, "source_agent_id": agent, "instance_id": instance}


def snapshot(
    ch: int,
    at: Position,
    at_ms: int,
    window_s: int,
    series: Sequence[dict[str, object]],
    points: Sequence[Points],
    left_out: int,
) -> bytes:
    """All that a channel knows. points: per ref, ages (ms before `at_ms`) and values, oldest first."""
    return orjson.dumps(
        {
            "op": "snapshot",
            "ch": ch,
            "epoch": at.epoch,
            "offset": at.offset,
            "at_ms": at_ms,
            "window_s": window_s,
            "series": series,
            "points": points,
            "left_out": left_out,
        }
    )


def delta(
    ch: int,
    offset: int,
    at_ms: int,
    series: Sequence[dict[str, object]],
    points: Sequence[Points],
    gone: Sequence[int],
    left_out: int,
) -> bytes:
    """What changed since the delta before; `series` and `gone` only where there are any."""
    frame: dict[str, object] = {"op": "delta", "ch": ch, "offset": offset, "at_ms": at_ms}
    if series:
        frame["series"] = series
    frame["points"] = points
    if gone:
        frame["gone"] = gone
    if left_out:
        frame["left_out"] = left_out
    return orjson.dumps(frame)
