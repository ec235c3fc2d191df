"""The gate: each series is judged when it is first seen; what is known costs one look-up in a compiled table.

Belongs here: the verdicts and their memory. Does not: what a rule does (rules), counting (usage), the store.

A series that the store has, or that was let in before, always flows. Only new ones are refused, and each time they come
it is asked anew: room may have come. While the store is away everything counts as known.
"""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from muninn.clock import MINUTE_US, Clock, SystemClock
from muninn.errors import MuninnError
from muninn.ingest.gate.refused import with_errors
from muninn.ingest.gate.rules import DoorRules
from muninn.ingest.gate.usage import HOUR_MINUTES, Usage
from muninn.ingest.validate import Decoded
from muninn.meter import Meter
from muninn.model import SampleBatch, SeriesKey, SeriesSet
from muninn.model.series_set import Fingerprints, fingerprints_of
from muninn.numerics.fingerprints import FingerprintTable
from muninn.numerics.lots import by_lot

log = logging.getLogger(__name__)

# fingerprints V16[k] -> bool[k], whether the store has the series; MuninnError while it is away.
Registered = Callable[[Fingerprints], NDArray[np.bool_]]
MAX_SERIES = 5 << 18
_MAX_ABSENT = 100_000
_ABSENT_S, _AWAY_S = 60.0, 5.0
_ASK_AT_ONCE = 20_000
# A series under its own name; one that is left out; else the place of another series in `_others`.
_SAME, _LEFT_OUT, _REFUSED = -1, -2, -3
# What is kept of each series, by its number.
_COLUMNS = ("_outcome", "_target", "_metric", "_source", "_seen")
# So many unseen series are judged before others have their turn.
_JUDGED_AT_ONCE = 2_000
# So many metrics and sources are told apart in what is counted.
_MAX_NAMED = 50


@dataclass(frozen=True)
class Bounds:
    """How many series one metric or one source may have: active within an hour, and new within an hour; None: any."""

    series: int | None
    new_per_hour: int | None


@dataclass(frozen=True)
class Limits:
    """What the settings allow; the rules at the door may allow some metrics and sources less or more."""

    metric: Bounds = Bounds(None, None)
    source: Bounds = Bounds(None, None)
    max_labels: int = 64
    max_label_value_bytes: int = 1024


def none_new(fingerprints: Fingerprints) -> NDArray[np.bool_]:
    """Where there is no store to ask: everything is known."""
    return np.ones(len(fingerprints), np.bool_)


@dataclass(frozen=True)
class _Verdict:
    """What becomes of one unseen series: `key` as it goes on (None: left out), or why it is refused."""

    key: SeriesKey | None
    rule: str = ""
    reason: str = ""


class Gate:
    """Judges batches before they go into the buffer. Safe for many threads; nobody waits for another's question."""

    def __init__(
        self,
        limits: Limits | None = None,
        rules: DoorRules | None = None,
        registered: Registered = none_new,
        *,
        clock: Clock | None = None,
        meter: Meter | None = None,
        max_series: int = MAX_SERIES,
    ):
        self._limits, self._rules, self._registered = limits or Limits(), rules or DoorRules(), registered
        self._clock, self._meter, self._max_series = clock or SystemClock(), meter or Meter(), max_series
        self._lock = threading.Lock()
        self._usage = {"metric": Usage(), "source": Usage()}
        self._absent: dict[bytes, float] = {}
        self._away_until, self._epoch = 0.0, 0
        self._counted: set[tuple[str, str, str]] = set()
        self._clear()

    def use_rules(self, rules: DoorRules) -> None:
        """Judge by other rules from now on; every series is judged anew."""
        with self._lock:
            self._rules = rules
            self._clear()

    def take_over(self, new: Mapping[str, Mapping[str, int]]) -> None:
        """What the store says is new within the last hour, by "metric" and "source"; counts active series anew."""
        with self._lock:
            minute = self._minute()
            count = len(self._table)
            active = (self._seen[:count] > minute - HOUR_MINUTES) & (self._metric[:count] >= 0)
            for kind, codes in (("metric", self._metric), ("source", self._source)):
                self._usage[kind].take_over(new.get(kind, {}), minute)
                self._usage[kind].turn(minute)
                self._usage[kind].recount(codes[:count][active])
            self._meter.gauge("muninn_gate_active_series", int(active.sum()))

    def admit(self, decoded: Decoded, max_errors: int) -> Decoded:
        """What may go on: without series that rules leave out, with their new names, without new ones over a limit."""
        batch = decoded.batch
        if not len(batch):
            return decoded
        while True:
            numbers, epoch = self._find(batch.keys.fingerprints)
            refused: dict[int, str] = {}
            unseen = np.flatnonzero(numbers < 0)
            for start in range(0, len(unseen), _JUDGED_AT_ONCE):
                refused |= self._judge(batch.keys, unseen[start : start + _JUDGED_AT_ONCE], numbers)
            if (found := self._outcomes(numbers, epoch, refused)) is not None:
                break
        outcome, others = found
        if not (outcome != _SAME).any():
            return decoded
        left_out = int((outcome == _LEFT_OUT)[batch.key_index].sum())
        self._meter.count("muninn_gate_left_out_total", left_out)
        if refused:
            decoded = with_errors(decoded, refused, max_errors)
            self._meter.count("muninn_gate_refused_total", int((outcome == _REFUSED)[batch.key_index].sum()))
        return replace(decoded, batch=self._moved(batch, outcome, others), left_out=decoded.left_out + left_out)

    def _outcomes(
        self, numbers: NDArray[np.int32], epoch: int, refused: Mapping[int, str]
    ) -> tuple[NDArray[np.int32], Sequence[SeriesKey]] | None:
        """int32[k]: what becomes of each series, and the new names that it speaks of; note that all were seen.

        None where numbers are others since `epoch`.
        """
        outcome = np.full(len(numbers), _SAME, np.int32)
        with self._lock:
            if epoch != self._epoch:
                return None
            known = numbers >= 0
            self._seen[self._target[numbers[known]]] = self._minute()
            outcome[known] = self._outcome[numbers[known]]
            others = self._others
        outcome[[*refused]] = _REFUSED
        return outcome, others

    def _moved(self, batch: SampleBatch, outcome: NDArray[np.int32], others: Sequence[SeriesKey]) -> SampleBatch:
        """The samples that go on, under their new names; series that become one are one."""
        keys = batch.keys
        rows = batch.take((outcome >= _SAME)[batch.key_index])
        used = np.flatnonzero(np.bincount(rows.key_index, minlength=len(keys)))
        fingerprints, result = keys.fingerprints[used].copy(), outcome[used]
        first = inverse = np.arange(len(used))
        if (result >= 0).any():
            fingerprints[result >= 0] = fingerprints_of([others[each].digest for each in result[result >= 0].tolist()])
            first, inverse = np.unique(FingerprintTable().add(fingerprints), return_index=True, return_inverse=True)[1:]
        place = np.zeros(len(keys), np.int32)
        place[used] = inverse

        def name_of(at: int) -> bytes | None:
            given = int(used[first[at]])
            return others[outcome[given]].canonical if outcome[given] >= 0 else keys.name(given)

        named = SeriesSet(fingerprints[first], name_of)
        return SampleBatch(rows.at_us, rows.value, place[rows.key_index], named, rows.distributions)

    def _find(self, fingerprints: Fingerprints) -> tuple[NDArray[np.int32], int]:
        with self._lock:
            if any(usage.crowded for usage in self._usage.values()):
                for usage in self._usage.values():
                    usage.forget()
                self._clear()
            numbers = self._table.find(fingerprints)
            # One that is renamed takes two places.
            if len(self._table) + 2 * int((numbers < 0).sum()) > self._max_series:
                self._make_room(2 * len(fingerprints))
                numbers = self._table.find(fingerprints)
            return numbers, self._epoch

    def _judge(self, keys: SeriesSet, unseen: NDArray[np.intp], numbers: NDArray[np.int32]) -> dict[int, str]:
        """Fill in the numbers of what may come in; why the others, by place, may not."""
        given = [keys[int(place)] for place in unseen]
        verdicts = [self._by_rules(key) for key in given]
        goes_on = [verdict.key for verdict in verdicts if verdict.key is not None]
        there = self._there(goes_on)
        refused: dict[int, str] = {}
        with self._lock:
            for usage in self._usage.values():
                usage.turn(self._minute())
            numbers[unseen] = self._table.find(keys.fingerprints[unseen])  # another request may have brought them
            for place, key, verdict in zip(unseen.tolist(), given, verdicts, strict=True):
                if numbers[place] >= 0 or key.digest in self._fresh:
                    continue
                reason = verdict.reason or self._over(key, verdict.key, there)
                if reason:
                    refused[place] = reason
                    self._note_absent(verdict.key or key)
                else:
                    numbers[place] = self._let_in(key, verdict, there)
            self._settle()
        self._meter.count("muninn_gate_new_series_total", max(0, len(goes_on) - len(there) - len(refused)))
        return refused

    def _by_rules(self, key: SeriesKey) -> _Verdict:
        found, rule = self._rules.apply(key)
        if found is None:
            return _Verdict(None, rule)
        if len(found.labels) > self._limits.max_labels:
            return _Verdict(found, reason=f"labels: {len(found.labels)} labels, {self._limits.max_labels} are allowed")
        for name, value in found.labels:
            if len(value.encode()) > self._limits.max_label_value_bytes:
                allowed = self._limits.max_label_value_bytes
                said = f"labels.{name[:40]}: {len(value.encode())} bytes, {allowed} are allowed"
                return _Verdict(found, reason=said)
        return _Verdict(found)

    def _there(self, keys: Sequence[SeriesKey]) -> set[bytes]:
        """Of which series the store, or this gate, knows for certain."""
        now = self._clock.monotonic()
        unsure = {key.digest: key for key in keys if self._absent.get(key.digest, 0.0) <= now}
        if not unsure:
            return set()
        if now < self._away_until:
            return set(unsure)
        found: set[bytes] = set()
        try:
            for start in range(0, len(unsure), _ASK_AT_ONCE):
                some = [*unsure][start : start + _ASK_AT_ONCE]
                has = self._registered(fingerprints_of(some))
                found.update(digest for digest, known in zip(some, has.tolist(), strict=True) if known)
        except MuninnError as error:
            log.warning("the store is away, so every series counts as known: %s", error)
            self._away_until = now + _AWAY_S
            return set(unsure)
        return found

    def _over(self, given: SeriesKey, key: SeriesKey | None, there: set[bytes]) -> str:
        """Why a new series, which would go on as `key`, may not come in; empty where it may."""
        if key is None or key.digest in there or (key is not given and self._number(key.digest) >= 0):
            return ""
        for kind, name in (("metric", key.metric), ("source", key.source_agent_id)):
            usage, bounds = self._usage[kind], self._bounds(kind, name)
            for count, allowed, what in (
                (usage.new(name), bounds.new_per_hour, "new series in the last hour"),
                (usage.active(name), bounds.series, "active series"),
            ):
                if allowed is not None and count >= allowed:
                    usage.watch(name, key)
                    return self._refusal(kind, name, count, allowed, what)
        return ""

    def _refusal(self, kind: str, name: str, count: int, allowed: int, what: str) -> str:
        label, values = self._usage[kind].culprit(name)
        blamed = f"; most differ in label {label!r} ({values} values)" if label else ""
        self._count_refusal(kind, name, label)
        shown = f"{kind} {name!r}" if name else f"{kind} without a name"
        return f"too many series: {shown} has {count} {what}, {allowed} are allowed{blamed}"

    def _count_refusal(self, kind: str, name: str, label: str) -> None:
        counted = (kind, name, label)
        if counted not in self._counted and len(self._counted) >= _MAX_NAMED:
            counted = (kind, "(others)", "")
        self._counted.add(counted)
        limit, subject, label = counted
        self._meter.count("muninn_gate_refused_series_total", limit=limit, subject=subject, label=label)

    def _bounds(self, kind: str, name: str) -> Bounds:
        own: Bounds = getattr(self._limits, kind)
        for limit in self._rules.limits:
            if limit.of == kind and limit.pattern.matches(name):
                return Bounds(
                    own.series if limit.series is None else limit.series,
                    own.new_per_hour if limit.new_per_hour is None else limit.new_per_hour,
                )
        return own

    def _let_in(self, key: SeriesKey, verdict: _Verdict, there: set[bytes]) -> int:
        """Remember a series, and under which name it goes on; returns its number."""
        target = verdict.key
        if target is None:
            return self._put(key, _LEFT_OUT)
        if target.digest == key.digest:
            return self._add(key, key.digest not in there)
        number = self._number(target.digest)
        if number < 0:
            number = self._add(target, target.digest not in there)
        self._others.append(target)
        return self._put(key, len(self._others) - 1, number)

    def _number(self, digest: bytes) -> int:
        fresh = self._fresh.get(digest)
        return int(self._table.find(fingerprints_of([digest]))[0]) if fresh is None else fresh

    def _add(self, key: SeriesKey, new: bool) -> int:
        """Remember and count a series that goes on under its own name."""
        minute = self._minute()
        for kind, name in (("metric", key.metric), ("source", key.source_agent_id)):
            self._usage[kind].add(name, minute, new=new)
            if new:
                self._usage[kind].watch(name, key)
        metric, source = self._usage["metric"].code(key.metric), self._usage["source"].code(key.source_agent_id)
        return self._put(key, _SAME, None, metric, source)

    def _put(self, key: SeriesKey, outcome: int, target: int | None = None, metric: int = -1, source: int = -1) -> int:
        """The number of a series from now on; it lies in the table after _settle()."""
        number = len(self._table) + len(self._fresh)
        self._fresh[key.digest] = number
        self._rows.append((outcome, number if target is None else target, metric, source))
        return number

    def _settle(self) -> None:
        """Write what was put, all at once."""
        start, end = len(self._table), len(self._table) + len(self._fresh)
        while end > len(self._outcome):
            self._grow()
        self._table.add(fingerprints_of([*self._fresh]))
        columns = np.array(self._rows, np.int32).reshape(-1, 4).T
        for name, column in zip(_COLUMNS[:4], columns, strict=True):
            getattr(self, name)[start:end] = column
        self._seen[start:end] = self._minute()
        self._fresh.clear()
        self._rows.clear()

    def _note_absent(self, key: SeriesKey) -> None:
        if len(self._absent) >= _MAX_ABSENT:
            self._absent.clear()
        self._absent[key.digest] = self._clock.monotonic() + _ABSENT_S

    def _minute(self) -> int:
        return self._clock.now_us() // MINUTE_US

    def _clear(self) -> None:
        self._epoch += 1
        self._fresh: dict[bytes, int] = {}
        self._rows: list[tuple[int, int, int, int]] = []
        self._table = FingerprintTable()
        self._others: list[SeriesKey] = []
        self._outcome, self._target, self._seen, self._metric, self._source = (np.zeros(0, np.int32) for _ in range(5))
        for usage in self._usage.values():
            usage.recount(np.zeros(0, np.int32))

    def _make_room(self, coming: int) -> None:
        """Forget what was not seen for an hour, and where that is not a quarter, others by lot."""
        count = len(self._table)
        target = self._target[:count]
        lately = self._seen[:count] > self._minute() - HOUR_MINUTES
        room = max(0, min(count - count // 4, self._max_series - coming))
        if int(lately.sum()) > room:
            lately &= by_lot(count, room)
        kept = lately[target]  # who goes on under another name goes with it
        if int(kept.sum()) > room:  # many under few names
            kept[:] = False
        self._table.keep(kept)
        for name in _COLUMNS:
            column = getattr(self, name)
            column[: len(self._table)] = column[:count][kept]
        moved = np.cumsum(kept, dtype=np.int32) - 1
        self._target[: len(self._table)] = moved[self._target[: len(self._table)]]
        renamed = np.flatnonzero(self._outcome[: len(self._table)] >= 0)
        self._others = [self._others[other] for other in self._outcome[renamed].tolist()]
        self._outcome[renamed] = np.arange(len(renamed), dtype=np.int32)
        self._epoch += 1
        for kind, codes in (("metric", self._metric), ("source", self._source)):
            mine = codes[: len(self._table)]
            self._usage[kind].recount(mine[mine >= 0])

    def _grow(self) -> None:
        for name in _COLUMNS:
            column = getattr(self, name)
            setattr(self, name, np.concatenate([column, np.zeros(max(4096, len(column)), np.int32)]))
