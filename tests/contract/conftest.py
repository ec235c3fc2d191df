"""The ingest buffer under test, once for each implementation."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from brokers import Rig, valkey_rig

from muninn.clock import ManualClock
from muninn.ingest.buffer.contract import BufferLimits
from muninn.ingest.buffer.memory import MemoryBroker
from muninn.ingest.buffer.roster import Roster


@pytest.fixture(params=["memory", "valkey"])
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    clock = ManualClock(time.time_ns() // 1000)
    if request.param == "memory":
        kept: dict[str, MemoryBroker] = {}

        def make(roster: Roster | None = None, **limits: Any) -> MemoryBroker:
            kept["broker"] = MemoryBroker(limits=BufferLimits(**limits), clock=clock, roster=roster)
            return kept["broker"]

        yield Rig(make, lambda fields: kept["broker"].append_fields(fields) and None, clock)
        return
    with valkey_rig(request.getfixturevalue("redis_url"), clock) as found:
        yield found
