"""Clients that do not read: they are held back, never slow anyone else, and are cut in the end."""

import asyncio

import numpy as np
from servers import eventually
from streaming import RunningSidecar, client_frame, handshake, messages_of, raw_client, running

from muninn.clock import ManualClock
from muninn.ingest.buffer.memory import MemoryBroker
from muninn.model import SampleBatch, SeriesKey
from muninn.stream.client import StreamClient, connect
from muninn.stream.session import STALL_S

SERIES = 150
POINTS = 40
SUBSCRIBE = b'{"op":"subscribe","id":"c","channel":{"metric":"m"}}'
KEYS = tuple(SeriesKey.of("m", {"n": str(n)}) for n in range(SERIES))


def big_batch(clock: ManualClock) -> SampleBatch:
    """Points enough that a frame of them is some 150 kB: two fill what a stalled client's kernel takes."""
    count = SERIES * POINTS
    at_us = clock.now_us() - np.arange(count, dtype=np.int64) % POINTS * 1000
    key_index = np.repeat(np.arange(SERIES, dtype=np.int32), POINTS)
    return SampleBatch(at_us, np.random.default_rng(7).random(count), key_index, KEYS)


async def feed_and_watch(url: str, broker: MemoryBroker, clock: ManualClock, rounds: int) -> None:
    """Return once each of ten good clients had every one of `rounds` batches."""
    async with asyncio.TaskGroup() as opening:
        clients: list[StreamClient] = []
        closing = asyncio.Event()

        async def one() -> None:
            async with connect(url) as client:
                client.subscribe("c", "m")
                await client.receive_op("snapshot")
                clients.append(client)
                await closing.wait()

        for _ in range(10):
            opening.create_task(one())
        while len(clients) < 10:
            await asyncio.sleep(0.01)
        for _ in range(rounds):
            broker.append(big_batch(clock))
            await asyncio.gather(*(client.receive_op("delta") for client in clients))
            clock.advance(1)
        closing.set()


def test_a_stalled_client_slows_nobody_and_is_cut() -> None:
    clock, broker = ManualClock(), MemoryBroker()
    with running(broker, clock=clock) as sidecar, raw_client(sidecar.port, receive_buffer=4096) as stalled:
        stalled.sendall(handshake(sidecar.port) + client_frame(SUBSCRIBE, 1, True))
        asyncio.run(feed_and_watch(sidecar.url, broker, clock, rounds=5))  # ends, though one never reads
        assert sidecar.metered("muninn_stream_dropped_total") >= 1
        eventually(lambda: viewers(sidecar) == 1, 10, "the good clients are gone, the stalled one is not")
        clock.advance(STALL_S + 1)

        def is_cut() -> bool:
            broker.append(SampleBatch.of([(KEYS[0], clock.now_us(), 1.0)]))  # so that the sidecar ticks
            return viewers(sidecar) == 0

        eventually(is_cut, 20, "the stalled client is cut")
        assert sidecar.metered("muninn_stream_cut_total", reason="stalled") == 1


def test_a_client_that_reads_again_gets_a_snapshot_in_place_of_what_it_missed() -> None:
    clock, broker = ManualClock(), MemoryBroker()
    with running(broker, clock=clock) as sidecar, raw_client(sidecar.port, receive_buffer=4096) as slow:
        slow.sendall(handshake(sidecar.port) + client_frame(SUBSCRIBE, 1, True))
        asyncio.run(feed_and_watch(sidecar.url, broker, clock, rounds=5))
        dropped = sidecar.metered("muninn_stream_dropped_total")
        assert dropped >= 1
        frames = []
        messages = messages_of(slow)
        for message in messages:
            frames += message
            if frames[-1]["op"] == "snapshot" and any(frame["op"] == "resync" for frame in frames):
                break
        resync = next(frame for frame in frames if frame["op"] == "resync")
        assert resync["missed"] == dropped
        snapshot = frames[-1]
        assert snapshot["offset"] == 5
        assert len(snapshot["points"]) == SERIES
        broker.append(big_batch(clock))
        (delta,) = next(messages)
        assert (delta["op"], delta["offset"]) == ("delta", 6)


def viewers(sidecar: RunningSidecar) -> float:
    return sidecar.metered("muninn_viewers")
