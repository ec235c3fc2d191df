"""What a sample must be, checked by column; a bad one is named, the good ones still count.

Belongs here: the limits of names, labels, instants and values, and the verdict over a decoded batch.
Does not: wire formats (decode), HTTP answers (http).
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import orjson
from numpy.typing import NDArray

from muninn.clock import DAY_US, SECOND_US
from muninn.errors import Invalid
from muninn.model import SampleBatch, SeriesKey, Window
from muninn.numerics.distributions import faults
from muninn.numerics.sketch import LARGEST, SMALLEST

if TYPE_CHECKING:
    from muninn.ingest.tallies import Running

METRIC_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:.\-/]*")
MAX_METRIC_CHARS = 200
MAX_LABELS = 64
MAX_LABEL_NAME_BYTES = 128
MAX_LABEL_VALUE_BYTES = 1024
MAX_IDENTITY_BYTES = 200
MAX_ERRORS = 100
# Before 1971 a timestamp is far more likely given in seconds than meant.
_SECONDS_HINT_US = 365 * DAY_US


@dataclass(frozen=True)
class BadSample:
    """A sample that was refused: its place in the request, counted from 0, and why."""

    index: int
    reason: str


@dataclass(frozen=True)
class Decoded:
    """The good samples, how many were refused, and the first of the refused with their reasons.

    left_out: samples that rules at the door leave out: neither good nor bad.
    by_reason: how many were refused as too_old, too_new, value, or too_many_series; the rest was malformed.
    running: points of running totals, which become samples where it is known what was counted before.
    """

    batch: SampleBatch
    errors: list[BadSample] = field(default_factory=list)
    rejected: int = 0
    left_out: int = 0
    by_reason: Counter[str] = field(default_factory=Counter)
    running: "Sequence[Running]" = ()

    @classmethod
    def joined(cls, parts: Sequence["Decoded"], rules: "Rules") -> "Decoded":
        """One verdict over parts that were decoded in order."""
        if len(parts) == 1:
            return parts[0]
        errors = [bad for part in parts for bad in part.errors][: rules.max_errors]
        whole = SampleBatch.concat([part.batch for part in parts])
        by_reason = sum((part.by_reason for part in parts), Counter[str]())
        return cls(whole, errors, sum(part.rejected for part in parts), by_reason=by_reason)


@dataclass(frozen=True)
class Rules:
    """Which instants are taken: up to `future_s` ahead of the clock, and not older than `raw_days`."""

    future_s: float = 600.0
    raw_days: int = 90
    max_errors: int = MAX_ERRORS

    def window(self, now_us: int) -> Window:
        """The instants that are taken now."""
        return Window(now_us - self.raw_days * DAY_US, now_us + round(self.future_s * SECOND_US) + 1)


def series_key(metric: object, labels: object, source_agent_id: object, instance_id: object) -> SeriesKey:
    """The key of these raw parts; Invalid says which part is wrong and how.

    Label values that are numbers or booleans become their JSON text; an empty value counts as no label,
    as in Prometheus. Numbers are taken as agent and instance ids too.
    """
    if metric is None:
        raise Invalid("metric: missing")
    # Lengths come first everywhere here: many samples may share one text that is as long as a body.
    if isinstance(metric, str) and len(metric) > MAX_METRIC_CHARS:
        raise Invalid(f"metric: {len(metric)} characters, {MAX_METRIC_CHARS} at the most")
    if not isinstance(metric, str) or not METRIC_NAME.fullmatch(metric):
        raise Invalid(f"metric: {_shown(metric)} is not a name ([a-zA-Z_:][a-zA-Z0-9_:.-/]*)")
    return SeriesKey.of(
        metric,
        _labels(labels),
        _identity("source_agent_id", source_agent_id),
        _identity("instance_id", instance_id),
    )


def _labels(labels: object) -> dict[str, str]:
    if labels is None:
        return {}
    if not isinstance(labels, Mapping):
        raise Invalid(f"labels: must be an object of strings, not {kind_of(labels)}")
    if len(labels) > MAX_LABELS:
        raise Invalid(f"labels: {len(labels)} labels, {MAX_LABELS} at the most")
    return {name: text for name, value in labels.items() if (text := _label(name, value))}


def _label(name: str, value: object) -> str:
    if not name or len(name) > MAX_LABEL_NAME_BYTES or len(name.encode()) > MAX_LABEL_NAME_BYTES or "\0" in name:
        raise Invalid(f"labels: {_shown(name)} is not a label name (1 to {MAX_LABEL_NAME_BYTES} bytes, no NUL)")
    text = _text(value)
    if text is None:
        raise Invalid(f"labels.{name[:40]}: must be a string, not {kind_of(value)}")
    size = len(text)
    if size * 4 > MAX_LABEL_VALUE_BYTES >= size:
        size = len(text.encode())
    if size > MAX_LABEL_VALUE_BYTES:
        raise Invalid(f"labels.{name[:40]}: {size} bytes, {MAX_LABEL_VALUE_BYTES} at the most")
    if "\0" in text:
        raise Invalid(f"labels.{name[:40]}: holds a NUL character")
    return text


def _identity(name: str, value: object) -> str:
    if value is None:
        return ""
    text = _text(value)
    if text is None:
        raise Invalid(f"{name}: must be a string, not {kind_of(value)}")
    if len(text) > MAX_IDENTITY_BYTES or len(text.encode()) > MAX_IDENTITY_BYTES or "\0" in text:
        raise Invalid(f"{name}: {MAX_IDENTITY_BYTES} bytes at the most, no NUL")
    return text


def _text(value: object) -> str | None:
    """A JSON scalar as text; None if it is none."""
    if isinstance(value, str):
        return value
    return orjson.dumps(value).decode() if isinstance(value, bool | int | float) else None


def kind_of(value: object) -> str:
    """What a JSON value is, in a sentence."""
    kinds = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return kinds.get(type(value), "a number" if isinstance(value, int | float) else type(value).__name__)


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else kind_of(value)
    return repr(text[:60] + "…") if len(text) > 60 else repr(text)


Mask = NDArray[np.bool_]


class Screening:
    """Gathers what is wrong with `n` samples, by column; the first check that refuses a sample gives the reason."""

    def __init__(self, n: int):
        self._refused: Mask = np.zeros(n, np.bool_)
        self._checks: list[tuple[Mask, Callable[[int], str]]] = []
        self._by_reason: Counter[str] = Counter()

    def refuse(self, mask: Mask, reason: Callable[[int], str], kind: str = "") -> None:
        """Refuse the samples of `mask` (bool[n]); `reason(index)` is asked only for those that are reported.

        kind: what they are counted as, see Decoded.by_reason; empty: malformed.
        """
        if mask.any():
            self._checks.append((mask, reason))
            if kind:
                self._by_reason[kind] += int((mask & ~self._refused).sum())
            self._refused |= mask

    def decoded(self, batch: SampleBatch, rules: Rules, now_us: int, first_index: int = 0) -> Decoded:
        """The verdict, after the checks of instant and value that every format shares.

        Refused samples may hold anything in `batch`; keys of which no sample is left are dropped.
        """
        self._check_instants(batch.at_us, rules, now_us)
        self._check_values(batch.value)
        self._check_distributions(batch)
        if not self._checks:
            return Decoded(batch)
        bad = np.flatnonzero(self._refused)
        errors = [BadSample(first_index + int(row), self._reason(int(row))) for row in bad[: rules.max_errors]]
        good = without_unused_keys(batch.take(~self._refused))
        return Decoded(good, errors, len(bad), by_reason=self._by_reason)

    def _check_instants(self, at_us: NDArray[np.int64], rules: Rules, now_us: int) -> None:
        window = rules.window(now_us)

        def too_old(row: int) -> str:
            hint = "; epoch timestamps are in milliseconds" if 0 < at_us[row] < _SECONDS_HINT_US else ""
            return f"timestamp: {_iso(at_us[row])} is older than the {rules.raw_days} days that are kept{hint}"

        def too_new(row: int) -> str:
            ahead = (int(at_us[row]) - now_us) / SECOND_US
            return (
                f"timestamp: {_iso(at_us[row])} is {ahead:.0f} s ahead of our clock, {rules.future_s:.0f} s are allowed"
            )

        self.refuse(at_us < window.since_us, too_old, "too_old")
        self.refuse(at_us >= window.until_us, too_new, "too_new")

    def _check_values(self, value: NDArray[np.float64]) -> None:
        self.refuse(~np.isfinite(value), lambda _: "value: must be finite", "value")
        size = np.abs(value)
        beyond = (size > LARGEST) | ((size < SMALLEST) & (size > 0))
        self.refuse(
            beyond,
            lambda row: f"value: {value[row]:g} is not 0 or between {SMALLEST:g} and {LARGEST:g} in size",
            "value",
        )

    def _check_distributions(self, batch: SampleBatch) -> None:
        some = batch.distributions
        if some is None:
            return
        for wrong, what in faults(some):
            mask = np.zeros(len(batch), np.bool_)
            mask[some.rows[wrong]] = True
            self.refuse(mask, _always(f"distribution: {what}"))

    def _reason(self, row: int) -> str:
        return next(reason(row) for mask, reason in self._checks if mask[row])


def _always(reason: str) -> Callable[[int], str]:
    return lambda _: reason


def _iso(at_us: np.int64) -> str:
    return f"{np.datetime64(int(at_us), 'us')}Z"


def without_unused_keys(batch: SampleBatch) -> SampleBatch:
    """The same samples; only the keys that they use."""
    used = np.flatnonzero(np.bincount(batch.key_index, minlength=len(batch.keys)))
    if len(used) == len(batch.keys):
        return batch
    place = np.zeros(len(batch.keys), np.int32)
    place[used] = np.arange(len(used), dtype=np.int32)
    return batch.of_keys(place[batch.key_index], batch.keys.take(used))
