"""One client's session: what it asked for, and what it is owed when it reads too slowly.

Belongs here: carrying out messages, holding back and catching up. Does not: the socket (a Wire is handed in).
The rule that bounds memory: while the wire is blocked nothing but small replies is written, and nothing is
read; a frame that was held back is never sent later, a snapshot is sent in its place.
"""

import logging
from collections.abc import Iterable
from typing import Protocol

from muninn.clock import Clock
from muninn.guard.judge import Refusal
from muninn.stream import protocol
from muninn.stream.channel import Channel, Phase
from muninn.stream.entry import NOBODY, Entry, Waiting
from muninn.stream.hub import Hub
from muninn.stream.protocol import Assembler, Authenticate, MessageTooLong, Ping, ProtocolError, Subscribe, Unsubscribe

log = logging.getLogger(__name__)

HARD_LIMIT_BYTES = 4 << 20
STALL_S = 15.0
PING_AFTER_S = 20.0
SILENT_S = 60.0
GOING_AWAY = 1001
NOT_ALLOWED = 1008
MESSAGE_TOO_BIG = 1009


class Wire(Protocol):
    """The connection to one client. `send` may call `Session.blocked` before it returns."""

    def send(self, message: bytes) -> None:
        """Write a text message, now or as soon as the client reads."""
        ...

    def queued(self) -> int:
        """Bytes written that the client has not taken yet."""
        ...

    def ping(self) -> None:
        """Ask the client's machine for a sign of life."""
        ...

    def read(self, on: bool) -> None:
        """Go on reading from the client, or stop."""
        ...

    def close(self, code: int, reason: str) -> None:
        """Say goodbye and close."""
        ...

    def abort(self) -> None:
        """Cut the connection and forget what is queued."""
        ...


class Session:
    """A client's subscriptions and whether it keeps up."""

    __slots__ = (
        "_assembler",
        "_blocked_at",
        "_clock",
        "_entry",
        "_heard_at",
        "_hub",
        "_missed",
        "_owed",
        "_queued",
        "_subs",
        "_tick_ms",
        "_turned_out",
        "_who",
        "_wire",
    )

    def __init__(self, wire: Wire, hub: Hub, clock: Clock, entry: Entry | None = None, who: int | Waiting = NOBODY):
        self._wire = wire
        self._hub = hub
        self._clock = clock
        self._entry = entry
        self._who = who
        self._tick_ms = 0
        self._assembler = Assembler()
        self._subs: dict[str, Channel] = {}
        self._owed: dict[int, None] = {}
        self._missed = 0
        self._blocked_at: float | None = None
        self._queued = 0
        self._heard_at = clock.monotonic()
        self._turned_out = False

    @property
    def behind(self) -> bool:
        """Whether the client has not read what was written."""
        return self._blocked_at is not None

    @property
    def waits(self) -> bool:
        """Whether the client has yet to say who it is."""
        return isinstance(self._who, Waiting)

    def open(self, tick_ms: int) -> None:
        """Join the hub and say hello; where the client has yet to say who it is, that comes first."""
        self._tick_ms = tick_ms
        if not self.waits:
            self._join()

    def _join(self) -> None:
        hub = self._hub
        hub.join(self)
        self._send([protocol.hello(hub.now_ms, hub.limits.window_s, self._tick_ms, hub.live, hub.reason)])

    def close(self) -> None:
        """The connection is gone."""
        self._hub.leave(self)
        self._subs.clear()

    def go_away(self) -> None:
        """The sidecar ends: the client is to come again."""
        self._wire.close(GOING_AWAY, "the sidecar is stopping: connect again")

    def heard(self) -> None:
        """The client showed a sign of life."""
        self._heard_at = self._clock.monotonic()

    def receive(self, payload: bytes, fin: bool = True) -> None:
        """A text frame: carry it out, or answer what is wrong with it."""
        self.heard()
        try:
            text = self._assembler.feed(payload, fin)
        except MessageTooLong as error:
            self._wire.close(MESSAGE_TOO_BIG, str(error))
            return
        if text is None:
            return
        try:
            self._carry_out(protocol.parse(text))
        except ProtocolError as fault:
            self._send([protocol.error(fault)])
        except Exception:
            log.exception("a client's message could not be carried out")
            self._send([protocol.error(ProtocolError("internal", "the sidecar failed; its log says how"))])

    def receive_binary(self) -> None:
        """A binary frame: there is no use for one."""
        self.heard()
        self._send([protocol.error(ProtocolError("bad_json", "messages are text frames with JSON"))])

    def deliver(self, message: bytes, channels: tuple[int, ...]) -> bool:
        """A tick's message for these channels; False where it was held back."""
        if self.behind:
            self._missed += 1
            self._owed.update(dict.fromkeys(channels))
            return False
        self._wire.send(message)
        return True

    def start(self, channel: Channel) -> None:
        """The snapshot of a channel whose stored points have come in."""
        if self.behind:
            self._owed[channel.number] = None
        else:
            self._send([channel.snapshot(self._hub.now_ms)])

    def blocked(self) -> None:
        """The wire is above its high-water mark: write and read no more."""
        if self._blocked_at is None:
            self._blocked_at = self._clock.monotonic()
            self._queued = self._wire.queued()
            self._wire.read(False)

    def drained(self) -> None:
        """The client took what was queued: catch up with snapshots, one at a time while it keeps up."""
        self._blocked_at = None
        self._wire.read(True)
        if self._missed:
            hub = self._hub
            self._send([protocol.resync(self._missed), protocol.status(hub.now_ms, hub.live, hub.reason)])
            self._missed = 0
        owed, self._owed = self._owed, {}
        for channel in dict.fromkeys(self._subs.values()):
            if channel.number in owed and channel.phase is Phase.LIVE:
                self.start(channel)

    def check(self) -> str | None:
        """Ping a silent client; cut one that is stalled or gone, and return why."""
        now = self._clock.monotonic()
        if (why := self._check_who()) is not None:
            return why
        queued = self._wire.queued()
        if queued > HARD_LIMIT_BYTES:
            return self._cut("too much queued")
        if self._blocked_at is not None:
            if queued < self._queued:
                self._blocked_at, self._queued = now, queued
            return self._cut("stalled") if now - self._blocked_at > STALL_S else None
        silent = now - self._heard_at
        if silent > SILENT_S:
            return self._cut("silent")
        if silent > PING_AFTER_S:
            self._wire.ping()
        return None

    def _check_who(self) -> str | None:
        """Turn out who has not said who it is, or whose token is no more."""
        if self._entry is None:
            return None
        if isinstance(self._who, Waiting):
            if not self._entry.too_long(self._who):
                return None
            return self._turn_out("unauthenticated", "nothing was said of who you are: send authenticate first")
        if self._entry.still(self._who):
            return None
        return self._turn_out("revoked", "the token that you came in with was revoked or is over")

    def _turn_out(self, why: str, words: str) -> str:
        """Say goodbye; cut who does not take even that by the next check: its socket would stay for ever."""
        if self._turned_out:
            return self._cut(why)
        self._turned_out = True
        self._wire.close(NOT_ALLOWED, words)
        return why

    def _cut(self, why: str) -> str:
        self._wire.abort()
        return why

    def _send(self, frames: Iterable[bytes]) -> None:
        self._wire.send(protocol.message(frames))

    def _carry_out(self, said: protocol.Message) -> None:
        if self.waits and not isinstance(said, Authenticate):
            raise ProtocolError("unauthenticated", 'say who you are first: {"op": "authenticate", "token": …}')
        match said:
            case Authenticate():
                self._authenticate(said.token)
            case Subscribe():
                self._subscribe(said)
            case Unsubscribe():
                self._unsubscribe(said.id)
            case Ping():
                self._send([protocol.pong(said.id, self._hub.now_ms)])

    def _authenticate(self, token: str) -> None:
        """Let in who waits; who is in already stays in as whom it came."""
        if self._entry is None or not self.waits:
            return
        found = self._entry.present(token)
        if isinstance(found, Refusal):
            self._send([protocol.error(ProtocolError("unauthenticated", found.detail))])
            self._wire.close(NOT_ALLOWED, found.detail)
            return
        self._who = found
        self._join()

    def _subscribe(self, said: Subscribe) -> None:
        if said.id in self._subs:
            self._forget(said.id)
        try:
            channel = self._hub.subscribe(self, said.channel)
        except ProtocolError as fault:
            fault.id = said.id
            raise
        self._subs[said.id] = channel
        live = channel.phase is Phase.LIVE
        missed = channel.missed(said.since) if said.since is not None and live and not self.behind else None
        frames = [protocol.subscribed(said.id, channel.number, missed is not None)]
        if missed is not None:
            frames.extend(missed)
        elif self.behind:
            self._owed[channel.number] = None
        elif live:
            frames.append(channel.snapshot(self._hub.now_ms))
        self._send(frames)

    def _unsubscribe(self, name: str) -> None:
        if name not in self._subs:
            raise ProtocolError("unknown_id", "there is no subscription of this id", name)
        self._forget(name)
        self._send([protocol.unsubscribed(name)])

    def _forget(self, name: str) -> None:
        channel = self._subs.pop(name)
        if channel not in self._subs.values():
            self._hub.unsubscribe(self, channel)
