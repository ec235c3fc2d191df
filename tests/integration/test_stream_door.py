"""The sidecar's door: health, origins, limits, and the wire byte by byte."""

import asyncio
import os
import socket
import threading
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from picows import WSHandshakeError
from servers import free_port
from streaming import RunningSidecar, client_frame, handshake, messages_of, raw_client, running

from muninn import settings
from muninn.clock import SystemClock
from muninn.errors import Misconfigured, Unavailable
from muninn.guard.judge import Judge, Policy
from muninn.guard.roll import Roll
from muninn.guard.tokens import Token, digest_of
from muninn.ingest.buffer.memory import MemoryBroker
from muninn.meter import Meter
from muninn.stream.client import StreamClient, connect
from muninn.stream.protocol import MAX_MESSAGE_BYTES
from muninn.stream.server import Sidecar


@pytest.fixture
def sidecar() -> Iterator[RunningSidecar]:
    with running(MemoryBroker()) as started:
        yield started


def test_health_is_plain_http(sidecar: RunningSidecar) -> None:
    status, body = sidecar.get("/healthz")
    health = orjson.loads(body)
    assert (status, health["status"], health["viewers"], health["channels"]) == (200, "ok", 0, 0)


def test_other_paths_say_where_the_stream_is(sidecar: RunningSidecar) -> None:
    status, body = sidecar.get("/nowhere")
    assert status == 404
    assert b"/healthz" in body


def test_the_stream_itself_is_no_plain_page(sidecar: RunningSidecar) -> None:
    assert sidecar.get("/stream")[0] == 400


def test_a_page_from_elsewhere_is_turned_away_and_the_setting_is_named(sidecar: RunningSidecar) -> None:
    status, body = sidecar.get("/stream", {"Origin": "https://evil.example"})
    assert status == 403
    assert b"https://evil.example" in body
    assert b"MUNINN_SIDECAR_ORIGINS" in body
    assert sidecar.metered("muninn_stream_refused_total", reason="origin") == 1

    async def knock() -> None:
        async with connect(sidecar.url, {"Origin": "https://evil.example"}):
            pass

    with pytest.raises(WSHandshakeError):
        asyncio.run(knock())


def test_a_page_of_this_machine_and_a_configured_one_are_let_in() -> None:
    async def greet(url: str, origin: str) -> str:
        async with connect(url, {"Origin": origin}) as client:
            return str((await client.receive())["op"])

    with running(MemoryBroker(), origins="https://metrics.example.com") as sidecar:
        assert asyncio.run(greet(sidecar.url, "http://localhost:8501")) == "hello"
        assert asyncio.run(greet(sidecar.url, "https://metrics.example.com")) == "hello"


def test_one_viewer_too_many_is_closed_with_try_again_later() -> None:
    async def crowd(url: str) -> tuple[int, str]:
        async with connect(url) as first:
            await first.receive_op("hello")
            async with connect(url) as second:
                with pytest.raises(Unavailable):
                    await second.receive()
                closed = second.closed
        assert closed is not None
        return closed

    with running(MemoryBroker(), max_clients=1) as sidecar:
        code, reason = asyncio.run(crowd(sidecar.url))
        assert code == 1013
        assert "1 viewers" in reason
        assert sidecar.metered("muninn_stream_refused_total", reason="full") == 1


class OneToken:
    """Where one token is kept."""

    def tokens(self) -> list[Token]:
        return [Token(1, "viewer", digest_of("may"), frozenset({"read"}))]

    def signing_key(self) -> bytes:
        return b"k" * 32


def test_a_viewer_who_said_who_it_is_takes_one_place() -> None:
    async def come(url: str) -> None:
        async with connect(url) as first, connect(url) as second, connect(url) as third:
            for client in (first, second, third):
                client.say({"op": "authenticate", "token": "may"})
                await client.receive_op("hello")
            async with connect(url) as fourth:
                fourth.say({"op": "authenticate", "token": "may"})
                await fourth.receive_op("hello")

    roll = Roll(OneToken())
    roll.refresh()
    with running(MemoryBroker(), judge=Judge(Policy(trust_loopback=False), roll), max_clients=4) as sidecar:
        asyncio.run(come(sidecar.url))
        assert sidecar.metered("muninn_stream_refused_total", reason="full") == 0


def test_bad_messages_are_answered_and_the_connection_lives(sidecar: RunningSidecar) -> None:
    async def talk(client: StreamClient) -> list[str]:
        answers = []
        for message in ([], {"op": "fly"}, {"op": "subscribe", "id": "c"}, {"op": "ping", "id": "p"}):
            client.say(message)
            frame = await client.receive()
            answers.append(frame.get("code", frame["op"]))
        return answers

    async def run() -> list[str]:
        async with connect(sidecar.url) as client:
            await client.receive_op("hello")
            return await talk(client)

    assert asyncio.run(run()) == ["bad_message", "unknown_op", "bad_message", "pong"]


def test_a_message_that_is_too_long_is_closed_with_1009(sidecar: RunningSidecar) -> None:
    async def run() -> tuple[int, str] | None:
        async with connect(sidecar.url) as client:
            client.say({"op": "ping", "id": "x" * MAX_MESSAGE_BYTES})
            with pytest.raises(Unavailable):
                await client.receive_op("pong")
            return client.closed

    closed = asyncio.run(run())
    assert closed is not None
    assert closed[0] == 1009


def test_the_sidecar_says_goodbye_when_it_ends() -> None:
    async def run(url: str, stop: threading.Event) -> tuple[int, str] | None:
        async with connect(url) as client:
            await client.receive_op("hello")
            stop.set()
            with pytest.raises(Unavailable):
                await client.receive_op("never")
            return client.closed

    with running(MemoryBroker()) as sidecar:
        closed = asyncio.run(run(sidecar.url, sidecar.stop))
    assert closed is not None
    assert closed[0] == 1001


def test_a_taken_port_is_a_setting_to_change() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        config = settings.Sidecar(port=taken.getsockname()[1])
        sidecar = Sidecar(config, MemoryBroker(), None, SystemClock(), Meter())
        with pytest.raises(Misconfigured, match="MUNINN_SIDECAR_PORT"):
            sidecar.run(threading.Event())


def answers_to(port: int, chunks: list[bytes], stop_after: str) -> list[dict[str, Any]]:
    """Send the chunks one by one and collect frames until one with that op comes."""
    with raw_client(port) as wire:
        for chunk in chunks:
            wire.sendall(chunk)
        frames: list[dict[str, Any]] = []
        for message in messages_of(wire):
            frames += message
            if frames[-1]["op"] == stop_after:
                break
    return frames


def test_a_stream_of_single_bytes_and_of_fragments_equals_the_whole(sidecar: RunningSidecar) -> None:
    said = [
        b'{"op":"subscribe","id":"c","channel":{"metric":"m","labels":{"a":"b"}}}',
        b'{"op":"nonsense"}',
        b'{"op":"ping","id":"end"}',
    ]
    whole = handshake(sidecar.port) + b"".join(client_frame(text, 1, True) for text in said)
    fragments = [
        client_frame(text[at : at + 7], 1 if at == 0 else 0, at + 7 >= len(text))
        for text in said
        for at in range(0, len(text), 7)
    ]
    one_by_one = [whole[at : at + 1] for at in range(len(whole))]

    def told(chunks: list[bytes]) -> list[tuple[str, object, object]]:
        frames = answers_to(sidecar.port, chunks, "pong")
        # A snapshot and a status come when they are ready, between the answers.
        return [
            (frame["op"], frame.get("id"), frame.get("message"))
            for frame in frames
            if frame["op"] not in ("snapshot", "status")
        ]

    expected = told([whole])
    assert [op for op, _, _ in expected] == ["hello", "subscribed", "error", "pong"]
    assert told(one_by_one) == expected
    assert told([handshake(sidecar.port), *fragments]) == expected


def test_bytes_that_are_no_websocket_do_not_harm_the_others(sidecar: RunningSidecar) -> None:
    for junk in (
        b"\x00" * 3000,
        b"GET / HTTP/1.1\r\n\r\n",
        os.urandom(5000),
        handshake(free_port()) + os.urandom(3000),
    ):
        with socket.create_connection(("127.0.0.1", sidecar.port), timeout=5) as wire:
            wire.sendall(junk)
    assert answers_to(sidecar.port, [handshake(sidecar.port) + client_frame(b'{"op":"ping"}', 1, True)], "pong")
