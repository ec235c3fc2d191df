"""Running totals to what was counted in between, exactly once: cumulative histograms become distributions.

Of each stream (a series and the start of its source) the buffer remembers the last point, and moves on from it in the
same step that takes the batch. So it does not matter which gateway a point comes to, when a gateway or the buffer dies,
or how often a client sends again: a point that is not later than the last one adds nothing, and a later one adds what
was counted since. Nothing is made up: the first point of a stream counts where it says that its source began while the
buffer was remembering, else it is where counting begins. A source that begins anew is another stream.

Belongs here: which points count, and what moves on. Does not: what a point holds (decode), how it is kept (buffer).
"""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from muninn.clock import SECOND_US, Clock
from muninn.errors import Invalid, Overtaken
from muninn.ingest.decode import Count
from muninn.ingest.gate.gate import Gate
from muninn.ingest.validate import BadSample, Decoded, Rules, Screening
from muninn.model import Broker, SampleBatch, SeriesKey, Tallies, TallyMove
from muninn.numerics.distributions import Distribution, columns

_TRIES = 5
# A request of more of them is far above what any source sends at once.
MAX_POINTS = 200_000
_MARK = struct.Struct("<QQ")


class Total(Protocol):
    """What a source has counted since its start."""

    def kept(self) -> bytes:
        """All that `since` needs to know."""
        ...

    def since(self, kept: bytes | None) -> Distribution | None:
        """What was counted since the total that was kept (None: since its start); None where that is nothing.

        Invalid where the kept one is no earlier state of this one.
        """
        ...


@dataclass(frozen=True)
class Running:
    """A point of a running total. start_ns: when its source began to count; 0 where it does not say."""

    key: SeriesKey
    at_ns: int
    start_ns: int
    total: Total

    @property
    def name(self) -> str:
        """Of its stream: sources that have one series, such as two processes, differ in their start."""
        return f"{self.key.digest.hex()}:{self.start_ns}"

    @property
    def at_us(self) -> int:
        """Its instant."""
        return self.at_ns // 1000

    def keep(self) -> bytes:
        """What the buffer is to remember of it."""
        return _MARK.pack(self.at_ns, self.start_ns) + self.total.kept()


@dataclass
class _Counted:
    """What a request's points come to. rows: of which series, when, what."""

    rows: list[tuple[SeriesKey, int, Distribution]] = field(default_factory=list)
    moves: dict[str, TallyMove] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)

    def leave_out(self, kind: str) -> None:
        self.left_out[kind] = self.left_out.get(kind, 0) + 1


class Accountant:
    """Takes requests with running totals into the buffer. Safe for many requests at once."""

    def __init__(self, broker: Broker, gate: Gate | None, rules: Rules, clock: Clock, keep_s: float):
        self._broker, self._gate, self._rules, self._clock = broker, gate, rules, clock
        self._keep_us = round(keep_s * SECOND_US)

    def append(self, decoded: Decoded, key: str | None, count: Count) -> tuple[Decoded, str | None]:
        """Keep a request's samples and what its totals have grown by; what was taken, and its entry id.

        Raises what model.Broker.append raises.
        """
        if len(decoded.running) > MAX_POINTS:
            raise Invalid(f"{len(decoded.running)} cumulative histograms in a request, {MAX_POINTS} at the most")
        points, decoded = self._admitted(decoded)
        names = [*{point.name for point, _ in points}]
        for last in reversed(range(_TRIES)):
            counted = counted_of(points, self._broker.tallies(names), self._clock.now_us(), self._keep_us)
            whole = self._with(decoded, counted)
            if not len(whole.batch):
                return whole, None
            try:
                entry_id = self._broker.append(whole.batch, key, [*counted.moves.values()])
            except Overtaken:
                if not last:
                    raise
                continue
            for kind, by in counted.left_out.items():
                count(kind, by)
            return whole, entry_id
        raise AssertionError("the last try ends above")

    def _admitted(self, decoded: Decoded) -> tuple[list[tuple[Running, SeriesKey]], Decoded]:
        """The points that may come in, each with the series that it goes on as."""
        running = decoded.running
        if self._gate is None or not running:
            return [(point, point.key) for point in running], decoded
        # The gate is asked with one sample a point; its value says which point it is.
        batch = SampleBatch.of([(point.key, point.at_us, float(place)) for place, point in enumerate(running)])
        found = self._gate.admit(Decoded(batch), self._rules.max_errors)
        places = found.batch.value.astype(np.intp).tolist()
        keys = [found.batch.keys[place] for place in found.batch.key_index.tolist()]
        points = [(running[place], key) for place, key in zip(places, keys, strict=True)]
        return points, _joined(decoded, replace(found, batch=SampleBatch.empty()), self._rules)

    def _with(self, decoded: Decoded, counted: _Counted) -> Decoded:
        if not counted.rows:
            return decoded
        batch = SampleBatch.of([(key, at_us, made.mean) for key, at_us, made in counted.rows])
        some = columns(np.arange(len(batch), dtype=np.int64), [made for _, _, made in counted.rows])
        batch = SampleBatch(batch.at_us, batch.value, batch.key_index, batch.keys, some)
        screened = Screening(len(batch)).decoded(batch, self._rules, self._clock.now_us())
        return _joined(decoded, screened, self._rules)


def counted_of(points: Iterable[tuple[Running, SeriesKey]], known: Tallies, now_us: int, keep_us: int) -> _Counted:
    """What these points add to what is known; points of one stream count in the order of their time."""
    counted = _Counted()
    for point, key in sorted(points, key=lambda each: each[0].at_ns):
        before = known.kept.get(point.name)
        moved = counted.moves.get(point.name)
        last = before if moved is None else moved.after
        if last is not None and point.at_ns <= _MARK.unpack_from(last)[0]:
            counted.leave_out("cumulative_again")
            continue
        counted.moves[point.name] = TallyMove(point.name, before, point.keep())
        made = _made(point, last, known.since_us, now_us, keep_us, counted)
        if made is not None:
            counted.rows.append((key, point.at_us, made))
    return counted


def _made(
    point: Running, last: bytes | None, since_us: int, now_us: int, keep_us: int, counted: _Counted
) -> Distribution | None:
    if last is None and not _covered(point, max(since_us, now_us - keep_us), now_us):
        counted.leave_out("cumulative_first")
        return None
    try:
        return point.total.since(None if last is None else last[_MARK.size :])
    except Invalid:
        counted.leave_out("cumulative_fell")
        return None


def _covered(point: Running, remembered_us: int, now_us: int) -> bool:
    """Whether a stream that is not known began after all that was remembered began.

    A clock that is ahead of ours (which a point in the future shows) says later starts than there were.
    """
    ahead_us = max(0, point.at_us - now_us)
    return 0 < point.start_ns < point.at_ns and point.start_ns // 1000 - ahead_us >= remembered_us


def _joined(decoded: Decoded, more: Decoded, rules: Rules) -> Decoded:
    """With further samples behind those that are there."""
    start = len(decoded.batch) + decoded.rejected
    errors: Sequence[BadSample] = [BadSample(start + bad.index, bad.reason) for bad in more.errors]
    return replace(
        decoded,
        batch=SampleBatch.concat([decoded.batch, more.batch]) if len(more.batch) else decoded.batch,
        errors=[*decoded.errors, *errors][: rules.max_errors],
        rejected=decoded.rejected + more.rejected,
        left_out=decoded.left_out + more.left_out,
        by_reason=decoded.by_reason + more.by_reason,
    )
