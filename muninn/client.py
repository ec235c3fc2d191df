"""The client for applications: `add` samples one by one, they arrive in batches, each exactly once.

Belongs here: what an application calls, gathering samples into batches. Does not: queue, retries, HTTP: sources.client.
"""

import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from types import TracebackType

import numpy as np

from muninn.clock import Clock, SystemClock
from muninn.meter import Meter
from muninn.model import SampleBatch, SeriesKey
from muninn.model.window import as_us
from muninn.numerics import distributions
from muninn.numerics.distributions import Distribution
from muninn.numerics.sketch import LARGEST, SMALLEST
from muninn.sources.client import GatewayClient

_KNOWN_SERIES = 50_000
# Microseconds must fit 64 bits, and a float of milliseconds tells them apart no longer.
_FURTHEST_MS = 2.0**53 / 1000


@dataclass(frozen=True)
class Counts:
    """What became of the samples that were added.

    sent: the gateway has them durably. refused: it found them bad (the log says why). dropped: the memory that they may
    take was full. waiting: nothing of that yet. retries: requests that were sent again.
    """

    sent: int
    refused: int
    dropped: int
    waiting: int
    retries: int


class Client:
    """Sends samples to a gateway in the background. Safe for many threads; close it, or use it in a `with`.

    token: what the gateway asks for, where it does (scope ingest).
    labels, source_agent_id, instance_id: of every sample that says nothing else.
    A batch goes when `batch_samples` are there or `interval_s` has passed. While the gateway says that it is busy (429,
    503) or is away, up to about `max_samples` wait; beyond that the oldest are dropped and counted. A batch keeps its
    idempotency key through all retries, so it is stored once. Raises Misconfigured for an address that is none.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8480",
        *,
        token: str | None = None,
        labels: Mapping[str, str] | None = None,
        source_agent_id: str = "",
        instance_id: str = "",
        batch_samples: int = 5_000,
        interval_s: float = 1.0,
        max_samples: int = 200_000,
        timeout_s: float = 15.0,
        clock: Clock | None = None,
    ):
        self._labels, self._agent, self._instance = dict(labels or {}), source_agent_id, instance_id
        self._batch, self._interval_s, self._max = min(batch_samples, max_samples), interval_s, max_samples
        self._clock, self._meter = clock or SystemClock(), Meter()
        self._sender = GatewayClient(
            url,
            token=token,
            max_rows=max_samples,
            timeout_s=timeout_s,
            clock=self._clock,
            meter=self._meter,
            arrow_rows=1,
        )
        self._known: dict[tuple[object, ...], SeriesKey] = {}
        self._rows: list[tuple[SeriesKey, int, float]] = []
        # Those of the rows that are distributions, by their places.
        self._some: dict[int, Distribution] = {}
        self._changed = threading.Condition()
        self._handing = threading.Lock()
        self._closed, self._added = False, 0
        self._thread = threading.Thread(target=self._run, name="muninn-client", daemon=True)
        self._thread.start()

    def add(
        self,
        metric: str,
        value: float,
        labels: Mapping[str, str] | None = None,
        at: datetime | float | None = None,
        *,
        source_agent_id: str | None = None,
        instance_id: str | None = None,
    ) -> None:
        """Take one sample; never waits for the network.

        at: an aware datetime, or milliseconds since the epoch; None is now. Raises TypeError or ValueError for what can
        never be sent, RuntimeError after `close`.
        """
        self._take(self._key(metric, labels or {}, source_agent_id, instance_id), at, float(value))

    def add_distribution(
        self,
        metric: str,
        values: Sequence[float],
        labels: Mapping[str, str] | None = None,
        at: datetime | float | None = None,
        *,
        counts: Sequence[int] | None = None,
        source_agent_id: str | None = None,
        instance_id: str | None = None,
    ) -> None:
        """Take many values as one sample, such as the response times of a second: percentiles of any time and any
        series stay right within 1 %.

        counts: how often each value came; None is once each. Otherwise as `add`.
        """
        made = _distribution(values, counts)
        self._take(self._key(metric, labels or {}, source_agent_id, instance_id), at, made.mean, made)

    def flush(self, timeout_s: float = 10.0) -> bool:
        """Wait until all that was added is sent, refused or dropped; False if that takes longer."""
        self._hand_over()
        return self._sender.flush(timeout_s)

    def close(self, timeout_s: float = 10.0) -> bool:
        """Flush, then end; False if something could not be sent in time: it is lost."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()
        done = self.flush(timeout_s)
        self._sender.close(0.0 if not done else 2.0)
        return done

    def counts(self) -> Counts:
        """What became of the samples so far."""
        found = {name: int(value) for name, _, value in self._meter.snapshot()}
        sent, refused, dropped, retries = (
            found.get(f"muninn_client_{what}_total", 0) for what in ("sent", "refused", "dropped", "retries")
        )
        return Counts(sent, refused, dropped, self._added - sent - refused - dropped, retries)

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _take(
        self, key: SeriesKey, at: datetime | float | None, value: float, made: Distribution | None = None
    ) -> None:
        row = key, self._clock.now_us() if at is None else _instant_us(at), value
        with self._changed:
            if self._closed:
                raise RuntimeError("the client is closed")
            self._added += 1
            if len(self._rows) >= self._max:
                self._meter.count("muninn_client_dropped_total")
                return
            if made is not None:
                self._some[len(self._rows)] = made
            self._rows.append(row)
            if len(self._rows) >= self._batch:
                self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or len(self._rows) >= self._batch, self._interval_s)
                closed = self._closed
            self._hand_over()
            if closed:
                return

    def _hand_over(self) -> None:
        """Give what is there to the sender; who comes second waits until that is done."""
        with self._handing:
            with self._changed:
                rows, self._rows = self._rows, []
                some, self._some = self._some, {}
            if rows:
                made = distributions.columns(np.array([*some], np.int64), [*some.values()])
                self._sender.send(replace(SampleBatch.of(rows), distributions=made))

    def _key(
        self, metric: str, labels: Mapping[str, str], source_agent_id: str | None, instance_id: str | None
    ) -> SeriesKey:
        ident = (metric, *labels.items(), source_agent_id, instance_id)
        key = self._known.get(ident)
        if key is None:
            agent = self._agent if source_agent_id is None else source_agent_id
            instance = self._instance if instance_id is None else instance_id
            key = SeriesKey.of(metric, {**self._labels, **labels}, agent, instance)
            _check(key)
            if len(self._known) >= _KNOWN_SERIES:
                self._known = {}
            self._known[ident] = key
        return key


def _check(key: SeriesKey) -> None:
    """What cannot be encoded must be told to who adds it, not to the thread that sends."""
    for text in (key.metric, key.source_agent_id, key.instance_id, *(part for pair in key.labels for part in pair)):
        if not isinstance(text, str):
            raise TypeError(f"metric, labels and ids must be text, not {type(text).__name__}")
        text.encode()


def _distribution(values: Sequence[float], counts: Sequence[int] | None) -> Distribution:
    given = np.asarray(values, np.float64)
    size = np.abs(given)
    if given.ndim != 1 or not len(given) or not ((size == 0) | ((size >= SMALLEST) & (size <= LARGEST))).all():
        raise ValueError(f"values must be one or more numbers, each 0 or between {SMALLEST:g} and {LARGEST:g} in size")
    times = np.ones(len(given), np.int64) if counts is None else np.asarray(counts)
    if times.shape != given.shape or times.dtype.kind not in "iu" or times.min() < 1 or times.max() >= 1 << 32:
        raise ValueError("counts must be as many whole numbers from 1 to 2^32 - 1 as there are values")
    return distributions.of_values(given, times.astype(np.int64))


def _instant_us(at: datetime | float) -> int:
    if isinstance(at, datetime):
        if at.tzinfo is None:
            raise ValueError("a datetime needs a time zone, such as datetime.now(UTC)")
        return as_us(at)
    if not math.isfinite(at) or abs(at) > _FURTHEST_MS:
        raise ValueError(f"{at} is no time in milliseconds since the epoch")
    return round(at * 1000)
