"""Ingest buffers for tests: what the contract suite and the comparison of the twins share."""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import redis

from muninn.clock import ManualClock
from muninn.ingest.buffer.contract import BufferLimits, IngestBuffer
from muninn.ingest.buffer.roster import Roster
from muninn.ingest.buffer.valkey import ValkeyBroker
from muninn.model import SampleBatch, SeriesKey
from muninn.names import DEAD_LETTERS, NAMES_EPOCH

KEY = SeriesKey.of("cpu", {"host": "a"})


@dataclass
class Rig:
    """A buffer under test: `make` opens it (again), `inject` puts in fields of any kind."""

    make: Callable[..., IngestBuffer]
    inject: Callable[[Mapping[bytes, bytes]], None]
    clock: ManualClock


def batch(*values: float) -> SampleBatch:
    return SampleBatch.of([(KEY, 1_700_000_000_000_000 + i, value) for i, value in enumerate(values)])


def values(handles: Any) -> list[list[float]]:
    return [handle.batch.value.tolist() for handle in handles]


class valkey_rig:  # noqa: N801 - used as a context manager
    def __init__(self, url: str, clock: ManualClock):
        self._url, self._clock, self._stream = url, clock, f"test:{uuid.uuid4().hex}"
        self._opened: list[ValkeyBroker] = []
        self._client = redis.Redis.from_url(url)

    def __enter__(self) -> Rig:
        self._client.delete(DEAD_LETTERS, NAMES_EPOCH)
        return Rig(self._make, lambda fields: self._client.xadd(self._stream, dict(fields)) and None, self._clock)

    def _make(self, roster: Roster | None = None, **limits: Any) -> ValkeyBroker:
        broker = ValkeyBroker(
            self._url, limits=BufferLimits(**limits), clock=self._clock, stream=self._stream, roster=roster
        )
        self._opened.append(broker)
        return broker

    def __exit__(self, *_: object) -> None:
        for broker in self._opened:
            broker.close()
        self._client.delete(DEAD_LETTERS, *self._client.scan_iter(match=f"{self._stream}*"))
        self._client.close()
