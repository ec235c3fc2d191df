"""The two ingest buffers, in memory and in Valkey, do the same at every step of any history."""

import time
import uuid
from typing import Any

from brokers import batch, valkey_rig, values
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from muninn.clock import ManualClock
from muninn.errors import Rejected
from muninn.ingest.buffer.contract import BufferLimits, IngestBuffer
from muninn.ingest.buffer.memory import MemoryBroker

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(1, 4), st.sampled_from([None, None, "k1", "k2"])),
        st.tuples(st.just("read"), st.sampled_from("ab"), st.integers(1, 3)),
        st.tuples(st.just("claim"), st.sampled_from("ab"), st.integers(1, 3)),
        st.tuples(st.just("acknowledge"), st.sampled_from("ab"), st.integers(1, 3)),
    ),
    max_size=40,
)


@given(steps=STEPS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_twins_agree_step_by_step(redis_url: str, steps: list[tuple[Any, ...]]) -> None:
    clock = ManualClock(time.time_ns() // 1000)
    key_life = {"k1": uuid.uuid4().hex, "k2": uuid.uuid4().hex}
    with valkey_rig(redis_url, clock) as rig:
        limits = {"max_bytes": 1200, "read_bytes": 400, "live_s": 0}
        twins: list[IngestBuffer] = [rig.make(**limits), MemoryBroker(limits=BufferLimits(**limits), clock=clock)]
        for number, step in enumerate(steps):
            outcomes = [_apply(broker, step, number, key_life) for broker in twins]
            assert outcomes[0] == outcomes[1], step


def _apply(broker: IngestBuffer, step: tuple[Any, ...], number: int, keys: dict[str, str]) -> object:
    """Do a step; what it gave, in terms that do not depend on entry ids, and how the buffer is after it."""
    what, who, count = step
    outcome: object = None
    if what == "append":
        try:
            broker.append(batch(*[float(number)] * who), keys.get(count))
        except Rejected:
            outcome = "rejected"
    elif what == "read":
        outcome = values(broker.read(who, count, 0))
    elif what == "claim":
        outcome = values(broker.claim(who, 0, count))
    else:
        broker.acknowledge(broker.pending(who, count))
    return (
        outcome,
        broker.depth(),
        broker.held_bytes(),
        values(broker.pending("a", 99)),
        values(broker.pending("b", 99)),
    )
